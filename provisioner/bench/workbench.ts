// A workbench is what a command about kits needs in hand: the campaign, who the volunteer is, the
// campaign's secrets, and the record. Opened from the command line's global options.

import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { findKit, readCampaign, type Campaign, type Kit } from '../campaign/campaign.ts';
import { identityPath, openIdentity } from '../campaign/identity.ts';
import type { RandomSource, VolunteerIdentity } from '../campaign/identity.ts';
import { openSecrets, type Secrets } from '../campaign/secrets.ts';
import { openBench, type BenchRecord } from './record.ts';

export interface Workbench {
  campaign: Campaign;
  identity: VolunteerIdentity;
  secrets: Secrets;
  record: BenchRecord;
}

export interface WorkbenchOptions {
  /** `--campaign FILE`. */
  campaign?: string;
  /** `--identity FILE`. */
  identity?: string;
  /** Names of the kits that the work is about. */
  kits?: string[];
}

const random: RandomSource = (sizeBytes) => new Uint8Array(randomBytes(sizeBytes));

/**
 * Opens the bench for `work` on the named kits and closes it afterwards, whatever happens. A name
 * that the campaign lacks is refused before a key or a record is made.
 * @throws KitError those of the campaign, the identity and the record, and those of `work`
 */
export async function atWorkbench<T>(
  options: WorkbenchOptions,
  work: (bench: Workbench, kits: Kit[]) => Promise<T>,
): Promise<T> {
  const campaign = await readCampaign(options.campaign ?? 'campaign.toml');
  const kits = (options.kits ?? []).map((name) => findKit(campaign, name));
  const path = identityPath(options.identity, process.env);
  // A new key would open nothing of what another one has sealed here.
  const isSealed = existsSync(join(campaign.dir, 'secrets', '_campaign.age'));
  const identity = await openIdentity(path, { random, mustExist: isSealed });
  const secrets = openSecrets(campaign, identity, { random, now: Date.now });
  const record = openBench(campaign.dir, { now: Date.now });
  try {
    return await work({ campaign, identity, secrets, record }, kits);
  } finally {
    record.close();
  }
}
