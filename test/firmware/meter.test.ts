// The meter's fibers on Node, through days of faults: see year/. A year is `npm run test:year`.
import test from 'ava';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { cutEverywhere } from './year/cuts.ts';
import { runYear } from './year/year.ts';
import { openWorld, START_MS } from './year/world.ts';

const { FLAG } = await import('../../firmware/wire.ts');

const DAYS = 4;
const HOUR_MS = 3_600_000;

for (const seed of [11, 12, 13]) {
  test.serial(`four days of faults ends with the truth in the ledger, seed ${seed}`, async (t) => {
    const found = await runYear({ seed, days: DAYS, intervalS: 900, batchS: 3_600 });
    t.deepEqual(found.problems, []);
    t.true(found.figures.cuts > 0 && found.figures.batches > 60, JSON.stringify(found.figures));
  });
}

test.serial('the same seed is the same time, to the last line', async (t) => {
  const once = async () => (await runYear({ seed: 5, days: 1, intervalS: 900, batchS: 3_600 })).hash;
  t.is(await once(), await once());
});

test.serial('a meter that loses its power more often than it reports still reports', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'meter-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const world = await openWorld({ seed: 1, dir, intervalS: 900, batchS: 3_600 });
  world.powerOn();
  for (let hours = 1; hours < 8; hours++) {
    world.timeline.at(START_MS + hours * 2_700_000, () => {
      world.cutPower();
      world.powerOn();
    });
  }
  await world.timeline.run(START_MS + 8 * 2_700_000);
  t.true(world.commons.records.length >= 12, `${world.commons.records.length} records`);
  await world.commons.close();
});

test.serial('a node that moves away from its name, then another router: found, and told', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'meter-'));
  t.teardown(() => rmSync(dir, { recursive: true }));
  const world = await openWorld({ seed: 1, dir, intervalS: 900, batchS: 3_600 });
  const { place, timeline } = world;
  const found: string[] = [];
  world.onFound = () => void found.push(place.nodeAddress());
  world.powerOn();
  timeline.at(START_MS + HOUR_MS / 2, () => {
    place.nameLeads = false;
    place.move(world.chance);
  });
  await timeline.run(START_MS + 2 * HOUR_MS);
  t.is(world.meter!.place, place.nodeAddress());
  place.replaceRouter();
  place.move(world.chance);
  await timeline.run(START_MS + 4 * HOUR_MS);
  t.is(world.meter!.place, place.nodeAddress());
  t.is(place.joins, 1);
  t.is(new Set(found).size, 2);
  const moved = world.commons.records.filter(({ flags }) => (flags & FLAG.nodeMoved) !== 0);
  t.is(moved.length, 2);
  t.deepEqual(world.problems, []);
  await world.commons.close();
});

test.serial('cut within any write, full or reporting, at most two seconds are lost', async (t) => {
  const { full, reporting } = await cutEverywhere({ seed: 3, seconds: 400, stride: 17 });
  t.deepEqual([...full.problems, ...reporting.problems], []);
  t.true(full.merges > 0 && full.cuts > 4_000 && reporting.cuts > 4_000, JSON.stringify(full));
});
