// A bench of its own for a test: a folder with a campaign, a volunteer's key and a record, with
// randomness from a seed and a clock that stands where it is put.

import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { openBench, type BenchRecord } from '../../provisioner/bench/record.ts';
import { readCampaign, type Campaign } from '../../provisioner/campaign/campaign.ts';
import { openIdentity, type RandomSource } from '../../provisioner/campaign/identity.ts';
import type { VolunteerIdentity } from '../../provisioner/campaign/identity.ts';
import { openSecrets, type Secrets } from '../../provisioner/campaign/secrets.ts';

export const campaignText = `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "tiny"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"

[[kit]]
name = "bob"
domain = "bob.test"
owner = "bob"
language = "de"
network = { address = "192.168.77.9/24", gateway = "192.168.77.1", dns = ["192.168.77.1"] }
`;

export interface TestBench {
  dir: string;
  campaign: Campaign;
  identity: VolunteerIdentity;
  secrets: Secrets;
  record: BenchRecord;
  clock: { nowMs: number };
  remove(): void;
}

export async function makeBench(text = campaignText): Promise<TestBench> {
  const dir = mkdtempSync(join(tmpdir(), 'kit-test-'));
  const file = join(dir, 'campaign.toml');
  writeFileSync(file, text);
  const clock = { nowMs: Date.UTC(2026, 10, 23, 12) };
  const now = () => clock.nowMs;
  const campaign = await readCampaign(file);
  const random = seededRandom('bench');
  const identity = await openIdentity(join(dir, 'volunteer.key'), { random });
  const secrets = openSecrets(campaign, identity, { random, now });
  const record = openBench(dir, { now });
  const remove = () => {
    record.close();
    rmSync(dir, { recursive: true });
  };
  return { dir, campaign, identity, secrets, record, clock, remove };
}

/** SHA-256 over a seed and a counter: every run of a test draws the same. */
export function seededRandom(seed: string): RandomSource {
  let counter = 0;
  return (sizeBytes) => {
    const blocks = Array.from({ length: Math.ceil(sizeBytes / 32) }, () =>
      createHash('sha256').update(`${seed} ${counter++}`).digest(),
    );
    return new Uint8Array(Buffer.concat(blocks).subarray(0, sizeBytes));
  };
}
