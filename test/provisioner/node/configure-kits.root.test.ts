// Fifty nodes at once by one `kit configure`, each behind sshd processes of its own: most are well, some
// refuse, hang, drop mid-way, or are another node than was made for the kit. Each fails alone, and
// the process stays within its memory and its open files.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import test from 'ava';

import { makeSshKey } from '../../../provisioner/campaign/ssh-key.ts';
import { SMALL_HEAP } from '../../../provisioner/pinned-node.js';
import { makeBench, seededRandom, type TestBench } from '../../helpers/bench.ts';
import { plainWire, startOverlayNode, type OverlayNode } from '../../helpers/overlay-node.ts';

const kitScript = fileURLToPath(new URL('../../../provisioner/kit.ts', import.meta.url));
const names = Array.from({ length: 50 }, (_, at) => `k${String(at + 1).padStart(2, '0')}`);
/** What is wrong with some; the others are well. */
const refuse = ['k03', 'k17', 'k31'];
const hang = ['k05', 'k26', 'k50'];
const dropAlways = ['k11', 'k40'];
const dropOnce = ['k12', 'k23', 'k34'];
const stranger = 'k20';

const heapAndCodeBytes = 190e6;
/** Connections, and what any Node process has open. */
const openFilesLimit = 50 + 40;

const campaignOf = (ports: Record<string, number>): string => `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "Europe/Vienna"
${names
  .map((name) => `
[[kit]]
name = "${name}"
domain = "${name}.test"
owner = "${name}"
address = "127.0.0.1"
ssh_port = ${ports[name] ?? 22}
`)
  .join('')}`;

test('fifty nodes at once, each failing alone, in bounded memory and open files', async (t) => {
  t.timeout(600_000);
  const dir = mkdtempSync(join(tmpdir(), 'fifty-'));
  const bench = await makeBench(campaignOf({}));
  t.teardown(() => rmSync(dir, { recursive: true }));
  t.teardown(bench.remove);
  const nodes = new Map<string, OverlayNode>();
  t.teardown(() => Promise.all([...nodes.values()].map((node) => node.end())));
  for (const name of names) nodes.set(name, await startNode(name, bench, dir));
  const ports = Object.fromEntries([...nodes].map(([name, { port }]) => [name, port]));
  for (const name of dropAlways) nodes.get(name)!.wire = dropping(withinFactsBytes, () => true);
  for (const name of dropOnce) nodes.get(name)!.wire = dropping(withinStepsBytes, (at) => at === 1);
  const silent = createServer((socket) => socket.on('error', () => undefined));
  silent.listen(0, '127.0.0.1');
  await once(silent, 'listening');
  t.teardown(() => silent.close());
  for (const name of hang) ports[name] = (silent.address() as AddressInfo).port;
  for (const name of refuse) ports[name] = await closedPort();
  writeFileSync(bench.campaign.file, campaignOf(ports));

  const first = await configureAll(bench);
  t.log(first.told);
  const codes = Object.fromEntries(first.results.map(({ kit, error }) => [kit, error?.code]));
  const wanted = (name: string): string | undefined => {
    if (refuse.includes(name)) return 'node-unreachable';
    if (hang.includes(name)) return 'node-too-slow';
    if (dropAlways.includes(name)) return 'connection-lost';
    return name === stranger ? 'host-key-mismatch' : undefined;
  };
  t.deepEqual(codes, Object.fromEntries(names.map((name) => [name, wanted(name)])));
  t.is(first.status, 1);
  t.is(nodes.get(stranger)!.sshds, 1);
  for (const name of dropOnce) t.true(nodes.get(name)!.sshds > 1, name);
  t.true(first.peakBytes < heapAndCodeBytes, `${first.peakBytes} bytes`);
  t.true(first.openFiles < openFilesLimit, `${first.openFiles} open files`);

  // Those that dropped are whole again: the next run completes them, and changes no other.
  for (const name of dropAlways) nodes.get(name)!.wire = plainWire;
  const well = names.filter((name) => wanted(name) === undefined || dropAlways.includes(name));
  const second = await configureAll(bench, well);
  t.log(second.told);
  t.is(second.status, 0);
  const changed = second.results.filter(({ steps }) => steps!.length > 0).map(({ kit }) => kit);
  t.deepEqual(changed, dropAlways);
  for (const { kit, round_trips: roundTrips } of second.results) {
    t.is(roundTrips, dropAlways.includes(kit) ? 3 : 1, kit);
  }
});

async function startNode(name: string, bench: TestBench, dir: string): Promise<OverlayNode> {
  const kit = bench.campaign.kits.find((candidate) => candidate.name === name)!;
  const { sshHostKey } = await bench.secrets.kit(kit);
  const { benchLogin } = await bench.secrets.campaign();
  const other = makeSshKey('another node', seededRandom('stranger'));
  return startOverlayNode({
    ...{ dir: join(dir, name), hostname: 'fresh', benchLine: benchLogin.publicLine },
    hostKeyPem: (name === stranger ? other : sshHostKey).privatePem,
  });
}

/** What sshd has answered by then: greeting and login take 3 kB, facts and steps 4 kB each. */
const withinFactsBytes = 4000;
const withinStepsBytes = 8500;

/** Cuts the wire of those connections, counted from 1, when sshd has answered so much. */
function dropping(bytes: number, drops: (connection: number) => boolean): OverlayNode['wire'] {
  let connections = 0;
  return (wire, sshd) => {
    connections += 1;
    plainWire(wire, sshd);
    if (drops(connections)) cutAfter(bytes, wire, sshd.stdout!);
  };
}

function cutAfter(bytes: number, wire: Socket, answers: NodeJS.ReadableStream): void {
  let answered = 0;
  answers.on('data', (piece: Buffer) => {
    answered += piece.length;
    if (answered > bytes) wire.destroy();
  });
}

/** A port that refuses: nothing listens there any more. */
async function closedPort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

interface Ran {
  status: number;
  results: {
    kit: string;
    steps?: unknown[];
    round_trips?: number;
    elapsed_ms?: number;
    error?: { code: string };
  }[];
  peakBytes: number;
  openFiles: number;
  told: string;
}

/** As a volunteer would, but without patience; watched from outside. */
async function configureAll({ dir, campaign }: TestBench, kits = names): Promise<Ran> {
  const flags = ['--json', '--campaign', campaign.file, '--identity', join(dir, 'volunteer.key')];
  const words = [...SMALL_HEAP, kitScript, ...flags, 'configure', ...kits, '--wait', '0'];
  const startMs = performance.now();
  const child = spawn(process.execPath, words, { stdio: ['ignore', 'pipe', 'inherit'] });
  let [peakBytes, openFiles, out] = [0, 0, ''];
  const watch = setInterval(() => {
    try {
      openFiles = Math.max(openFiles, readdirSync(`/proc/${child.pid}/fd`).length);
      const status = readFileSync(`/proc/${child.pid}/status`, 'utf8');
      peakBytes = Number(/VmHWM:\s+(\d+) kB/.exec(status)?.[1] ?? 0) * 1024 || peakBytes;
    } catch (error) {
      if (!['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code!)) throw error;
    }
  }, 50);
  child.stdout.on('data', (bytes: Buffer) => (out += bytes));
  const [status] = await once(child, 'close');
  clearInterval(watch);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const results: Ran['results'] = JSON.parse(out);
  const slowest = Math.max(...results.map(({ elapsed_ms: elapsedMs = 0 }) => elapsedMs)) / 1000;
  const told = `${kits.length} kits: ${seconds} s, the slowest done in ${slowest.toFixed(1)} s, ` +
    `${Math.round(peakBytes / 1e6)} MB, ${openFiles} files`;
  return { status, results, peakBytes, openFiles, told };
}
