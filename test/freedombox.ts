// `npm run test:freedombox` (root; ten minutes, and ten more the first time): a FreedomBox and a
// snac node of this repository's images, booted as containers. FreedomBox is configured from its
// first boot on, again without a change, after its plug was pulled, and after its wizard was cut
// off half way; then `kit check` tries it against the snac node. Exits 1 unless all of it holds.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import type { Campaign, Kit } from '../provisioner/campaign/campaign.ts';
import { checkKit } from '../provisioner/check/check.ts';
import { humanOf } from '../provisioner/check/command.ts';
import { reach } from '../provisioner/node/configure.ts';
import { tcp } from '../provisioner/node/connection.ts';
import { addressOf, configurerOf, type NodeSecrets } from '../provisioner/node/kinds.ts';
import { shellOver } from '../provisioner/node/shell.ts';
import { makeBench } from './helpers/bench.ts';
import { benchAddress, boot, layNetwork, packagesOf, plantTree } from './helpers/container.ts';
import type { Home } from './helpers/container.ts';
import { folderOf, serveFolder } from './helpers/served-ledger.ts';

interface Ledger {
  url: string;
  origin: string;
}

/** What a container cannot have: a meter of this kit. */
const expectedFailures = ['meter'];
const homes: Home[] = [
  { name: 'alice', domain: 'alice.test', address: '10.78.0.2' },
  { name: 'bob', domain: 'bob.test', address: '10.78.0.3' },
];
const bootPatienceMs = 300_000;

const campaignText = ({ url, origin }: Ledger): string => `name = "Riverside"
ledger = "${url}"
ledger_origin = "${origin}"
image = "freedombox"
arch = "amd64"
timezone = "Europe/Vienna"

${homes.map(kitText).join('')}`;

const kitText = ({ name, domain, address }: Home): string => `
[[kit]]
name = "${name}"
domain = "${domain}"
owner = "${name}"
address = "${address}"
`;

if (process.getuid?.() !== 0) {
  console.error('It boots containers: run it as root.');
  process.exit(2);
}
const needed = {
  ...{ 'systemd-nspawn': 'systemd-container', mmdebstrap: 'mmdebstrap', dnsmasq: 'dnsmasq-base' },
};
const missing = Object.entries(needed).filter(
  ([program]) => spawnSync('which', [program]).status !== 0,
);
if (missing.length > 0) {
  console.error(`It needs: apt-get install ${missing.map(([, name]) => name).join(' ')}`);
  process.exit(2);
}
if (process.argv[2] === 'inside') await inside();
else await outside();

/** Packages are fetched from here; all else happens in a network namespace of its own. */
async function outside(): Promise<void> {
  for (const image of ['freedombox', 'snac']) console.log(`packages: ${await packagesOf(image)}`);
  const script = fileURLToPath(import.meta.url);
  const words = ['--net', '--mount', process.execPath, script, 'inside'];
  process.exitCode = spawnSync('unshare', words, { stdio: 'inherit' }).status ?? 1;
}

async function inside(): Promise<void> {
  const dir = mkdtempSync(join(tmpdir(), 'kit-freedombox-'));
  const ends: (() => unknown)[] = [() => rmSync(dir, { recursive: true, force: true })];
  try {
    const network = layNetwork(homes);
    ends.push(() => network.end());
    const ledger = await startLedger(join(dir, 'ledger'), ends);
    const bench = await makeBench(campaignText(ledger));
    ends.push(() => bench.remove());
    const { campaign } = bench;
    const [alice, bob] = campaign.kits;
    const secrets = async (kit: Kit): Promise<NodeSecrets> => ({
      campaign: await bench.secrets.campaign(),
      kit: await bench.secrets.kit(kit),
    });
    const trees = { alice: join(dir, 'alice'), bob: join(dir, 'bob') };
    await plantTree('freedombox', { dir: trees.alice, kit: alice, secrets: await secrets(alice) });
    await plantTree('snac', { dir: trees.bob, kit: bob, secrets: await secrets(bob) });
    let machine = boot(trees.alice, 'kit-alice');
    const peer = boot(trees.bob, 'kit-bob');
    ends.push(() => Promise.all([machine.kill(), peer.kill()]));

    const [forAlice, forBob] = [await secrets(alice), await secrets(bob)];
    const snac: Campaign = { ...campaign, image: 'snac' };
    await configure('a snac node beside it', bob, { campaign: snac, secrets: forBob });
    const first = await configure('from its first boot', alice, { campaign, secrets: forAlice });
    assert.ok(first > 10);
    const again = () => configure('again', alice, { campaign, secrets: forAlice });
    assert.equal(await again(), 0);
    await machine.kill();
    machine = boot(trees.alice, 'kit-alice');
    assert.equal(await again(), 0, 'after its plug was pulled');
    await halveOwner(alice, forAlice);
    assert.equal(await configure('its owner half made', alice, { campaign, secrets: forAlice }), 1);
    assert.equal(await again(), 0);

    const { record } = bench;
    const checks = await checkKit(alice, {
      ...{ campaign, record, secrets: forAlice, now: Date.now },
      peer: { account: `@${bob.owner}@${bob.domain}` },
    });
    console.log(humanOf(alice.name, checks));
    const failed = checks.filter(({ state }) => state === 'failed').map(({ name }) => name);
    assert.deepEqual(failed, expectedFailures);
    console.log('A FreedomBox was configured, cut off twice, and federates with a snac node.');
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/** A real ledger, on the bridge as well: it listens on loopback alone. */
async function startLedger(dir: string, ends: (() => unknown)[]): Promise<Ledger> {
  await folderOf(dir, [], 5);
  const served = await serveFolder(dir);
  ends.push(() => served.stop());
  const port = Number(new URL(served.url).port);
  const door = createServer((socket) => {
    const inner = connect(port, '127.0.0.1');
    socket.pipe(inner).pipe(socket);
    for (const end of [socket, inner]) end.on('error', () => (socket.destroy(), inner.destroy()));
  }).listen(0);
  ends.push(() => door.close());
  const { origin } = (await (await fetch(`${served.url}v1/ledger`)).json()) as Ledger;
  return { url: `http://${benchAddress}:${(door.address() as AddressInfo).port}`, origin };
}

/** The number of steps that it took. */
async function configure(
  about: string,
  kit: Kit,
  { campaign, secrets }: { campaign: Campaign; secrets: NodeSecrets },
): Promise<number> {
  const { plan, roundTrips, elapsedMs } = await configurerOf(kit, campaign, secrets)({
    ...{ kit: kit.name, address: addressOf(kit, secrets), patienceMs: bootPatienceMs },
  });
  const steps = plan.steps.length;
  const seconds = (elapsedMs / 1000).toFixed(1);
  console.log(`${about}: ${steps} steps, ${roundTrips} round trips, ${seconds} s`);
  return steps;
}

/** As a power cut leaves it that falls between the wizard's account and its groups. */
async function halveOwner(kit: Kit, secrets: NodeSecrets): Promise<void> {
  const connection = await reach(addressOf(kit, secrets), { connect: tcp, kit: kit.name });
  await shellOver(connection)(`rm /var/lib/commons-kit/applied/freedombox-${kit.owner}
python3 - <<'PYTHON'
import sqlite3
db = sqlite3.connect("/var/lib/plinth/plinth.sqlite3", timeout=20)
with db:
    db.execute("DELETE FROM auth_user_groups")
    for key in ("firstboot_completed", "backports_wizard"):
        db.execute("DELETE FROM plinth_kvstore WHERE key = ?", (key,))
PYTHON`);
  connection.close();
}
