// Writes a meter's newest records into its days: the packed block, the counters at each day's end,
// and what all meters together rose by. Records come placed, and replace whatever stood after the
// record before them: a boot that learns the time late moves its records, and its sums with them.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { packRecords, unpackRecords } from './block.ts';
import { readBlock, withinOf } from './book.ts';
import {
  COUNTERS, countersAt, countersOf, meterTimeS, NOTHING_WITHIN, pauseBetween, reachIn,
  riseBetween, rounded, zeroMark, zeros,
} from './curve.ts';
import type { Counters, Mark } from './curve.ts';
import { isLoose } from './place.ts';
import { oncePer } from './once.ts';
import { blockId, DAY_S, dayOf, PAUSE_TOLERANCE_S } from './schema.ts';
import type { DayRow, GapRow, MeterRow, RecordRow, TotalRow } from './schema.ts';

/** A meter's latest records, and the one before those that may still find a better place. */
export interface Tail {
  before: RecordRow | null;
  loose: RecordRow[];
}

/** Two full batches: the first acknowledgement sets the clock, so that more never wait. */
const MOST_LOOSE = 194;

/** Where the meter's records end; loose are those whose time a record of boot `bootId` may tell. */
export function readTail(db: DatabaseSync, meter: MeterRow, bootId: number): Tail {
  const latest = meter.latest === null ? [] : unpackRecords(meter.latest);
  const isOpen = (record: RecordRow): boolean => isLoose(record) && record.bootId === bootId;
  const last = latest.at(-1);
  if (last === undefined || !isOpen(last)) return { before: last ?? null, loose: [] };
  const sql = statementsOf(db);
  const records: RecordRow[] = [];
  for (let day: number | null = dayOf(last.atS); day !== null;) {
    records.unshift(...readBlock(sql.block, day, meter.id));
    if (records.length > MOST_LOOSE || !isOpen(records[0])) break;
    day = (sql.blockDayBefore.get(meter.id, day) as { day: number | null }).day;
  }
  const from = Math.max(
    records.length - MOST_LOOSE, records.findLastIndex((record) => !isOpen(record)) + 1,
  );
  return { before: records[from - 1] ?? null, loose: records.slice(from) };
}

/** Puts `placed` after `before`, in place of whatever stood there. */
export function putTail(
  db: DatabaseSync, meter: MeterRow, before: RecordRow | null, placed: RecordRow[],
): void {
  const sql = statementsOf(db);
  const lifeS = before === null ? startOfLife(meter, placed) : meter.lifeS;
  const firstDay = before === null ? 0 : dayOf(before.atS);
  const kept = before === null
    ? []
    : readBlock(sql.block, firstDay, meter.id).filter(({ lastSeq }) => lastSeq <= before.lastSeq);
  const records = [...kept, ...placed];
  const old = sql.daysFrom.all(meter.id, firstDay) as unknown as DayRow[];
  const opening = before === null
    ? openingOf(lifeS, placed[0])
    : sql.dayBefore.get(meter.id, firstDay) as unknown as DayRow;
  const days = daysOf(before ?? zeroMark(lifeS), { kept, placed, opening });
  const fresh = before === null ? [opening, ...days] : days;

  if (old.length > 0) sql.dropDays.run(meter.id, firstDay);
  for (const { day, records: count } of old) {
    const isGone = !fresh.some((row) => row.day === day && row.records > 0);
    if (count > 0 && isGone) sql.dropBlock.run(blockId(day, meter.id));
  }
  for (const row of fresh) {
    sql.putDay.run(
      meter.id, row.day, row.records, ...COUNTERS.map((name) => row[name]), row.coveredS,
      row.minMilliW, row.maxMilliW, row.diskUsedBytes,
    );
    if (row.records === 0) continue;
    const own = records.filter(({ atS }) => dayOf(atS) === row.day);
    sql.putBlock.run(blockId(row.day, meter.id), packRecords(own));
  }
  const from = before === null ? [] : [opening];
  addTotals(sql, changesOf(
    { rows: [...from, ...old], lifeS: meter.lifeS }, { rows: [...from, ...fresh], lifeS },
  ));
  putPauses(sql, meter, before, placed);
  const latest = [...(before === null ? [] : [before]), ...placed].slice(-2);
  sql.putLatest.run(lifeS, packRecords(latest), meter.id);
}

/** When a meter's account begins, by its first records. */
function startOfLife(meter: MeterRow, placed: RecordRow[]): number {
  return Math.min(Math.floor(meter.enrolledMs / 1000), placed[0].atS);
}

/**
 * The row before a meter's first day, from which that day rises: all at zero; or, for a meter whose
 * first record is older than its enrolment, as that record found it.
 */
function openingOf(lifeS: number, first: RecordRow): DayRow {
  const counters = first.atS > lifeS ? zeros() : countersOf(first);
  return { day: dayOf(lifeS) - 1, records: 0, ...counters, ...NOTHING_WITHIN };
}

/** The days from a mark to the last record's, but for those in which nothing changed. */
function daysOf(
  first: Mark,
  { kept, placed, opening }: { kept: RecordRow[]; placed: RecordRow[]; opening: Counters },
): DayRow[] {
  const marks = [first, ...placed];
  const records = [...kept, ...placed];
  const lastDay = dayOf(placed[placed.length - 1].atS);
  const days: DayRow[] = [];
  let counters = opening;
  let [from, to] = [0, 0];
  for (let day = dayOf(first.atS); day <= lastDay; day++) {
    const span = { startS: day * DAY_S, endS: (day + 1) * DAY_S };
    while (records[from]?.atS <= span.startS) from++;
    while (records[to]?.atS <= span.endS) to++;
    // The record after the day's own may have begun in it.
    const touching = records.slice(from, to + 1).filter(({ startS }) => startS < span.endS);
    const atEnd = rounded(countersAt(marks, span.endS));
    const isChanged = COUNTERS.some((name) => atEnd[name] !== counters[name]);
    counters = atEnd;
    if (to === from && !isChanged) continue;
    days.push({ day, records: to - from, ...atEnd, ...withinOf(touching, span) });
  }
  return days;
}

/** A meter's days as they stood, and when its account begins. */
interface Account {
  rows: DayRow[];
  lifeS: number;
}

/** What a meter's rises changed by, day by day; the first row of each list has none of its own. */
function changesOf(old: Account, fresh: Account): TotalRow[] {
  const changes = new Map<number, TotalRow>();
  for (const [{ rows, lifeS }, sign] of [[old, -1], [fresh, 1]] as const) {
    for (let i = 1; i < rows.length; i++) {
      const { day } = rows[i];
      const ran = riseBetween(rows[i - 1], rows[i]);
      const wallS = Math.max(0, (day + 1) * DAY_S - Math.max(day * DAY_S, lifeS));
      const rose = { ...ran, ...reachIn(ran, wallS) };
      const sum = changes.get(day) ?? { day, meters: 0, ...zeros() };
      for (const name of COUNTERS) sum[name] += sign * rose[name];
      if (meterTimeS(ran) > 0) sum.meters += sign;
      changes.set(day, sum);
    }
  }
  return [...changes.values()];
}

function addTotals(sql: Statements, changes: TotalRow[]): void {
  for (const { day, meters, ...rose } of changes) {
    const parts = [meters, ...COUNTERS.map((name) => rose[name])];
    if (parts.every((part) => part === 0)) continue;
    sql.addTotal.run(day, ...parts);
    if (meters < 0) sql.dropEmptyTotal.run(day);
  }
}

/** Times without power between the records, latest ones replaced. */
function putPauses(
  sql: Statements, meter: MeterRow, before: RecordRow | null, placed: RecordRow[],
): void {
  sql.dropPauses.run(meter.id, placed[0].lastSeq);
  let last = before;
  for (const record of placed) {
    const pause = last === null || record.stoodS <= PAUSE_TOLERANCE_S
      ? null
      : pauseBetween(last, record);
    if (pause !== null) sql.putPause.run(meter.id, record.lastSeq, pause.startS, pause.endS);
    last = record;
  }
}

/** Puts what a batch declares lost, and places anew what stands among records that moved. */
export function putGaps(
  db: DatabaseSync, meter: MeterRow,
  { gaps, before, placed }: {
    gaps: readonly { firstSeq: number; lastSeq: number }[];
    before: RecordRow | null;
    placed: RecordRow[];
  },
): void {
  const sql = statementsOf(db);
  const moved = sql.gapsFrom.all(meter.id, placed[0].firstSeq) as unknown as GapRow[];
  const lifeS = before === null ? startOfLife(meter, placed) : meter.lifeS;
  const records = before === null ? placed : [before, ...placed];
  for (const { firstSeq, lastSeq } of [...moved, ...gaps]) {
    const startS = records.findLast((record) => record.lastSeq < firstSeq)?.atS ?? lifeS;
    const endS = records.find((record) => record.firstSeq > lastSeq)?.startS ?? startS;
    sql.putGap.run(meter.id, lastSeq, firstSeq, startS, endS);
  }
}

function prepareAll(db: DatabaseSync) {
  const marks = (count: number): string => new Array(count).fill('?').join(', ');
  // Within SQLite's integers, whatever meters claim; see MOST_SUM.
  const added = ['meters', ...COUNTERS].map((name) =>
    `${name} = max(-${MOST_KEPT}, min(${MOST_KEPT}, ${name} + excluded.${name}))`);
  return {
    block: db.prepare('SELECT records FROM block WHERE id = ?'),
    blockDayBefore: db.prepare(
      'SELECT max(day) AS day FROM day WHERE meterRow = ? AND day < ? AND records > 0',
    ),
    daysFrom: db.prepare('SELECT * FROM day WHERE meterRow = ? AND day >= ? ORDER BY day'),
    dayBefore: db.prepare(
      'SELECT * FROM day WHERE meterRow = ? AND day < ? ORDER BY day DESC LIMIT 1',
    ),
    dropDays: db.prepare('DELETE FROM day WHERE meterRow = ? AND day >= ?'),
    dropBlock: db.prepare('DELETE FROM block WHERE id = ?'),
    putDay: db.prepare(
      `INSERT INTO day (meterRow, day, records, ${COUNTERS.join(', ')}, coveredS, minMilliW,
         maxMilliW, diskUsedBytes) VALUES (${marks(COUNTERS.length + 7)})`,
    ),
    putBlock: db.prepare('INSERT OR REPLACE INTO block (id, records) VALUES (?, ?)'),
    addTotal: db.prepare(
      `INSERT INTO total (day, meters, ${COUNTERS.join(', ')})
       VALUES (${marks(COUNTERS.length + 2)}) ON CONFLICT DO UPDATE SET ${added.join(', ')}`,
    ),
    dropEmptyTotal: db.prepare(
      `DELETE FROM total WHERE day = ? AND meters = 0
         AND ${COUNTERS.map((name) => `${name} = 0`).join(' AND ')}`,
    ),
    dropPauses: db.prepare('DELETE FROM pause WHERE meterRow = ? AND lastSeq >= ?'),
    putPause: db.prepare(
      'INSERT INTO pause (meterRow, lastSeq, startS, endS) VALUES (?, ?, ?, ?)',
    ),
    gapsFrom: db.prepare(
      'SELECT firstSeq, lastSeq FROM gap WHERE meterRow = ? AND lastSeq >= ? ORDER BY lastSeq',
    ),
    putGap: db.prepare(
      `INSERT OR REPLACE INTO gap (meterRow, lastSeq, firstSeq, startS, endS)
       VALUES (?, ?, ?, ?, ?)`,
    ),
    putLatest: db.prepare('UPDATE meter SET lifeS = ?, latest = ? WHERE id = ?'),
  } satisfies Record<string, StatementSync>;
}

/** 2^62: one more claim, of 2^51 at most, is still an integer. */
const MOST_KEPT = 2n ** 62n;

type Statements = ReturnType<typeof prepareAll>;

const statementsOf = oncePer(prepareAll);
