// `npm run speed -- nodes`: the same desired state by kit and by Ansible, each on a node of its own
// that has just booted (the snac image's tree, as a container), and again where nothing is to be
// done. The steps' commands alone, timed on such a node, are what a first run cannot be faster than. That
// Ansible ended in the same state is told by kit's own plan. docs/speed.md explains the table.

import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { gatherFacts } from '../../provisioner/node/configure.ts';
import { openConnection, type NodeConnection } from '../../provisioner/node/connection.ts';
import { addressOf } from '../../provisioner/node/kinds.ts';
import { planScript } from '../../provisioner/node/script.ts';
import { snacDesired, type SnacDesired } from '../../provisioner/node/snac/desired.ts';
import type { SnacFacts } from '../../provisioner/node/snac/facts.ts';
import { snac } from '../../provisioner/node/snac/plan.ts';
import { passwordHash, putPasswordHash, repairKey } from '../../provisioner/node/snac/server.ts';
import { textOf, type Step } from '../../provisioner/node/step.ts';
import { makeBench } from '../helpers/bench.ts';
import { makeNode, snacRootTar, type NspawnNode } from '../helpers/nspawn-node.ts';
import type { DrivesOptions } from './drives.ts';
import { compare, runAll, type Command, type Contender, type Sample } from './measure.ts';
import { figuresTable, isMet, timesTable, wantedTable, type Wanted } from './table.ts';

const launcher = fileURLToPath(new URL('../../provisioner/launch.js', import.meta.url));
const playbooks = fileURLToPath(new URL('ansible', import.meta.url));
const address = '10.77.0.2';

const campaignText = `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"

[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
address = "${address}"
`;

const name = {
  commands: 'the steps’ commands alone, on the node',
  kit: 'kit configure, first run',
  kitAgain: 'kit configure, nothing to do',
  ansible: 'ansible-playbook, first run',
  ansibleAgain: 'ansible-playbook, nothing to do',
};

/** @returns whether everything wanted was met */
export async function measureNodes({ repeats, tell, print }: DrivesOptions): Promise<boolean> {
  if (process.getuid?.() !== 0) throw new Error('it boots containers: run it as root');
  const dir = mkdtempSync(join(tmpdir(), 'kit-speed-nodes-'));
  const scene = await setScene(dir, snacRootTar(tell));
  try {
    const rows = await compare(contenders(scene), repeats, tell);
    print(timesTable('a snac node', rows));
    const medianOf = (which: string) => rows.find((row) => row.name === which)!.medianSeconds;
    const trips = (which: string): number[] =>
      rows.find((row) => row.name === which)!.samples.map(({ outputs }) => roundTripsIn(outputs[0]));
    print(
      figuresTable('kit', [
        ['round trips, first run', Math.max(...trips(name.kit)), ''],
        ['round trips, nothing to do', Math.max(...trips(name.kitAgain)), ''],
        ['facts alone, on the node', scene.factsSeconds * 1000, 'ms'],
      ]),
    );
    const wanted: Wanted[] = [
      {
        what: 'nothing to do: kit / Ansible',
        ...{ got: medianOf(name.kitAgain) / medianOf(name.ansibleAgain), atMost: 0.1 },
      },
      { what: 'nothing to do: round trips', got: Math.max(...trips(name.kitAgain)), atMost: 2 },
      {
        what: 'first run: kit / its commands alone',
        ...{ got: medianOf(name.kit) / medianOf(name.commands), atMost: 1.1 },
      },
    ];
    print(wantedTable(wanted));
    return wanted.every(isMet);
  } finally {
    await scene.node?.remove();
    scene.bench.remove();
    rmSync(dir, { recursive: true, force: true });
  }
}

interface Scene {
  dir: string;
  rootTar: string;
  bench: Awaited<ReturnType<typeof makeBench>>;
  desired: SnacDesired;
  /** The one that is up: all have the same address. */
  node?: NspawnNode;
  factsSeconds: number;
}

async function setScene(dir: string, tar: string): Promise<Scene> {
  const bench = await makeBench(campaignText);
  const [kit] = bench.campaign.kits;
  const secrets = { campaign: await bench.secrets.campaign(), kit: await bench.secrets.kit(kit) };
  const desired = snacDesired(kit, bench.campaign, secrets);
  return { dir, rootTar: tar, bench, desired, factsSeconds: 0 };
}

function contenders(scene: Scene): Contender[] {
  const { bench } = scene;
  const flags = ['--json', '--campaign', bench.campaign.file];
  const identity = ['--identity', join(bench.dir, 'volunteer.key')];
  const kit: Command = [process.execPath, launcher, 'configure', 'alice', ...flags, ...identity];
  const unchanged = async (): Promise<Sample> => {
    const sample = await runAll([kit]);
    if (stepsIn(sample.outputs[0]).length > 0) throw new Error(`steps left: ${sample.outputs[0]}`);
    return sample;
  };
  return [
    { name: name.commands, run: () => commandsAlone(scene) },
    { name: name.kit, run: () => onFreshNode(scene, () => runAll([kit])) },
    { name: name.kitAgain, run: unchanged },
    { name: name.ansible, run: () => onFreshNode(scene, () => runAnsible(scene)) },
    {
      name: name.ansibleAgain,
      async run() {
        const sample = await runAnsible(scene);
        if (!/ changed=0 /.test(sample.outputs[0])) throw new Error(sample.outputs[0]);
        await proveState(scene);
        return sample;
      },
    },
  ];
}

async function onFreshNode<T>(scene: Scene, work: () => Promise<T>): Promise<T> {
  await scene.node?.remove();
  const { campaign, kit } = await secretsOf(scene);
  const dir = join(scene.dir, 'node');
  mkdirSync(dir);
  scene.node = makeNode(dir, scene.rootTar, {
    hostname: 'alice',
    hostKeyPem: kit.sshHostKey.privatePem,
    benchLine: campaign.benchLogin.publicLine,
  });
  await scene.node.boot();
  // Units that start with the system are waited for by none of the contenders.
  await withConnection(scene, (connection) => planOf(scene, connection));
  return work();
}

/** One script over an open connection, timed by the node itself: what no provisioner can save. */
async function commandsAlone(scene: Scene): Promise<Sample> {
  return onFreshNode(scene, () =>
    withConnection(scene, async (connection) => {
      const steps = await planOf(scene, connection);
      writeAnsibleFiles(scene, await planOf(scene, connection, { files: {} }));
      const timed = `from=$(date +%s%N)\n${planScript(steps, 'commons-speed')}
echo "took $(($(date +%s%N) - from))"\n`;
      const { stdout } = await connection.run(timed, { timeoutMs: 300_000 });
      if (!stdout.includes('commons-speed done')) throw new Error(stdout.slice(-2000));
      const took = Number(/^took (\d+)$/m.exec(stdout)![1]);
      const factsFrom = performance.now();
      await planOf(scene, connection);
      scene.factsSeconds = (performance.now() - factsFrom) / 1000;
      return { seconds: took / 1e9, peakBytes: 0, outputs: [] };
    }),
  );
}

/** What Ansible copies: the very bytes that kit writes. */
function writeAnsibleFiles(scene: Scene, steps: Step[]): void {
  for (const { path, content } of steps.flatMap((step) => step.files ?? [])) {
    const file = join(scene.dir, 'files', path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, textOf(content));
  }
}

async function runAnsible(scene: Scene): Promise<Sample> {
  const { dir, desired } = scene;
  const { campaign, kit } = await secretsOf(scene);
  const at = (file: string): string => join(dir, file);
  writeFileSync(at('login.key'), campaign.benchLogin.privatePem, { mode: 0o600 });
  writeFileSync(at('known_hosts'), `${address} ${kit.sshHostKey.publicLine}\n`);
  const user = `/var/lib/snac2/user/${desired.owner}`;
  const variables = {
    ansible_user: 'root',
    ansible_ssh_private_key_file: at('login.key'),
    ansible_ssh_common_args: `-o UserKnownHostsFile=${at('known_hosts')}`,
    ...{ files: at('files'), timezone: desired.timezone, owner: desired.owner },
    passphrase_command: `set -e\n${repairKey(user)}\n${putPasswordHash(user)}`,
    passphrase_hash: passwordHash(desired.owner, desired.ownerPassphrase).reveal(),
  };
  writeFileSync(at('variables.json'), JSON.stringify(variables), { mode: 0o600 });
  const words = ['-i', `${address},`, '-e', `@${at('variables.json')}`, join(playbooks, 'snac.yml')];
  const config = `ANSIBLE_CONFIG=${join(playbooks, 'ansible.cfg')}`;
  return runAll([['env', config, 'LANG=C.UTF-8', 'ansible-playbook', ...words]]);
}

/**
 * kit's plan for the node that Ansible made is empty, once it has kit's own memory of which effects
 * followed which files: that is no part of what is compared, so it is put there unmeasured.
 */
async function proveState(scene: Scene): Promise<void> {
  await withConnection(scene, async (connection) => {
    const left = await planOf(scene, connection);
    const stamping = left.flatMap(({ because, command = '' }) => {
      const stamp = /mkdir -p \S+\/applied\n.*\n.*$/.exec(command);
      return because === 'not done yet' && stamp !== null ? [stamp[0]] : [];
    });
    await connection.run(stamping.join('\n'), { timeoutMs: 10_000 });
    const still = await planOf(scene, connection);
    const told = still.map(({ name: step, because }) => `${step} (${because})`).join('; ');
    if (still.length > 0) throw new Error(`Ansible left another state: ${told}`);
  });
}

/** @param besides what is taken for so, whatever the node says */
async function planOf(
  { desired }: Scene,
  connection: NodeConnection,
  besides: Partial<SnacFacts> = {},
): Promise<Step[]> {
  const facts = await gatherFacts(connection, snac.facts(desired));
  return snac.plan(desired, { ...facts, ...besides });
}

async function withConnection<T>(
  scene: Scene,
  work: (connection: NodeConnection) => Promise<T>,
): Promise<T> {
  const [kit] = scene.bench.campaign.kits;
  const connection = await openConnection(addressOf(kit, await secretsOf(scene)));
  try {
    return await work(connection);
  } finally {
    connection.close();
  }
}

async function secretsOf({ bench }: Scene) {
  const [kit] = bench.campaign.kits;
  return { campaign: await bench.secrets.campaign(), kit: await bench.secrets.kit(kit) };
}

function stepsIn(document: string): unknown[] {
  return JSON.parse(document)[0].steps;
}

function roundTripsIn(document: string): number {
  return JSON.parse(document)[0].round_trips;
}
