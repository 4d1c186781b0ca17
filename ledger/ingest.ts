// What the ledger decides about a batch, an enrolment, a retirement or a price: pure functions of
// what it knows, the bytes and the time. They say what is to be written and answered; ledger.ts
// writes, server.ts answers. A refusal changes nothing.

import type { IntervalRecord } from '../firmware/wire.ts';
import type { Calendar } from './calendar.ts';
import type { Entry } from './entry.ts';
import { LedgerError } from './errors.ts';
import type { Fate } from './fate.ts';
import { equal, sha256 } from './log/tree.ts';
import type { Publish } from './publish.ts';
import { closesBucket, PUBLISH } from './publish.ts';
import type { OneTimeKey } from './succession.ts';
import { isNext } from './succession.ts';
import { checkPrice } from './tariff.ts';
import type { SetPrice } from './tariff.ts';
import type { Before, SignedBatch } from './verify/batch.ts';
import { checkContinuation, checkSuccessor, linksTo, spentAfter } from './verify/batch.ts';
import type { Enrolment } from './verify/enrolment.ts';
import { STATEMENT_Q } from './verify/enrolment.ts';
import type { Price } from './verify/price.ts';
import type { Retirement } from './verify/retirement.ts';

/** The last batch that a meter had accepted. */
export interface Accepted {
  index: number;
  receivedMs: number;
  hash: Uint8Array;
  /** The last one-time key spent of the key in force since; NONE_SPENT if there is none. */
  q: number;
  /** As its owner had chosen then. */
  publish: Publish;
  lastRecord: IntervalRecord;
}

export interface MeterState {
  id: Uint8Array;
  /** Its keys in the order in which they came to sign; the last one is in force. */
  keys: readonly Uint8Array[];
  enrolment: Enrolment;
  publish: Publish;
  revoked: boolean;
  /** Its volunteer took its key back: no batch of it is taken any more. */
  retired: boolean;
  last: Accepted | null;
  /** What its owner asked last: the request's number, and when projections grew again for one. */
  asked: { number: number; regrownMs: number };
}

/** What a decision may know. Lookups go to memory or an index, never over the network. */
export interface IngestState {
  meter(id: Uint8Array): MeterState | undefined;
  isAdmitted(volunteerKey: Uint8Array): boolean;
  /** The log index of a batch that was accepted, by its hash. */
  indexOf(batchHash: Uint8Array): number | undefined;
  /** The hash of what a meter signed with a one-time key, if it was taken and is not erased. */
  signedWith(meterId: Uint8Array, key: OneTimeKey): Uint8Array | undefined;
  /** Whether a key signs or ever signed for any meter, or was named to. */
  isTaken(publicKey: Uint8Array): boolean;
  /** Whether a blob proves an equivocation. */
  isEvidence(hash: Uint8Array): boolean;
  /** What became of a batch after its time, by its entry's index. */
  fateOf(index: number): Fate | undefined;
  /** No entry may be dated before the one before it. */
  lastReceivedMs(): number;
  prices(): readonly SetPrice[];
  /** The months as an entry received then finds them, those closed that it closes. */
  calendarAt(receivedMs: number): Calendar;
}

/** A blob with the meter's one-time key that signed it; null for what a volunteer signed. */
export interface SignedBlob {
  hash: Uint8Array;
  bytes: Uint8Array;
  /** Empty where it is about no meter. */
  meterId: Uint8Array;
  signedBy: OneTimeKey | null;
}

/** What an entry brings with it. */
export interface Effects {
  entry: Entry;
  /** New blobs that the entry is about, kept privately unless disclosed. */
  keep: SignedBlob[];
  /** A refused batch that the public gets all the same: nobody is told that it was accepted. */
  evidence?: Pick<SignedBlob, 'hash' | 'bytes'>;
  /** Hashes of blobs, evidence or kept now or before, that become public with this entry. */
  disclose: Uint8Array[];
  /** Hashes of blobs that are dropped once the entry is durable. */
  erase: Uint8Array[];
}

export type BatchDecision =
  | { kind: 'unknown-meter'; meterId: Uint8Array }
  | { kind: 'accepted'; meter: MeterState; batch: SignedBatch; effects: Effects }
  | { kind: 'repeated'; meter: MeterState; hash: Uint8Array; index: number }
  | { kind: 'not-next'; meter: MeterState; hash: Uint8Array }
  | { kind: 'invalid'; meter: MeterState; hash: Uint8Array; reason: LedgerError }
  /** Its readings lie ahead of the ledger's clock, which may be what is wrong: the same bytes later. */
  | { kind: 'not-yet'; meter: MeterState; hash: Uint8Array; reason: LedgerError }
  | {
      kind: 'equivocation';
      meter: MeterState;
      hash: Uint8Array;
      reason: LedgerError;
      effects: Effects;
    };

/** A batch as posted and read. */
export interface Posted {
  bytes: Uint8Array;
  batch: SignedBatch;
  /** The one of signersOf() whose signature it bears; null if it is none of theirs. */
  signer: Uint8Array | null;
}

/** Decides about a posted batch. */
export function decideBatch(state: IngestState, posted: Posted, nowMs: number): BatchDecision {
  const { bytes, batch, signer } = posted;
  const meter = state.meter(batch.payload.meterId);
  if (meter === undefined) return { kind: 'unknown-meter', meterId: batch.payload.meterId };
  const { hash } = batch;
  const isFresh = isNext(meter, batch);
  const index = isFresh ? undefined : state.indexOf(hash);
  if (index !== undefined) return { kind: 'repeated', meter, hash, index };
  const invalid = (reason: LedgerError): BatchDecision =>
    ({ kind: 'invalid', meter, hash, reason });
  const generation = meter.keys.findLastIndex((key) => signer !== null && equal(key, signer));
  if (generation < 0) {
    return invalid(refusal('signature', 'the meter’s signature', 'one that does not verify'));
  }
  if (meter.revoked) return invalid(refusal('revoked', 'a key in good standing', 'a revoked one'));
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  const signedBy = { generation, q: batch.q };
  const isUnspent = isFresh && generation === meter.keys.length - 1;
  const earlier = isUnspent ? undefined : state.signedWith(meter.id, signedBy);
  if (earlier !== undefined) {
    return equivocation(meter, batch, { bytes, earlier, receivedMs });
  }
  if (meter.retired) return invalid(refusal('retired', 'a meter in service', 'a retired one'));
  if (generation < meter.keys.length - 1) {
    const expected = 'the signature of the meter’s key in force';
    return invalid(refusal('signature', expected, 'its former’s'));
  }
  if (!linksTo(batch, meter.last?.hash ?? null)) return { kind: 'not-next', meter, hash };
  try {
    checkContinuation(batch, beforeOf(meter.last), Math.floor(receivedMs / 1000));
    checkSuccessor(batch, state.isTaken);
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    if (error.code === 'time-ahead') return { kind: 'not-yet', meter, hash, reason: error };
    return invalid(error);
  }
  const effects = accept(meter, batch, { bytes, signedBy, receivedMs });
  return { kind: 'accepted', meter, batch, effects };
}

function beforeOf(last: Accepted | null): Before {
  if (last === null) return { nextSeq: null, q: STATEMENT_Q, record: null };
  return { nextSeq: last.lastRecord.lastSeq + 1, q: last.q, record: last.lastRecord };
}

/** The meter's state once an accepted batch has its index. */
export function advance(
  { effects, batch, meter }: Extract<BatchDecision, { kind: 'accepted' }>,
  index: number,
): Accepted {
  const { hash, payload: { records } } = batch;
  const { receivedMs } = effects.entry;
  const lastRecord = records[records.length - 1];
  return { index, receivedMs, hash, q: spentAfter(batch), publish: meter.publish, lastRecord };
}

function accept(
  meter: MeterState,
  batch: SignedBatch,
  { bytes, signedBy, receivedMs }: {
    bytes: Uint8Array;
    signedBy: OneTimeKey;
    receivedMs: number;
  },
): Effects {
  const { hash, payload: { records, successor } } = batch;
  const { id: meterId, publish, last } = meter;
  const disclose: Uint8Array[] = [];
  // Only the order of the two indices matters to the rule: the new one is later.
  const next = { index: last === null ? 0 : last.index + 1, receivedMs, publish };
  // What was received to be published at once is public already.
  if (last !== null && last.publish !== PUBLISH.batch && closesBucket(last, next)) {
    disclose.push(last.hash);
  }
  // Without its signature nobody could know that the next key is not of the ledger's making.
  if (publish === PUBLISH.batch || successor !== null) disclose.push(hash);
  const [firstSeq, lastSeq] = [records[0].firstSeq, records[records.length - 1].lastSeq];
  const received = { receivedMs, meterId, firstSeq, lastSeq, batchHash: hash };
  return {
    entry: successor === null
      ? { type: 'batch-received', ...received }
      : { type: 'key-succeeded', ...received, successor },
    keep: [{ hash, bytes, meterId, signedBy }],
    disclose,
    erase: [],
  };
}

/** Two signatures under one one-time key: who holds both could forge a third. Both go public. */
function equivocation(
  meter: MeterState,
  batch: SignedBatch,
  { bytes, earlier, receivedMs }: {
    bytes: Uint8Array;
    earlier: Uint8Array;
    receivedMs: number;
  },
): BatchDecision {
  const { hash, q } = batch;
  const got = `one-time key ${q}, which signed ${hex(earlier)} before`;
  const reason = refusal('equivocation', 'one message under one one-time key', got);
  const both: [Uint8Array, Uint8Array] = [earlier, hash];
  const entry: Entry = { type: 'key-revoked', receivedMs, meterId: meter.id, evidence: both };
  const effects = { entry, keep: [], evidence: { hash, bytes }, disclose: both, erase: [] };
  return { kind: 'equivocation', meter, hash, reason, effects };
}

/** A meter states its enrolment under its first key. */
const STATEMENT_KEY: OneTimeKey = { generation: 0, q: STATEMENT_Q };

export type EnrolmentDecision =
  | { kind: 'enrolled'; effects: Effects }
  | { kind: 'repeated'; index: number };

/**
 * Decides about an enrolment that was verified. `known` is the enrolment's own entry index, if the
 * meter is enrolled already with the same terms. Throws LedgerError `not-admitted`,
 * `already-enrolled`.
 */
export function decideEnrolment(
  state: IngestState,
  { enrolment, bytes, knownIndex, nowMs }: {
    enrolment: Enrolment;
    bytes: Uint8Array;
    knownIndex: number | undefined;
    nowMs: number;
  },
): EnrolmentDecision {
  checkAdmitted(state, enrolment, 'Enrolment refused');
  const { meterId, hash, statement } = enrolment;
  const meter = state.meter(meterId);
  if (meter !== undefined && knownIndex !== undefined && equal(meter.enrolment.hash, hash)) {
    return { kind: 'repeated', index: knownIndex };
  }
  if (meter !== undefined || state.isTaken(enrolment.meterKey)) {
    const message = 'Enrolment refused';
    const got = meter === undefined
      ? 'a key that another meter named as its next'
      : `meter ${hex(meterId)}, enrolled otherwise before`;
    throw new LedgerError({ code: 'already-enrolled', message, expected: 'a new meter', got });
  }
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  return {
    kind: 'enrolled',
    effects: {
      entry: { type: 'kit-enrolled', receivedMs, meterId, enrolmentHash: hash },
      keep: [
        { hash, bytes, meterId, signedBy: null },
        { hash: sha256(statement), bytes: statement, meterId, signedBy: STATEMENT_KEY },
      ],
      disclose: [hash],
      erase: [],
    },
  };
}

export type PriceDecision =
  | { kind: 'set'; receivedMs: number; effects: Effects }
  | { kind: 'repeated'; index: number };

/**
 * Decides about a price that was verified. `knownIndex` is the entry of the same bytes, if the log
 * has them. Throws LedgerError `not-admitted`, and as checkPrice does.
 */
export function decidePrice(
  state: IngestState,
  { price, bytes, knownIndex, nowMs }: {
    price: Price;
    bytes: Uint8Array;
    knownIndex: number | undefined;
    nowMs: number;
  },
): PriceDecision {
  checkAdmitted(state, price, 'Price refused');
  if (knownIndex !== undefined) return { kind: 'repeated', index: knownIndex };
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  checkPrice(price, { prices: state.prices(), calendar: state.calendarAt(receivedMs) });
  const { hash } = price;
  return {
    kind: 'set',
    receivedMs,
    effects: {
      entry: { type: 'price-set', receivedMs, priceHash: hash },
      keep: [{ hash, bytes, meterId: new Uint8Array(0), signedBy: null }],
      disclose: [hash],
      erase: [],
    },
  };
}

export type RetirementDecision =
  | { kind: 'retired'; effects: Effects }
  | { kind: 'repeated'; index: number };

/**
 * Decides about a retirement that was verified. `knownIndex` is the entry of the same bytes, if the
 * log has them. A meter whose key was revoked may retire too. Throws LedgerError `unknown-meter`,
 * `not-enroller`.
 */
export function decideRetirement(
  state: IngestState,
  { retirement, bytes, knownIndex, nowMs }: {
    retirement: Retirement;
    bytes: Uint8Array;
    knownIndex: number | undefined;
    nowMs: number;
  },
): RetirementDecision {
  const { hash, meterId, volunteerKey } = retirement;
  const message = 'Retirement refused';
  const meter = state.meter(meterId);
  if (meter === undefined) {
    const parts = { code: 'unknown-meter', message, expected: 'an enrolled meter' };
    throw new LedgerError({ ...parts, got: hex(meterId) });
  }
  if (!equal(meter.enrolment.volunteerKey, volunteerKey)) {
    const expected = 'the volunteer who enrolled the meter';
    throw new LedgerError({ code: 'not-enroller', message, expected, got: hex(volunteerKey) });
  }
  if (knownIndex !== undefined) return { kind: 'repeated', index: knownIndex };
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  return {
    kind: 'retired',
    effects: {
      entry: { type: 'meter-retired', receivedMs, meterId, retirementHash: hash },
      keep: [{ hash, bytes, meterId, signedBy: null }],
      disclose: [hash],
      erase: [],
    },
  };
}

/** Throws LedgerError `not-admitted` if a stranger signed. */
export function checkAdmitted(
  state: IngestState,
  { volunteerKey }: { volunteerKey: Uint8Array },
  message: string,
): void {
  if (state.isAdmitted(volunteerKey)) return;
  const got = Buffer.from(volunteerKey).toString('base64');
  throw new LedgerError({
    code: 'not-admitted',
    message,
    expected: 'a volunteer whom this ledger admitted',
    got: `commons-volunteer-ed25519:${got}`,
    hint: 'Ask the ledger’s operator to run `ledger admit KEY`.',
  });
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function refusal(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Batch refused', expected, got });
}
