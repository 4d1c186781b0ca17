import { spawnSync } from 'node:child_process';
import test from 'ava';
import fc from 'fast-check';
import { type TarEntry, writeTar } from '../../../provisioner/image/tar.ts';

const name = fc.stringMatching(/^[a-z][a-z0-9.-]{0,30}$/);
const path = fc.array(name, { minLength: 1, maxLength: 6 }).map((parts) => parts.join('/'));
const entry: fc.Arbitrary<TarEntry> = fc.oneof(
  fc.record({
    path,
    mode: fc.constantFrom(0o644, 0o755),
    content: fc.uint8Array({ maxLength: 1500 }),
  }),
  fc.record({ path, target: path }),
);
const entries = fc.uniqueArray(entry, { selector: (item) => item.path, maxLength: 12 });

test('the order in which files are found does not matter', (t) => {
  fc.assert(
    fc.property(entries, fc.nat(2 ** 31), (list, mtimeS) => {
      const backwards = writeTar([...list].reverse(), mtimeS);
      return Buffer.compare(writeTar(list, mtimeS), backwards) === 0;
    }),
  );
  t.pass();
});

test("the system's tar lists what was written", (t) => {
  const list: TarEntry[] = [
    { path: 'usr/lib/x', mode: 0o755, content: Buffer.from('#!/bin/sh\n') },
    { path: 'etc/hostname', mode: 0o644, content: Buffer.from('kit\n') },
    { path: 'etc/off.service', target: '/dev/null' },
    { path: `${'deep/'.repeat(30)}file`, mode: 0o644, content: Buffer.alloc(513) },
  ];
  const input = writeTar(list, 1_700_000_000);
  const env = { ...process.env, TZ: 'UTC', LC_ALL: 'C' };
  const { stdout, stderr, status } = spawnSync('tar', ['-tv', '--full-time', '-f', '-'], {
    input,
    env,
    encoding: 'utf8',
  });
  t.is(status, 0, stderr);
  const lines = stdout.trim().split('\n').map((line) => line.replace(/\s+/g, ' '));
  const time = '2023-11-14 22:13:20';
  t.deepEqual(lines, [
    `-rw-r--r-- 0/0 513 ${time} ${'deep/'.repeat(30)}file`,
    `-rw-r--r-- 0/0 4 ${time} etc/hostname`,
    `lrwxrwxrwx 0/0 0 ${time} etc/off.service -> /dev/null`,
    `-rwxr-xr-x 0/0 10 ${time} usr/lib/x`,
  ]);
});

test('a name that no header can hold is refused', (t) => {
  t.throws(() => writeTar([{ path: 'x'.repeat(101), target: 'y' }], 0), { instanceOf: RangeError });
});
