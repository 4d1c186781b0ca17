// The tables that questions are answered from, and the rows as TypeScript sees them. They hold what
// anybody could compute from the log's public files, and one batch a meter that is not due yet;
// never a name, never a key. Dropped and grown again when the layout's version changes.

import type { DatabaseSync } from 'node:sqlite';
import type { IntervalRecord } from '../../firmware/wire.ts';
import type { Publish } from '../publish.ts';
import type { Price } from '../verify/price.ts';
import { COUNTERS } from './curve.ts';
import type { Counters, Within } from './curve.ts';

/** Raised with every change of layout: `ledger rebuild` then grows the tables from the log. */
export const PROJECTION_VERSION = 5;

/** A clock set anew moves by less; a meter without power stands still for longer. */
export const PAUSE_TOLERANCE_S = 30;

/** Where a record's time comes from. */
export type TimeSource =
  /** The meter's own clock, set by an acknowledgement. */
  | 'meter'
  /** Counted back from a later record of the same boot. */
  | 'boot'
  /** Only known to lie before the batch was received. */
  | 'receipt';

export interface MeterRow {
  id: number;
  /** 16 hex digits. */
  meter: string;
  enrolledIndex: number;
  enrolledMs: number;
  publish: Publish;
  assurance: string;
  intervalS: number;
  /** Power at the node's plug over power at the wall, in thousandths. */
  supplyEfficiencyPermille: number;
  calibration: string;
  revokedMs: number | null;
  retiredMs: number | null;
  batches: number;
  /** Batches that were due for publication and could not be read. */
  missingBatches: number;
  lastReceivedMs: number | null;
  lastIndex: number | null;
  lastSeq: number | null;
  /** When the node's account begins: its enrolment, or its first record if that is older. */
  lifeS: number;
  /** The last two published records, packed (block.ts); none before the first. */
  latest: Uint8Array | null;
}

/** One published interval record, placed in time: it covers `startS` (exclusive) to `atS`. */
export interface RecordRow extends IntervalRecord {
  startS: number;
  atS: number;
  timeSource: TimeSource;
  /** How long the meter stood without power between the record before and this one's end. */
  stoodS: number;
  receivedS: number;
  entryIndex: number;
}

/** What the meter itself says that it lost, between the records around it. */
export interface GapRow {
  firstSeq: number;
  lastSeq: number;
  startS: number;
  endS: number;
}

/** A meter's UTC day: its counters as the day ends, whole, and what its records say of it. */
export interface DayRow extends Counters, Within {
  day: number;
  /** How many records end in it. */
  records: number;
}

/** What all meters' counters rose by in a UTC day. */
export interface TotalRow extends Counters {
  day: number;
  /** Meters that ran in it. */
  meters: number;
}

/** The log's newest entry, and the first month that is still open; nulls before any entry. */
export interface LogRow {
  nextIndex: number;
  asOfMs: number | null;
  month: string | null;
  startS: number | null;
  zone: string | null;
  closesMs: number | null;
}

export interface PriceRow extends Omit<Price, 'hash' | 'volunteerKey'> {
  index: number;
  receivedMs: number;
}

/** A month that an entry has closed. */
export interface MonthRow {
  month: string;
  startS: number;
  endS: number;
  zone: string;
  closedIndex: number;
  closedMs: number;
}

export const DAY_S = 86_400;

/**
 * What sums over meters are bounded to when they are read. No honest ones come near; a few nodes
 * that lie about their traffic add up to more than a number here, or even SQLite's, can hold.
 */
export const MOST_SUM = Number.MAX_SAFE_INTEGER;

/** Such a sum in SQL; exact within the bound. */
export function boundedSum(expression: string): string {
  return `CAST(max(-${MOST_SUM}, min(${MOST_SUM}, ${expression})) AS INTEGER)`;
}

/** The UTC day that a record belongs to, by its end: one that ends at midnight, to the day before. */
export function dayOf(atS: number): number {
  return Math.floor((atS - 1) / DAY_S);
}

/**
 * Where a meter's day lies in the blocks: days first, so that what arrives today is written side by
 * side. A million meters have room.
 */
export function blockId(day: number, meterRow: number): number {
  return day * 2 ** 20 + meterRow;
}

const COUNTER_COLUMNS = COUNTERS.map((name) => `${name} INTEGER NOT NULL`).join(', ');

const TABLES = `
  CREATE TABLE projection (
    version INTEGER NOT NULL, nextIndex INTEGER NOT NULL, asOfMs INTEGER,
    month TEXT, startS INTEGER, zone TEXT, closesMs INTEGER
  ) STRICT;
  CREATE TABLE meter (
    id INTEGER PRIMARY KEY, meter TEXT NOT NULL UNIQUE,
    enrolledIndex INTEGER NOT NULL, enrolledMs INTEGER NOT NULL,
    publish INTEGER NOT NULL, assurance TEXT NOT NULL, intervalS INTEGER NOT NULL,
    supplyEfficiencyPermille INTEGER NOT NULL, calibration TEXT NOT NULL,
    revokedMs INTEGER, retiredMs INTEGER, batches INTEGER NOT NULL DEFAULT 0,
    missingBatches INTEGER NOT NULL DEFAULT 0,
    lastReceivedMs INTEGER, lastIndex INTEGER, lastSeq INTEGER,
    lifeS INTEGER NOT NULL, latest BLOB
  ) STRICT;
  CREATE TABLE block (id INTEGER PRIMARY KEY, records BLOB NOT NULL) STRICT;
  CREATE TABLE day (
    meterRow INTEGER NOT NULL REFERENCES meter, day INTEGER NOT NULL,
    records INTEGER NOT NULL, ${COUNTER_COLUMNS}, coveredS INTEGER NOT NULL,
    minMilliW INTEGER, maxMilliW INTEGER, diskUsedBytes INTEGER,
    PRIMARY KEY (meterRow, day)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE total (day INTEGER PRIMARY KEY, meters INTEGER NOT NULL, ${COUNTER_COLUMNS}) STRICT;
  CREATE TABLE pause (
    meterRow INTEGER NOT NULL REFERENCES meter, lastSeq INTEGER NOT NULL,
    startS INTEGER NOT NULL, endS INTEGER NOT NULL, PRIMARY KEY (meterRow, lastSeq)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE gap (
    meterRow INTEGER NOT NULL REFERENCES meter, lastSeq INTEGER NOT NULL,
    firstSeq INTEGER NOT NULL, startS INTEGER NOT NULL, endS INTEGER NOT NULL,
    PRIMARY KEY (meterRow, lastSeq)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE waiting (
    meterRow INTEGER PRIMARY KEY REFERENCES meter, entryIndex INTEGER NOT NULL,
    receivedMs INTEGER NOT NULL, publish INTEGER NOT NULL, blob BLOB
  ) STRICT;
  CREATE TABLE volunteer (
    key TEXT PRIMARY KEY, entryIndex INTEGER NOT NULL, admittedMs INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE price (
    entryIndex INTEGER PRIMARY KEY, receivedMs INTEGER NOT NULL, currency TEXT NOT NULL,
    milliMinorPerKWh INTEGER NOT NULL, validFrom TEXT NOT NULL, zone TEXT NOT NULL,
    fromS INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE month (
    month TEXT PRIMARY KEY, startS INTEGER NOT NULL, endS INTEGER NOT NULL, zone TEXT NOT NULL,
    closedIndex INTEGER NOT NULL, closedMs INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE bill (
    month TEXT NOT NULL REFERENCES month, meterRow INTEGER NOT NULL REFERENCES meter,
    wallS INTEGER NOT NULL, upS INTEGER NOT NULL, downS INTEGER NOT NULL,
    energyMicroWh INTEGER, wanInBytes INTEGER, wanOutBytes INTEGER,
    lateUpS INTEGER NOT NULL, lateDownS INTEGER NOT NULL, lateEnergyMicroWh INTEGER NOT NULL,
    lateWanInBytes INTEGER NOT NULL, lateWanOutBytes INTEGER NOT NULL,
    costMinor INTEGER, lateMinor INTEGER NOT NULL, PRIMARY KEY (month, meterRow)
  ) STRICT, WITHOUT ROWID;
  CREATE INDEX billByMeter ON bill (meterRow, costMinor);
  CREATE TABLE account (
    meterRow INTEGER PRIMARY KEY REFERENCES meter, told TEXT NOT NULL, toldMinor INTEGER NOT NULL,
    settledS INTEGER, settled TEXT, weighed TEXT
  ) STRICT;
`;

/** Every table; those of earlier layouts too, to be dropped. */
const NAMES = [
  'account', 'bill', 'month', 'price', 'volunteer', 'waiting', 'gap', 'pause', 'total', 'day', 'block',
  'record', 'meter', 'projection',
];

/**
 * Makes the tables, or keeps those of the current version. Tables of another version are dropped:
 * they then want every entry again from index 0, which {@link nextIndex} says.
 */
export function createProjections(db: DatabaseSync): void {
  if (versionOf(db) === PROJECTION_VERSION) return;
  for (const name of NAMES) db.exec(`DROP TABLE IF EXISTS ${name}`);
  db.exec(TABLES);
  db.prepare('INSERT INTO projection (version, nextIndex) VALUES (?, 0)').run(PROJECTION_VERSION);
}

/** Has {@link createProjections} drop the tables, overwriting them, and make them anew. */
export function forgetProjections(db: DatabaseSync): void {
  db.exec('PRAGMA secure_delete = ON; UPDATE projection SET version = 0');
}

/** The index of the log entry that the projections want next. */
export function nextIndex(db: DatabaseSync): number {
  return (db.prepare('SELECT nextIndex FROM projection').get() as { nextIndex: number }).nextIndex;
}

function versionOf(db: DatabaseSync): number | null {
  const table = db
    .prepare(`SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'projection'`)
    .get();
  if (table === undefined) return null;
  return (db.prepare('SELECT version FROM projection').get() as { version: number }).version;
}
