// One meter's records as one question needs them: blocks are unpacked when they are first looked
// into, and remembered until the question is answered. Whole days are told from their sums, without
// any block.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { unpackRecords } from './block.ts';
import {
  COUNTERS, countersAt, countersOf, NOTHING_WITHIN, zeroMark, zeros,
} from './curve.ts';
import type { Counters, Mark, Span, Within } from './curve.ts';
import { blockId, DAY_S, dayOf } from './schema.ts';
import type { DayRow, MeterRow, RecordRow } from './schema.ts';

export interface Book {
  /** The counters at a moment, as far as the marks on both sides tell. */
  countersAt(atS: number): Counters;
  /** Records whose interval touches a span, oldest first. */
  touching(span: Span): RecordRow[];
  /** What the records in a span say of it. */
  within(span: Span): Within;
  /** The first mark at which a rising sum of counters already stood where it stands in `last`. */
  firstOfLatest(last: RecordRow, sum: (counters: Counters) => number): Mark;
}

export interface BookStatements {
  block: StatementSync;
  blockDayBefore: StatementSync;
  blockDayAfter: StatementSync;
  blockDays: StatementSync;
  dayBefore: StatementSync;
  opening: StatementSync;
  days: StatementSync;
  daysBack: StatementSync;
}

export function prepareBook(db: DatabaseSync): BookStatements {
  const day = (columns: string, rest: string): StatementSync =>
    db.prepare(`SELECT ${columns} FROM day WHERE meterRow = ? AND ${rest}`);
  return {
    block: db.prepare('SELECT records FROM block WHERE id = ?'),
    blockDayBefore: day('max(day) AS day', 'day < ? AND records > 0'),
    blockDayAfter: day('min(day) AS day', 'day > ? AND records > 0'),
    blockDays: day('day', 'day BETWEEN ? AND ? AND records > 0 ORDER BY day'),
    dayBefore: day(COUNTERS.join(', '), 'day < ? ORDER BY day DESC LIMIT 1'),
    opening: day(COUNTERS.join(', '), 'true ORDER BY day LIMIT 1'),
    days: day('*', 'day >= ? AND day < ? ORDER BY day'),
    daysBack: day('*', 'day < ? ORDER BY day DESC'),
  };
}

/** Blocks that a question remembers: a day and its neighbours, and some. */
const MOST_BLOCKS = 8;

export function openBook(sql: BookStatements, meter: MeterRow): Book {
  const opened = new Map<number, RecordRow[]>();
  const block = (day: number): RecordRow[] => {
    const known = opened.get(day);
    if (known !== undefined) return known;
    if (opened.size >= MOST_BLOCKS) opened.clear();
    const records = readBlock(sql.block, day, meter.id);
    opened.set(day, records);
    return records;
  };
  const dayFrom = (statement: StatementSync, day: number): number | null =>
    (statement.get(meter.id, day) as { day: number | null }).day;
  const latest = meter.latest === null ? null : unpackRecords(meter.latest).at(-1)!;

  const markUntil = (atS: number): Mark => {
    const day = dayOf(atS);
    const found = block(day).findLast((record) => record.atS <= atS);
    if (found !== undefined) return found;
    const before = dayFrom(sql.blockDayBefore, day);
    return before === null ? zeroMark(meter.lifeS) : block(before).at(-1)!;
  };
  const markAfter = (atS: number): Mark | undefined => {
    const day = dayOf(atS);
    const found = block(day).find((record) => record.atS > atS);
    if (found !== undefined) return found;
    const after = dayFrom(sql.blockDayAfter, day);
    return after === null ? undefined : block(after)[0];
  };
  const touching = ({ startS, endS }: Span): RecordRow[] => {
    const [from, to] = [dayOf(startS + 1), dayOf(endS)];
    const days = (sql.blockDays.all(meter.id, from, to) as { day: number }[]).map(({ day }) => day);
    const records = days.flatMap(block);
    if ((records.at(-1)?.atS ?? 0) < endS) {
      const after = dayFrom(sql.blockDayAfter, to);
      if (after !== null) records.push(...block(after));
    }
    return records.filter((record) => record.atS > startS && record.startS < endS);
  };
  return {
    touching,
    countersAt(atS) {
      if (latest === null || atS < meter.lifeS) return zeros();
      if (atS >= latest.atS) return countersOf(latest);
      if (atS === meter.lifeS) return sql.opening.get(meter.id) as unknown as Counters;
      if (atS % DAY_S === 0) {
        const row = sql.dayBefore.get(meter.id, atS / DAY_S) as Counters | undefined;
        return row ?? zeros();
      }
      const after = markAfter(atS);
      return countersAt([markUntil(atS), ...(after === undefined ? [] : [after])], atS);
    },
    within(span) {
      if (span.startS % DAY_S !== 0 || span.endS % DAY_S !== 0) {
        return withinOf(touching(span), span);
      }
      const days = sql.days.all(meter.id, span.startS / DAY_S, span.endS / DAY_S);
      return (days as unknown as DayRow[]).reduce(joined, NOTHING_WITHIN);
    },
    firstOfLatest(last, sum) {
      const goal = sum(last);
      if (goal === 0) return zeroMark(meter.lifeS);
      let fromDay = dayOf(meter.lifeS + 1);
      for (const row of sql.daysBack.iterate(meter.id, dayOf(last.atS) + 1)) {
        const day = row as unknown as DayRow;
        if (sum(day) === goal) continue;
        fromDay = day.day;
        break;
      }
      for (const { day } of sql.blockDays.iterate(meter.id, fromDay, dayOf(last.atS))) {
        const mark = block(day as number).find((record) => sum(record) === goal);
        if (mark !== undefined) return mark;
      }
      return last;
    },
  };
}

export function readBlock(statement: StatementSync, day: number, meterRow: number): RecordRow[] {
  const row = statement.get(blockId(day, meterRow));
  return row === undefined ? [] : unpackRecords(row.records as Uint8Array);
}

/** What records that touch a span say of it; one without length has no extremes of its own. */
export function withinOf(records: readonly RecordRow[], { startS, endS }: Span): Within {
  let within = NOTHING_WITHIN;
  for (const record of records) {
    const coveredS = Math.min(record.atS, endS) - Math.max(record.startS, startS);
    const { diskUsedBytes } = record;
    const hasLength = record.startS < record.atS;
    const [minMilliW, maxMilliW] = hasLength ? [record.minMilliW, record.maxMilliW] : [null, null];
    within = joined(within, { coveredS, minMilliW, maxMilliW, diskUsedBytes });
  }
  return within;
}

function joined(one: Within, next: Within): Within {
  return {
    coveredS: one.coveredS + next.coveredS,
    minMilliW: least(one.minMilliW, next.minMilliW),
    maxMilliW: greatest(one.maxMilliW, next.maxMilliW),
    diskUsedBytes: next.diskUsedBytes ?? one.diskUsedBytes,
  };
}

function least(one: number | null, other: number | null): number | null {
  return one === null || other === null ? one ?? other : Math.min(one, other);
}

function greatest(one: number | null, other: number | null): number | null {
  return one === null || other === null ? one ?? other : Math.max(one, other);
}
