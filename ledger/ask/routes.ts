// The questions over HTTP: JSON, CSV, OpenMetrics and their OpenAPI description. Everything here is
// public and read-only; errors are problem+json (RFC 9457). Owns no figures: see node.ts, curve.ts.

import type { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { cors } from 'hono/cors';
import { etag } from 'hono/etag';
import { LedgerError } from '../errors.ts';
import { monthsCsv, recordsCsv } from './csv.ts';
import {
  currencyOf, missingDocument, monthsDocument, nodeDocument, pricesDocument, seriesDocument,
} from './documents.ts';
import type { NodeDocument } from './documents.ts';
import { METRICS_TYPE, openMetrics } from './metrics.ts';
import { openLedgerBook } from './months.ts';
import type { LedgerBook, MonthOf, Page } from './months.ts';
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

/** `GET /v1/nodes…`, `/v1/months…`, `/v1/prices`, `/v1/openapi.json` and `/metrics`. */
export function askRoutes(deps: AskDeps): Hono {
  const app = new Hono();
  const reader = createReader(deps.db);
  const nowS = (): number => Math.floor(deps.now() / 1000);
  const book = openLedgerBook(deps.db);
  const describe = (meter: MeterRow): NodeDocument => nodeDocument(
    meter, readStatus(reader, meter, nowS()),
    { name: deps.names(meter.meter), cost: costOf(book, meter) },
  );
  const findMeter = (c: Context): MeterRow => {
    const id = parameters.checkNodeId(c.req.param('id')!);
    return reader.meter(id) ?? unknownNode(id);
  };

  // Path by path: the ledger's other routes live beside these, under rules of their own.
  for (const path of PATHS) {
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
    return csv(c, csvOf(reader, meter, window), meter.meter);
  });

  app.get('/v1/nodes/:id/months', (c) => {
    const page = parameters.parseMonthsQuery(queryOf(c));
    const meter = findMeter(c);
    const { meter: id } = meter;
    return c.json(monthsDocument({ id }, book, paged(page, (one) => book.monthsOf(meter, one))));
  });

  app.get('/v1/nodes/:id/months.csv', (c) => {
    const page = parameters.parseMonthsQuery(queryOf(c));
    const meter = findMeter(c);
    const bills = book.monthsOf(meter, page).map((month) => ({ meter, month }));
    return csv(c, monthsCsv(bills, currencyOf(book.prices())), `${meter.meter}-months`);
  });

  app.get('/v1/months', (c) => {
    const page = parameters.parseMonthsQuery(queryOf(c));
    const meters = reader.meters('', reader.countMeters());
    const { origin } = deps;
    return c.json(monthsDocument({ origin }, book, paged(page, (one) => book.months(meters, one))));
  });

  app.get('/v1/months.csv', (c) => {
    const { month = book.newestMonth() } = parameters.parseMonthQuery(queryOf(c));
    const count = reader.countMeters();
    parameters.checkCount('nodes', count, parameters.MAX_RECORDS);
    const bills = month === null ? [] : book.billsOf(reader.meters('', count), month);
    return csv(c, monthsCsv(bills, currencyOf(book.prices())), `months-${month}`);
  });

  app.get('/v1/prices', (c) => {
    parameters.parseNoQuery(queryOf(c));
    return c.json(pricesDocument(deps.origin, book.prices()));
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

const PATHS = [
  '/v1/nodes', '/v1/nodes/*', '/v1/months', '/v1/months.csv', '/v1/prices', '/v1/openapi.json',
  '/metrics',
];

/** One month more than asked for tells whether there is a next page. */
function paged<M extends MonthOf>(
  page: Page, read: (page: Page) => M[],
): { months: M[]; next: string | null } {
  const found = read({ ...page, limit: page.limit + 1 });
  const months = found.slice(0, page.limit);
  return { months, next: found.length > months.length ? months[months.length - 1].month : null };
}

function costOf(book: LedgerBook, meter: MeterRow): NodeDocument['cost'] {
  const money = currencyOf(book.prices());
  const minor = money === null ? null : book.costOf(meter);
  return money === null || minor === null ? null : { ...money, minor };
}

function csv(c: Context, text: string, name: string): Response {
  return c.body(text, 200, {
    'Content-Type': 'text/csv; charset=utf-8; header=present',
    'Content-Disposition': `attachment; filename="${name}.csv"`,
  });
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
