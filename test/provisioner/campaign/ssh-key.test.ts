import { execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';
import ssh2 from 'ssh2';

import { makeSshKey, sshFingerprint } from '../../../provisioner/campaign/ssh-key.ts';
import { sshPublicBlob } from '../../../provisioner/campaign/ssh-key.ts';
import { seededRandom } from '../../helpers/bench.ts';

// Comments of every length modulo 8: the private section's padding differs.
for (const comment of ['', 'a', 'host key of alice', 'x'.repeat(14), 'x'.repeat(15)]) {
  test(`ssh2 reads a key with the comment "${comment}"`, (t) => {
    const key = makeSshKey(comment, seededRandom(comment));
    const parsed = ssh2.utils.parseKey(key.privatePem);
    if (parsed instanceof Error) throw parsed;
    t.is(parsed.type, 'ssh-ed25519');
    t.is(parsed.comment, comment);
    t.true(parsed.getPublicSSH().equals(sshPublicBlob(key.publicLine)));
    t.is(sshFingerprint(sshPublicBlob(key.publicLine)), key.fingerprint);
  });
}

test('ssh-keygen derives the same public line and fingerprint', (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kit-ssh-'));
  const key = makeSshKey('host key of alice', seededRandom('ssh-keygen'));
  const file = join(dir, 'key');
  writeFileSync(file, key.privatePem);
  chmodSync(file, 0o600);
  t.is(execFileSync('ssh-keygen', ['-y', '-f', file]).toString(), `${key.publicLine}\n`);
  t.true(execFileSync('ssh-keygen', ['-l', '-f', file]).toString().includes(key.fingerprint));
  rmSync(dir, { recursive: true });
});
