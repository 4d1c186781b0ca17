// `npm run test:soak [-- MINUTES SEED METERS]`: a ledger at the machine's limit for ten minutes, by
// HTTP: hundreds of meters that report as fast as they are acknowledged, say things again, and are
// forged; people and auditors who read. Exits 1 unless its memory in the last minute is within a tenth
// of the second minute's, as many files are open afterwards as before, and its whole log is proven;
// and throws when a meter has no batch left, for what came after would be another load.

import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Policy } from '../ledger/log/policy.ts';
import { prove } from './helpers/killed-ledger.ts';
import { ask, folderOf, postBatch, serveFolder } from './helpers/served-ledger.ts';
import type { Reporter, Served } from './helpers/served-ledger.ts';
import { chance } from './ledger/ask/homes.ts';

const [minutes = 10, seed = Date.now() % 2 ** 31, meters = 640] = process.argv.slice(2).map(Number);
/** Of a key of height 10: one signed the meter's statement. */
const BATCHES_EACH = 1_022;
const MINUTE_MS = 60_000;

console.log(`seed ${seed}; making ${meters} meters`);
const dir = mkdtempSync(join(tmpdir(), 'ledger-soak-'));
try {
  process.exitCode = await soak() ? 0 : 1;
} finally {
  rmSync(dir, { recursive: true, force: true });
}

async function soak(): Promise<boolean> {
  const names = Array.from({ length: meters }, (_, i) => `soak ${i}`);
  const { reporters, policy } = await folderOf(dir, names, 10);
  const served = await serveFolder(dir);
  try {
    return await load(served, reporters, policy);
  } finally {
    await served.kill();
  }
}

async function load(served: Served, reporters: Reporter[], policy: Policy): Promise<boolean> {
  const { child: { pid }, url } = served;
  const random = chance(seed);
  const answers: Record<string, number> = {};
  // The first batch starts the verifying threads, which stay.
  await reporters[0].report(url);
  await settled(pid!, reporters);
  const filesBefore = openFiles(pid!);

  let isOver = false;
  const askers = Promise.all(reporters.map(async (reporter) => {
    while (!isOver) await askOnce(url, reporter, { random, answers });
  }));
  const memoryMb: number[] = [];
  for (let minute = 1; minute <= minutes; minute++) {
    const samples: number[] = [];
    for (const endMs = Date.now() + MINUTE_MS; Date.now() < endMs;) {
      await Promise.race([sleep(1_000), askers]);
      samples.push(residentMb(pid!));
    }
    memoryMb.push(samples.reduce((sum, mb) => sum + mb, 0) / samples.length);
    console.log(`  minute ${minute}: ${memoryMb.at(-1)!.toFixed(0)} MB, ${openFiles(pid!)} files, `
      + JSON.stringify(answers));
  }
  isOver = true;
  await askers;
  await settled(pid!, reporters);
  const filesAfter = openFiles(pid!);
  await served.stop();
  await prove(dir, reporters, policy);
  const acked = reporters.reduce((sum, reporter) => sum + reporter.acked.length, 0);
  const grown = memoryMb.at(-1)! / memoryMb[1];
  console.log(`${acked} batches acknowledged and proven; memory in the last minute ${grown.toFixed(2)}`
    + ` of the second’s; ${filesBefore} files open before, ${filesAfter} after`);
  return grown <= 1.1 && filesAfter === filesBefore;
}

/** One request of one kind; whatever is not foreseen of its answer throws. */
async function askOnce(
  url: string,
  { report, latest, acked, meter, agent }: Reporter,
  { random, answers }: { random: () => number; answers: Record<string, number> },
): Promise<void> {
  const count = (what: string): void => void (answers[what] = (answers[what] ?? 0) + 1);
  const kind = random();
  if (kind < 0.7) {
    if (acked.length === BATCHES_EACH) throw new Error('a meter has signed all it can: make more of them');
    count(await report(url) ? 'taken' : 'later');
    return;
  }
  const batch = latest();
  if (kind < 0.8 && batch !== undefined) {
    count(`again ${(await postBatch(url, agent, batch))?.status}`);
    return;
  }
  if (kind < 0.9 && batch !== undefined) {
    const forged = batch.with(batch.length - 1, batch[batch.length - 1] ^ 1);
    count(`forged ${(await postBatch(url, agent, forged))?.status}`);
    return;
  }
  const paths = ['', `node/${meter.idHex}`, 'checkpoint', 'v1/nodes', 'metrics'];
  const path = paths[Math.floor(random() * paths.length)];
  count(`read ${(await ask(url + path, { agent }))?.status}`);
}

/** Waits until the server has let the last connection go. */
async function settled(pid: number, reporters: Reporter[]): Promise<void> {
  for (const { agent } of reporters) agent.destroy();
  for (let before = -1; openFiles(pid) !== before;) {
    before = openFiles(pid);
    await sleep(2_000);
  }
}

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function residentMb(pid: number): number {
  const status = readFileSync(`/proc/${pid}/status`, 'latin1');
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)![1]) / 1_000;
}
