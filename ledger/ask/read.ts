// Reads the projections: prepared statements and the rows that they give, nothing derived. Every
// read is bounded by its caller's window or limit.

import type { DatabaseSync } from 'node:sqlite';
import { unpackRecords } from './block.ts';
import { openBook, prepareBook } from './book.ts';
import type { Book } from './book.ts';
import { COUNTERS } from './curve.ts';
import type { Span } from './curve.ts';
import { boundedSum, dayOf, nextIndex } from './schema.ts';
import type { GapRow, MeterRow, RecordRow, TotalRow } from './schema.ts';

export interface Reader {
  /** Enrolled meters by id, after the one named (or from the first). */
  meters(afterId: string, limit: number): MeterRow[];
  meter(id: string): MeterRow | null;
  countMeters(): number;
  /** A meter's records, for one question. */
  book(meter: MeterRow): Book;
  /** At most so many records touch the window: whole days are counted. */
  countRecords(meter: MeterRow, fromS: number, toS: number): number;
  /** The last two published records. */
  lastRecords(meter: MeterRow): RecordRow[];
  gaps(meter: MeterRow, limit: number): GapRow[];
  /** Times in which the meter had no power, latest first. */
  pauses(meter: MeterRow, limit: number): Span[];
  /** What all meters rose by in the UTC days `fromDay` … `toDay` (exclusive), where any did. */
  totals(fromDay: number, toDay: number): TotalRow[];
  /** The log entry that the projections want next: changes with every answer that may change. */
  nextIndex(): number;
}

export function createReader(db: DatabaseSync): Reader {
  const sql = prepareAll(db);
  const books = prepareBook(db);
  return {
    meters: (afterId, limit) => sql.meters.all(afterId, limit) as unknown as MeterRow[],
    meter: (id) => (sql.meter.get(id) as unknown as MeterRow | undefined) ?? null,
    countMeters: () => (sql.countMeters.get() as { count: number }).count,
    book: (meter) => openBook(books, meter),
    countRecords(meter, fromS, toS) {
      const row = sql.countRecords.get(meter.id, dayOf(fromS + 1), dayOf(toS));
      return (row as { count: number }).count + 1;
    },
    lastRecords: ({ latest }) => (latest === null ? [] : unpackRecords(latest)),
    gaps: (meter, limit) => sql.gaps.all(meter.id, limit) as unknown as GapRow[],
    pauses: (meter, limit) => sql.pauses.all(meter.id, limit) as unknown as Span[],
    totals: (fromDay, toDay) => sql.totals.all(fromDay, toDay) as unknown as TotalRow[],
    nextIndex: () => nextIndex(db),
  };
}

function prepareAll(db: DatabaseSync) {
  return {
    meters: db.prepare('SELECT * FROM meter WHERE meter > ? ORDER BY meter LIMIT ?'),
    meter: db.prepare('SELECT * FROM meter WHERE meter = ?'),
    countMeters: db.prepare('SELECT count(*) AS count FROM meter'),
    countRecords: db.prepare(
      `SELECT coalesce(sum(records), 0) AS count FROM day
       WHERE meterRow = ? AND day BETWEEN ? AND ?`,
    ),
    gaps: db.prepare(
      `SELECT firstSeq, lastSeq, startS, endS FROM gap
       WHERE meterRow = ? ORDER BY lastSeq DESC LIMIT ?`,
    ),
    pauses: db.prepare(
      'SELECT startS, endS FROM pause WHERE meterRow = ? ORDER BY lastSeq DESC LIMIT ?',
    ),
    totals: db.prepare(
      `SELECT day, meters, ${COUNTERS.map((name) => `${boundedSum(name)} AS ${name}`).join(', ')}
       FROM total WHERE day >= ? AND day < ? ORDER BY day`,
    ),
  };
}
