// The meter's HTTP client against servers that split, stall, lie and close.
import test from 'ava';
import fc from 'fast-check';
import { Http, parseUrl } from '../../firmware/http.ts';

/** A connection that gives `chunks` one by one, then stays silent, or closes. */
function client(chunks: (string | Buffer)[], end: 'silent' | 'closed' = 'silent') {
  const sent: Buffer[] = [];
  const state = { sent, closed: 0, nowMs: 0 };
  const http = new Http({
    connect: async () => ({
      send: async (bytes: Buffer) => void sent.push(bytes),
      receive: async (timeoutMs: number) => {
        state.nowMs += 10;
        const next = chunks.shift();
        if (next !== undefined) return Buffer.from(next);
        if (end === 'closed') return null;
        state.nowMs += timeoutMs;
        return undefined;
      },
      close: async () => void state.closed++,
    }),
    millis: () => state.nowMs,
    pause: async () => {},
  });
  return { http, state };
}
const ask = {
  method: 'GET', url: 'http://alice.test:8010/counters', headers: [], body: null,
  timeoutMs: 5000, maxBodyBytes: 512,
};
const answer = 'HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nCONTENT-LENGTH: 5\r\n\r\nhello';

test('one request, one response, however it is split', async (t) => {
  for (let cut = 1; cut < answer.length; cut++) {
    const { http, state } = client([answer.slice(0, cut), answer.slice(cut)]);
    const response = await http.request(ask);
    t.is(response.status, 200);
    t.is(response.body.toString(), 'hello');
    t.is(state.closed, 1);
  }
  const { http, state } = client([answer]);
  await http.request({ ...ask, method: 'POST', headers: ['X: y'], body: [Buffer.from('ab'), Buffer.from('c')] });
  t.is(
    Buffer.concat(state.sent).toString(),
    'POST /counters HTTP/1.1\r\nHost: alice.test:8010\r\nConnection: close\r\nX: y\r\n' +
      'Content-Length: 3\r\n\r\nabc',
  );
});

test('what is not bounded, whole and in time is refused, and the socket closed', async (t) => {
  const cases: [RegExp, (string | Buffer)[], ('silent' | 'closed')?][] = [
    [/time is up/, []],
    [/time is up/, [answer.slice(0, -1)]],
    [/time is up/, Array.from(answer.repeat(40).slice(0, 600), (c, i) => (i < 17 ? c : 'x'))],
    [/closed early/, [answer.slice(0, -1)], 'closed'],
    [/no status line/, ['SSH-2.0-x\r\n\r\n']],
    [/expected a Content-Length/, ['HTTP/1.1 200 OK\r\n\r\nhello']],
    [/expected a Content-Length/, ['HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n']],
    [/two lengths/, ['HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n']],
    [/bad number/, ['HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n']],
    [/at most 512/, ['HTTP/1.1 200 OK\r\nContent-Length: 513\r\n\r\n']],
    [/head too long/, [`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(3000)}`]],
  ];
  for (const [message, chunks, end] of cases) {
    const { http, state } = client(chunks, end);
    await t.throwsAsync(http.request(ask), { message }, String(message));
    t.is(state.closed, 1);
  }
});

test('junk never hangs the client', async (t) => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 300 })), async (chunks) => {
      const { http, state } = client(chunks.map((chunk) => Buffer.from(chunk)), 'closed');
      await t.throwsAsync(http.request(ask));
      t.is(state.closed, 1);
    }),
    { numRuns: 50 },
  );
});

test('addresses', (t) => {
  t.deepEqual(parseUrl('http://ledger.test'), { tls: false, host: 'ledger.test', port: 80, path: '/' });
  t.deepEqual(parseUrl('https://a:8443/v1/x'), { tls: true, host: 'a', port: 8443, path: '/v1/x' });
  const bad = ['', 'ftp://a', 'http://', 'http://a:0', 'http://a:70000', 'http://a b/'];
  for (const url of [...bad, 'http://a/\r\nX:']) t.throws(() => parseUrl(url), undefined, url);
});
