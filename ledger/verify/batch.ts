// A meter's batch, as the ledger and any auditor judge it: strict bytes, signature, and whether its
// readings continue the last accepted ones. Both callers use these same functions, so that no batch
// is good for one and bad for the other. Pure; knows no store and no log.

import {
  ALG,
  decodePayload,
  decodeSign1,
  encodeHeader,
  encodePayload,
  encodeSign1,
  encodeSigStructure,
  FLAG,
  MAX_BATCH_BYTES,
  METER_ID_BYTES,
  WireError,
} from '../../firmware/wire.ts';
import type { BatchPayload, IntervalRecord, Sink } from '../../firmware/wire.ts';
import { LedgerError } from '../errors.ts';
import { equal, sha256 } from '../log/tree.ts';
import { isEnrollableKey, signatureIndex } from './lms.ts';

export interface SignedBatch {
  /** SHA-256 of the whole batch as sent. */
  hash: Uint8Array;
  payload: BatchPayload<Uint8Array>;
  /** The bytes that the signature covers. */
  message: Uint8Array;
  signature: Uint8Array;
  /** Index of the one-time key. */
  q: number;
}

/** What a meter's next batch must continue, as far as it is known. */
export interface Before {
  /** Null before the first batch: a meter may have counted at the bench. */
  nextSeq: number | null;
  /** Index of the last one-time key seen of the key in force; {@link NONE_SPENT} if none was. */
  q: number;
  /** The last record seen; an auditor may not have been shown those between. */
  record: IntervalRecord | null;
}

/** No one-time key of a key was seen yet. */
export const NONE_SPENT = -1;

/**
 * Counters that only rise; those claimed by the node are bridged over its restarts by the meter.
 */
const RISING = [
  'bootId', 'energyMicroWh', 'probesMade', 'probesAnswered', 'upS', 'downS', 'unknownS',
  'wanInBytes', 'wanOutBytes',
] as const;
/** Two clocks that both follow the ledger's acks agree within minutes. */
const CLOCK_TOLERANCE_S = 300;
/**
 * A ledger's clock may have told a meter this much too late a time and been believed
 * (timekeeper.ts): what was measured by it is true, and only comes too early.
 */
const MOST_AHEAD_S = 86_400;
/** 2024-01-01: no meter of this design is older. */
const EARLIEST_S = 1_704_067_200;
const SYNCHRONISED = 2;
const ALL_FLAGS = Object.values(FLAG).reduce((sum, bit) => sum + bit, 0);

/**
 * Reads a batch. Throws LedgerError `malformed-batch` for bytes that a meter would not have sent.
 */
export function parseBatch(bytes: Uint8Array): SignedBatch {
  if (bytes.length > MAX_BATCH_BYTES) {
    throw malformed(`at most ${MAX_BATCH_BYTES} bytes`, `${bytes.length}`);
  }
  try {
    const { meterId, message, payload: inner, signature } = parseMeterSign1(bytes);
    const payload = decodePayload(inner);
    const again = written(MAX_BATCH_BYTES, (out) => encodePayload(out, payload));
    if (!equal(again, inner)) throw malformed('the canonical encoding', 'another');
    if (!equal(payload.meterId, meterId)) throw malformed('the key id’s meter', 'another meter id');
    const q = signatureIndex(signature);
    if (q === undefined) throw malformed('an HSS signature of one level', 'another');
    return { hash: sha256(bytes), payload, message, signature, q };
  } catch (error) {
    if (!(error instanceof WireError)) throw error;
    throw malformed('a batch as docs/wire.md draws it', error.message, error);
  }
}

export interface MeterSign1 {
  meterId: Uint8Array;
  payload: Uint8Array;
  message: Uint8Array;
  signature: Uint8Array;
}

/** The envelope of whatever a meter signs. Throws WireError or LedgerError `malformed-batch`. */
export function parseMeterSign1(bytes: Uint8Array): MeterSign1 {
  const { alg, kid, payload, proof } = decodeSign1(bytes);
  if (alg !== ALG.hssLms) throw malformed(`algorithm ${ALG.hssLms}`, `${alg}`);
  if (kid?.length !== METER_ID_BYTES) throw malformed('a meter id as key id', 'another');
  const header = written(64, (out) => encodeHeader(out, alg, kid));
  const again = written(bytes.length, (out) => encodeSign1(out, header, payload, proof));
  if (!equal(again, bytes)) throw malformed('the canonical encoding', 'another');
  const length = payload.length + 96;
  const message = written(length, (out) => encodeSigStructure(out, header, payload));
  return { meterId: kid, payload, message, signature: proof };
}


/** True if the batch names the last accepted one, or nothing when there is none. */
export function linksTo({ payload: { previous } }: SignedBatch, last: Uint8Array | null): boolean {
  return last === null ? previous === null : previous !== null && equal(previous, last);
}

/** The last one-time key seen once `batch` was taken: each key counts its own, from 0. */
export function spentAfter({ q, payload: { successor } }: SignedBatch): number {
  return successor === null ? q : NONE_SPENT;
}

/**
 * Checks the key that a batch names, if it names one. `isTaken`: whether a key is in force or ever
 * was, at any meter. Throws LedgerError `successor`.
 */
export function checkSuccessor(
  { payload: { successor } }: SignedBatch,
  isTaken: (key: Uint8Array) => boolean,
): void {
  if (successor === null) return;
  if (!isEnrollableKey(successor)) {
    throw refusal('successor', 'a next key such as may be enrolled', 'another kind');
  }
  if (isTaken(successor)) {
    throw refusal('successor', 'a next key that no meter has or had', 'one that is taken');
  }
}

/**
 * Checks a linked, signed batch against the one before. Throws LedgerError `one-time-key`,
 * `sequence`, `counters`, `record`, `time` or `time-ahead`.
 */
export function checkContinuation(batch: SignedBatch, before: Before, receivedS: number): void {
  if (batch.q <= before.q) {
    throw refusal('one-time-key', `an index above ${before.q}`, `${batch.q}`);
  }
  checkSequence(batch.payload, before.nextSeq);
  let last = before.record;
  for (const record of batch.payload.records) {
    checkRecord(record, receivedS);
    if (last !== null) checkStep(last, record);
    last = record;
  }
}

/**
 * Records and declared gaps together cover every number from the one wanted to the last record's.
 */
function checkSequence({ records, gaps }: BatchPayload<Uint8Array>, wanted: number | null): void {
  const spans = [...records, ...gaps].sort((a, b) => a.firstSeq - b.firstSeq);
  let next = wanted ?? spans[0].firstSeq;
  for (const { firstSeq, lastSeq } of spans) {
    if (firstSeq !== next) throw refusal('sequence', `number ${next}`, `${firstSeq}`);
    next = lastSeq + 1;
  }
  const end = records[records.length - 1].lastSeq;
  if (next !== end + 1) throw refusal('sequence', 'a record after the last gap', 'none');
}

function checkRecord(record: IntervalRecord, receivedS: number): void {
  const { firstSeq, timeState, unixS, flags, probesMade, probesAnswered } = record;
  const at = `record ${firstSeq}`;
  if (flags > ALL_FLAGS) throw refusal('record', `flags up to ${ALL_FLAGS}`, `${flags}, ${at}`);
  if (timeState > SYNCHRONISED) throw refusal('record', 'time state 0 to 2', `${timeState}, ${at}`);
  if (probesAnswered > probesMade) {
    throw refusal('record', `at most ${probesMade} probes answered`, `${probesAnswered}, ${at}`);
  }
  if (timeState !== SYNCHRONISED) return;
  const latestS = receivedS + CLOCK_TOLERANCE_S;
  if (unixS < EARLIEST_S || unixS > latestS) {
    const isEarly = unixS > latestS && unixS <= latestS + MOST_AHEAD_S;
    const code = isEarly ? 'time-ahead' : 'time';
    throw refusal(code, `between ${EARLIEST_S} and ${latestS}`, `${unixS}, ${at}`);
  }
}

function checkStep(before: IntervalRecord, record: IntervalRecord): void {
  const at = `record ${record.firstSeq}`;
  for (const name of RISING) {
    if (record[name] < before[name]) {
      throw refusal('counters', `${name} from ${before[name]}`, `${record[name]}, ${at}`);
    }
  }
  if (record.bootId === before.bootId && record.uptimeS < before.uptimeS) {
    throw refusal('counters', `uptimeS from ${before.uptimeS}`, `${record.uptimeS}, ${at}`);
  }
  const bothKnown = before.timeState === SYNCHRONISED && record.timeState === SYNCHRONISED;
  const stepped = Math.floor(record.flags / FLAG.clockStep) % 2 === 1;
  if (bothKnown && !stepped && record.unixS < before.unixS) {
    throw refusal('time', `from ${before.unixS}`, `${record.unixS}, ${at}`);
  }
}

/** Encoders write here first: a fresh buffer for each costs more than what they do. */
let scratch = new Uint8Array(MAX_BATCH_BYTES);

/** The bytes that an encoder of the wire writes; `capacity` bounds them. Encoders do not nest. */
export function written(capacity: number, encoder: (out: Sink) => void): Uint8Array {
  if (scratch.length < capacity) scratch = new Uint8Array(capacity);
  const out = { bytes: scratch.subarray(0, capacity), at: 0 };
  encoder(out);
  return scratch.slice(0, out.at);
}

function refusal(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Batch refused', expected, got });
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-batch', message: 'Batch refused', expected, got, cause };
  return new LedgerError(parts);
}
