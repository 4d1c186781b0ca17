// The ledger's own routes: what meters and benches post, what an auditor reads. The questions
// (ask/) and pages (page/) are mounted beside them. Refusals change nothing; every size, count and
// rate is bounded.

import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { MAX_BATCH_BYTES, NONCE_BYTES } from '../firmware/wire.ts';
import { priceDocument } from './ask/documents.ts';
import { askRoutes } from './ask/routes.ts';
import { LedgerError } from './errors.ts';
import { servePublicFile } from './files.ts';
import type { BatchDecision, MeterState } from './ingest.ts';
import type { Ledger } from './ledger.ts';
import { createLimiter } from './limits.ts';
import type { Limits } from './limits.ts';
import { equal } from './log/tree.ts';
import { pageRoutes } from './page/routes.ts';
import { problem, problemOf } from './problem.ts';
import { REPLY_STATUS, sealReply } from './reply.ts';
import type { ReplyParts } from './reply.ts';
import { parseBatch } from './verify/batch.ts';
import { MAX_ENROLMENT_BYTES } from './verify/enrolment.ts';
import { MAX_PRICE_BYTES } from './verify/price.ts';
import { MAX_REQUEST_BYTES } from './verify/request.ts';
import { MAX_RETIREMENT_BYTES } from './verify/retirement.ts';

export interface RouteOptions {
  limits: Limits;
  /** Who asks: an IP address, or one name for all who come by a Unix socket. */
  addressOf(c: Context): string;
  /** Told of errors that are the ledger's own. */
  onProblem(error: unknown): void;
  /** Real milliseconds, for rates. */
  nowMs(): number;
}

export function ledgerRoutes(ledger: Ledger, options: RouteOptions): Hono {
  const { limits, onProblem } = options;
  const app = new Hono();
  app.onError((error) => {
    const response = error instanceof LedgerError ? problemOf(error) : undefined;
    if (response !== undefined) return response;
    onProblem(error);
    return problem(503, { code: 'try-later', message: 'The ledger cannot answer this now' });
  });
  app.use(limitRates(options));

  const limitWork = limitInWork(limits.postsInWork);
  app.post('/v1/batches', (c) => limitWork(() => postBatch(c, ledger, onProblem)));
  app.post('/v1/kits', (c) => limitWork(() => postKit(c, ledger)));
  app.post('/v1/prices', (c) => limitWork(() => postPrice(c, ledger)));
  app.post('/v1/requests', (c) => limitWork(() => postRequest(c, ledger)));
  app.post('/v1/retirements', (c) => limitWork(() => postRetirement(c, ledger)));
  app.get('/v1/ledger', (c) => {
    const { keys: { origin, ageRecipient: age_recipient } } = ledger.store;
    const { rate } = ledger.clock;
    const now = ledger.timeMs();
    c.header('Cache-Control', 'no-store');
    return c.json({ origin, vkey: ledger.log().vkey, age_recipient, now, rate });
  });
  for (const path of ['/checkpoint', '/tile/*', '/blob/*']) {
    app.get(path, (c) => servePublicFile(ledger.store.publicDir, c.req.path.slice(1)));
  }

  const { ledgerDb: db, keys: { origin } } = ledger.store;
  // Names are private until their owners can say otherwise.
  const now = (): number => ledger.clock.nowMs();
  const deps = { db, origin, now, names: () => null };
  const { vkey } = ledger.log();
  const checkpoint = (): string => new TextDecoder().decode(ledger.log().checkpoint());
  // Pages first: the questions' headers are for the questions.
  app.route('/', pageRoutes({ ...deps, rate: ledger.clock.rate, vkey, checkpoint }));
  app.route('/', askRoutes(deps));
  app.notFound(({ req: { path: got } }) =>
    problem(404, { code: 'not-found', message: 'No such page', got }));
  return app;
}

async function postBatch(
  c: Context,
  ledger: Ledger,
  onProblem: (error: unknown) => void,
): Promise<Response> {
  const nonce = readNonce(c);
  const bytes = await readBody(c, 'application/cose', MAX_BATCH_BYTES);
  let result: Awaited<ReturnType<Ledger['submitBatch']>>;
  try {
    result = await ledger.submitBatch(bytes);
  } catch (error) {
    if (error instanceof LedgerError && error.code === 'malformed-batch') throw error;
    // The disk said no. The meter keeps its batch, and hears so under its pairing key.
    onProblem(error);
    const { hash, payload: { meterId } } = parseBatch(bytes);
    const meter = ledger.state().meter(meterId);
    if (meter === undefined) throw new LedgerError({ code: 'try-later', message: 'Not stored' });
    return reply(ledger, { kind: 'tryLater', meter, batchHash: hash, nonce, entryIndex: 0 });
  }
  const { decision, index } = result;
  if (decision.kind === 'unknown-meter') {
    const got = Buffer.from(decision.meterId).toString('hex');
    const hint = 'Pair the meter with this ledger.';
    throw new LedgerError({ code: 'unknown-meter', message: 'Batch refused', got, hint });
  }
  const { meter } = decision;
  const batchHash = decision.kind === 'accepted' ? decision.batch.hash : decision.hash;
  const kind = replyKind(decision);
  const entryIndex = kind === 'accepted' || kind === 'repeated' ? index : 0;
  return reply(ledger, { kind, meter, batchHash, nonce, entryIndex });
}

function replyKind({ kind }: BatchDecision): ReplyParts['kind'] {
  if (kind === 'not-next') return 'notNext';
  if (kind === 'not-yet') return 'tryLater';
  return kind === 'accepted' || kind === 'repeated' ? kind : 'invalid';
}

function reply(
  ledger: Ledger,
  parts: Pick<ReplyParts, 'kind' | 'batchHash' | 'nonce' | 'entryIndex'> & { meter: MeterState },
): Response {
  const { store: { keys: { origin }, pairingKey }, timeMs } = ledger;
  const key = pairingKey(parts.meter.id);
  if (key === undefined) throw new Error('an enrolled meter has no pairing key: secrets.db is old');
  const body = sealReply({ ...parts, origin, nowMs: timeMs() }, key);
  return new Response(new Uint8Array(body), {
    status: REPLY_STATUS[parts.kind],
    headers: { 'Content-Type': 'application/cose', 'Cache-Control': 'no-store' },
  });
}

async function postKit(c: Context, ledger: Ledger): Promise<Response> {
  const bytes = await readBody(c, undefined, MAX_ENROLMENT_BYTES);
  const { enrolment, sealed } = splitKit(bytes);
  const { index, isNew, meterId } = await ledger.enrol(enrolment, sealed);
  return c.json({ meter: Buffer.from(meterId).toString('hex'), index }, isNew ? 201 : 200);
}

async function postPrice(c: Context, ledger: Ledger): Promise<Response> {
  const bytes = await readBody(c, 'application/cose', MAX_PRICE_BYTES);
  const { isNew, price } = await ledger.setPrice(bytes);
  return c.json({ index: price.index, ...priceDocument(price) }, isNew ? 201 : 200);
}

async function postRequest(c: Context, ledger: Ledger): Promise<Response> {
  const bytes = await readBody(c, 'application/cose', MAX_REQUEST_BYTES);
  const granted = await ledger.grant(bytes);
  return c.json(granted, granted.isNew ? 201 : 200);
}

async function postRetirement(c: Context, ledger: Ledger): Promise<Response> {
  const bytes = await readBody(c, 'application/cose', MAX_RETIREMENT_BYTES);
  const { index, isNew, meterId } = await ledger.retire(bytes);
  return c.json({ meter: Buffer.from(meterId).toString('hex'), index }, isNew ? 201 : 200);
}

/** CBOR [enrolment, sealed], deterministic. */
function splitKit(bytes: Uint8Array): { enrolment: Uint8Array; sealed: Uint8Array } {
  let value: unknown;
  try {
    value = decode(bytes, { strict: true, useMaps: true });
  } catch (cause) {
    throw malformed('CBOR [enrolment, sealed]', (cause as Error).message, cause);
  }
  const parts = Array.isArray(value) && value.length === 2 ? value : [];
  if (!parts.every((part) => part instanceof Uint8Array) || parts.length !== 2) {
    throw malformed('CBOR [enrolment, sealed]', 'something else');
  }
  if (!equal(encode(value, rfc8949EncodeOptions), bytes)) {
    throw malformed('the canonical encoding', 'another');
  }
  return { enrolment: new Uint8Array(parts[0]), sealed: new Uint8Array(parts[1]) };
}

function readNonce(c: Context): Uint8Array {
  const text = c.req.header('Commons-Nonce') ?? '';
  if (!/^[0-9a-f]+$/.test(text) || text.length !== 2 * NONCE_BYTES) {
    const parts = { code: 'bad-nonce', message: 'Batch refused', got: text.slice(0, 80) };
    throw new LedgerError({ ...parts, expected: 'Commons-Nonce: 32 hex digits' });
  }
  return new Uint8Array(Buffer.from(text, 'hex'));
}

/**
 * The body, never more than `max` bytes of it. Throws LedgerError `wrong-type`, `too-large`,
 * `malformed-request`.
 */
export async function readBody(
  c: Context,
  type: string | undefined,
  max: number,
): Promise<Uint8Array> {
  const got = c.req.header('Content-Type') ?? 'none';
  if (type !== undefined && got.split(';')[0].trim().toLowerCase() !== type) {
    throw new LedgerError({ code: 'wrong-type', message: 'Post refused', expected: type, got });
  }
  const expected = `at most ${max} bytes`;
  const tooLarge = (size: string): LedgerError =>
    new LedgerError({ code: 'too-large', message: 'Post refused', expected, got: size });
  const declared = Number(c.req.header('Content-Length') ?? 0);
  if (declared > max) throw tooLarge(`${declared} bytes`);
  const chunks: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const chunk of c.req.raw.body ?? []) {
      size += chunk.length;
      if (size > max) throw tooLarge(`more than ${max} bytes`);
      chunks.push(chunk);
    }
  } catch (error) {
    // The peer went: nothing that the operator should hear of.
    throw error instanceof LedgerError ? error : malformed('a whole body', 'one cut off', error);
  }
  return new Uint8Array(Buffer.concat(chunks));
}

function limitRates(
  { limits, addressOf, nowMs }: RouteOptions,
): (c: Context, next: () => Promise<void>) => Promise<Response | void> {
  const reads = createLimiter(limits.reads, nowMs);
  const posts = createLimiter(limits.posts, nowMs);
  return async (c, next) => {
    const waitS = (c.req.method === 'POST' ? posts : reads).take(addressOf(c));
    if (waitS === 0) return next();
    const error = { code: 'too-many', message: 'Too many requests from this address' };
    return problem(429, error, { 'Retry-After': String(waitS) });
  };
}

/** Runs work while fewer than `most` are at it. */
function limitInWork(most: number): (work: () => Promise<Response>) => Promise<Response> {
  let inWork = 0;
  return async (work) => {
    if (inWork >= most) {
      const error = { code: 'try-later', message: 'The ledger is busy' };
      return problem(503, error, { 'Retry-After': '1' });
    }
    inWork++;
    try {
      return await work();
    } finally {
      inWork--;
    }
  };
}

function malformed(expected: string, got: string, cause?: unknown): LedgerError {
  const parts = { code: 'malformed-request', message: 'Post refused', expected, got, cause };
  return new LedgerError(parts);
}
