// A meter's retirement, as the volunteer who enrolled it signs it. Owns the bytes, deterministic
// CBOR in a COSE_Sign1 (Ed25519, key id = the volunteer's key):
//
//   {1: "commons-kit/retirement", 2: origin, 3: meter id}
//
// It has no number and no time: a meter retires once, and the same bytes mean the same each time.
// Always public, as its volunteer's name is then. Whether that volunteer enrolled the meter is the
// caller's to say.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { METER_ID_BYTES } from '../../firmware/wire.ts';
import { LedgerError } from '../errors.ts';
import { equal, sha256 } from '../log/tree.ts';
import { isSignedByVolunteer, parseVolunteerSign1, strictly } from './volunteer.ts';

export const RETIREMENT_CONTEXT = 'commons-kit/retirement';
/** Envelope 110, payload 140 with the longest origin. */
export const MAX_RETIREMENT_BYTES = 512;
const MEMBERS = 3;

export interface Retirement {
  /** SHA-256 of the whole, as the log's entry has it. */
  hash: Uint8Array;
  volunteerKey: Uint8Array;
  meterId: Uint8Array;
}

/** The payload that a volunteer signs. */
export function encodeRetirement(origin: string, meterId: Uint8Array): Uint8Array {
  const members = new Map<number, unknown>([[1, RETIREMENT_CONTEXT], [2, origin], [3, meterId]]);
  return encode(members, rfc8949EncodeOptions);
}

/**
 * Reads and verifies a retirement for the ledger `origin`. Throws LedgerError
 * `malformed-retirement`, or `bad-retirement` for another ledger's, and for a signature that does
 * not verify.
 */
export function verifyRetirement(bytes: Uint8Array, origin: string): Retirement {
  const { length } = bytes;
  if (length > MAX_RETIREMENT_BYTES) {
    throw malformed(`at most ${MAX_RETIREMENT_BYTES} bytes`, `${length}`);
  }
  const signed = parseVolunteerSign1(bytes, malformed);
  const members = strictly(
    () => decode(signed.payload, { useMaps: true, strict: true, rejectDuplicateMapKeys: true }),
    malformed,
  ) as unknown;
  if (!(members instanceof Map) || members.size !== MEMBERS) {
    throw malformed(`a map of ${MEMBERS}`, 'another');
  }
  const meterId: unknown = members.get(3);
  if (!(meterId instanceof Uint8Array) || meterId.length !== METER_ID_BYTES) {
    throw malformed(`a meter id of ${METER_ID_BYTES} bytes`, 'other');
  }
  if (!equal(encodeRetirement(origin, meterId), signed.payload)) {
    throw refusal(`a retirement from ${origin}`, 'other bytes');
  }
  if (!isSignedByVolunteer(signed)) {
    throw refusal('the volunteer’s signature', 'one that does not verify');
  }
  const { volunteerKey } = signed;
  return { hash: sha256(bytes), volunteerKey, meterId: new Uint8Array(meterId) };
}

function refusal(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'bad-retirement', message: 'Retirement refused', expected, got });
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-retirement', message: 'Retirement refused' };
  return new LedgerError({ ...parts, expected, got, cause });
}
