// A witness over HTTP: add-checkpoint by https://c2sp.org/tlog-witness, and what it has seen, for
// whoever compares.

import { Hono } from 'hono';
import { LedgerError } from '../errors.ts';
import { createLimiter } from '../limits.ts';
import type { Rate } from '../limits.ts';
import { problem } from '../problem.ts';
import { readBody } from '../routes.ts';
import type { Witness } from './witness.ts';

/** A checkpoint with a hundred post-quantum signatures is half of this. */
const MAX_BODY_BYTES = 1_000_000;

const STATUS: Record<string, number> = {
  'malformed-request': 400,
  'not-signed': 403,
  'unknown-log': 404,
  'too-large': 413,
};

export interface WitnessRouteOptions {
  rate: Rate;
  /** Real milliseconds. */
  nowMs(): number;
  addressOf(c: { env: unknown }): string;
  onProblem(error: unknown): void;
}

export function witnessRoutes(witness: Witness, options: WitnessRouteOptions): Hono {
  const { rate, nowMs, addressOf, onProblem } = options;
  const app = new Hono();
  const limiter = createLimiter(rate, nowMs);
  app.use(async (c, next) => {
    const waitS = limiter.take(addressOf(c));
    if (waitS === 0) return next();
    const error = { code: 'too-many', message: 'Too many requests from this address' };
    return problem(429, error, { 'Retry-After': String(waitS) });
  });
  app.post('/add-checkpoint', async (c) => {
    const answer = witness.addCheckpoint(await readBody(c, undefined, MAX_BODY_BYTES));
    if (answer.status === 200) return c.text(answer.signatures);
    if (answer.status === 409) {
      return c.body(`${answer.size}\n`, 409, { 'Content-Type': 'text/x.tlog.size' });
    }
    return problem(answer.status, answer.reason);
  });
  app.get('/heads', (c) => c.json({ vkey: witness.vkey, heads: witness.heads() }));
  app.get('/evidence', (c) => c.json({ evidence: witness.evidence() }));
  app.notFound(({ req: { path: got } }) =>
    problem(404, { code: 'not-found', message: 'No such page', got }));
  app.onError((error) => {
    const status = error instanceof LedgerError ? STATUS[error.code] : undefined;
    if (status !== undefined) return problem(status, error as LedgerError);
    onProblem(error);
    return problem(503, { code: 'try-later', message: 'The witness cannot answer this now' });
  });
  return app;
}
