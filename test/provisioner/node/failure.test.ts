import test from 'ava';

import { knownFailure } from '../../../provisioner/node/failure.ts';

/** As Debian 13's tools say them, LC_ALL=C: the C library, dash, apt 3.0, sqv, curl. */
const said: [words: string, code: string][] = [
  ['cat: /var/lib/dpkg/status: Input/output error', 'drive-faulty'],
  ['Bus error (core dumped)', 'drive-faulty'],
  ["mv: cannot stat '/etc/hosts': Structure needs cleaning", 'drive-faulty'],
  ['sync: /etc: Input/output error\ncp: /etc/a: Read-only file system', 'drive-faulty'],
  ["E: You don't have enough free space in /var/cache/apt/archives/.", 'disk-full'],
  ['sh: 1: cannot create /etc/a: Read-only file system', 'root-read-only'],
  ['curl: (6) Could not resolve host: deb.debian.org', 'node-cannot-resolve'],
];

for (const [words, code] of said) {
  test(`${code}: ${words.split('\n')[0]}`, (t) => {
    const known = knownFailure(words);
    t.is(known?.code, code);
    t.true(known!.expected !== '' && known!.hint !== '');
  });
}

test('what nothing is known of', (t) => {
  t.is(knownFailure('tar: unexpected end of file'), undefined);
});
