// The bench's key taken off: by the real shell, on files as they are found, and cut off in between.

import test from 'ava';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { KitError } from '../../../../provisioner/errors.ts';
import { FactError } from '../../../../provisioner/node/fact.ts';
import { withdrawal, type WithdrawalFacts } from '../../../../provisioner/handover/access/withdraw.ts';

const publicLine = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIBench+Key/0123456789abcdefghijkl bench of Riverside';
const key = publicLine.split(' ')[1];
const owners = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOwner owner';

const desired = { publicLine, owner: 'alice' };
const none: WithdrawalFacts = { keyIn: [], otherWays: [], others: [], onEsp: undefined };

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
    const [step] = withdrawal.plan(desired, { ...none, keyIn: [path] });
    const run = spawnSync('/bin/sh', ['-eu', '-c', step.command!], { encoding: 'utf8' });
    t.is(run.stderr, '');
    t.is(run.status, 0);
    t.is(readFileSync(path, 'utf8'), after);
    t.is(statSync(path).mode & 0o777, 0o600);
  });
}

test('a node without it is left alone; files that hold it are named one a line', (t) => {
  t.deepEqual(withdrawal.plan(desired, none), []);
  const { keyIn } = withdrawal.facts(desired);
  t.deepEqual(keyIn.parse('/root/.ssh/authorized_keys\n/home/x/.ssh/authorized_keys2', 0), [
    '/root/.ssh/authorized_keys', '/home/x/.ssh/authorized_keys2',
  ]);
  t.deepEqual(keyIn.parse('', 0), []);
  t.true(keyIn.script.includes(key));
});

test('where the SSH server was told to look, it is found: by name, by home, anywhere', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'withdraw-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const program = (name: string, prints: string): void => {
    writeFileSync(join(dir, name), `#!/bin/sh\ncat <<'E'\n${prints}\nE\n`);
    chmodSync(join(dir, name), 0o755);
  };
  program('sshd', `port 22\nauthorizedkeysfile keys/%u %h/more ${dir}/keys-100%%/%U\nusepam yes`);
  program('getent', `root:x:0:0::${dir}/root:/bin/sh\nbob:x:1001:1001:Bob:${dir}/bob:/bin/sh`);
  for (const folder of ['root/keys', 'bob', 'keys-100%']) mkdirSync(join(dir, folder), { recursive: true });
  const holding = ['root/keys/root', 'bob/more', 'keys-100%/1001'];
  for (const path of holding) writeFileSync(join(dir, path), `${publicLine}\n`);
  writeFileSync(join(dir, 'root/more'), `${owners}\n`);
  const { keyIn } = withdrawal.facts(desired);
  const env = { ...process.env, PATH: `${dir}:${process.env['PATH']}` };
  const found = spawnSync('/bin/sh', ['-c', keyIn.script], { env, encoding: 'utf8' });
  t.deepEqual(keyIn.parse(found.stdout, found.status!).sort(), holding.map((path) => join(dir, path)).sort());
});

test('settings that could not be asked for are no settings that let nobody in', (t) => {
  const { otherWays } = withdrawal.facts(desired);
  t.deepEqual(otherWays.parse('authorizedkeyscommand none\ntrustedusercakeys none', 0), []);
  t.throws(() => otherWays.parse('', 255), { instanceOf: FactError });
});

test('the file that the bench comes in by goes last', (t) => {
  const keyIn = ['/root/.ssh/authorized_keys', '/home/a/.ssh/authorized_keys', '/etc/ssh/authorized_keys'];
  const names = withdrawal.plan(desired, { ...none, keyIn }).map(({ name }) => name.split(' ').at(-1));
  t.deepEqual(names, [keyIn[1], keyIn[2], keyIn[0]]);
});

test('a server that asks a program or an authority, and a key that would come back, are refused', (t) => {
  const { otherWays } = withdrawal.facts(desired);
  const usual = 'authorizedkeyscommand none\ntrustedusercakeys none\nauthorizedkeysfile x';
  t.deepEqual(otherWays.parse(usual, 0), []);
  const asked = otherWays.parse(`${usual}\nauthorizedkeyscommand /usr/bin/ask %u`, 0);
  t.deepEqual(asked, ['authorizedkeyscommand /usr/bin/ask %u']);
  const cases: [string, Partial<WithdrawalFacts>][] = [
    ['let-in-otherwise', { otherWays: asked }],
    ['others-let-in', { others: ['account bob'] }],
    ['bench-key-on-esp', { onEsp: ['the bench’s key'] }],
  ];
  for (const [code, facts] of cases) {
    const plan = (): unknown => withdrawal.plan(desired, { ...none, ...facts });
    t.like(t.throws(plan, { instanceOf: KitError }), { code });
  }
  t.deepEqual(withdrawal.plan(desired, { ...none, onEsp: [] }), []);
});
