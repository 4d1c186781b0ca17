// Whom an SSH server lets in besides those who are known: by its own settings, for each account that
// a passphrase could open, and for each key that lies where it looks. By the real shell.

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { FactError } from '../../../../provisioner/node/fact.ts';
import { atHome, otherWays, othersLetIn } from '../../../../provisioner/node/part/sshd.ts';

const blob = (letter: string): string => `AAAAC3NzaC1lZDI1NTE5${letter.repeat(48)}`;
const others = othersLetIn({ key: blob('B'), users: ['alice', 'root', 'recover'] });

const debians = 'passwordauthentication no\nkbdinteractiveauthentication no';
const open = 'passwordauthentication yes\nkbdinteractiveauthentication no';
const yunohosts = `${open}\nallowgroups ssh.main\nallowgroups admins\nallowgroups root`;

/** An account as the fact's script tells it: with its groups, and what sshd says from two places. */
const account = (name: string, groups: string, settings: [home: string, elsewhere: string]): string =>
  `account ${name}\ngroups ${groups}\n${settings.map((one) => `from\n${one}\n`).join('')}`;

const judged: [about: string, told: string, letIn: boolean][] = [
  ['no passphrases at all', account('bob', 'bob', [debians, debians]), false],
  ['passphrases, for everybody', account('bob', 'bob', [open, debians]), true],
  ['passphrases, from afar', account('bob', 'bob', [debians, open]), true],
  ['a terminal’s questions', account('bob', 'bob', ['kbdinteractiveauthentication yes', debians]), true],
  ['none of its groups', account('bob', 'bob all_users', [yunohosts, yunohosts]), false],
  ['one of its groups', account('bob', 'bob all_users admins', [yunohosts, debians]), true],
  ['a group by its pattern', account('bob', 'bob ssh.app', [`${open}\nallowgroups ssh.*`, debians]), true],
  ['a pattern whose dot is a dot', account('bob', 'sshxapp', [`${open}\nallowgroups ssh.*`, debians]), false],
  ['other users alone', account('bob', 'bob', [`${open}\nallowusers root alice@10.*`, debians]), false],
  ['this user, from somewhere', account('bob', 'bob', [`${open}\nallowusers bo?@10.*`, debians]), true],
];

for (const [about, told, letIn] of judged) {
  test(`a server that takes ${about}: bob is ${letIn ? 'let in' : 'kept out'}`, (t) => {
    t.deepEqual(others.parse(told, 0), letIn ? ['account bob'] : []);
  });
}

test('keys are named by where they are, and whose they say they are', (t) => {
  const told = `key /root/.ssh/authorized_keys ssh-ed25519 ${blob('C')} a visitor
key /home/x/.ssh/authorized_keys command="/bin/y z",restrict ssh-rsa ${blob('D')}
key /home/z/.ssh/authorized_keys gibberish`;
  t.deepEqual(others.parse(told, 0), [
    '/root/.ssh/authorized_keys: ssh-ed25519 a visitor',
    '/home/x/.ssh/authorized_keys: ssh-rsa',
    '/home/z/.ssh/authorized_keys: a key',
  ]);
  t.deepEqual(others.parse('', 0), []);
});

interface People {
  /** Everybody, as the system knows them. */
  passwd: string;
  /** Those of them that stand in its own file. */
  local?: string;
  shadow: string;
  /** In each one's authorized_keys. */
  keys?: string;
}

/** The script, among programs that answer as a node's would. */
function ask(t: ExecutionContext, { passwd, local = passwd, shadow, keys = '' }: People): string[] {
  const dir = mkdtempSync(join(tmpdir(), 'sshd-fact-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const program = (name: string, script: string): void => {
    writeFileSync(join(dir, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(dir, name), 0o755);
  };
  const home = join(dir, 'home');
  mkdirSync(join(home, '.ssh'), { recursive: true });
  writeFileSync(join(home, '.ssh/authorized_keys'), keys);
  program('sshd', `echo 'authorizedkeysfile .ssh/authorized_keys'
case "$3" in user=bob,*,addr=192.168.*) echo 'passwordauthentication yes' ;; esac`);
  program('getent', `cat <<'E'\n${passwd.replaceAll('HOME', home)}\nE`);
  program('id', 'echo everybody');
  writeFileSync(join(dir, 'passwd'), `${local}\n`);
  writeFileSync(join(dir, 'shadow'), `${shadow}\n`);
  const script = others.script.replaceAll('/etc/passwd', `${dir}/passwd`)
    .replaceAll('/etc/shadow', `${dir}/shadow`);
  const env = { ...process.env, PATH: `${dir}:${process.env['PATH']}` };
  const { stdout, status } = spawnSync('/bin/sh', ['-c', script], { env, encoding: 'utf8' });
  t.is(status, 0);
  return others.parse(stdout.replaceAll(home, 'HOME'), 0);
}

test('of all keys, the known one and comments are left out', (t) => {
  const keys = `# a comment\n\n  \nssh-ed25519 ${blob('B')} bench\n  ssh-ed25519 ${blob('C')} visitor`;
  const passwd = 'root:x:0:0::HOME:/bin/sh';
  t.deepEqual(ask(t, { passwd, shadow: 'root:$y$j:1:', keys }), [
    'HOME/.ssh/authorized_keys: ssh-ed25519 visitor',
  ]);
});

const people: [about: string, passwd: string, shadow: string, letIn: boolean][] = [
  ['with a passphrase', 'bob:x:1001:1001::HOME:/bin/bash', 'bob:$6$salt$hash:1:', true],
  ['with an empty one', 'bob:x:1001:1001::HOME:/bin/bash', 'bob::1:', true],
  ['locked', 'bob:x:1001:1001::HOME:/bin/bash', 'bob:!$6$salt$hash:1:', false],
  ['that never had one', 'bob:x:1001:1001::HOME:/bin/bash', 'bob:*:1:', false],
  ['without a shell', 'bob:x:1001:1001::HOME:/usr/sbin/nologin', 'bob:$6$salt$hash:1:', false],
];

for (const [about, passwd, shadow, letIn] of people) {
  test(`an account ${about}`, (t) => {
    t.deepEqual(ask(t, { passwd, shadow }), letIn ? ['account bob'] : []);
  });
}

test('who is in no file of the system’s may have a passphrase in a directory', (t) => {
  const local = 'root:x:0:0::HOME:/bin/sh\nalice:x:1000:1000::HOME:/bin/bash';
  const passwd = `${local}\nbob:x:1001:1001::HOME:/bin/bash`;
  const shadow = 'root:$y$j:1:\nalice:$y$j:1:';
  t.deepEqual(ask(t, { passwd, local, shadow }), ['account bob']);
});

test('settings that could not be asked for are told as such', (t) => {
  const usual = 'authorizedkeyscommand none\ntrustedusercakeys none\nauthorizedkeysfile x';
  t.deepEqual(otherWays.parse(usual, 0), []);
  t.deepEqual(otherWays.parse(`${usual}\nauthorizedkeyscommand /usr/bin/ask %u`, 0), [
    'authorizedkeyscommand /usr/bin/ask %u',
  ]);
  for (const fact of [otherWays, atHome('alice')]) t.throws(() => fact.parse('', 255), { instanceOf: FactError });
  t.deepEqual(atHome('alice').parse('a b\nc d', 0), ['a b', 'c d']);
});
