// A kit's enrolment: the volunteer's statement about a meter, wrapped around the meter's own. Owns
// the volunteer's part, deterministic CBOR in a COSE_Sign1 (Ed25519, key id = the volunteer's key):
//
//   {1: "commons-kit/kit", 2: origin, 3: meter's COSE_Sign1, 4: SHA-256 of the sealed secrets,
//    5: publish 0…3, 6: assurance, 7: calibration {"id": …}, 8: interval, s, 9: efficiency, ‰,
//    ? 10: the owner's key, 32, whose requests (request.ts) are the kit's owner's}
//
// Always public, so: no name, no address, no pairing key. Those travel sealed, and are not read
// here.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { decodeEnrol, encodeEnrol } from '../../firmware/wire.ts';
import type { EnrolStatement } from '../../firmware/wire.ts';
import { LedgerError } from '../errors.ts';
import { ED25519_KEY_BYTES } from '../log/ed25519.ts';
import { equal, sha256 } from '../log/tree.ts';
import { PUBLISH } from '../publish.ts';
import type { Publish } from '../publish.ts';
import type { MeterSign1 } from './batch.ts';
import { parseMeterSign1, written } from './batch.ts';
import { isEnrollableKey, signatureIndex, verifyHss } from './lms.ts';
import { isSignedByVolunteer, parseVolunteerSign1, strictly } from './volunteer.ts';

export const KIT_CONTEXT = 'commons-kit/kit';
/** POST /v1/kits takes no more. */
export const MAX_ENROLMENT_BYTES = 16_384;
/** The meter's statement is signed with the first one-time key. */
export const STATEMENT_Q = 0;
const MAX_TEXT = 96;
const MAX_CALIBRATION_BYTES = 2_048;
/** A day: coarser intervals come from merging only. */
const MAX_INTERVAL_S = 86_400;

export interface Enrolment {
  /** SHA-256 of the whole, as the log's entry has it. */
  hash: Uint8Array;
  volunteerKey: Uint8Array;
  origin: string;
  meterId: Uint8Array;
  meterKey: Uint8Array;
  /** The meter's part as signed: a blob of its own if its one-time key is ever used again. */
  statement: Uint8Array;
  firmwareHash: Uint8Array;
  sealedHash: Uint8Array;
  publish: Publish;
  assurance: string;
  calibration: Record<string, unknown>;
  intervalS: number;
  supplyEfficiencyPermille: number;
  /** Ed25519; null: nobody can ask anything later. */
  ownerKey: Uint8Array | null;
}

/**
 * Reads and verifies an enrolment for the ledger `origin`: both signatures, both origins, the
 * meter's id from its key. Whether the volunteer was admitted is the caller's to say. Throws
 * LedgerError `malformed-enrolment` or `bad-enrolment`.
 */
export function verifyEnrolment(
  bytes: Uint8Array,
  origin: string,
  verifyMeter = verifyHss,
): Enrolment {
  const { length } = bytes;
  if (length > MAX_ENROLMENT_BYTES) throw malformed('at most 16 KiB', `${length} bytes`);
  const signed = parseVolunteerSign1(bytes, malformed);
  const { volunteerKey, payload } = signed;
  const members = decodeMembers(payload);
  const statementBytes = bytesOf(members, 3);
  const { statement, sign1 } = parseStatement(statementBytes);
  const enrolment = readTerms(members, { volunteerKey, statement, statementBytes, sign1, bytes });
  const refuse = (expected: string, got: string): LedgerError =>
    new LedgerError({ code: 'bad-enrolment', message: 'Enrolment refused', expected, got });
  if (enrolment.origin !== origin) throw refuse(origin, enrolment.origin);
  if (statement.origin !== origin) throw refuse(`the meter to name ${origin}`, statement.origin);
  if (!isEnrollableKey(enrolment.meterKey)) {
    throw refuse('one level, LMS_SHA256_M24_H5 or H10, LMOTS_SHA256_N24_W4', 'another key');
  }
  const meterId = Buffer.from(sha256(enrolment.meterKey).subarray(0, 8));
  if (!equal(meterId, enrolment.meterId)) {
    throw refuse(meterId.toString('hex'), Buffer.from(enrolment.meterId).toString('hex'));
  }
  if (!isSignedByVolunteer(signed)) {
    throw refuse('the volunteer’s signature', 'one that does not verify');
  }
  if (signatureIndex(sign1.signature) !== STATEMENT_Q) {
    throw refuse(`one-time key ${STATEMENT_Q}`, `${signatureIndex(sign1.signature)}`);
  }
  if (!verifyMeter(enrolment.meterKey, sign1.message, sign1.signature)) {
    throw refuse('the meter’s signature', 'one that does not verify');
  }
  return enrolment;
}

function parseStatement(bytes: Uint8Array): {
  statement: EnrolStatement<Uint8Array>;
  sign1: MeterSign1;
} {
  const sign1 = strictly(() => parseMeterSign1(bytes), malformed);
  const statement = strictly(() => decodeEnrol(sign1.payload), malformed);
  const again = written(512, (out) => encodeEnrol(out, statement));
  if (!equal(again, sign1.payload)) throw malformed('the canonical encoding', 'another');
  return { statement, sign1 };
}

function readTerms(
  members: ReadonlyMap<unknown, unknown>,
  parts: {
    volunteerKey: Uint8Array;
    statement: EnrolStatement<Uint8Array>;
    statementBytes: Uint8Array;
    sign1: MeterSign1;
    bytes: Uint8Array;
  },
): Enrolment {
  const context = textOf(members, 1);
  if (context !== KIT_CONTEXT) throw malformed(KIT_CONTEXT, context);
  const publish = uintOf(members, 5, PUBLISH.day) as Publish;
  const sealedHash = bytesOf(members, 4);
  if (sealedHash.length !== 32) throw malformed('a hash of 32 bytes', `${sealedHash.length}`);
  return {
    hash: sha256(parts.bytes),
    volunteerKey: parts.volunteerKey,
    origin: textOf(members, 2),
    meterId: parts.sign1.meterId,
    meterKey: parts.statement.publicKey,
    statement: parts.statementBytes,
    firmwareHash: parts.statement.firmwareHash,
    sealedHash,
    publish,
    assurance: textOf(members, 6),
    calibration: calibrationOf(members),
    intervalS: uintOf(members, 8, MAX_INTERVAL_S, 1),
    supplyEfficiencyPermille: uintOf(members, 9, 1_000, 1),
    ownerKey: ownerKeyOf(members),
  };
}

/** And a tenth: the owner's key. */
const MEMBERS = 9;

function decodeMembers(payload: Uint8Array): ReadonlyMap<unknown, unknown> {
  const members = strictly(
    () => decode(payload, { useMaps: true, strict: true, rejectDuplicateMapKeys: true }), malformed,
  ) as unknown;
  if (!(members instanceof Map) || members.size !== MEMBERS + (members.has(10) ? 1 : 0)) {
    throw malformed(`a map of ${MEMBERS}`, 'another');
  }
  const again = strictly(() => encode(members, rfc8949EncodeOptions), malformed);
  if (!equal(again, payload)) throw malformed('the canonical encoding', 'another');
  return members;
}

/** The calibration's facts, text to number or text, with an `id`; their meaning is the bench's. */
function calibrationOf(members: ReadonlyMap<unknown, unknown>): Record<string, unknown> {
  const map = members.get(7);
  if (!(map instanceof Map) || !Number.isSafeInteger(map.get('id')) || map.get('id') < 0) {
    throw malformed('a calibration with an id', String(map));
  }
  const plain = [...map].every(([name, value]) =>
    typeof name === 'string' && (typeof value === 'string' || Number.isSafeInteger(value)));
  if (!plain || encode(map).length > MAX_CALIBRATION_BYTES) {
    throw malformed('a calibration of texts and integers, below 2 KiB', 'another');
  }
  return Object.fromEntries(map);
}

function ownerKeyOf(members: ReadonlyMap<unknown, unknown>): Uint8Array | null {
  if (!members.has(10)) return null;
  const key = bytesOf(members, 10);
  if (key.length === ED25519_KEY_BYTES) return key;
  throw malformed(`an owner’s key of ${ED25519_KEY_BYTES} bytes`, `${key.length}`);
}

function bytesOf(members: ReadonlyMap<unknown, unknown>, key: number): Uint8Array {
  const value = members.get(key);
  if (!(value instanceof Uint8Array)) throw malformed(`bytes under ${key}`, typeof value);
  return new Uint8Array(value);
}

function textOf(members: ReadonlyMap<unknown, unknown>, key: number): string {
  const value = members.get(key);
  if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value) || value.length > MAX_TEXT) {
    throw malformed(`printable ASCII under ${key}`, String(value).slice(0, 80));
  }
  return value;
}

function uintOf(
  members: ReadonlyMap<unknown, unknown>,
  key: number,
  max: number,
  min = 0,
): number {
  const value = members.get(key);
  if (typeof value !== 'number' || !Number.isInteger(value) || value < min || value > max) {
    throw malformed(`${min} to ${max} under ${key}`, String(value));
  }
  return value;
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-enrolment', message: 'Enrolment refused', expected, got, cause };
  return new LedgerError(parts);
}
