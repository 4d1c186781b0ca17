// Configures a node of a real image's tree, has `kit check` find what goes wrong with it (faults.ts), hands
// it over, and brings it back when its drive has died, as a person would: by `kit`, which is killed, or
// whose node loses power, at random moments. Each run completes what the last one left.
// Needs root, systemd-nspawn and a tree that the journey leaves, so it is no part of `npm test`:
//
//   npm run test:node [-- --tree FILE.root.tar] [--cuts 20] [--seed N]
//
// Prints a line a step, and `N passed, N failed` at the end.

import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync } from 'node:fs';
import { rmSync, statfsSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { atWorkbench } from '../../provisioner/bench/workbench.ts';
import { makeSshKey } from '../../provisioner/campaign/ssh-key.ts';
import type { Check } from '../../provisioner/check/finding.ts';
import { openConnection } from '../../provisioner/node/connection.ts';
import { seededRandom } from '../helpers/bench.ts';
import { makeNode } from '../helpers/nspawn-node.ts';
import { createSteps } from '../helpers/steps.ts';
import { makeTinyImage } from '../helpers/tiny-image.ts';
import { certificates } from './certificates.ts';
import { faults, type Fault } from './faults.ts';
import { identityOn, seeHome, type Home } from './home.ts';
import { startKit } from './kit-command.ts';
import { startLedger } from './ledger.ts';
import { useRecoveryCode } from './recovery.ts';

const { values } = parseArgs({
  options: {
    tree: { type: 'string', default: 'trial/images/snac-amd64.root.tar' },
    cuts: { type: 'string', default: '20' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
  },
});
if (process.getuid?.() !== 0) refuse('not-root', 'this test boots a machine; run it as root.');
if (!existsSync(values.tree)) {
  refuse('no-tree', `there is no ${values.tree}: \`npm start -- --once\` leaves one, or name another.`);
}
console.log(`seed ${values.seed}`);

const dir = mkdtempSync(join(tmpdir(), 'kit-node-'));
const campaign = join(dir, 'campaign.toml');
const identity = join(dir, 'volunteer.key');
const bench = { campaign, identity };
const bytes = seededRandom(values.seed);
const random = () => Buffer.from(bytes(4)).readUInt32LE() / 2 ** 32;
const cuts = Number(values.cuts);
/** How long a whole run takes is learnt from the runs themselves: cuts fall all over it. */
let wholeMs = 12_000;
let paper: { recoveryCodes: string[]; printWord: string };
const { step, end } = createSteps();
const ledger = await startLedger(dir, () => diskUsedBytes(node.tree));

writeFileSync(campaign, `name = "Riverside"
ledger = "${ledger.campaign.ledger}"
ledger_origin = "${ledger.campaign.origin}"
ledger_key = "${ledger.campaign.key}"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
address = "10.77.0.2"
`);
const secrets = await atWorkbench({ ...bench, kits: ['alice'] }, async (opened, [kit]) => ({
  campaign: await opened.secrets.campaign(),
  kit: await opened.secrets.kit(kit),
  certificate: certificates(opened),
  leaflet: () => atWorkbench({ ...bench, kits: ['alice'] }, (now, [same]) =>
    now.secrets.leaflet(same, () => {
      throw new Error('the leaflet was not made');
    })),
}));
mkdirSync(join(dir, 'node'));
let node = makeNode(join(dir, 'node'), values.tree, {
  hostname: 'alice',
  hostKeyPem: secrets.kit.sshHostKey.privatePem,
  benchLine: secrets.campaign.benchLogin.publicLine,
});
const stick = join(dir, 'stick');
const post = 'made-on-the-last-day';
let home: Home;
/** The owner's, since a code was used. */
let passphrase: string;
try {
  await step('boots', () => node.boot());
  await step(`is configured, cut off ${cuts} times`, () => cutOften(['configure', 'alice'], cuts));
  await step('is configured again without a change', unchanged);
  await step('restores its backup, made while snac ran', restore);
  await step('is not handed over unproven, nor without a word', refusals);
  await atWorkbench({ ...bench }, async ({ record }) =>
    record.done('alice', 'pair', ledger.paired));
  const otherHostKey = makeSshKey('another', seededRandom('another node')).privatePem;
  const scene = { node, ledger, otherHostKey, certificate: secrets.certificate };
  for (const fault of faults({ ...scene, configure: () => kit('configure', 'alice') })) {
    await step(`is not fit to ship: ${fault.about}`, () => found(fault));
  }
  await step('is fit to ship, all of that mended', async () => void (await kit('check', 'alice')));
  await step(`is handed over, cut off ${cuts} times`, handOver);
  await step('shuts the bench out; its files are gone', shutOut);
  await step('takes a recovery code once, and the passphrase that it gives', recover);
  await step('no secret is in its logs or in the record', noSecretTold);
  await step('its drive dies after a backup; a new one is written', dies);
  const half = Math.ceil(cuts / 2);
  await step(`is restored, cut off ${half} times`, () =>
    cutOften(['restore', 'alice', '--from', stick], half));
  await step('is the same home, and its owner’s', sameHome);
  await step('no secret is in the new one’s logs or in the record', noSecretTold);
} finally {
  await node.remove();
  await ledger.end();
  rmSync(dir, { recursive: true, force: true });
}
end();

function start(words: string[]): ReturnType<typeof startKit> {
  return startKit(bench, words);
}

async function kit(...words: string[]): Promise<any> {
  const { status, out, told } = await start(words).ran;
  if (status !== 0) throw new Error(`kit ${words[0]}: status ${status}: ${out}${told}`);
  return JSON.parse(out);
}

/** Every second cut is the node's plug, the others are the bench's process. */
async function cutOften(words: string[], times: number): Promise<string> {
  let within = 0;
  for (let i = 0; i < times; i++) {
    const { child, ran } = start(words);
    const startMs = performance.now();
    const done = await Promise.race([ran, sleep(random() * wholeMs)]);
    if (done !== undefined && done.status === 0) wholeMs = performance.now() - startMs;
    else within++;
    if (i % 2 === 0) child.kill('SIGKILL');
    else await node.cut().then(() => child.kill('SIGKILL'));
    await ran;
    if (i % 2 === 1) await node.boot();
  }
  const { status, out, told } = await start(words).ran;
  if (status !== 0) throw new Error(`left unfinished: status ${status}: ${out}${told}`);
  if (within === 0) throw new Error('no cut fell within a run');
  return `${within} within a run`;
}

async function unchanged(): Promise<void> {
  const [{ steps, round_trips: roundTrips }] = await kit('configure', 'alice');
  if (steps.length > 0) throw new Error(JSON.stringify(steps));
  if (roundTrips > 2) throw new Error(`${roundTrips} round trips`);
}

/** By the bench's own login, as a volunteer would. */
async function restore(): Promise<void> {
  const connection = await openConnection({
    ...{ host: node.address, port: 22, hostKeyLine: secrets.kit.sshHostKey.publicLine },
    loginKeyPem: secrets.campaign.benchLogin.privatePem,
  });
  const run = async (script: string): Promise<string> => {
    const { exitCode, stdout, stderr } = await connection.run(script, { timeoutMs: 120_000 });
    if (exitCode !== 0) throw new Error(`${script}: ${stderr}`);
    return stdout.trim();
  };
  try {
    const post = (text: string) =>
      run(`runuser -u debian-snac -- snac note /var/lib/snac2 alice ${text} >/dev/null`);
    await post('kept-by-the-backup');
    await run('commons-backup make');
    await post('made-after-it');
    await run('grep -rqF made-after-it /var/lib/snac2/object');
    await run('commons-backup restore');
    await run('grep -rqF kept-by-the-backup /var/lib/snac2/object');
    await run('! grep -rqF made-after-it /var/lib/snac2/object');
    await run('systemctl is-active --quiet snac2.service && commons-backup prove');
  } finally {
    connection.close();
  }
}

/** By the checks that it should be, and by no other; then what they advise is done. */
async function found({ inflict, mend, ...fault }: Fault): Promise<void> {
  const act = async (what: Fault['inflict']): Promise<unknown> =>
    typeof what === 'string' ? node.run(what) : what();
  await act(inflict);
  const { status, out } = await start(['check', 'alice']).ran;
  const checks: Check[] = JSON.parse(out).checks;
  const failing = checks.filter(({ state }) => state === 'failed');
  const names = failing.map(({ name }) => name).sort().join(' ');
  if (names !== [...fault.fails].sort().join(' ') || status !== 1) {
    throw new Error(`expected ${fault.fails.join(' ')}; status ${status}, ${failuresIn(out)}`);
  }
  const { measured, advice } = failing.find(({ name }) => name === fault.fails[0])!;
  if (!fault.measured.test(measured)) throw new Error(`it says “${measured}”`);
  if (advice !== fault.advice) throw new Error(`it advises “${advice}”`);
  await act(mend);
}

function failuresIn(document: string): string {
  const checks: Check[] = JSON.parse(document).checks;
  const failing = checks.filter(({ state }) => state === 'failed');
  return failing.map(({ name, measured }) => `${name}: ${measured}`).join('; ');
}

async function refusals(): Promise<void> {
  const tries: [words: string[], code: string][] = [
    [['handover', 'alice'], 'kit-unproven'],
    [['handover', 'alice', '--unproven', 'a test'], 'leaflet-unread'],
    [['handover', 'alice', '--unproven', 'a test', '--printed', 'wrong'], 'leaflet-unread'],
  ];
  for (const [words, code] of tries) {
    const { out } = await start(words).ran;
    const got = JSON.parse(out).error?.code;
    if (got !== code) throw new Error(`${words.join(' ')}: ${got}, expected ${code}`);
  }
}

async function handOver(): Promise<string> {
  paper = await secrets.leaflet();
  wholeMs = 5000;
  return cutOften(['handover', 'alice', '--printed', paper.printWord], cuts);
}

async function shutOut(): Promise<void> {
  const { out } = await start(['configure', 'alice']).ran;
  const code = JSON.parse(out).error?.code ?? JSON.parse(out)[0]?.error?.code;
  if (code !== 'kit-handed-over') throw new Error(`configure: ${code}`);
  const left = readdirSync(join(dir, 'secrets'));
  if (left.some((name) => name === 'alice.age')) throw new Error(`left: ${left.join(', ')}`);
  if (existsSync(join(dir, 'alice.leaflet.pdf'))) throw new Error('the leaflet is still there');
  const line = secrets.campaign.benchLogin.publicLine.split(' ')[1];
  if (readFileSync(join(node.tree, 'root/.ssh/authorized_keys'), 'utf8').includes(line)) {
    throw new Error('the bench’s key is still on the node');
  }
}

async function recover(): Promise<string> {
  const hostKey = secrets.kit.sshHostKey.publicLine;
  const [code, other] = paper.recoveryCodes;
  const old = secrets.kit.ownerPassphrase;
  const used = { host: node.address, hostKey, owner: 'alice', code, other, old, left: 7 };
  passphrase = await useRecoveryCode(used);
  return '7 codes are left';
}

/** What its owner did since the hand-over; then the last backup, on a stick; then nothing is left. */
async function dies(): Promise<string> {
  node.run(`runuser -u debian-snac -- snac note /var/lib/snac2 alice ${post} >/dev/null`);
  home = await seeHome(node, secrets.campaign.caCertificatePem);
  node.run('commons-backup make');
  cpSync(join(node.tree, 'var/backups/commons-kit'), join(stick, 'commons-kit'), { recursive: true });
  await node.remove();
  const drive = join(dir, 'new-drive.img');
  const image = makeTinyImage(join(dir, 'image'));
  const words = ['restore', 'alice', '--from', stick];
  await kit(...words, '--drive', drive, '--image', image.path, '--size', '64M', '--yes');
  mkdirSync(join(dir, 'node'), { recursive: true });
  node = makeNode(join(dir, 'node'), values.tree, identityOn(drive, image));
  await node.boot();
  return `${home.files.length} files of its server’s`;
}

async function sameHome(): Promise<string> {
  const now = await seeHome(node, secrets.campaign.caCertificatePem);
  for (const key of ['actorKey', 'certificate'] as const) {
    if (now[key] !== home[key]) throw new Error(`${key}: ${now[key]}, was ${home[key]}`);
  }
  const others = [...now.files.filter((file) => !home.files.includes(file)), '; there was ',
    ...home.files.filter((file) => !now.files.includes(file))];
  if (others.length > 1) throw new Error(`there is ${others.join(' ')}`);
  node.run(`grep -rqF ${post} /var/lib/snac2/object`);
  node.run('systemctl is-active --quiet snac2.service nginx.service commons-recovery.socket');
  node.run('commons-backup prove');
  const { out } = await start(['restore', 'alice', '--from', stick]).ran;
  if (JSON.parse(out).restored !== true) throw new Error(`said once more: ${out}`);
  const { out: refused } = await start(['configure', 'alice']).ran;
  if (!refused.includes('kit-handed-over')) throw new Error(`configure: ${refused}`);
  // The last passphrase opens, and another code replaces it, of those that were not spent before.
  const hostKey = secrets.kit.sshHostKey.publicLine;
  const account = { user: 'alice', passphrase };
  const owner = { host: node.address, port: 22, hostKeyLine: hostKey, loginKeyPem: '', account };
  (await openConnection(owner)).close();
  const [, , code, other] = paper.recoveryCodes;
  const used = { host: node.address, hostKey, owner: 'alice', code, other, old: passphrase, left: 6 };
  await useRecoveryCode(used);
  return '6 codes are left';
}

/** Those that the bench knew; the node's own copies are hashes. */
async function noSecretTold(): Promise<void> {
  const known = [secrets.kit.ownerPassphrase, ...paper.recoveryCodes, secrets.kit.tls.keyPem.split('\n')[1]];
  const files = filesBelow(join(node.tree, 'var/log')).concat([join(dir, 'bench.db'), join(dir, 'node/console.log')]);
  for (const file of files) {
    const bytes = readFileSync(file);
    const found = known.find((secret) => bytes.includes(secret));
    if (found !== undefined) throw new Error(`${file} holds a secret`);
  }
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name));
}

/** As the node's counters have it. */
function diskUsedBytes(tree: string): number {
  const { bsize, blocks, bfree } = statfsSync(tree);
  return bsize * (blocks - bfree);
}

function refuse(code: string, words: string): never {
  console.error(`error[${code}]: ${words}`);
  process.exit(2);
}
