// What a FreedomBox node should be: its wizard gone through for the kit's owner, snac2 beside it at
// /social, Apache serving the kit's domain, the meter's counters and its relay to the ledger. The
// values are those of a snac node; where snac stands is not.

import type { Campaign, Kit } from '../../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../../campaign/secrets.ts';
import { snacDesired, snacHome, type SnacDesired, type SnacHome } from '../snac/desired.ts';

/** FreedomBox has the root of the domain; Debian's part of Apache for snac2 serves it here. */
export const snacPrefix = '/social';

/** The owner is FreedomBox's first administrator as well, with the same passphrase at first. */
export type FreedomboxDesired = SnacDesired;

/** Undefined: its owner came back from a backup, and is never made. */
export type FreedomboxHome = SnacHome;

export function freedomboxDesired(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: KitSecrets },
): FreedomboxDesired {
  return { ...snacDesired(kit, campaign, secrets), prefix: snacPrefix };
}

/** Of a kit whose passphrase its owner alone knows. */
export function freedomboxHome(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: Pick<KitSecrets, 'tls'> },
): FreedomboxHome {
  return { ...snacHome(kit, campaign, secrets), prefix: snacPrefix };
}
