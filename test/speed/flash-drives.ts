// Run as a process of its own by drives.ts: flashes kits to loop devices as `kit flash` does, but
// for the one rule that a loop device is no drive. Arguments: the bench's folder, the image, the
// drives. Prints one JSON document: when writing ended (seconds since the process began), and what
// was written.

import { openBench } from '../../provisioner/bench/record.ts';
import { readCampaign } from '../../provisioner/campaign/campaign.ts';
import { openIdentity } from '../../provisioner/campaign/identity.ts';
import { openSecrets } from '../../provisioner/campaign/secrets.ts';
import { flashKits } from '../../provisioner/drive/flash.ts';
import { seededRandom } from '../helpers/bench.ts';
import { listWithSticks } from '../helpers/loop.ts';

export interface FlashReport {
  writtenSeconds: number;
  writtenBytes: number;
  verifiedBytes: number;
  readBack: string;
}

const [dir, image, ...drives] = process.argv.slice(2);
const deps = { random: seededRandom('speed'), now: Date.now };
const campaign = await readCampaign(`${dir}/campaign.toml`);
const identity = await openIdentity(`${dir}/volunteer.key`, deps);
const record = openBench(dir, deps);
const verifyingAtMs = new Map<string, number>();
const jobs = drives.map((drive, at) => ({ kit: campaign.kits[at], drive }));
const results = await flashKits(jobs, {
  ...{ campaign, record, image, fileSizeBytes: 0 },
  secrets: openSecrets(campaign, identity, deps),
  listBlockDevices: () => listWithSticks(drives),
  confirm: async () => {},
  onProgress({ kit, phase }) {
    if (phase === 'verify' && !verifyingAtMs.has(kit)) verifyingAtMs.set(kit, performance.now());
  },
});
record.close();
const report: FlashReport = {
  writtenSeconds: Math.max(...verifyingAtMs.values()) / 1000,
  writtenBytes: Math.min(...results.map(({ writtenBytes }) => writtenBytes)),
  verifiedBytes: Math.min(...results.map(({ verifiedBytes }) => verifiedBytes)),
  readBack: [...new Set(results.map(({ readBack }) => readBack))].join(),
};
console.log(JSON.stringify(report));
