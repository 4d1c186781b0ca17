// A simulated year of one meter, from its enrolment to the ledger's page of it: weather, then a calm
// hour in which everything is reported, then the reckoning against the world's truth.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditLedger } from '../../helpers/ledger-folder.ts';
import { checkReports } from './commons.ts';
import { MOST_MILLI_W } from './home.ts';
import { startWeather, type Expected, type Weather } from './weather.ts';
import { openWorld, START_MS, type World } from './world.ts';

const { FLAG } = await import('../../../firmware/wire.ts');

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

export interface YearOptions {
  seed: number;
  days: number;
  intervalS: number;
  batchS: number;
  tell?: (line: string) => void;
}

export interface Year {
  /** Of everything that happened, in order. */
  hash: string;
  /** What must not be: empty in a good year. */
  problems: string[];
  came: Weather['came'];
  figures: Record<string, number>;
}

export async function runYear(options: YearOptions): Promise<Year> {
  const dir = mkdtempSync(join(tmpdir(), 'meter-year-'));
  try {
    const world = await openWorld({ ...options, dir });
    const endMs = START_MS + options.days * DAY_MS;
    world.powerOn();
    const weather = startWeather(world, endMs);
    await world.timeline.run(endMs + HOUR_MS);
    await reportAll(world);
    const problems = await reckon(world, weather);
    await world.commons.close();
    const came = { ...weather.came, ...world.commons.answered };
    return { hash: world.logHash(), problems, came, figures: figuresOf(world) };
  } finally {
    rmSync(dir, { recursive: true });
  }
}

/** The button, held long: until the ledger has all. */
async function reportAll(world: World): Promise<void> {
  const ask = (): void => {
    if (world.meter !== null) world.meter.reportWanted = true;
  };
  world.timeline.at(world.timeline.nowMs(), ask);
  await world.timeline.run(world.timeline.nowMs() + HOUR_MS / 4);
}

async function reckon(world: World, weather: Weather): Promise<string[]> {
  const { meter, commons } = world;
  if (meter === null) return [...world.problems, 'the meter is not there at the end'];
  checkReports(world.commons, (what) => world.amiss(what));
  checkEnergy(world);
  checkBytes(world);
  await checkTime(world);
  checkFlags(world, weather.expected);
  if (meter.ring.lastSeq !== commons.records.at(-1)?.lastSeq) {
    world.amiss(`the ledger has ${commons.records.at(-1)?.lastSeq} of ${meter.ring.lastSeq}`);
  }
  const report = await auditLedger(commons.ledger);
  if (!report.ok) world.amiss(`the audit: ${JSON.stringify(report).slice(0, 300)}`);
  return world.problems;
}

function checkEnergy(world: World): void {
  const { record } = world.meter!.running;
  const truth = world.truthMicroWh() - world.allowed.hiddenMicroWh;
  const second = (MOST_MILLI_W * 1000) / 3600;
  const most = truth / 10_000 + world.allowed.lostMicroWh + second;
  const difference = record.energyMicroWh - truth;
  if (Math.abs(difference) > most) world.amiss(`energy: ${difference} µWh off, at most ${most}`);
}

function checkBytes(world: World): void {
  const { wanInBytes, wanOutBytes } = world.meter!.running.record;
  const { atLeast, atMost } = world.home.truth();
  const within = (got: number, least: number, most: number): boolean => got >= least && got <= most;
  if (!within(wanInBytes, atLeast.inBytes, atMost.inBytes)) {
    world.amiss(`bytes in: ${wanInBytes}, expected ${atLeast.inBytes} to ${atMost.inBytes}`);
  }
  if (!within(wanOutBytes, atLeast.outBytes, atMost.outBytes)) {
    world.amiss(`bytes out: ${wanOutBytes}, expected ${atLeast.outBytes} to ${atMost.outBytes}`);
  }
}

/** The meter's three durations are its time with power; the ledger's, all the time there was. */
async function checkTime(world: World): Promise<void> {
  const { upS, downS, unknownS } = world.meter!.running.record;
  const poweredS = world.poweredSoFarMs() / 1000;
  const missingS = poweredS - upS - downS - unknownS;
  if (missingS < 0 || missingS > 2 * world.counts.cuts + 2) {
    world.amiss(`the meter counted ${missingS} s less than it had power`);
  }
  const { enrolled, measured } = await world.commons.node();
  const nowMs = world.timeline.nowMs() + world.commons.skewMs;
  const wallS = Math.floor(nowMs / 1000) - Date.parse(enrolled) / 1000;
  const sumS = measured.up_s + measured.down_s + measured.unknown_s;
  if (sumS !== wallS) world.amiss(`up, down and unknown are ${sumS} s of ${wallS}`);
}

function checkFlags(world: World, expected: Expected[]): void {
  const { records } = world.commons;
  for (const { what, firstSeq, lastSeq } of expected) {
    const within = records.filter((one) => one.lastSeq >= firstSeq && one.firstSeq <= lastSeq);
    const has = within.some(({ flags }) => Math.floor(flags / FLAG[what]) % 2 === 1);
    if (!has) world.amiss(`no ${what} in records ${firstSeq} to ${lastSeq}`);
  }
}

function figuresOf(world: World): Record<string, number> {
  const { counts, commons } = world;
  const hashes = new Set(commons.judged.map(({ bytes }) => world.digest(bytes).toString('hex')));
  return {
    ...counts,
    joins: world.place.joins,
    records: commons.records.length,
    batches: hashes.size,
    posts: commons.judged.length,
    bodyBytes: commons.bodyBytes,
    keys: commons.keys.length,
    energyMicroWh: commons.records.at(-1)?.energyMicroWh ?? 0,
    merged: commons.records.filter(({ flags }) => Math.floor(flags / FLAG.merged) % 2 === 1).length,
  };
}
