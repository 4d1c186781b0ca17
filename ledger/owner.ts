// `ledger ask`: an owner's request, made and signed where the owner's key is (owner-key.ts), and
// posted to a ledger. Sends nothing else of it.

import { ALG, encodeHeader, encodeSign1, encodeSigStructure } from '../firmware/wire.ts';
import { LedgerError } from './errors.ts';
import type { Span } from './fate.ts';
import type { SigningKey } from './log/ed25519.ts';
import { PUBLISH } from './publish.ts';
import { written } from './verify/batch.ts';
import type { Wish } from './verify/request.ts';
import { encodeRequest, MAX_REQUEST_BYTES } from './verify/request.ts';

const ASK_MS = 30_000;

export interface Asking {
  origin: string;
  meterId: Uint8Array;
  /** Above that of every request before it: the time will do. */
  number: number;
  wish: Wish;
}

/** The request as POST /v1/requests takes it. */
export function signRequest(asking: Asking, key: SigningKey): Uint8Array {
  const payload = encodeRequest(asking);
  const header = written(64, (out) => encodeHeader(out, ALG.ed25519, key.publicKey));
  const covered = written(MAX_REQUEST_BYTES, (out) => encodeSigStructure(out, header, payload));
  const signature = key.sign(covered);
  return written(MAX_REQUEST_BYTES, (out) => encodeSign1(out, header, payload, signature));
}

export interface Granted {
  index: number;
  isNew: boolean;
  batches: number;
}

/** Signs and posts. Throws LedgerError `refused` with the ledger's own words, `unreachable`. */
export async function ask(
  url: string,
  key: SigningKey,
  { meterId, wish }: Pick<Asking, 'meterId' | 'wish'>,
): Promise<Granted> {
  const base = url.endsWith('/') ? url : `${url}/`;
  const signal = AbortSignal.timeout(ASK_MS);
  const ledger = await reach(new URL('v1/ledger', base), { signal });
  const { origin, now } = await ledger.json().catch(() => ({})) as { origin?: string; now?: number };
  if (typeof origin !== 'string' || typeof now !== 'number') {
    throw noLedger(base, 'a ledger’s description', `status ${ledger.status}`);
  }
  const body = signRequest({ origin, meterId, number: now, wish }, key);
  const headers = { 'Content-Type': 'application/cose' };
  const to = new URL('v1/requests', base);
  const response = await reach(to, { method: 'POST', headers, body: new Uint8Array(body), signal });
  if (response.ok) return await response.json() as Granted;
  const parts = { code: 'refused', message: 'The ledger refused the request' };
  throw new LedgerError({ ...parts, got: `${response.status} ${await response.text()}` });
}

async function reach(url: URL, init: RequestInit): Promise<Response> {
  return fetch(url, init).catch((error: Error) => {
    const { message } = (error.cause ?? error) as Error;
    throw noLedger(url.origin, `an answer within ${ASK_MS / 1000} s`, message);
  });
}

function noLedger(url: string, expected: string, got: string): LedgerError {
  const message = `No ledger answers at ${url}`;
  return new LedgerError({ code: 'unreachable', message, expected, got });
}

/** One of `--publish`, `--erase`, `--disclose`, as the command line has them. */
export function parseWish(
  flags: { publish?: string; erase?: string[]; disclose?: string[] },
): Wish {
  const given = [flags.publish, flags.erase, flags.disclose].filter((flag) => flag !== undefined);
  if (given.length !== 1) throw usage('one of --publish, --erase, --disclose', `${given.length}`);
  if (flags.erase) return { what: 'erase', span: parseSpan(flags.erase) };
  if (flags.disclose) return { what: 'disclose', span: parseSpan(flags.disclose) };
  const publish = Object.entries(PUBLISH).find(([name]) => name === flags.publish)?.[1];
  if (publish === undefined) throw usage(Object.keys(PUBLISH).join(', '), flags.publish!);
  return { what: 'publish', publish };
}

/** Two dates, the second not included: midnights in UTC, or whole RFC 3339 times. */
export function parseSpan(words: readonly string[]): Span {
  const times = words.map((word) => (/^\d{4}-\d\d-\d\d(T.+)?$/.test(word) ? Date.parse(word) : NaN));
  if (times.length !== 2 || times.some(Number.isNaN) || times[0] < 0 || times[1] <= times[0]) {
    throw usage('two dates such as 2026-11-01 2026-11-02, rising', words.join(' '));
  }
  return { fromMs: times[0], toMs: times[1] };
}

/** A meter's id, 16 hex digits. Throws LedgerError `usage`. */
export function parseMeterId(text: string): Uint8Array {
  if (!/^[0-9a-f]{16}$/.test(text)) throw usage('a meter’s id of 16 hex digits', text);
  return new Uint8Array(Buffer.from(text, 'hex'));
}

function usage(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'usage', message: 'Command refused', expected, got, exitCode: 2 });
}
