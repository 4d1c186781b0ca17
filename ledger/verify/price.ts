// A price of the commons' energy, as a volunteer signs it. Owns the bytes, deterministic CBOR in a
// COSE_Sign1 (Ed25519, key id = the volunteer's key):
//
//   {1: "commons-kit/price", 2: origin, 3: currency, ISO 4217, 4: thousandths of a minor unit a kWh,
//    5: first date, "YYYY-MM-DD", 6: time zone, IANA}
//
// The price holds from that date's beginning in that zone until a later one does, at the wall: what
// a meter sees is divided by its supply's efficiency. Always public. Whether the volunteer was
// admitted, and whether that month is still open, is the caller's to say.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { isDate, isZone, startOfDate } from '../calendar.ts';
import { currencyExponent } from '../currency.ts';
import { LedgerError } from '../errors.ts';
import { equal, sha256 } from '../log/tree.ts';
import { isSignedByVolunteer, parseVolunteerSign1, strictly } from './volunteer.ts';

export const PRICE_CONTEXT = 'commons-kit/price';
/** Envelope 110, payload 190 with the longest origin and zone. */
export const MAX_PRICE_BYTES = 512;
/** A hundred thousand major units of two decimals for a kWh: no honest price, no overflow. */
const MAX_MILLI_MINOR = 10_000_000_000;
const MAX_ORIGIN = 96;
/** `America/Argentina/ComodRivadavia` has 32. */
const MAX_ZONE = 48;
/** As the meters' own times: nothing was measured before. */
const FIRST_DATE = '2024-01-01';
const LAST_DATE = '2099-12-31';
const MEMBERS = 6;

export interface Price {
  /** SHA-256 of the whole, as the log's entry has it. */
  hash: Uint8Array;
  volunteerKey: Uint8Array;
  currency: string;
  /** Thousandths of the currency's minor unit for a kilowatt-hour at the wall. */
  milliMinorPerKWh: number;
  /** `2027-03-01` */
  validFrom: string;
  zone: string;
  /** Where that date begins in that zone. */
  fromS: number;
}

/**
 * Reads and verifies a price for the ledger `origin`. Throws LedgerError `malformed-price`, or
 * `bad-price` for another ledger's, and for a signature that does not verify.
 */
export function verifyPrice(bytes: Uint8Array, origin: string): Price {
  const { length } = bytes;
  if (length > MAX_PRICE_BYTES) throw malformed(`at most ${MAX_PRICE_BYTES} bytes`, `${length}`);
  const signed = parseVolunteerSign1(bytes, malformed);
  const members = decodeMembers(signed.payload);
  const context = textOf(members, 1, PRICE_CONTEXT.length);
  if (context !== PRICE_CONTEXT) throw malformed(PRICE_CONTEXT, context);
  const named = textOf(members, 2, MAX_ORIGIN);
  const terms = termsOf(members);
  const refuse = (expected: string, got: string): LedgerError =>
    new LedgerError({ code: 'bad-price', message: 'Price refused', expected, got });
  if (named !== origin) throw refuse(origin, named);
  if (!isSignedByVolunteer(signed)) {
    throw refuse('the volunteer’s signature', 'one that does not verify');
  }
  return { hash: sha256(bytes), volunteerKey: signed.volunteerKey, ...terms };
}

function termsOf(
  members: ReadonlyMap<unknown, unknown>,
): Omit<Price, 'hash' | 'volunteerKey'> {
  const currency = textOf(members, 3, 3);
  if (currencyExponent(currency) === undefined) throw malformed('a code of ISO 4217', currency);
  const milliMinorPerKWh = members.get(4);
  if (!isPrice(milliMinorPerKWh)) {
    throw malformed(`0 to ${MAX_MILLI_MINOR} under 4`, String(milliMinorPerKWh));
  }
  const validFrom = textOf(members, 5, 10);
  if (!isDate(validFrom) || validFrom < FIRST_DATE || validFrom > LAST_DATE) {
    throw malformed(`a date from ${FIRST_DATE} to ${LAST_DATE}`, validFrom);
  }
  const zone = textOf(members, 6, MAX_ZONE);
  if (!isZone(zone)) throw malformed('a time zone of the IANA’s table', zone);
  return { currency, milliMinorPerKWh, validFrom, zone, fromS: startOfDate(validFrom, zone) };
}

function isPrice(value: unknown): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
    && value <= MAX_MILLI_MINOR;
}

function decodeMembers(payload: Uint8Array): ReadonlyMap<unknown, unknown> {
  const members = strictly(
    () => decode(payload, { useMaps: true, strict: true, rejectDuplicateMapKeys: true }), malformed,
  ) as unknown;
  if (!(members instanceof Map) || members.size !== MEMBERS) {
    throw malformed(`a map of ${MEMBERS}`, 'another');
  }
  const again = strictly(() => encode(members, rfc8949EncodeOptions), malformed);
  if (!equal(again, payload)) throw malformed('the canonical encoding', 'another');
  return members;
}

function textOf(members: ReadonlyMap<unknown, unknown>, key: number, most: number): string {
  const value = members.get(key);
  if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value) || value.length > most) {
    throw malformed(`at most ${most} of printable ASCII under ${key}`, String(value).slice(0, 80));
  }
  return value;
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-price', message: 'Price refused', expected, got, cause };
  return new LedgerError(parts);
}
