// A generation of a backup as a node leaves it: archives of any bytes, their manifest, and kit.json
// sealed over all that it says. Made anew with any member changed.

import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { makeSshKey } from '../../provisioner/campaign/ssh-key.ts';
import { seededRandom } from './bench.ts';

export const generationName = '20261123T033000Z';

export const hash = '$y$j9T$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo.';

/** The members of kit.json, without its seal. */
export function members(changes: Record<string, unknown> = {}): Record<string, unknown> {
  const file = (path: string, content: string) => ({
    ...{ path, mode: '600', owner: 'root:root' },
    content: Buffer.from(content).toString('base64'),
  });
  return {
    ...{ format: 1, kit: 'alice', kind: 'snac', domain: 'alice.test', owner: 'alice' },
    ...{ made_at: Date.UTC(2026, 10, 23, 3, 30) / 1000, data_bytes: 123_456 },
    parts: Object.entries(contents).map(([name, text]) => (
      { name, bytes: text.length, sha256: sha256(text) })),
    identity: [
      file('/etc/ssh/ssh_host_ed25519_key', hostKey.privatePem),
      file('/etc/commons-kit/tls.crt', 'the certificate\n'),
      file('/etc/commons-kit/tls.key', 'its key\n'),
      file('/var/lib/commons-kit/recovery/codes', '$6$salt$hash\n'),
    ],
    logins: { alice: hash, root: hash },
    once: ['owner-alice', 'login-alice', 'recovery-codes'],
    ...changes,
  };
}

export const hostKey = makeSshKey('host key of alice', seededRandom('a home that was'));

const contents = { '0.tar.zst': 'the whole', '1.tar.zst': 'the changes', manifest: 'the sums\n' };

/** As the backup program writes it. */
export function sealed(value: Record<string, unknown>): string {
  const body = JSON.stringify(value).slice(0, -1);
  return `${body},"sha256":"${sha256(body)}"}\n`;
}

/** @returns the generation's folder, within `store` */
export function makeGeneration(
  store: string,
  { name = generationName, changes = {} }: { name?: string; changes?: Record<string, unknown> } = {},
): string {
  const folder = join(store, name);
  mkdirSync(folder, { recursive: true });
  for (const [file, text] of Object.entries(contents)) writeFileSync(join(folder, file), text);
  writeFileSync(join(folder, 'kit.json'), sealed(members(changes)), { mode: 0o600 });
  return folder;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
