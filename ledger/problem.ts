// Errors over HTTP, as problem+json (RFC 9457). Owns which status each refusal has; a status that
// is not listed means that the fault is the ledger's own, and its words stay in the ledger's own
// log.

import type { LedgerError } from './errors.ts';

const STATUS: Record<string, number> = {
  'malformed-batch': 422,
  'malformed-enrolment': 422,
  'malformed-price': 422,
  'malformed-request': 400,
  'bad-nonce': 400,
  'bad-enrolment': 422,
  'bad-price': 422,
  'bad-seal': 422,
  'malformed-wish': 422,
  'bad-wish': 422,
  'malformed-retirement': 422,
  'bad-retirement': 422,
  'not-enroller': 403,
  'not-owner': 403,
  'old-request': 409,
  'too-soon': 429,
  'too-many-batches': 422,
  'not-admitted': 403,
  'already-enrolled': 409,
  'month-closed': 409,
  'price-currency': 409,
  'price-limit': 409,
  'unknown-meter': 404,
  'not-found': 404,
  'too-large': 413,
  'wrong-type': 415,
  'too-many': 429,
  'try-later': 503,
  'clock-behind': 503,
  'clock-leapt': 503,
};

/** The response for a refusal, or undefined if the error is not the peer's to read. */
export function problemOf(error: LedgerError): Response | undefined {
  const status = STATUS[error.code];
  return status === undefined ? undefined : problem(status, error);
}

/** Seconds: what is wrong with a disk, or a clock, is not mended sooner. */
const RETRY_LATER_S = 30;

export function problem(
  status: number,
  { code, message: title, expected, got, hint }: Omit<Partial<LedgerError>, 'toJSON'>,
  headers: Record<string, string> = {},
): Response {
  const type = `urn:commons-kit:${code}`;
  const body = JSON.stringify({ type, title, status, expected, got, hint });
  return new Response(body, {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      'Cache-Control': 'no-store',
      ...(status === 503 ? { 'Retry-After': String(RETRY_LATER_S) } : {}),
      ...headers,
    },
  });
}
