// The counters service's own script is run here with stand-ins for nft and the node's folders; what
// it answers must be what the check takes for well-formed.

import { spawnSync } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { readCounters } from '../../../provisioner/check/counters.ts';
import { countersFiles } from '../../../provisioner/node/part/counters.ts';
import { snacCounted } from '../../../provisioner/node/snac/server.ts';
import { textOf } from '../../../provisioner/node/step.ts';

const listing = `table inet commons {
	counter wan_in {
		packets 12 bytes 9007199254740991
	}
	counter wan_out {
		packets 7 bytes 4567
	}
}`;

async function ask(t: ExecutionContext, request: string, counters = listing) {
  const dir = await mkdtemp(join(tmpdir(), 'commons-counters-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  await mkdir(join(dir, 'user/alice'), { recursive: true });
  await writeFile(join(dir, 'user/alice/user.json'), '{}');
  await writeFile(join(dir, 'user/alice/public.idx'), 'x'.repeat(33 * 5));
  await writeFile(join(dir, 'nft'), `#!/bin/sh\ncat <<'E'\n${counters}\nE\n`);
  await chmod(join(dir, 'nft'), 0o755);
  const script = textOf(countersFiles(snacCounted)[0].content)
    .replaceAll('/usr/sbin/nft', join(dir, 'nft'))
    .replaceAll('/var/lib/snac2', dir);
  await writeFile(join(dir, 'counters'), script);
  const run = spawnSync('/bin/sh', [join(dir, 'counters')], { input: request, encoding: 'utf8' });
  const [head, body] = run.stdout.split('\r\n\r\n');
  return { head, body, stderr: run.stderr };
}

const request = 'GET /counters HTTP/1.1\r\nHost: alice.test:8010\r\n\r\n';

test('answers as the meter expects', async (t) => {
  const { head, body, stderr } = await ask(t, request);
  t.is(stderr, '');
  t.deepEqual(head.split('\r\n'), [
    'HTTP/1.1 200 OK',
    'Content-Type: application/json',
    `Content-Length: ${body.length}`,
    'Connection: close',
  ]);
  const {
    boot, disk_used_bytes: diskUsed, temperature_milli_c: temperature, host, ...rest
  } = JSON.parse(body);
  t.is(host, hostname());
  t.deepEqual(rest, { v: 1, wan_in_bytes: 2 ** 53 - 1, wan_out_bytes: 4567, users: 1, posts: 5 });
  t.regex(boot, /^[0-9a-f]{32}$/);
  t.true(Number.isSafeInteger(diskUsed) && diskUsed > 0);
  t.true(temperature === null || Number.isSafeInteger(temperature));
  t.like(readCounters(body, boot), { wanInBytes: 2 ** 53 - 1, wanOutBytes: 4567 });
});

test('says so when there is nothing to count, when asked otherwise, and when asked at length', async (t) => {
  t.true((await ask(t, request, '')).head.startsWith('HTTP/1.1 503 '));
  t.true((await ask(t, 'GET /x HTTP/1.1\r\n\r\n')).head.startsWith('HTTP/1.1 404 '));
  t.true((await ask(t, 'POST /counters HTTP/1.1\r\n\r\n')).head.startsWith('HTTP/1.1 404 '));
  const lines = `GET /counters HTTP/1.1\r\n${'A: b\r\n'.repeat(100)}\r\n`;
  t.true((await ask(t, lines)).head.startsWith('HTTP/1.1 431 '));
  t.is((await ask(t, '')).head, '');
});

test('refuses counters of another boot or another shape', (t) => {
  const boot = 'a'.repeat(32);
  const well = {
    v: 1, boot, wan_in_bytes: 1, wan_out_bytes: 1, disk_used_bytes: 1,
    temperature_milli_c: null, users: 1, posts: 1,
  };
  const read = (changes: object, id?: string) => () =>
    readCounters(JSON.stringify({ ...well, ...changes }), id);
  t.notThrows(read({}, boot));
  t.throws(read({}, 'b'.repeat(32)), { message: /another boot/ });
  t.throws(read({ v: 2 }), { message: /version 2/ });
  t.throws(read({ boot: 'A'.repeat(32) }), { message: /boot id/ });
  t.throws(read({ wan_in_bytes: -1 }), { message: /wan_in_bytes/ });
  t.throws(read({ posts: 1.5 }), { message: /posts/ });
  t.throws(read({ temperature_milli_c: 'hot' }), { message: /temperature/ });
  t.throws(read({ pad: 'x'.repeat(512) }), { message: /bytes long/ });
});
