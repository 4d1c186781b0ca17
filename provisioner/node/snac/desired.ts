// What a snac node should be: plain Debian with snac2 behind nginx, a firewall, the meter's
// counters and its relay to the ledger. The values that differ between kits; all else is in the plan.

import type { Campaign, Kit } from '../../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../../campaign/secrets.ts';
import { KitError } from '../../errors.ts';
import type { Acme } from '../part/acme.ts';
import { Secret } from '../secret.ts';

export interface SnacDesired extends SnacSite {
  /** What the owner types first; only set when the user is made. */
  ownerPassphrase: Secret;
}

/** Undefined: the owner's account came back from a backup, and is never made. */
export type SnacHome = SnacSite & Partial<Pick<SnacDesired, 'ownerPassphrase'>>;

interface SnacSite {
  hostname: string;
  domain: string;
  /** Where snac stands below the domain; at its root unless told otherwise. */
  prefix?: string;
  /** snac's user: lower-case letters, digits, underscores. */
  owner: string;
  timezone: string;
  /** PEM; trusted by the node besides Debian's own authorities. */
  caCertificate: string;
  /** PEM, the node's certificate first. */
  certificate: string;
  certificateKey: Secret;
  /** Where the node obtains a certificate of its own; undefined: it keeps the one above. */
  acme?: Acme;
  /** Base URL of the ledger, without a slash at the end. */
  ledger: string;
}

export function snacDesired(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: KitSecrets },
): SnacDesired {
  const ownerPassphrase = new Secret(secrets.kit.ownerPassphrase);
  return { ...snacHome(kit, campaign, secrets), ownerPassphrase };
}

/** Of a kit whose passphrase its owner alone knows. */
export function snacHome(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: Pick<KitSecrets, 'tls'> },
): SnacHome {
  return {
    hostname: kit.name,
    domain: kit.domain,
    owner: kit.owner,
    timezone: campaign.timezone,
    caCertificate: secrets.campaign.caCertificatePem,
    certificate: secrets.kit.tls.certificatePem,
    certificateKey: new Secret(secrets.kit.tls.keyPem),
    ...(campaign.acme !== undefined && { acme: campaign.acme }),
    ledger: campaign.ledger,
  };
}

/** What only a node that was just made is given. @throws KitError `owner-secrets-unknown` */
export function ownersSecret({ hostname, ownerPassphrase }: SnacHome, lost: string): Secret {
  if (ownerPassphrase !== undefined) return ownerPassphrase;
  throw new KitError({
    code: 'owner-secrets-unknown',
    message: `${hostname} has lost its ${lost}, and the bench has no passphrase to make it with`,
    expected: 'what the backup held to be there still',
    got: 'none',
    hint: 'Write the drive anew, and restore it again.',
  });
}
