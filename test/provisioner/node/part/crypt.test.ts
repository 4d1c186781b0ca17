// Hashes as crypt(5) has them: its own crypt finds the same again from the text and the hash.

import { execFileSync } from 'node:child_process';

import test from 'ava';

import { cryptCommand } from '../../../../provisioner/node/part/crypt.ts';

const lines = ['lusab-babad-gutih', 'lusab-babad-gutih', 'ä word, "quoted" $1'];

const hashed = (method: 'sha512crypt' | 'bcrypt'): string[] =>
  execFileSync('/bin/sh', ['-euc', cryptCommand(method)], {
    input: lines.map((line) => `${line}\n`).join(''),
    encoding: 'utf8',
  }).trimEnd().split('\n');

const again = (line: string, hash: string): string =>
  execFileSync('perl', ['-e', 'chomp(my $line = <STDIN>); print crypt($line, $ARGV[0])', hash], {
    input: `${line}\n`,
    encoding: 'utf8',
  });

for (const [method, form] of [
  ['sha512crypt', /^\$6\$[A-Za-z0-9./]{16}\$[A-Za-z0-9./]{86}$/],
  ['bcrypt', /^\$2b\$10\$[A-Za-z0-9./]{53}$/],
] as const) {
  test(`${method}: one a line, each with a salt of its own, and none fits another line`, (t) => {
    const hashes = hashed(method);
    t.is(new Set(hashes).size, lines.length);
    lines.forEach((line, at) => {
      t.regex(hashes[at], form);
      t.is(again(line, hashes[at]), hashes[at]);
    });
    t.not(again('lusab-babad-gutix', hashes[0]), hashes[0]);
  });
}

test('without a line there is no hash', (t) => {
  t.is(execFileSync('/bin/sh', ['-euc', cryptCommand('bcrypt')], { input: '', encoding: 'utf8' }), '');
});
