// The pages over HTTP. Public and read-only; nothing on them comes from anywhere else. Names come
// from the private store, and like every other value they are escaped where they are written.

import { readFileSync } from 'node:fs';
import { Hono } from 'hono';
import type { Context } from 'hono';
import { etag } from 'hono/etag';
import { html } from 'hono/html';
import { checkNodeId } from '../ask/parameters.ts';
import { openLedgerBook } from '../ask/months.ts';
import { readStatus } from '../ask/node.ts';
import { createReader } from '../ask/read.ts';
import { unknownNode } from '../ask/routes.ts';
import type { AskDeps } from '../ask/routes.ts';
import type { MeterRow } from '../ask/schema.ts';
import { readSums } from '../ask/series.ts';
import { LedgerError } from '../errors.ts';
import { auditPage } from './audit.ts';
import { badge } from './badge.ts';
import { commonsPage } from './commons.ts';
import type { Html } from './format.ts';
import { layout, PAGE_HEADERS } from './layout.ts';
import type { PageFrame } from './layout.ts';
import { nodePage } from './node.ts';
import { WINDOWS } from './scale.ts';
import type { WindowName } from './scale.ts';
import { fact } from './tile.ts';

export interface PageDeps extends AskDeps {
  /** Seconds of the ledger's clock to a real one; 1 but in a try-out. */
  rate: number;
  /** The log's verifier key, in its text form. */
  vkey: string;
  /** The signed checkpoint as served, or null before the first. */
  checkpoint(): string | null;
}

const ASSETS = [
  ['page.css', 'text/css; charset=utf-8'],
  ['page.js', 'text/javascript; charset=utf-8'],
  ['mark.svg', 'image/svg+xml'],
] as const;

const MONTH_S = 30 * 86_400;

/** For other people's sites: they may show it, and need not ask again for five minutes. */
const BADGE_HEADERS = {
  'Content-Type': 'image/svg+xml',
  'Content-Security-Policy': "default-src 'none'; sandbox",
  'Cross-Origin-Resource-Policy': 'cross-origin',
  'X-Content-Type-Options': 'nosniff',
  'Cache-Control': 'public, max-age=300',
};

/** `GET /`, `/node/ID`, `/badge/ID.svg`, `/audit`, and the style, script and mark that they use. */
export function pageRoutes(deps: PageDeps): Hono {
  const app = new Hono();
  const reader = createReader(deps.db);
  const book = openLedgerBook(deps.db);
  const nowS = (): number => Math.floor(deps.now() / 1000);
  const shortNameOf = ({ meter }: MeterRow): string => deps.names(meter) ?? meter;
  const nameOf = ({ meter }: MeterRow): string => deps.names(meter) ?? `node ${meter}`;
  const show = (c: Context, place: PageFrame['place'], title: string, main: Html) => c.html(layout({
    title, place, origin: deps.origin, nowS: nowS(), rate: deps.rate, entries: reader.nextIndex(),
  }, main));

  for (const path of ['/', '/node/*', '/audit', '/page/*']) {
    app.use(path, etag(), async (c, next) => {
      await next();
      for (const [name, value] of Object.entries(PAGE_HEADERS)) c.header(name, value);
    });
  }

  app.get('/', (c) => {
    const after = c.req.query('after') ?? '';
    if (after !== '') checkNodeId(after);
    const main = commonsPage(reader, { nowS: nowS(), nameOf: shortNameOf, book, after });
    return show(c, 'commons', 'The commons', main);
  });

  app.get('/node/:id', (c) => {
    const id = checkNodeId(c.req.param('id'));
    const meter = reader.meter(id) ?? unknownNode(id);
    const window = windowOf(c.req.query('window'));
    const main = nodePage(reader, meter, { nowS: nowS(), name: nameOf(meter), window, book });
    return show(c, 'node', nameOf(meter), main);
  });

  app.get('/badge/:file{.+\\.svg}', (c) => {
    const id = checkNodeId(c.req.param('file').slice(0, -'.svg'.length));
    const meter = reader.meter(id) ?? unknownNode(id);
    const toS = nowS();
    const fromS = Math.min(toS - 1, Math.max(toS - MONTH_S, meter.lifeS));
    const [month] = readSums(reader, meter, [fromS, toS]);
    return c.body(String(badge(readStatus(reader, meter, toS), month)), 200, BADGE_HEADERS);
  });

  app.get('/audit', (c) => show(c, 'audit', 'Audit', auditPage({
    base: baseOf(c), vkey: deps.vkey, checkpoint: deps.checkpoint(),
  })));

  for (const [name, type] of ASSETS) {
    const bytes = readFileSync(new URL(`./${name}`, import.meta.url));
    app.get(`/page/${name}`, (c) => c.body(new Uint8Array(bytes), 200, { 'Content-Type': type }));
  }

  app.onError((error, c) => {
    if (!(error instanceof LedgerError)) throw error;
    c.status(error.code === 'unknown-node' ? 404 : 400);
    return show(c, 'node', error.message, errorPage(error));
  });
  return app;
}

/** The ledger's own address; TLS ends at the web server before it, which tells so. */
function baseOf(c: Context): string {
  const { protocol, host } = new URL(c.req.url);
  return `${c.req.header('X-Forwarded-Proto') === 'https' ? 'https:' : protocol}//${host}`;
}

function windowOf(text: string | undefined): WindowName | null {
  if (text === undefined) return null;
  if (Object.hasOwn(WINDOWS, text)) return text as WindowName;
  throw new LedgerError({
    code: 'malformed-query', message: 'There is no such window of time',
    expected: Object.keys(WINDOWS).join(', '), got: text.slice(0, 100),
  });
}

function errorPage(error: LedgerError): Html {
  return html`<h1>${error.message}</h1>
<dl class="facts">${fact('Expected', error.expected ?? '')}${fact('Got', error.got ?? '')}</dl>
<p><a href="/">To the commons</a></p>`;
}
