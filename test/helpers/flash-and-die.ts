// Run as a process of its own by the flash test: flashes alice, and kills itself with SIGKILL at
// the moment that it is told. Arguments: the bench's folder, the image, the drive, the moment.

import { openBench } from '../../provisioner/bench/record.ts';
import { findKit, readCampaign } from '../../provisioner/campaign/campaign.ts';
import { openIdentity } from '../../provisioner/campaign/identity.ts';
import { openSecrets } from '../../provisioner/campaign/secrets.ts';
import { flashKits } from '../../provisioner/drive/flash.ts';
import { seededRandom } from './bench.ts';

const [dir, image, drive, moment] = process.argv.slice(2);
const die = (): void => void process.kill(process.pid, 'SIGKILL');
const deps = { random: seededRandom(`dying at ${moment}`), now: Date.now };
const campaign = await readCampaign(`${dir}/campaign.toml`);
const identity = await openIdentity(`${dir}/volunteer.key`, deps);
const record = openBench(dir, deps);
if (moment === 'opened') record.start = die;
if (moment === 'started') {
  const start = record.start;
  record.start = (...row) => {
    start(...row);
    die();
  };
}
await flashKits([{ kit: findKit(campaign, 'alice'), drive }], {
  ...{ campaign, record, image, fileSizeBytes: 20 << 20 },
  secrets: openSecrets(campaign, identity, deps),
  listBlockDevices: async () => [],
  confirm: async () => {},
  onProgress: ({ phase }) => phase === moment && die(),
});
