// What a YunoHost node should be: its postinstall done for the kit's owner, one application for the
// fediverse at the root of the kit's domain, a certificate, nightly backups, the meter's counters
// and its relay to the ledger. The values that differ between kits; all else is in the plan.

import type { Campaign, Kit } from '../../campaign/campaign.ts';
import type { YunohostApp } from '../../campaign/campaign.ts';
import type { CampaignSecrets, KitSecrets } from '../../campaign/secrets.ts';
import { snacDesired, type SnacDesired } from '../snac/desired.ts';

/** The owner is YunoHost's first administrator, with the same passphrase at first. */
export interface YunohostDesired extends SnacDesired {
  app: YunohostApp;
  certifiedBy: 'campaign' | 'letsencrypt';
}

export function yunohostDesired(
  kit: Kit,
  campaign: Campaign,
  secrets: { campaign: CampaignSecrets; kit: KitSecrets },
): YunohostDesired {
  const certifiedBy = campaign.acme === undefined ? 'campaign' : 'letsencrypt';
  return { ...snacDesired(kit, campaign, secrets), app: campaign.yunohost.app, certifiedBy };
}
