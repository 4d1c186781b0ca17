// A meter's keys one after the other, end to end: the meter's own fibers on Node, its chips at register
// level, the project's own ledger behind its HTTP routes, and the audit at the end. Every signature
// is checked by a verifier written apart as well (year/commons.ts).
import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditLedger } from '../helpers/ledger-folder.ts';
import { openWorld, type World } from './year/world.ts';

const INTERVAL_S = 60;
const BATCH_S = 120;
const STEP_MS = 120_000;
/** More than a tree of 1,024 leaves takes beside everything else. */
const MOST_STEPS = 60;
/** Where a key has few enough left to name its successor. */
const FEW_LEFT = 100;

test('three keys and a fourth, each named by the one before it, power cuts in between', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'meter-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const world = await openWorld({ seed: 31, dir, intervalS: INTERVAL_S, batchS: BATCH_S });
  world.powerOn();
  for (let count = 2; count <= 4; count++) {
    await until(world, () => world.meter?.nextKey != null, cutAt(world, 40 * count));
    await useUp(world);
    await until(world, () => world.commons.keys.length === count, cutAt(world, 3 * count));
    t.is(world.meter?.journal.keys.key?.height, 10);
  }
  const { records, judged, keys, ledger } = world.commons;
  const seen = records.length;
  await until(world, () => records.length >= seen + 6);
  t.deepEqual(world.problems, []);
  t.true(judged.every(({ status, payload }) => status === 200 && payload.gaps.length === 0));
  const named = judged.filter(({ payload }) => payload.successor !== null);
  t.deepEqual(new Set(named.map(({ payload }) => payload.successor)).size, 3);
  const byKey = keys.map((_, i) => new Set(
    judged.filter(({ signature }) => signature.startsWith(`${i}/`)).map(({ signature }) => signature)));
  t.true(byKey.every(({ size }) => size >= 2), byKey.map(({ size }) => size).join(' '));
  const meterIds = new Set(judged.map(({ payload }) => payload.meterId.toString('hex')));
  t.is(meterIds.size, 1);
  const report = await auditLedger(ledger);
  t.deepEqual(report.findings, []);
  t.is(report.nodes[0].keys, 4);
  await world.commons.close();
});

/** Runs until `holds`, power cut and back once after so many bytes of the memory's. */
async function until(world: World, holds: () => boolean, cut?: () => void): Promise<void> {
  const { timeline } = world;
  for (let step = 0; !holds(); step++) {
    if (step === 1) cut?.();
    if (step > MOST_STEPS) throw new Error(`not within ${MOST_STEPS} steps`);
    await timeline.run(timeline.nowMs() + STEP_MS);
    if (world.life === null) world.powerOn();
  }
}

function cutAt(world: World, bytes: number): () => void {
  return () => world.cutAfter(bytes);
}

/** Skips indices, as is legal, where a thousand hourly batches would take six weeks. */
async function useUp(world: World): Promise<void> {
  const { keys } = world.meter!.journal;
  while (keys.left() > FEW_LEFT) await keys.takeSignature(keys.key!.number);
}
