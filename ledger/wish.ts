// What the ledger decides about an owner's request, or its operator's erasure: pure functions of
// what it knows, as ingest.ts is for batches. A refusal changes nothing.

import type { Entry } from './entry.ts';
import { LedgerError } from './errors.ts';
import type { LoggedBatch, Span } from './fate.ts';
import { concerned } from './fate.ts';
import type { Effects, IngestState, MeterState } from './ingest.ts';
import { equal } from './log/tree.ts';
import type { OwnersRequest } from './verify/request.ts';

/** A year of quarter hours' batches, three times: each is a file to write or to remove. */
const MOST_BATCHES = 100_000;
/** Erasing and disclosing grow every projection again: no owner may have that done all day. */
const REST_MS = 3_600_000;

export type WishDecision =
  | { kind: 'granted'; effects: Effects; concerns: number }
  | { kind: 'repeated'; index: number };

/** The meter that a request is about. Throws LedgerError `unknown-meter`, `not-owner`. */
export function checkOwner(
  state: IngestState,
  { meterId, ownerKey }: Pick<OwnersRequest, 'meterId' | 'ownerKey'>,
): MeterState {
  const meter = needMeter(state, meterId);
  const key = meter.enrolment.ownerKey;
  if (key !== null && equal(key, ownerKey)) return meter;
  const expected = key === null ? 'a kit enrolled with an owner’s key' : 'the owner’s key';
  throw refusal('not-owner', expected, hex(ownerKey));
}

/** Throws LedgerError `unknown-meter`. */
export function needMeter(state: IngestState, meterId: Uint8Array): MeterState {
  const meter = state.meter(meterId);
  if (meter === undefined) throw refusal('unknown-meter', 'an enrolled meter', hex(meterId));
  return meter;
}

/**
 * Decides about a verified request of the meter's owner. `batches` are the meter's within the
 * request's span. Throws LedgerError `old-request`, `too-soon`, `too-many-batches`.
 */
export function decideWish(
  state: IngestState,
  { request, bytes, meter, batches, nowMs }: {
    request: OwnersRequest;
    bytes: Uint8Array;
    meter: MeterState;
    batches: readonly LoggedBatch[];
    nowMs: number;
  },
): WishDecision {
  const { hash: requestHash, number, wish } = request;
  const index = state.indexOf(requestHash);
  if (index !== undefined) return { kind: 'repeated', index };
  if (number <= meter.asked.number) {
    throw refusal('old-request', `a number above ${meter.asked.number}`, `${number}`);
  }
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  const keep = [{ hash: requestHash, bytes, meterId: meter.id, signedBy: null }];
  const parts = { receivedMs, meterId: meter.id, requestHash };
  if (wish.what === 'publish') {
    const entry: Entry = { type: 'publication-changed', ...parts, publish: wish.publish };
    const effects = { entry, keep, disclose: [requestHash], erase: [] };
    return { kind: 'granted', effects, concerns: 0 };
  }
  const sinceMs = receivedMs - meter.asked.regrownMs;
  if (sinceMs < REST_MS) {
    throw refusal('too-soon', 'an hour since the last', `${Math.floor(sinceMs / 1000)} s`);
  }
  const { span } = wish;
  if (wish.what === 'erase') {
    const erase = hashesOf(state, meter, { fate: 'erased', batches, span });
    const entry: Entry = { type: 'batches-erased', ...parts, span };
    const effects = { entry, keep, disclose: [requestHash], erase };
    return { kind: 'granted', effects, concerns: erase.length };
  }
  const late = hashesOf(state, meter, { fate: 'disclosed', batches, span });
  const entry: Entry = { type: 'batches-disclosed', ...parts, span };
  const effects = { entry, keep, disclose: [requestHash, ...late], erase: [] };
  return { kind: 'granted', effects, concerns: late.length };
}

/** What the operator erases without the owner's word. Throws LedgerError `too-many-batches`. */
export function decideErasure(
  state: IngestState,
  { meter, span, batches, nowMs }: {
    meter: MeterState;
    span: Span;
    batches: readonly LoggedBatch[];
    nowMs: number;
  },
): { effects: Effects; concerns: number } {
  const erase = hashesOf(state, meter, { fate: 'erased', batches, span });
  const receivedMs = Math.max(nowMs, state.lastReceivedMs());
  const entry: Entry = {
    type: 'batches-erased', receivedMs, meterId: meter.id, requestHash: null, span,
  };
  return { effects: { entry, keep: [], disclose: [], erase }, concerns: erase.length };
}

function hashesOf(
  { isEvidence, fateOf }: IngestState,
  { last }: MeterState,
  { fate, batches, span }: {
    fate: 'erased' | 'disclosed';
    batches: readonly LoggedBatch[];
    span: Span;
  },
): Uint8Array[] {
  const isErased = (index: number): boolean => fateOf(index) === 'erased';
  const known = { lastIndex: last?.index ?? null, isEvidence, isErased };
  const chosen = concerned(fate, batches, { span, known });
  if (chosen.length > MOST_BATCHES) {
    throw refusal('too-many-batches', `at most ${MOST_BATCHES} batches`, `${chosen.length}`);
  }
  return chosen.map(({ hash }) => hash);
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

function refusal(code: string, expected: string, got: string): LedgerError {
  return new LedgerError({ code, message: 'Request refused', expected, got });
}
