// Certificates that a node should not show: of another time, another name, another authority.

import { randomBytes } from 'node:crypto';

import type { Workbench } from '../../provisioner/bench/workbench.ts';
import { certificateDays, certify, makeAuthority, makeKey } from '../../provisioner/campaign/ca.ts';
import type { TlsCredential } from '../../provisioner/campaign/certificate.ts';
import { openSecrets } from '../../provisioner/campaign/secrets.ts';

export interface Wrong {
  /** By default the kit's own. */
  domain?: string;
  /** Until its end, from now; below zero once it has ended. By default most of its time. */
  daysLeft?: number;
  /** By an authority that nobody trusts, instead of the campaign's. */
  stranger?: true;
}

export type Certificates = (of: Wrong) => Promise<TlsCredential>;

const dayMs = 86_400_000;
const random = (sizeBytes: number): Uint8Array => new Uint8Array(randomBytes(sizeBytes));

export function certificates({ campaign, identity }: Workbench): Certificates {
  const [{ domain: own }] = campaign.kits;
  return async ({ domain = own, daysLeft = certificateDays - 1, stranger }) => {
    // Dated back by a day, they end that much sooner (ca.ts).
    const madeMs = Date.now() + (daysLeft - certificateDays + 1) * dayMs;
    const deps = { random, now: () => madeMs };
    if (!stranger) return openSecrets(campaign, identity, deps).issueCertificate(domain);
    const keyPem = makeKey(random);
    const certificatePem = await makeAuthority('Strangers', [domain], { ...deps, keyPem });
    return certify(domain, { keyPem, certificatePem }, { ...deps, keyPem: makeKey(random) });
  };
}
