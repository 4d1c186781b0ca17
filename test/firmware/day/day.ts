// A simulated day of one meter in its machine: the bytecode that boards run, on chips at register
// level, with real sockets to a home and to the project's whole ledger. Time runs as fast as the
// machine computes, and as slowly as the world's while a connection is open. Unlike the year on
// Node, no two days of a seed are the same: sockets and processes have a chance of their own.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { auditLedger } from '../../helpers/ledger-folder.ts';
import { checkReports } from '../year/commons.ts';
import { MOST_MILLI_W } from '../year/home.ts';
import { startWeather, type Expected } from './weather.ts';
import { openDayWorld, START_MS, TIMES, type DayWorld } from './world.ts';

const { FLAG } = await import('../../../firmware/wire.ts');

const HOUR_MS = 3_600_000;
/** What a lost second can cost. */
const SECOND_MICRO_WH = (MOST_MILLI_W * 1000) / 3600;

export interface DayOptions {
  seed: number;
  hours: number;
  tell?: (line: string) => void;
}

export interface Day {
  /** What must not be: empty on a good day. */
  problems: string[];
  /** How often each fault came. */
  came: Record<string, number>;
  figures: Record<string, number>;
}

export async function runDay({ seed, hours, tell }: DayOptions): Promise<Day> {
  const dir = mkdtempSync(join(tmpdir(), 'meter-day-'));
  const world = await openDayWorld({ seed, dir, tell });
  try {
    world.powerOn();
    await world.pair();
    const endMs = START_MS + hours * HOUR_MS;
    const { came, expected } = startWeather(world, endMs);
    // An hour of calm: everything is reported.
    await new Promise<void>((resolve) => world.at(endMs + HOUR_MS, resolve));
    await reckon(world, expected);
    const { problems, commons } = world;
    return { problems, came: { ...came, ...commons.answered }, figures: figuresOf(world) };
  } finally {
    await world.close();
    rmSync(dir, { recursive: true });
  }
}

async function reckon(world: DayWorld, expected: Expected[]): Promise<void> {
  const { commons, boot } = world;
  const last = commons.records.at(-1);
  if (last === undefined) return world.amiss('the ledger has no record');
  const reportedMs = boot.startMs + last.uptimeS * 1000;
  if (last.bootId !== boot.id) world.amiss(`the last record is of boot ${last.bootId}`);
  if (world.nowMs() - reportedMs > 1.5 * TIMES.batchS * 1000) world.amiss('not all is reported');
  checkReports(commons, (what) => world.amiss(what));
  checkEnergy(world, last.energyMicroWh, reportedMs);
  checkBytes(world, { inBytes: last.wanInBytes, outBytes: last.wanOutBytes });
  await checkTime(world);
  checkFlags(world, expected);
  const report = await auditLedger(commons.ledger);
  if (!report.ok) world.amiss(`the audit: ${JSON.stringify(report).slice(0, 300)}`);
}

function checkEnergy(world: DayWorld, gotMicroWh: number, atMs: number): void {
  const { meter, hidden, cuts } = world;
  const truth = meter.truth().energyMicroWhAt(atMs) - hidden.microWh;
  const most = truth / 10_000 + (2 * cuts + 1) * SECOND_MICRO_WH + hidden.blurMicroWh;
  const difference = gotMicroWh - truth;
  if (Math.abs(difference) > most) world.amiss(`energy: ${difference} µWh off, at most ${most}`);
}

/** Nobody has called in the calm: the last record has all that there was. */
function checkBytes(world: DayWorld, got: { inBytes: number; outBytes: number }): void {
  const { atLeast, atMost } = world.home.truth();
  for (const way of ['inBytes', 'outBytes'] as const) {
    if (got[way] >= atLeast[way] && got[way] <= atMost[way]) continue;
    world.amiss(`${way}: ${got[way]}, expected ${atLeast[way]} to ${atMost[way]}`);
  }
}

async function checkTime(world: DayWorld): Promise<void> {
  const ledgerS = (): number => Math.floor((world.nowMs() + world.commons.skewMs) / 1000);
  const askedS = ledgerS();
  const { enrolled, measured } = await world.commons.node();
  // The meter's time goes on while it is asked, by more the busier the machine is.
  const answeredS = ledgerS();
  const sumS = measured.up_s + measured.down_s + measured.unknown_s;
  const [leastS, mostS] = [askedS, answeredS].map((s) => s - Date.parse(enrolled) / 1000);
  const isWhole = sumS >= leastS - 1 && sumS <= mostS + 1;
  if (!isWhole) world.amiss(`up, down and unknown are ${sumS} s of ${leastS} to ${mostS}`);
}

function checkFlags(world: DayWorld, expected: Expected[]): void {
  for (const { what, bootId, uptimeS } of expected) {
    const has = world.commons.records.some((record) =>
      record.bootId === bootId && record.uptimeS >= uptimeS
      && record.uptimeS <= uptimeS + 2 * TIMES.intervalS
      && Math.floor(record.flags / FLAG[what]) % 2 === 1);
    if (!has) world.amiss(`no ${what} in boot ${bootId} around ${uptimeS} s`);
  }
}

function figuresOf({ commons, cuts }: DayWorld): Record<string, number> {
  const { records, judged, bodyBytes, keys } = commons;
  const energyMicroWh = records.at(-1)?.energyMicroWh ?? 0;
  const counts = { cuts, records: records.length, posts: judged.length, keys: keys.length };
  return { ...counts, bodyBytes, energyMicroWh };
}
