// The questions over HTTP: JSON, CSV, OpenMetrics and their OpenAPI description. Everything here is
// public and read-only; errors are problem+json (RFC 9457). Owns no figures: see node.ts, curve.ts.

import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { LedgerError } from '../errors.ts';
import { recordsCsv } from './csv.ts';
import { missingDocument, nodeDocument, seriesDocument } from './documents.ts';
import type { NodeDocument } from './documents.ts';
import { METRICS_TYPE, openMetrics } from './metrics.ts';
import { readMissing, readStatus } from './node.ts';
import { openApi } from './openapi.ts';
import * as parameters from './parameters.ts';
import { createReader } from './read.ts';
import type { Reader } from './read.ts';
import type { MeterRow } from './schema.ts';
import { readSeries } from './series.ts';

export interface AskDeps {
  db: DatabaseSync;
  /** The ledger's clock, in Unix milliseconds. */
  now(): number;
  /** The log's origin. */
  origin: string;
  /** A kit's private name if its owner lets it be shown, by meter id (16 hex digits). */
  names(meterId: string): string | null;
}

/** `GET /v1/nodes…`, `/v1/openapi.json` and `/metrics`. */
export function askRoutes(deps: AskDeps): Hono {
  const app = new Hono();
  const reader = createReader(deps.db);
  const nowS = (): number => Math.floor(deps.now() / 1000);
  const describe = (meter: MeterRow): NodeDocument =>
    nodeDocument(meter, readStatus(reader, meter, nowS()), deps.names(meter.meter));
  const findMeter = (c: Context): MeterRow => {
    const id = parameters.checkNodeId(c.req.param('id')!);
    return reader.meter(id) ?? unknownNode(id);
  };

  // Path by path: the ledger's other routes live beside these, under rules of their own.
  for (const path of ['/v1/nodes', '/v1/nodes/*', '/v1/openapi.json', '/metrics']) {
    app.use(path, cors({ origin: '*', allowMethods: ['GET', 'HEAD'] }), etag(), async (c, next) => {
      await next();
      c.header('Cache-Control', 'no-cache');
      c.header('X-Content-Type-Options', 'nosniff');
    });
  }
  app.onError(asProblem);

  app.get('/v1/nodes', (c) => {
    const { after, limit } = parameters.parseNodesQuery(queryOf(c));
    const meters = reader.meters(after, limit + 1);
    const page = meters.slice(0, limit);
    return c.json({
      origin: deps.origin, total: reader.countMeters(), nodes: page.map(describe),
      next: meters.length > limit ? page[page.length - 1].meter : null,
    });
  });

  app.get('/v1/nodes/:id', (c) => {
    parameters.parseNoQuery(queryOf(c));
    const meter = findMeter(c);
    const missing = readMissing(reader, meter, nowS()).map(missingDocument);
    return c.json({ ...describe(meter), missing });
  });

  app.get('/v1/nodes/:id/series', (c) => {
    const window = parameters.parseSeriesQuery(queryOf(c), nowS());
    return c.json(seriesOf(reader, findMeter(c), { ...window, nowS: nowS() }));
  });

  app.get('/v1/nodes/:id/records.csv', (c) => {
    const window = parameters.parseRecordsQuery(queryOf(c), nowS());
    const meter = findMeter(c);
    return c.body(csvOf(reader, meter, window), 200, {
      'Content-Type': 'text/csv; charset=utf-8; header=present',
      'Content-Disposition': `attachment; filename="${meter.meter}.csv"`,
    });
  });

  app.get('/metrics', (c) => {
    parameters.parseNoQuery(queryOf(c));
    const nodes = reader.meters('', MOST_SCRAPED).map(describe);
    return c.body(openMetrics(nodes, reader.nextIndex()), 200, { 'Content-Type': METRICS_TYPE });
  });

  app.get('/v1/openapi.json', (c) => {
    parameters.parseNoQuery(queryOf(c));
    return c.json(openApi(deps.origin));
  });
  return app;
}

function seriesOf(
  reader: Reader, meter: MeterRow, query: parameters.SeriesQuery & { nowS: number },
): Record<string, unknown> {
  if (query.step === 'raw') {
    // Each record may bring a span of its own and one before it.
    const most = 2 * reader.countRecords(meter, query.fromS, query.toS);
    parameters.checkCount('points', most, parameters.MAX_POINTS);
  }
  return seriesDocument(meter, query, readSeries(reader, meter, query));
}

function csvOf(
  reader: Reader, meter: MeterRow, { fromS, toS }: { fromS: number; toS: number },
): string {
  const count = reader.countRecords(meter, fromS, toS);
  parameters.checkCount('records', count, parameters.MAX_RECORDS);
  return recordsCsv(reader.book(meter).touching({ startS: fromS, endS: toS }));
}

/** A co-op of a thousand homes: 3 MB of text. */
const MOST_SCRAPED = 1000;

const STATUS: Record<string, 400 | 404> = {
  'malformed-query': 400, 'too-much': 400, 'unknown-node': 404,
};

/** A person's error as problem+json; anything else is a fault of ours, and thrown on. */
export function asProblem(error: Error, c: Context): Response {
  const status = error instanceof LedgerError ? STATUS[error.code] : undefined;
  if (!(error instanceof LedgerError) || status === undefined) throw error;
  const { code, message, ...rest } = error.toJSON();
  const problem = { type: `urn:commons-kit:${code}`, title: message, status, ...rest };
  return c.body(JSON.stringify(problem), status, { 'Content-Type': 'application/problem+json' });
}

export function unknownNode(id: string): never {
  throw new LedgerError({
    code: 'unknown-node', message: 'No such node', expected: 'the id of an enrolled meter', got: id,
    hint: 'GET /v1/nodes lists them.',
  });
}

function queryOf(c: Context): URLSearchParams {
  return new URL(c.req.url).searchParams;
}
