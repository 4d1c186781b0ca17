// A home as others see it, and as it lies on its drive: what must be the same after its drive died.

import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { request } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TLSSocket } from 'node:tls';

import type { Identity, NspawnNode } from '../helpers/nspawn-node.ts';
import type { TinyImage } from '../helpers/tiny-image.ts';

export interface Home {
  /** Of the actor, as other servers get it. */
  actorKey: string;
  /** SHA-256 of the certificate that is served, after its chain was verified. */
  certificate: string;
  /** Every account's and post's file, with its sum. */
  files: string[];
}

/** @param ca PEM, the campaign's authority */
export async function seeHome(node: NspawnNode, ca: string): Promise<Home> {
  const { actorKey, certificate } = await seeActor(node.address, ca);
  // snac writes while it runs; what it has still to send, it sends.
  const told = node.run(`systemctl stop snac2.service
cd /var/lib/snac2
find user object -type f ! -path '*/queue/*' | LC_ALL=C sort | xargs sha256sum
systemctl start snac2.service`);
  return { actorKey, certificate, files: told.trim().split('\n') };
}

function seeActor(host: string, ca: string): Promise<Pick<Home, 'actorKey' | 'certificate'>> {
  const headers = { host: 'alice.test', accept: 'application/activity+json' };
  return new Promise((resolve, reject) => {
    const asked = request({ host, servername: 'alice.test', ca, path: '/alice', headers }, (answer) => {
      const certificate = (answer.socket as TLSSocket).getPeerCertificate().fingerprint256;
      let text = '';
      answer.on('data', (bytes: Buffer) => (text += bytes)).on('error', reject);
      answer.on('end', () => {
        if (answer.statusCode !== 200) return reject(new Error(`the actor: ${answer.statusCode}`));
        resolve({ certificate, actorKey: JSON.parse(text).publicKey.publicKeyPem });
      });
    });
    asked.on('error', reject).end();
  });
}

/** What the first boot from this drive would find in /kit/ on its boot partition. */
export function identityOn(drive: string, image: TinyImage): Identity {
  const { offsetBytes } = image.manifest['esp'] as { offsetBytes: number };
  const folder = mkdtempSync(join(tmpdir(), 'kit-esp-'));
  try {
    execFileSync('mcopy', ['-s', '-i', `${drive}@@${offsetBytes}`, '::/kit', folder]);
    const read = (name: string): string => readFileSync(join(folder, 'kit', name), 'utf8');
    return {
      hostname: read('hostname').trim(),
      hostKeyPem: read('ssh_host_ed25519_key'),
      benchLine: read('authorized_keys').trim(),
    };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
