// The ledger as the bench meets it: a few requests over HTTP. Knows no more of it than its documents.

import * as v from 'valibot';
import { KitError } from '../errors.ts';

const LEDGER_LIMIT_MS = 30_000;
/** Of what a stranger answers: a line of it says enough. */
const MAX_QUOTED = 200;
const CHECK_LEDGER = 'Check `ledger` in campaign.toml, and that it runs.';

const describedSchema = v.object({
  origin: v.string(), age_recipient: v.string(), vkey: v.optional(v.string()),
});
const enrolledSchema = v.object({ meter: v.string(), index: v.number() });
const pricesSchema = v.object({ prices: v.array(v.object({ currency: v.string() })) });
const priceSetSchema = v.object({
  index: v.number(), currency: v.string(), per_kwh: v.string(), valid_from: v.string(),
  zone: v.string(), starts: v.string(),
});
const problemSchema = v.object({
  title: v.string(),
  type: v.optional(v.string()),
  expected: v.optional(v.string()),
  got: v.optional(v.string()),
  hint: v.optional(v.string()),
});

export type Fetch = typeof fetch;
export type LedgerDescription = v.InferOutput<typeof describedSchema>;
export type Enrolled = v.InferOutput<typeof enrolledSchema>;
export type PriceSet = v.InferOutput<typeof priceSetSchema>;

/**
 * Asks who the ledger is; it must be the campaign's, by its origin.
 * @throws KitError `ledger-other`, `ledger-unreachable`, `ledger-refused`, `ledger-unintelligible`
 */
export async function describeLedger(
  url: string,
  origin: string,
  deps: { fetch: Fetch },
): Promise<LedgerDescription> {
  const described = await ask(`${url}/v1/ledger`, describedSchema, { deps });
  if (described.origin !== origin) throw otherLedger(url, origin, described.origin);
  return described;
}

/** The same body may be sent again: the ledger then tells the first entry. */
export function enrolKit(url: string, body: Uint8Array, deps: { fetch: Fetch }): Promise<Enrolled> {
  const headers = { 'Content-Type': 'application/cbor' };
  return ask(`${url}/v1/kits`, enrolledSchema, { deps, init: { method: 'POST', headers, body } });
}

export function listPrices(
  url: string, deps: { fetch: Fetch },
): Promise<v.InferOutput<typeof pricesSchema>> {
  return ask(`${url}/v1/prices`, pricesSchema, { deps });
}

/** The same price may be sent again: the ledger then tells the first entry. */
export function setPrice(url: string, body: Uint8Array, deps: { fetch: Fetch }): Promise<PriceSet> {
  const headers = { 'Content-Type': 'application/cose' };
  return ask(`${url}/v1/prices`, priceSetSchema, { deps, init: { method: 'POST', headers, body } });
}

/**
 * Undefined: the ledger never enrolled that meter. The same retirement may be sent again: the
 * ledger then tells the first entry.
 */
export async function postRetirement(
  url: string, body: Uint8Array, deps: { fetch: Fetch },
): Promise<Enrolled | undefined> {
  const init = { method: 'POST', headers: { 'Content-Type': 'application/cose' }, body };
  const answer = ask(`${url}/v1/retirements`, enrolledSchema, { deps, init });
  return answer.catch((error: unknown) => {
    if (error instanceof KitError && error.code === 'ledger-unknown-meter') return undefined;
    throw error;
  });
}

/** A file of the log's public folder. @throws KitError `ledger-unreachable`, `ledger-refused` */
export async function readLogFile(
  url: string, path: string, deps: { fetch: Fetch },
): Promise<Buffer> {
  const response = await send(`${url}/${path}`, { deps });
  if (!response.ok) throw refused(`${url}/${path}`, response.status, await response.text());
  return Buffer.from(await response.arrayBuffer());
}

async function ask<T extends v.GenericSchema>(
  url: string,
  schema: T,
  { deps, init }: { deps: { fetch: Fetch }; init?: object },
): Promise<v.InferOutput<T>> {
  const response = await send(url, { deps, init });
  const text = await response.text();
  if (!response.ok) throw refused(url, response.status, text);
  const answer = v.safeParse(schema, parse(text));
  if (answer.success) return answer.output;
  throw new KitError({
    code: 'ledger-unintelligible',
    message: `${url} is no ledger of a kind known here`,
    expected: "a ledger's JSON",
    got: text.slice(0, MAX_QUOTED),
    hint: CHECK_LEDGER,
  });
}

async function send(
  url: string, { deps, init }: { deps: { fetch: Fetch }; init?: object },
): Promise<Response> {
  const signal = AbortSignal.timeout(LEDGER_LIMIT_MS);
  return deps.fetch(url, { ...init, signal }).catch((cause: Error) => {
    throw new KitError({
      code: 'ledger-unreachable',
      message: `The ledger at ${url} does not answer`,
      expected: `an answer within ${LEDGER_LIMIT_MS / 1000} s`,
      got: String((cause.cause as Error | undefined)?.message ?? cause.message),
      hint: CHECK_LEDGER,
      cause,
    });
  });
}

/** The ledger's own words where it has some (problem+json, RFC 9457). */
function refused(url: string, status: number, text: string): KitError {
  const problem = v.safeParse(problemSchema, parse(text));
  const { title, type, expected, got, hint } = problem.success
    ? problem.output
    : { title: `${status} at ${url}`, got: text.slice(0, MAX_QUOTED) };
  return new KitError({
    code: type === 'urn:commons-kit:unknown-meter' ? 'ledger-unknown-meter' : 'ledger-refused',
    message: `The ledger says: ${title}`,
    expected: expected ?? 'that it takes what it is sent',
    got: got ?? `status ${status}`,
    hint: hint ?? CHECK_LEDGER,
  });
}

function otherLedger(url: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'ledger-other',
    message: `The ledger at ${url} is not the campaign's`,
    ...{ expected, got },
    hint: 'Set `ledger_origin` in campaign.toml to the ledger that the community chose.',
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
