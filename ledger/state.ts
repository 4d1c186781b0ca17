// What the ledger knows while it runs: volunteers, prices, meters, and where each meter stands. Read from
// the log and its blobs at start, so that memory never says what the log does not; entries that are
// still on their way to the disk are in it too, and go when the log is read again.

import { closeMonths, firstCalendar, inZone } from './calendar.ts';
import type { Calendar } from './calendar.ts';
import type { BatchEntry, WishEntry } from './entry.ts';
import { decodeEntry, isBatch, isWish } from './entry.ts';
import { LedgerError } from './errors.ts';
import type { Fate, LoggedBatch } from './fate.ts';
import { concerned } from './fate.ts';
import { batchesWithin } from './history.ts';
import type { Accepted, IngestState, MeterState, SignedBlob } from './ingest.ts';
import type { Log } from './log/writer.ts';
import type { Publish } from './publish.ts';
import type { Store } from './store.ts';
import type { OneTimeKey } from './succession.ts';
import { holdsFrom } from './tariff.ts';
import type { SetPrice } from './tariff.ts';
import { parseBatch, spentAfter } from './verify/batch.ts';
import type { Enrolment } from './verify/enrolment.ts';
import { verifyEnrolment } from './verify/enrolment.ts';
import { verifyPrice } from './verify/price.ts';
import { verifyRequest } from './verify/request.ts';

export interface LedgerState extends IngestState {
  meters(): Iterable<MeterState>;
  admit(key: Uint8Array): void;
  enrol(enrolment: Enrolment): void;
  revoke(id: Uint8Array): void;
  retire(id: Uint8Array): void;
  /** Puts the key that a batch named in force. */
  succeed(id: Uint8Array, successor: Uint8Array): void;
  setPrice(price: SetPrice): void;
  accept(id: Uint8Array, accepted: Accepted): void;
  dated(receivedMs: number): void;
  /** Marks a revocation's evidence, which no erasure may touch. */
  prove(evidence: readonly Uint8Array[]): void;
  /** Follows a request's entry; `batches` are the meter's within its span. */
  grant(
    entry: WishEntry,
    parts: { number: number | null; batches: readonly LoggedBatch[]; lastIndex: number | null },
  ): void;
  /** Blobs of entry `index`, on their way to the store until {@link arrived}. */
  onTheWay(index: number, blobs: readonly SignedBlob[]): void;
  arrived(index: number): void;
}

/** Entries read at a time while starting. */
const CHUNK = 4_096;

/**
 * Reads the whole log. Throws LedgerError `blob-lost` if a meter's last batch is nowhere to be
 * found.
 */
export function readState(store: Store, log: Log): LedgerState {
  const state = emptyState(store);
  const lastBatch = new Map<string, { index: number; entry: BatchEntry; publish: Publish }>();
  for (let start = 0; start < log.size(); start += CHUNK) {
    const end = Math.min(start + CHUNK, log.size());
    for (const [i, bytes] of log.read(start, end).entries()) {
      const entry = decodeEntry(bytes);
      state.dated(entry.receivedMs);
      if (entry.type === 'volunteer-admitted') state.admit(entry.key);
      if (entry.type === 'kit-enrolled') {
        const bytes = needBlob(store, entry.enrolmentHash, start + i);
        state.enrol(verifyEnrolment(bytes, store.keys.origin));
      }
      if (entry.type === 'key-revoked') {
        state.revoke(entry.meterId);
        state.prove(entry.evidence);
      }
      if (entry.type === 'meter-retired') state.retire(entry.meterId);
      if (isWish(entry)) {
        const lastIndex = lastBatch.get(hex(entry.meterId))?.index ?? null;
        state.grant(entry, { ...wishOf({ store, log }, entry, start + i), lastIndex });
      }
      if (entry.type === 'key-succeeded') state.succeed(entry.meterId, entry.successor);
      if (entry.type === 'price-set') {
        const bytes = needBlob(store, entry.priceHash, start + i);
        const price = verifyPrice(bytes, store.keys.origin);
        state.setPrice({ ...price, index: start + i, receivedMs: entry.receivedMs });
      }
      if (isBatch(entry)) {
        const { publish } = state.meter(entry.meterId)!;
        lastBatch.set(hex(entry.meterId), { index: start + i, entry, publish });
      }
    }
  }
  for (const { index, entry, publish } of lastBatch.values()) {
    const batch = parseBatch(needBlob(store, entry.batchHash, index));
    const { meterId, receivedMs, batchHash: hash } = entry;
    const [lastRecord, q] = [batch.payload.records.at(-1)!, spentAfter(batch)];
    state.accept(meterId, { index, receivedMs, hash, q, publish, lastRecord });
  }
  return state;
}

/** What following a request's entry needs of the stores. */
function wishOf(
  { store, log }: { store: Store; log: Log },
  entry: WishEntry,
  index: number,
): { number: number | null; batches: LoggedBatch[] } {
  const number = entry.requestHash === null
    ? null
    : verifyRequest(needBlob(store, entry.requestHash, index), store.keys.origin).number;
  if (entry.type === 'publication-changed') return { number, batches: [] };
  const parts = { span: entry.span, end: index };
  return { number, batches: batchesWithin({ store, log }, entry.meterId, parts) };
}

function emptyState(store: Store): LedgerState {
  const volunteers = new Set<string>();
  const meters = new Map<string, MeterState>();
  const travelling = new Map<number, readonly SignedBlob[]>();
  const byHash = new Map<string, number>();
  const byOneTimeKey = new Map<string, Uint8Array>();
  const taken = new Set<string>();
  const evidence = new Set<string>();
  const fates = new Map<number, Fate>();
  const nameOf = (id: Uint8Array, key: OneTimeKey | null): string =>
    `${hex(id)} ${key?.generation} ${key?.q}`;
  const prices: SetPrice[] = [];
  let lastReceivedMs = 0;
  let calendar: Calendar | undefined;
  const calendarAt = (receivedMs: number): Calendar =>
    closeMonths(calendar ?? firstCalendar(receivedMs), receivedMs).calendar;
  const meter = (id: Uint8Array): MeterState | undefined => meters.get(hex(id));
  const indexOf = (hash: Uint8Array): number | undefined =>
    byHash.get(hex(hash)) ?? store.indexOf(hash);
  return {
    meter,
    meters: () => meters.values(),
    isAdmitted: (key) => volunteers.has(hex(key)),
    indexOf,
    signedWith(id, key) {
      const hash = byOneTimeKey.get(nameOf(id, key)) ?? store.signedWith(id, key);
      // The store has it still while its erasure is on the way there: no evidence may rest on it.
      return hash && fates.get(indexOf(hash)!) === 'erased' ? undefined : hash;
    },
    isTaken: (key) => taken.has(hex(key)),
    isEvidence: (hash) => evidence.has(hex(hash)),
    fateOf: (index) => fates.get(index),
    lastReceivedMs: () => lastReceivedMs,
    prices: () => prices,
    calendarAt,
    admit: (key) => void volunteers.add(hex(key)),
    enrol(enrolment) {
      const { meterId: id, meterKey, publish } = enrolment;
      taken.add(hex(meterKey));
      const keys = [meterKey];
      const asked = { number: -1, regrownMs: -Infinity };
      const standing = { revoked: false, retired: false, last: null, asked };
      meters.set(hex(id), { id, keys, enrolment, publish, ...standing });
    },
    revoke: (id) => void (meter(id)!.revoked = true),
    retire: (id) => void (meter(id)!.retired = true),
    succeed(id, successor) {
      taken.add(hex(successor));
      meter(id)!.keys = [...meter(id)!.keys, successor];
    },
    accept: (id, accepted) => void (meter(id)!.last = accepted),
    prove(hashes) {
      for (const hash of hashes) evidence.add(hex(hash));
    },
    grant(entry, { number, batches, lastIndex }) {
      const one = meter(entry.meterId)!;
      if (number !== null) one.asked = { ...one.asked, number };
      if (entry.type === 'publication-changed') {
        one.publish = entry.publish;
        return;
      }
      if (number !== null) one.asked = { number, regrownMs: entry.receivedMs };
      const fate = entry.type === 'batches-erased' ? 'erased' : 'disclosed';
      const known = {
        lastIndex,
        isEvidence: (hash: Uint8Array) => evidence.has(hex(hash)),
        isErased: (index: number) => fates.get(index) === 'erased',
      };
      for (const { index } of concerned(fate, batches, { span: entry.span, known })) {
        fates.set(index, fate);
      }
    },
    setPrice(price) {
      const now = calendarAt(price.receivedMs);
      prices.push({ ...price, fromS: holdsFrom(price, now) });
      calendar = inZone(now, price.zone);
    },
    dated(receivedMs) {
      lastReceivedMs = receivedMs;
      calendar = calendarAt(receivedMs);
    },
    onTheWay(index, blobs) {
      travelling.set(index, blobs);
      for (const blob of blobs) {
        byHash.set(hex(blob.hash), index);
        byOneTimeKey.set(nameOf(blob.meterId, blob.signedBy), blob.hash);
      }
    },
    arrived(index) {
      for (const { hash, meterId, signedBy } of travelling.get(index) ?? []) {
        byHash.delete(hex(hash));
        byOneTimeKey.delete(nameOf(meterId, signedBy));
      }
      travelling.delete(index);
    },
  };
}

function needBlob(store: Store, hash: Uint8Array, index: number): Uint8Array {
  const bytes = store.blob(hash);
  if (bytes !== null) return bytes;
  const parts = { code: 'blob-lost', message: 'Ledger folder refused' };
  const [expected, hint] = [`the blob of entry ${index}`, 'Restore private.db or public/blob.'];
  throw new LedgerError({ ...parts, expected, got: hex(hash), hint });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
