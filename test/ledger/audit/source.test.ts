// What an auditor reads over the web: servers that are busy, slow, gone, or send too much.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { createServer } from 'node:http';
import type { RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { webFiles } from '../../../ledger/audit/source.ts';

async function serve(t: ExecutionContext, answer: RequestListener): Promise<string> {
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/log`;
}

test('a busy server is asked again when it says', async (t) => {
  let asked = 0;
  const url = await serve(t, ({ url: path }, response) => {
    if (asked++ < 2) response.writeHead(asked === 1 ? 429 : 503, asked === 1 ? { 'Retry-After': '7' } : {}).end('busy');
    else response.end(path);
  });
  const waited: number[] = [];
  const { read } = webFiles(url, async (seconds) => waited.push(seconds));
  t.is(Buffer.from((await read('checkpoint'))!).toString(), '/log/checkpoint');
  t.deepEqual(waited, [7, 1]);
});

test('one that is never free, or wants an hour, or means another day, is unreachable', async (t) => {
  let retryAfter = '0';
  const url = await serve(t, (_, response) => {
    response.writeHead(429, { 'Retry-After': retryAfter }).end();
  });
  let waited = 0;
  const { read } = webFiles(url, async () => waited++);
  await t.throwsAsync(read('checkpoint'), { code: 'unreachable' });
  t.true(waited > 3 && waited < 100);
  for (const wait of ['3600', 'Fri, 31 Dec 1999 23:59:59 GMT', '-1']) {
    [retryAfter, waited] = [wait, 0];
    const error = await t.throwsAsync(read('checkpoint'), { code: 'unreachable' });
    t.like(error, { expected: 'status 200', got: '429' });
    t.is(waited, 0);
  }
});

test('nobody there, a line cut in mid-file, and a file without end are told by name', async (t) => {
  const gone = await serve(t, ({ socket }) => void socket.destroy());
  await t.throwsAsync(webFiles(gone).read('checkpoint'), { code: 'unreachable' });
  const cut = await serve(t, (_, response) => {
    response.writeHead(200, { 'Content-Length': 100 });
    response.write('half', () => response.destroy());
  });
  await t.throwsAsync(webFiles(cut).read('checkpoint'), { code: 'unreachable' });
  const endless = await serve(t, (_, response) => {
    const go = (): void => {
      while (response.write(Buffer.alloc(1_000_000)));
      response.once('drain', go);
    };
    go();
  });
  await t.throwsAsync(webFiles(endless).read('checkpoint'), { code: 'too-large' });
});

test('a partial tile that is a lie, or longer than it says, is no better for the full one', async (t) => {
  const url = await serve(t, ({ url: path }, response) => {
    if (path === '/log/tile/0/000') response.end(Buffer.alloc(256 * 32, 1));
    else response.writeHead(404).end();
  });
  const { read } = webFiles(url);
  t.deepEqual(await read('tile/0/000.p/3'), new Uint8Array(96).fill(1));
  t.is(await read('tile/0/001.p/3'), null);
  t.is(await read('tile/entries/000.p/3'), null);
});
