// Log entries: the leaves of the ledger's tree, small commitments to what changed the commons.
// Owns their bytes, deterministic CBOR (RFC 8949 § 4.2.1):
//
//   {1: 1, 2: received-unix-ms, 3: volunteer key, 32}                            volunteer admitted
//   {1: 2, 2: …, 3: meter id, 8, 4: SHA-256 of the enrolment}                    kit enrolled
//   {1: 3, 2: …, 3: meter id, 4: first seq, 5: last seq, 6: SHA-256 of the batch} batch received
//   {1: 4, 2: …, 3: meter id, 7: [hash, hash]}                                   key revoked
//   {1: 5, 2: …, 3 to 6: as a batch's, 8: the meter's next key, 52}              key succeeded
//   {1: 6, 2: …, 4: SHA-256 of the price}                                        price set
//   {1: 7, 2: …, 3: meter id, 4: SHA-256 of the owner's request, 5: publish 0…3} publication changed
//   {1: 8, 2: …, 3: meter id, ? 4: request, 5: from ms, 6: to ms}                batches erased
//   {1: 9, 2: …, 3: meter id, 4: request, 5: from ms, 6: to ms}                  batches disclosed
//   {1: 10, 2: …, 3: meter id, 4: SHA-256 of the retirement}                     meter retired
//
// A batch that names its meter's next key is one entry, of type 5, in place of one of type 3: a
// batch is taken and its key followed, or neither. An entry never holds a name, an address or a
// reading. Types 11 and on are free. One strict rule: bytes that this file would not write are
// refused.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { LedgerError } from './errors.ts';
import type { Span } from './fate.ts';
import { PUBLISH } from './publish.ts';
import type { Publish } from './publish.ts';

export interface BatchCommitment {
  receivedMs: number;
  meterId: Uint8Array;
  firstSeq: number;
  lastSeq: number;
  batchHash: Uint8Array;
}

export type Entry =
  | { type: 'volunteer-admitted'; receivedMs: number; key: Uint8Array }
  | { type: 'kit-enrolled'; receivedMs: number; meterId: Uint8Array; enrolmentHash: Uint8Array }
  | ({ type: 'batch-received' } & BatchCommitment)
  | ({
      type: 'key-succeeded';
      /** As the batch names it: it signs what follows. */
      successor: Uint8Array;
    } & BatchCommitment)
  | {
      type: 'key-revoked';
      receivedMs: number;
      meterId: Uint8Array;
      /** The two blobs, each the meter’s, under one signature index. */
      evidence: [Uint8Array, Uint8Array];
    }
  | { type: 'price-set'; receivedMs: number; priceHash: Uint8Array }
  | {
      type: 'publication-changed';
      receivedMs: number;
      meterId: Uint8Array;
      requestHash: Uint8Array;
      /** From the next batch on. */
      publish: Publish;
    }
  | {
      type: 'batches-erased';
      receivedMs: number;
      meterId: Uint8Array;
      /** Null: the ledger's operator did it without the owner. */
      requestHash: Uint8Array | null;
      span: Span;
    }
  | {
      type: 'batches-disclosed';
      receivedMs: number;
      meterId: Uint8Array;
      requestHash: Uint8Array;
      span: Span;
    }
  | {
      type: 'meter-retired';
      receivedMs: number;
      meterId: Uint8Array;
      /** Signed by the volunteer who enrolled it. */
      retirementHash: Uint8Array;
    };

export type EntryOf<T extends Entry['type']> = Extract<Entry, { type: T }>;

/** An entry that a meter's batch became. */
export type BatchEntry = EntryOf<'batch-received' | 'key-succeeded'>;

export function isBatch(entry: Entry): entry is BatchEntry {
  return entry.type === 'batch-received' || entry.type === 'key-succeeded';
}

/** What an owner's request became, or the operator's erasure. */
export type WishEntry = EntryOf<'publication-changed' | 'batches-erased' | 'batches-disclosed'>;

export function isWish(entry: Entry): entry is WishEntry {
  return entry.type === 'publication-changed' || 'span' in entry;
}

const TYPE = {
  'volunteer-admitted': 1,
  'kit-enrolled': 2,
  'batch-received': 3,
  'key-revoked': 4,
  'key-succeeded': 5,
  'price-set': 6,
  'publication-changed': 7,
  'batches-erased': 8,
  'batches-disclosed': 9,
  'meter-retired': 10,
} as const;

const KEY_BYTES = 32;
const HASH_BYTES = 32;
const METER_ID_BYTES = 8;
/** RFC 8554 § 6.1, one level of LMS_SHA256_M24: 4 + 4 + 4 + 16 + 24. */
const HSS_KEY_BYTES = 52;
/** The largest entry, a batch's with a key, is below 140 bytes; later types may take this much. */
const MAX_BYTES = 1_024;

export function encodeEntry(entry: Entry): Uint8Array {
  const members: [number, unknown][] = [[1, TYPE[entry.type]], [2, entry.receivedMs]];
  if (entry.type === 'volunteer-admitted') members.push([3, entry.key]);
  else if (entry.type === 'price-set') members.push([4, entry.priceHash]);
  else members.push([3, entry.meterId]);
  if (entry.type === 'kit-enrolled') members.push([4, entry.enrolmentHash]);
  if (isBatch(entry)) {
    members.push([4, entry.firstSeq], [5, entry.lastSeq], [6, entry.batchHash]);
  }
  if (entry.type === 'key-succeeded') members.push([8, entry.successor]);
  if (entry.type === 'key-revoked') members.push([7, entry.evidence]);
  if ('requestHash' in entry && entry.requestHash !== null) members.push([4, entry.requestHash]);
  if (entry.type === 'publication-changed') members.push([5, entry.publish]);
  if (entry.type === 'meter-retired') members.push([4, entry.retirementHash]);
  if ('span' in entry) members.push([5, entry.span.fromMs], [6, entry.span.toMs]);
  return encode(new Map(members), rfc8949EncodeOptions);
}

/** The inverse of {@link encodeEntry}. Throws LedgerError `malformed-entry`. */
export function decodeEntry(bytes: Uint8Array): Entry {
  if (bytes.length > MAX_BYTES) throw malformed(`at most ${MAX_BYTES} bytes`, `${bytes.length}`);
  const entry = readEntry(decodeMap(bytes));
  if (Buffer.compare(encodeEntry(entry), bytes) !== 0) {
    throw malformed('the deterministic encoding', Buffer.from(bytes).toString('hex'));
  }
  return entry;
}

function readEntry(map: ReadonlyMap<unknown, unknown>): Entry {
  const receivedMs = uint(map, 2);
  const meterId = (): Uint8Array => bytesOf(map.get(3), METER_ID_BYTES, 'a meter id');
  switch (uint(map, 1)) {
    case TYPE['volunteer-admitted']: {
      const key = bytesOf(map.get(3), KEY_BYTES, 'a key');
      return { type: 'volunteer-admitted', receivedMs, key };
    }
    case TYPE['kit-enrolled']:
      return {
        type: 'kit-enrolled',
        receivedMs,
        meterId: meterId(),
        enrolmentHash: bytesOf(map.get(4), HASH_BYTES, 'a hash'),
      };
    case TYPE['batch-received']:
      return { type: 'batch-received', receivedMs, meterId: meterId(), ...batchOf(map) };
    case TYPE['key-succeeded']: {
      const successor = bytesOf(map.get(8), HSS_KEY_BYTES, 'a key');
      const received = { receivedMs, meterId: meterId(), ...batchOf(map) };
      return { type: 'key-succeeded', ...received, successor };
    }
    case TYPE['key-revoked']: {
      const pair = map.get(7);
      if (!Array.isArray(pair) || pair.length !== 2) throw malformed('two hashes', 'other');
      const [one, other] = pair.map((hash) => bytesOf(hash, HASH_BYTES, 'a hash'));
      if (Buffer.compare(one, other) === 0) throw malformed('two different hashes', 'one twice');
      return { type: 'key-revoked', receivedMs, meterId: meterId(), evidence: [one, other] };
    }
    case TYPE['price-set']: {
      const priceHash = bytesOf(map.get(4), HASH_BYTES, 'a hash');
      return { type: 'price-set', receivedMs, priceHash };
    }
    case TYPE['publication-changed']: {
      const requestHash = bytesOf(map.get(4), HASH_BYTES, 'a hash');
      const publish = Object.values(PUBLISH).find((one) => one === map.get(5));
      if (publish === undefined) throw malformed('publication 0 to 3', String(map.get(5)));
      return { type: 'publication-changed', receivedMs, meterId: meterId(), requestHash, publish };
    }
    case TYPE['batches-erased']: {
      const requestHash = map.has(4) ? bytesOf(map.get(4), HASH_BYTES, 'a hash') : null;
      return { type: 'batches-erased', receivedMs, meterId: meterId(), requestHash, span: spanOf(map) };
    }
    case TYPE['batches-disclosed']: {
      const requestHash = bytesOf(map.get(4), HASH_BYTES, 'a hash');
      const span = spanOf(map);
      return { type: 'batches-disclosed', receivedMs, meterId: meterId(), requestHash, span };
    }
    case TYPE['meter-retired']: {
      const retirementHash = bytesOf(map.get(4), HASH_BYTES, 'a hash');
      return { type: 'meter-retired', receivedMs, meterId: meterId(), retirementHash };
    }
    default:
      throw malformed('type 1 to 10', String(map.get(1)));
  }
}

function spanOf(map: ReadonlyMap<unknown, unknown>): Span {
  const [fromMs, toMs] = [uint(map, 5), uint(map, 6)];
  if (toMs <= fromMs) throw malformed(`a time after ${fromMs}`, `${toMs}`);
  return { fromMs, toMs };
}

function batchOf(
  map: ReadonlyMap<unknown, unknown>,
): Pick<BatchCommitment, 'firstSeq' | 'lastSeq' | 'batchHash'> {
  const [firstSeq, lastSeq] = [uint(map, 4), uint(map, 5)];
  if (lastSeq < firstSeq) throw malformed(`at least ${firstSeq}`, `${lastSeq}`);
  return { firstSeq, lastSeq, batchHash: bytesOf(map.get(6), HASH_BYTES, 'a hash') };
}

function decodeMap(bytes: Uint8Array): ReadonlyMap<unknown, unknown> {
  let value: unknown;
  try {
    value = decode(bytes, { useMaps: true, strict: true, rejectDuplicateMapKeys: true });
  } catch (cause) {
    const parts = { code: 'malformed-entry', message: 'Entry refused', expected: 'CBOR' };
    throw new LedgerError({ ...parts, got: (cause as Error).message, cause });
  }
  if (!(value instanceof Map)) throw malformed('a map', typeof value);
  return value;
}

function uint(map: ReadonlyMap<unknown, unknown>, key: number): number {
  const value = map.get(key);
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) {
    throw malformed(`an unsigned integer under ${key}`, String(value));
  }
  return value;
}

function bytesOf(value: unknown, length: number, what: string): Uint8Array {
  if (!(value instanceof Uint8Array) || value.length !== length) {
    throw malformed(`${what} of ${length} bytes`, String(value));
  }
  return new Uint8Array(value);
}

function malformed(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'malformed-entry', message: 'Entry refused', expected, got });
}
