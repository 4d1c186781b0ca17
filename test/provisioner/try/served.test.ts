import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'ava';
import { countersIn, openServed } from '../../../provisioner/try/served.ts';

const file = (): string => join(mkdtempSync(join(tmpdir(), 'served-')), 'served.jsonl');

test('totals go on through restarts of the node, and through a restart of the journey', (t) => {
  const path = file();
  const first = openServed(path);
  first.heard(response('aa', 100, 10));
  first.heard(response('aa', 150, 20));
  first.heard(response('bb', 30, 5));
  const again = openServed(path);
  again.heard(response('bb', 31, 6));
  t.deepEqual(again.totals(), [
    { wanInBytes: 100, wanOutBytes: 10 },
    { wanInBytes: 150, wanOutBytes: 20 },
    { wanInBytes: 180, wanOutBytes: 25 },
    { wanInBytes: 181, wanOutBytes: 26 },
  ]);
});

test('nothing but a whole answer with counters counts', (t) => {
  const whole = response('aa', 1, 2);
  t.truthy(countersIn(whole));
  t.is(countersIn(''), undefined);
  t.is(countersIn(whole.slice(0, -3)), undefined);
  t.is(countersIn(whole.replace('200', '503')), undefined);
  t.is(countersIn(whole.replace('"v":1', '"v":2')), undefined);
});

function response(boot: string, wanIn: number, wanOut: number): string {
  const body = JSON.stringify({ v: 1, boot, wan_in_bytes: wanIn, wan_out_bytes: wanOut });
  return `HTTP/1.1 200 OK\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
}
