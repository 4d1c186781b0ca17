// `npm run test:freedombox [-- --cuts 20] [--seed N]` (root; half an hour, and ten minutes more the
// first time): a FreedomBox and a snac node of this repository's images, booted as containers.
// Both are configured from their first boot on, their plugs pulled at random moments, FreedomBox again
// without a change, and after its wizard was cut off half way; `kit check` tries it against the snac node,
// its backup is restored, it is handed over, and a recovery code used; then its drive dies, and it
// comes back on a new one (node/restored-freedombox.ts). With `--drive` the FreedomBox is a machine
// in QEMU instead, on drives that `kit` writes (node/booted-freedombox.ts; an hour and more where it
// is emulated; two cuts; the image is built where `--images` has none). Exits 1 unless all holds.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { Agent, request } from 'node:https';
import { createServer, connect, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

import type { Campaign, Kit } from '../provisioner/campaign/campaign.ts';
import { checkKit } from '../provisioner/check/check.ts';
import { humanOf } from '../provisioner/check/command.ts';
import { describeError } from '../provisioner/errors.ts';
import { handOverKit } from '../provisioner/handover/handover.ts';
import { printLeaflet } from '../provisioner/handover/print.ts';
import { reach } from '../provisioner/node/configure.ts';
import { tcp } from '../provisioner/node/connection.ts';
import { asRoot } from '../provisioner/node/freedombox/state.ts';
import { addressOf, configurerOf, type NodeSecrets } from '../provisioner/node/kinds.ts';
import { shellOver } from '../provisioner/node/shell.ts';
import { findImage } from './boot/subject.ts';
import { makeBench, seededRandom } from './helpers/bench.ts';
import { benchAddress, boot, layNetwork, layTap } from './helpers/container.ts';
import { packagesOf, plantTree, type Container, type Home } from './helpers/container.ts';
import { folderOf, serveFolder } from './helpers/served-ledger.ts';
import { tryOnDrive } from './node/booted-freedombox.ts';
import { useRecoveryCode } from './node/recovery.ts';
import { backUp, restoreOnNewDrive } from './node/restored-freedombox.ts';

interface Ledger {
  url: string;
  origin: string;
}

/** What a container cannot have: a meter of this kit. */
const expectedFailures = ['meter'];
const bootPatienceMs = 300_000;
/** A cut falls within so long of the one before, and of a run's begin: some take longer, some do not. */
const cutWithinMs = { freedombox: 60_000, snac: 12_000 };

const { values: given, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    cuts: { type: 'string' },
    drive: { type: 'boolean', default: false },
    images: { type: 'string', default: 'built' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});

const values = { ...given, cuts: given.cuts ?? (given.drive ? '2' : '20') };

const homes: Home[] = [
  // A container's line has another name than a machine's, and asks the router.
  { name: 'alice', domain: 'alice.test', address: '10.78.0.2', ownAddress: values.drive },
  { name: 'bob', domain: 'bob.test', address: '10.78.0.3' },
];

const campaignText = ({ url, origin }: Ledger): string => `name = "Riverside"
ledger = "${url}"
ledger_origin = "${origin}"
image = "freedombox"
arch = "amd64"
timezone = "Europe/Vienna"

${homes.map(kitText).join('')}`;

const kitText = ({ name, domain, address, ownAddress }: Home): string => `
[[kit]]
name = "${name}"
domain = "${domain}"
owner = "${name}"
address = "${address}"
${ownAddress ? `network = ${networkText(address)}` : ''}
`;

const networkText = (address: string): string =>
  `{ address = "${address}/24", gateway = "${benchAddress}", dns = ["${benchAddress}"] }`;

if (process.getuid?.() !== 0) {
  console.error('It boots containers: run it as root.');
  process.exit(2);
}
const needed = {
  ...{ 'systemd-nspawn': 'systemd-container', mmdebstrap: 'mmdebstrap', dnsmasq: 'dnsmasq-base' },
  ...(values.drive && { 'qemu-system-x86_64': 'qemu-system-x86', mcopy: 'mtools' }),
};
const missing = Object.entries(needed).filter(
  ([program]) => spawnSync('which', [program]).status !== 0,
);
if (missing.length > 0) {
  console.error(`It needs: apt-get install ${missing.map(([, name]) => name).join(' ')}`);
  process.exit(2);
}
if (positionals[0] === 'inside') await inside();
else await outside();

/** Packages are fetched from here; all else happens in a network namespace of its own. */
async function outside(): Promise<void> {
  const kinds = values.drive ? ['snac'] : ['freedombox', 'snac'];
  for (const image of kinds) console.log(`packages: ${await packagesOf(image)}`);
  if (values.drive) console.log(`image: ${await image()}`);
  const script = fileURLToPath(import.meta.url);
  const { cuts, seed, images } = values;
  console.log(`seed ${seed}`);
  const flags = values.drive ? ['--drive', '--images', images] : [];
  const asked = ['inside', '--cuts', cuts, '--seed', seed, ...flags];
  const words = ['--net', '--mount', process.execPath, script, ...asked];
  process.exitCode = spawnSync('unshare', words, { stdio: 'inherit' }).status ?? 1;
}

/** Built where there is none yet. */
function image(): Promise<string> {
  const { images } = values;
  const { signal } = new AbortController();
  return findImage({ name: 'freedombox', arch: 'amd64', images, file: undefined, signal });
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
    const [forAlice, forBob] = [await secrets(alice), await secrets(bob)];
    await plantTree('snac', { dir: trees.bob, kit: bob, secrets: forBob });
    let peer = boot(trees.bob, 'kit-bob');
    ends.push(() => peer.kill());
    const snac: Campaign = { ...campaign, image: 'snac' };
    const peers = { machine: peer, dir: trees.bob, campaign: snac, secrets: forBob };
    if (!values.drive) peer = await cutOften(bob, 'snac', peers);
    await configure('a snac node beside it', bob, { campaign: snac, secrets: forBob });
    const account = `@${bob.owner}@${bob.domain}`;
    if (values.drive) {
      const bytes = seededRandom(values.seed);
      await tryOnDrive({
        ...{ dir, bench, kit: alice, secrets: forAlice, image: await image(), tap: layTap() },
        ...{ peer: account, expectedFailures, cuts: Number(values.cuts) },
        random: () => Buffer.from(bytes(4)).readUInt32LE() / 2 ** 32,
      });
      console.log('A FreedomBox was configured on a booted drive, and came back on a new one.');
      return;
    }
    await plantTree('freedombox', { dir: trees.alice, kit: alice, secrets: forAlice });
    let machine = boot(trees.alice, 'kit-alice');
    ends.push(() => machine.kill());
    const own = { machine, dir: trees.alice, campaign, secrets: forAlice };
    machine = await cutOften(alice, 'freedombox', own);
    const first = await configure('from its first boot', alice, { campaign, secrets: forAlice });
    if (values.cuts === '0') assert.ok(first > 10);
    const again = () => configure('again', alice, { campaign, secrets: forAlice });
    assert.equal(await again(), 0);
    await machine.kill();
    machine = boot(trees.alice, 'kit-alice');
    assert.equal(await again(), 0, 'after its plug was pulled');
    for (const [about, spoil] of [['half made', halveOwner], ['lost', loseOwner]] as const) {
      await spoil(alice, forAlice);
      assert.equal(await configure(`its owner ${about}`, alice, { campaign, secrets: forAlice }), 1);
      assert.equal(await again(), 0);
    }

    const { record } = bench;
    const checks = await checkKit(alice, {
      ...{ campaign, record, secrets: forAlice, now: Date.now },
      peer: { account },
    });
    console.log(humanOf(alice.name, checks));
    const failed = checks.filter(({ state }) => state === 'failed').map(({ name }) => name);
    assert.deepEqual(failed, expectedFailures);
    await restoreBackup(alice, forAlice);
    assert.equal(await again(), 0, 'after its backup was restored');
    const passphrase = await handOver(alice, forAlice, bench);
    const owned = { kit: alice, secrets: forAlice, passphrase };
    const stick = join(dir, 'stick');
    const home = backUp(machine, owned, stick, trees.alice);
    await machine.kill();
    rmSync(trees.alice, { recursive: true });
    const tree = join(dir, 'new');
    const start = (): Container => (machine = boot(tree, 'kit-alice'));
    await restoreOnNewDrive(owned, { tree, start, stick, bench, home });
    assert.equal(await webLogin(alice, passphrase), 302);
    console.log(`A FreedomBox was configured, cut off ${values.cuts} times, federates with a snac node,
gave back its backup, is its owner’s, and came back on a new drive.`);
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

/**
 * Its plug is pulled at random moments of being configured, which goes on by itself when it is back.
 * One that was whole before its moment came is planted anew. @returns it, configured or nearly so
 */
async function cutOften(
  kit: Kit,
  image: keyof typeof cutWithinMs,
  at: { machine: Container; dir: string; campaign: Campaign; secrets: NodeSecrets },
): Promise<Container> {
  const cuts = Number(values.cuts);
  let { machine } = at;
  if (cuts === 0) return machine;
  const { dir, secrets } = at;
  const bytes = seededRandom(values.seed);
  const random = (): number => Buffer.from(bytes(4)).readUInt32LE() / 2 ** 32;
  const run = (): Promise<string> =>
    configurerOf(kit, at.campaign, secrets)({
      ...{ kit: kit.name, address: addressOf(kit, secrets), patienceMs: bootPatienceMs },
    }).then(() => 'done', describeError);
  let running = run();
  for (let cut = 1; cut <= cuts;) {
    const atMs = Math.round(random() * cutWithinMs[image]);
    const told = await Promise.race([running, sleep(atMs)]);
    await machine.kill();
    console.log(told ?? `${kit.name}: cut ${cut++} after ${(atMs / 1000).toFixed(1)} s more`);
    if (told === 'done') {
      rmSync(dir, { recursive: true });
      await plantTree(image, { dir, kit, secrets });
    }
    machine = boot(dir, `kit-${kit.name}`);
    if (told !== undefined) running = run();
  }
  console.log(await running);
  return machine;
}

/** What was posted after the backup is gone, what was before is there; FreedomBox serves again. */
async function restoreBackup(kit: Kit, secrets: NodeSecrets): Promise<void> {
  const connection = await reach(addressOf(kit, secrets), { connect: tcp, kit: kit.name });
  const run = async (script: string): Promise<void> => {
    const { exitCode, stderr } = await connection.run(script, { timeoutMs: 300_000 });
    assert.equal(exitCode, 0, `${script}: ${stderr}`);
  };
  const post = (text: string): Promise<void> =>
    run(`runuser -u debian-snac -- snac note /var/lib/snac2 ${kit.owner} ${text} >/dev/null`);
  try {
    await post('kept-by-the-backup');
    await run('commons-backup make');
    await post('made-after-it');
    await run(`python3 - <<'PYTHON'
import sqlite3
with sqlite3.connect("/var/lib/plinth/plinth.sqlite3", timeout=20) as db:
    db.execute("DELETE FROM plinth_kvstore WHERE key = 'domains'")
PYTHON`);
    await run('commons-backup restore');
    await run('grep -rqF kept-by-the-backup /var/lib/snac2/object');
    await run('! grep -rqF made-after-it /var/lib/snac2/object');
    await run('commons-backup prove');
    await run('systemctl is-active --quiet slapd plinth snac2');
    await run(`getent passwd ${kit.owner} >/dev/null`);
  } finally {
    connection.close();
  }
  console.log('its backup was restored');
}

/** @returns the passphrase that its owner has now */
async function handOver(
  kit: Kit,
  secrets: NodeSecrets,
  bench: Awaited<ReturnType<typeof makeBench>>,
): Promise<string> {
  const old = secrets.kit.ownerPassphrase;
  assert.equal(await webLogin(kit, old), 302);
  const random = seededRandom(`${values.seed} leaflet`);
  const leaflet = await printLeaflet(kit, bench, { folder: bench.dir, random, now: Date.now });
  const report = (text: string): void => console.log(text);
  await handOverKit(kit, { leaflet, reason: 'no meter' }, { ...bench, report });
  await assert.rejects(bench.secrets.kit(kit), { code: 'kit-handed-over' });
  const [code, other] = leaflet.secrets.recoveryCodes;
  const lost = { host: kit.address, hostKey: secrets.kit.sshHostKey.publicLine, owner: kit.owner };
  const passphrase = await useRecoveryCode({ ...lost, code, other, old, left: 7 });
  console.log('7 codes are left');
  assert.equal(await webLogin(kit, old), 200, 'the lost passphrase opens the web interface');
  return passphrase;
}

/** FreedomBox's own first login, as a browser goes through it: 302 lets in, 200 asks again. */
async function webLogin(kit: Kit, passphrase: string): Promise<number> {
  const agent = new Agent({ rejectUnauthorized: false, servername: kit.domain });
  const url = `https://${kit.domain}/plinth/accounts/login/`;
  const ask = (method: string, headers: Record<string, string>, body = '') =>
    new Promise<{ status: number; cookies: string; text: string }>((resolve, reject) => {
      const at = { host: kit.address, path: new URL(url).pathname, method, agent };
      const sent = request({ ...at, headers: { Host: kit.domain, ...headers } }, (answer) => {
        let text = '';
        answer.on('data', (bytes: Buffer) => (text += bytes));
        answer.on('end', () => resolve({
          ...{ status: answer.statusCode!, text },
          cookies: (answer.headers['set-cookie'] ?? []).map((one) => one.split(';')[0]).join('; '),
        }));
      });
      sent.on('error', reject).end(body);
    });
  const form = await ask('GET', {});
  const token = /name="csrfmiddlewaretoken" value="(\w+)"/.exec(form.text);
  assert.ok(token, `no form at ${url}: status ${form.status}`);
  const fields = { csrfmiddlewaretoken: token[1], username: kit.owner, password: passphrase };
  const body = new URLSearchParams(fields).toString();
  const type = { 'Content-Type': 'application/x-www-form-urlencoded' };
  const headers = { ...type, Cookie: form.cookies, Referer: url };
  return (await ask('POST', { ...headers, 'Content-Length': String(body.length) }, body)).status;
}

/** As power cuts left it once: the wizard at its end, and nobody whom it lets in. */
async function loseOwner(kit: Kit, secrets: NodeSecrets): Promise<void> {
  const connection = await reach(addressOf(kit, secrets), { connect: tcp, kit: kit.name });
  await shellOver(connection)(`rm /var/lib/commons-kit/applied/freedombox-${kit.owner}
python3 - <<'PYTHON'
import sqlite3
db = sqlite3.connect("/var/lib/plinth/plinth.sqlite3", timeout=20)
with db:
    for table in ("auth_user_groups", "plinth_userprofile", "auth_user"):
        db.execute("DELETE FROM " + table)
PYTHON
${asRoot('ldapdelete')} 'uid=${kit.owner},ou=users,dc=thisbox'`);
  connection.close();
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
