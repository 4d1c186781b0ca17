// What a kit's owner may ask of the ledger after pairing, signed with the owner's key that the
// enrolment names. Owns the bytes, deterministic CBOR in a COSE_Sign1 (Ed25519, key id = the owner's
// key):
//
//   {1: "commons-kit/request", 2: origin, 3: meter id, 4: number, 5: 0, 6: publish 0…3}
//   {1: …, 2: …, 3: …, 4: …, 5: 1 erase | 2 disclose, 6: [from, to], Unix ms of the time received}
//
// Numbers rise, so that an old request cannot be sent again to undo a newer one. Always public, as
// its answer is: it holds no name. Whether the key is the meter's owner's is the caller's to say.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { METER_ID_BYTES } from '../../firmware/wire.ts';
import { LedgerError } from '../errors.ts';
import type { Span } from '../fate.ts';
import { equal, sha256 } from '../log/tree.ts';
import { PUBLISH } from '../publish.ts';
import type { Publish } from '../publish.ts';
import { isSignedByVolunteer, parseVolunteerSign1, strictly } from './volunteer.ts';

export const REQUEST_CONTEXT = 'commons-kit/request';
/** Envelope 110, payload 170 with the longest origin. */
export const MAX_REQUEST_BYTES = 512;
const MEMBERS = 6;

export type Wish =
  | { what: 'publish'; publish: Publish }
  | { what: 'erase'; span: Span }
  | { what: 'disclose'; span: Span };

const WHAT = ['publish', 'erase', 'disclose'] as const;

export interface OwnersRequest {
  /** SHA-256 of the whole, as the log's entry has it. */
  hash: Uint8Array;
  ownerKey: Uint8Array;
  meterId: Uint8Array;
  /** Above that of every request before it. */
  number: number;
  wish: Wish;
}

/** The payload that an owner signs. */
export function encodeRequest(
  { origin, meterId, number, wish }: Omit<OwnersRequest, 'hash' | 'ownerKey'> & { origin: string },
): Uint8Array {
  const terms = wish.what === 'publish' ? wish.publish : [wish.span.fromMs, wish.span.toMs];
  return encode(new Map<number, unknown>([
    [1, REQUEST_CONTEXT], [2, origin], [3, meterId], [4, number], [5, WHAT.indexOf(wish.what)],
    [6, terms],
  ]), rfc8949EncodeOptions);
}

/**
 * Reads and verifies a request to the ledger `origin`. Throws LedgerError `malformed-wish`, or
 * `bad-wish` for another ledger's, and for a signature that does not verify.
 */
export function verifyRequest(bytes: Uint8Array, origin: string): OwnersRequest {
  const { length } = bytes;
  if (length > MAX_REQUEST_BYTES) throw malformed(`at most ${MAX_REQUEST_BYTES} bytes`, `${length}`);
  const signed = parseVolunteerSign1(bytes, malformed);
  const members = strictly(
    () => decode(signed.payload, { useMaps: true, strict: true, rejectDuplicateMapKeys: true }),
    malformed,
  ) as unknown;
  if (!(members instanceof Map) || members.size !== MEMBERS) {
    throw malformed(`a map of ${MEMBERS}`, 'another');
  }
  const request = {
    hash: sha256(bytes),
    ownerKey: signed.volunteerKey,
    meterId: meterIdOf(members.get(3)),
    number: uintOf(members.get(4)),
    wish: wishOf(members.get(5), members.get(6)),
  };
  const again = encodeRequest({ ...request, origin });
  if (!equal(again, signed.payload)) throw refusal(`a request to ${origin}`, 'other bytes');
  if (!isSignedByVolunteer(signed)) {
    throw refusal('the owner’s signature', 'one that does not verify');
  }
  return request;
}

function wishOf(what: unknown, terms: unknown): Wish {
  if (what === 0) {
    const publish = Object.values(PUBLISH).find((one) => one === terms);
    if (publish === undefined) throw malformed('0 to 3 under 6', String(terms));
    return { what: 'publish', publish };
  }
  if (what !== 1 && what !== 2) throw malformed('0 to 2 under 5', String(what));
  if (!Array.isArray(terms) || terms.length !== 2) throw malformed('two times under 6', 'other');
  return { what: WHAT[what] as 'erase' | 'disclose', span: checkSpan(terms[0], terms[1]) };
}

/** Throws LedgerError `malformed-wish` unless the times follow one another. */
export function checkSpan(from: unknown, to: unknown): Span {
  const [fromMs, toMs] = [uintOf(from), uintOf(to)];
  if (toMs <= fromMs) throw malformed(`an end after ${fromMs}`, `${toMs}`);
  return { fromMs, toMs };
}

function meterIdOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array && value.length === METER_ID_BYTES) return new Uint8Array(value);
  throw malformed(`a meter id of ${METER_ID_BYTES} bytes`, 'other');
}

function uintOf(value: unknown): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value;
  throw malformed('an unsigned integer', String(value));
}

function refusal(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'bad-wish', message: 'Request refused', expected, got });
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-wish', message: 'Request refused', expected, got, cause };
  return new LedgerError(parts);
}
