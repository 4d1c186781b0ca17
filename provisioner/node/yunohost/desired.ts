// What a YunoHost node should be: its postinstall done for the kit's owner, one application for the
// fediverse at the root of the kit's domain, a certificate, nightly backups, the meter's counters
// and its relay to the ledger. The values that differ between kits; all else is in the plan.

import type { Campaign, Kit } from '../../campaign/campaign.ts';
import type { YunohostApp } from '../../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../../campaign/secrets.ts';
import { Secret } from '../secret.ts';
import { snacHome, type SnacDesired } from '../snac/desired.ts';

/** The owner is YunoHost's first administrator, with the same passphrase at first. */
export interface YunohostDesired extends SnacDesired {
  app: YunohostApp;
  certifiedBy: 'campaign' | 'letsencrypt';
}

/** Undefined: the owner's account came back from a backup, and nothing is made that wants it. */
export type YunohostHome = Omit<YunohostDesired, 'ownerPassphrase'> &
  Partial<Pick<YunohostDesired, 'ownerPassphrase'>>;

export function yunohostDesired(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: KitSecrets },
): YunohostDesired {
  const ownerPassphrase = new Secret(secrets.kit.ownerPassphrase);
  return { ...yunohostHome(kit, campaign, secrets), ownerPassphrase };
}

/** Of a kit whose passphrase its owner alone knows. */
export function yunohostHome(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: Pick<KitSecrets, 'tls'> },
): YunohostHome {
  const certifiedBy = campaign.acme === undefined ? 'campaign' : 'letsencrypt';
  return { ...snacHome(kit, campaign, secrets), app: campaign.yunohost.app, certifiedBy };
}
