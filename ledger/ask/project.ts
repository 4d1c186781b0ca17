// Grows the projections: what each log entry adds to the tables of schema.ts. Entries come in the
// order of their index, each once; one that was applied already changes nothing. Runs inside the
// caller's transaction, so that log and projections never disagree on disk. Keeps no names and no
// keys, and shows nothing before it is due: rebuilt from the log it comes out the same.

import type { DatabaseSync, StatementSync } from 'node:sqlite';
import { decodePayload, decodeSign1 } from '../../firmware/wire.ts';
import type { BatchPayload } from '../../firmware/wire.ts';
import type { BatchEntry, Entry, EntryOf } from '../entry.ts';
import { isBatch } from '../entry.ts';
import { LedgerError } from '../errors.ts';
import type { Fate } from '../fate.ts';
import { closesBucket, PUBLISH } from '../publish.ts';
import type { Publish } from '../publish.ts';
import type { Enrolment } from '../verify/enrolment.ts';
import type { Price } from '../verify/price.ts';
import { closeDueMonths, setPrice } from './close.ts';
import { putGaps, putTail, readTail } from './days.ts';
import { placeRecords } from './place.ts';
import type { Unplaced } from './place.ts';
import { oncePer } from './once.ts';
import type { MeterRow } from './schema.ts';

export { createProjections, forgetProjections, nextIndex, PROJECTION_VERSION } from './schema.ts';

/** What an enrolment says of the kit, for the tables. */
export interface KitTerms {
  publish: Publish;
  assurance: string;
  intervalS: number;
  supplyEfficiencyPermille: number;
  /** As declared at enrolment; kept as JSON. */
  calibration: unknown;
}

export function termsOf(enrolment: Enrolment): KitTerms {
  const { publish, assurance, intervalS, supplyEfficiencyPermille, calibration } = enrolment;
  return { publish, assurance, intervalS, supplyEfficiencyPermille, calibration };
}

export interface Applied {
  index: number;
  entry: Entry;
  /** The batch as signed, from the public or the private store; null where it was erased. */
  blob: Uint8Array | null;
  /** With a kit's enrolment. */
  kit?: KitTerms;
  /** With a price. */
  price?: Price;
  /** What became of a batch later, by the log as it is now. */
  fate?: Fate;
}

/**
 * Adds one entry. Idempotent by index. Throws LedgerError `projection-order` for an index beyond
 * the next one, and `projection-content` for an entry that no verified log can hold.
 */
export function applyEntry(db: DatabaseSync, applied: Applied): void {
  const projected = statementsOf(db).next.get() as { nextIndex: number; closesMs: number | null };
  const { nextIndex: expected, closesMs } = projected;
  if (applied.index < expected) return;
  if (applied.index > expected) {
    throw new LedgerError({
      code: 'projection-order', message: 'Projections must be grown entry by entry',
      expected: `entry ${expected}`, got: `entry ${applied.index}`,
      hint: 'Run `ledger rebuild`.',
    });
  }
  const { entry } = applied;
  // First: what closes a month does not belong to it.
  if (entry.receivedMs >= (closesMs ?? 0)) closeDueMonths(db, applied.index, entry.receivedMs);
  if (entry.type === 'volunteer-admitted') admitVolunteer(db, applied.index, entry);
  else if (entry.type === 'kit-enrolled') enrolKit(db, applied.index, entry, applied.kit);
  else if (isBatch(entry)) receiveBatch(db, applied, entry);
  else if (entry.type === 'price-set') addPrice(db, applied, entry);
  else if (entry.type === 'key-revoked') revokeKey(db, entry);
  else if (entry.type === 'meter-retired') retireMeter(db, entry);
  else if (entry.type === 'publication-changed') changePublication(db, entry);
  statementsOf(db).advance.run(applied.index + 1, entry.receivedMs);
}

/** Passes over an entry that adds nothing, as an audit does where it found one that does not hold. */
export function passEntry(db: DatabaseSync, index: number, receivedMs: number): void {
  closeDueMonths(db, index, receivedMs);
  statementsOf(db).advance.run(index + 1, receivedMs);
}

/** Gives a batch that waits for its bucket's end its bytes, which were not public when it came. */
export function showHeld(
  db: DatabaseSync, { meter, index, blob }: { meter: string; index: number; blob: Uint8Array },
): void {
  db.prepare(
    `UPDATE waiting SET blob = ?
     WHERE entryIndex = ? AND meterRow = (SELECT id FROM meter WHERE meter = ?)`,
  ).run(blob, index, meter);
}

function admitVolunteer(
  db: DatabaseSync, index: number, entry: EntryOf<'volunteer-admitted'>,
): void {
  db.prepare('INSERT OR IGNORE INTO volunteer (key, entryIndex, admittedMs) VALUES (?, ?, ?)')
    .run(hexOf(entry.key), index, entry.receivedMs);
}

function enrolKit(
  db: DatabaseSync, index: number, entry: EntryOf<'kit-enrolled'>, kit: KitTerms | undefined,
): void {
  if (kit === undefined) throw contentError('the kit’s terms', 'none', index);
  db.prepare(
    `INSERT INTO meter (meter, enrolledIndex, enrolledMs, publish, assurance, intervalS,
       supplyEfficiencyPermille, calibration, lifeS) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (meter) DO NOTHING`,
  ).run(
    hexOf(entry.meterId), index, entry.receivedMs, kit.publish, kit.assurance, kit.intervalS,
    kit.supplyEfficiencyPermille, JSON.stringify(kit.calibration ?? null),
    Math.floor(entry.receivedMs / 1000),
  );
}

function receiveBatch(db: DatabaseSync, applied: Applied, entry: BatchEntry): void {
  const { blob, index, fate } = applied;
  const { receivedMs, lastSeq } = entry;
  const meter = statementsOf(db).arrive.get(receivedMs, index, lastSeq, hexOf(entry.meterId));
  if (meter === undefined) throw contentError('an enrolled meter', hexOf(entry.meterId), index);
  const { id, publish } = meter as Pick<MeterRow, 'id' | 'publish'>;
  const batch = { index, receivedMs, publish, blob };
  const isDue = fate === 'disclosed' || entry.type === 'key-succeeded' || publish === PUBLISH.batch;
  const isHeld = fate !== 'erased' && !isDue && publish !== PUBLISH.none;
  closeBucket(db, id, { next: batch, isHeld });
  if (fate !== 'erased' && isDue) publishBatch(db, id, batch);
}

function changePublication(db: DatabaseSync, entry: EntryOf<'publication-changed'>): void {
  db.prepare('UPDATE meter SET publish = ? WHERE meter = ?').run(entry.publish, hexOf(entry.meterId));
}

function addPrice(db: DatabaseSync, applied: Applied, entry: EntryOf<'price-set'>): void {
  const { price, index } = applied;
  if (price === undefined) throw contentError('the price', 'none', index);
  setPrice(db, { ...price, index, receivedMs: entry.receivedMs });
}

function retireMeter(db: DatabaseSync, entry: EntryOf<'meter-retired'>): void {
  db.prepare('UPDATE meter SET retiredMs = coalesce(retiredMs, ?) WHERE meter = ?')
    .run(entry.receivedMs, hexOf(entry.meterId));
}

function revokeKey(db: DatabaseSync, entry: EntryOf<'key-revoked'>): void {
  db.prepare('UPDATE meter SET revokedMs = coalesce(revokedMs, ?) WHERE meter = ?')
    .run(entry.receivedMs, hexOf(entry.meterId));
}

// ---------------------------------------------------------------- publication
//
// What ../publish.ts says is due is projected, and nothing else: with hourly or daily publication
// the last batch of each hour or day; all others stay withheld, and so do their records.

interface HeldBatch {
  index: number;
  receivedMs: number;
  publish: Publish;
  blob: Uint8Array | null;
}

/**
 * Publishes the batch kept before, if `next` shows that it was its bucket's last. In its place
 * `next` is kept, if it is to be, until it is known whether that is its bucket's last.
 */
function closeBucket(
  db: DatabaseSync, meterRow: number, { next, isHeld }: { next: HeldBatch; isHeld: boolean },
): void {
  const sql = statementsOf(db);
  const held = sql.held.get(meterRow) as Omit<HeldBatch, 'blob'> | undefined;
  if (held !== undefined && closesBucket(held, next)) {
    const { blob } = sql.heldBlob.get(meterRow) as Pick<HeldBatch, 'blob'>;
    publishBatch(db, meterRow, { ...held, blob });
  }
  const { index, receivedMs, publish, blob } = next;
  if (isHeld) sql.hold.run(meterRow, index, receivedMs, publish, blob);
  else if (held !== undefined) sql.letGo.run(meterRow);
}

function publishBatch(db: DatabaseSync, meterRow: number, batch: HeldBatch): void {
  if (batch.blob === null) {
    db.prepare('UPDATE meter SET missingBatches = missingBatches + 1 WHERE id = ?').run(meterRow);
    return;
  }
  const meter = statementsOf(db).meter.get(meterRow) as unknown as MeterRow;
  const payload = decodeBatch(batch.blob, batch.index);
  const receivedS = Math.floor(batch.receivedMs / 1000);
  const fresh = payload.records.map((record): Unplaced => (
    { ...record, receivedS, entryIndex: batch.index }
  ));
  const { before, loose } = readTail(db, meter, fresh[0].bootId);
  const placed = placeRecords([...loose, ...fresh], before, meter.intervalS);
  putTail(db, meter, before, placed);
  putGaps(db, meter, { gaps: payload.gaps, before, placed });
}

function decodeBatch(blob: Uint8Array, index: number): BatchPayload<Uint8Array> {
  try {
    return decodePayload(decodeSign1(new Uint8Array(blob)).payload);
  } catch (cause) {
    throw contentError('a batch as docs/wire.md draws it', String(cause), index);
  }
}

function contentError(expected: string, got: string, index: number): LedgerError {
  const message = `Log entry ${index} cannot be projected`;
  return new LedgerError({ code: 'projection-content', message, expected, got });
}

function hexOf(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

/** What every batch needs. */
function prepareAll(db: DatabaseSync) {
  return {
    next: db.prepare('SELECT nextIndex, closesMs FROM projection'),
    advance: db.prepare('UPDATE projection SET nextIndex = ?, asOfMs = ?'),
    meter: db.prepare('SELECT * FROM meter WHERE id = ?'),
    arrive: db.prepare(
      `UPDATE meter SET batches = batches + 1, lastReceivedMs = ?, lastIndex = ?, lastSeq = ?
       WHERE meter = ? RETURNING id, publish`,
    ),
    held: db.prepare(
      'SELECT entryIndex AS "index", receivedMs, publish FROM waiting WHERE meterRow = ?',
    ),
    heldBlob: db.prepare('SELECT blob FROM waiting WHERE meterRow = ?'),
    hold: db.prepare(
      `INSERT OR REPLACE INTO waiting (meterRow, entryIndex, receivedMs, publish, blob)
       VALUES (?, ?, ?, ?, ?)`,
    ),
    letGo: db.prepare('DELETE FROM waiting WHERE meterRow = ?'),
  } satisfies Record<string, StatementSync>;
}

const statementsOf = oncePer(prepareAll);
