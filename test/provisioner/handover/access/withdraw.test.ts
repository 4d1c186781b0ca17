// The bench's key taken off: by the real shell, on files as they are found, and cut off in between.

import test from 'ava';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { withdrawal } from '../../../../provisioner/handover/access/withdraw.ts';

const publicLine = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBench+Key/0123456789abcdefghijkl bench of Riverside';
const key = publicLine.split(' ')[1];
const owners = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwner owner';

const files: [what: string, before: string, after: string][] = [
  ['alone', `${publicLine}\n`, ''],
  ['among others, with options', `${owners}\nrestrict,pty ${publicLine}\n# a word\n`, `${owners}\n# a word\n`],
  ['twice, without a comment', `ssh-ed25519 ${key}\n${owners}\nssh-ed25519 ${key}`, `${owners}\n`],
];

for (const [what, before, after] of files) {
  test(`${what}, it is removed, and nothing else`, (t) => {
    const dir = mkdtempSync(join(tmpdir(), 'withdraw-'));
    t.teardown(() => rmSync(dir, { recursive: true }));
    const path = join(dir, 'authorized keys');
    writeFileSync(path, before, { mode: 0o600 });
    writeFileSync(`${path}.kit-new`, 'of a run that was cut off', { mode: 0o600 });
    const [step] = withdrawal.plan({ publicLine }, { keyIn: [path] });
    const run = spawnSync('/bin/sh', ['-eu', '-c', step.command!], { encoding: 'utf8' });
    t.is(run.stderr, '');
    t.is(run.status, 0);
    t.is(readFileSync(path, 'utf8'), after);
    t.is(statSync(path).mode & 0o777, 0o600);
  });
}

test('a node without it is left alone; files that hold it are named one a line', (t) => {
  t.deepEqual(withdrawal.plan({ publicLine }, { keyIn: [] }), []);
  const { keyIn } = withdrawal.facts({ publicLine });
  t.deepEqual(keyIn.parse('/root/.ssh/authorized_keys\n/home/x/.ssh/authorized_keys2', 0), [
    '/root/.ssh/authorized_keys', '/home/x/.ssh/authorized_keys2',
  ]);
  t.deepEqual(keyIn.parse('', 0), []);
  t.true(keyIn.script.includes(key));
});
