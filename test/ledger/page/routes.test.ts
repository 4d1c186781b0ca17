import test from 'ava';
import { Hono } from 'hono';
import { askRoutes } from '../../../ledger/ask/routes.ts';
import { pageRoutes } from '../../../ledger/page/routes.ts';
import { settle } from '../ask/homes.ts';
import { evenMeter, tick } from '../../helpers/even-meter.ts';
import { CHECKPOINT, HOMES, NOW_S, PRICES } from './site.ts';

const evil = '"><img src=x onerror=alert(1)>';
const deps = {
  db: settle([HOMES[1]]), now: () => NOW_S * 1000, origin: 'ledger.test/commons', names: () => evil,
  rate: 1, vkey: 'ledger.test/commons+1aa70c1d+AS9A', checkpoint: () => CHECKPOINT as string | null,
};
const app = new Hono().route('/', askRoutes(deps)).route('/', pageRoutes(deps));
app.post('/v1/batches', (c) => c.text('elsewhere'));
const get = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  app.request(`http://ledger.test${path}`, { headers });
const node = `/node/${HOMES[1].meter}`;

for (const path of ['/', node, '/audit', '/page/page.css', '/page/page.js', '/page/mark.svg', '/node/x']) {
  test(`${path} lets nothing come from elsewhere`, async (t) => {
    const { headers } = await get(path);
    t.regex(headers.get('Content-Security-Policy')!, /^default-src 'none'; style-src 'self'; script-src 'self'; /);
    t.false(/unsafe|https?:|\*/.test(headers.get('Content-Security-Policy')!));
    t.is(headers.get('X-Content-Type-Options'), 'nosniff');
    t.is(headers.get('Referrer-Policy'), 'no-referrer');
  });
}

test('a name is text wherever it stands', async (t) => {
  for (const path of ['/', node]) {
    const body = await (await get(path)).text();
    t.false(body.includes('<img src=x'), path);
    t.true(body.includes('&gt;&lt;img src=x onerror=alert(1)&gt;'), path);
  }
});

test('nodes that claim more than can be summed take no page or answer from the others', async (t) => {
  const liars = Array.from({ length: 6 }, (_, i) => evenMeter(`11a500000000000${i}`, '2027-02-01T00:00:00Z'));
  // A field's most, by docs/wire.md.
  const most = 2 ** 51 - 1;
  const entries = liars.flatMap((liar) => [
    liar.enrolled, liar.batch([['2027-02-20T00:00:00Z', 0], ['2027-02-20T12:00:00Z', most]]),
  ]);
  const lied = { ...deps, db: settle([HOMES[1]], 1, [...PRICES, ...entries, tick('2027-03-18T01:00:00Z')]) };
  const pages = new Hono().route('/', askRoutes(lied)).route('/', pageRoutes(lied));
  const paths = ['/', node, '/v1/months', '/v1/months.csv', '/v1/nodes', '/metrics', '/node/11a5000000000000'];
  for (const path of paths) {
    const response = await pages.request(`http://ledger.test${path}`);
    t.is(response.status, 200, path);
    t.notRegex(await response.text(), /NaN|Infinity|e\+\d/, path);
  }
});

test('no inline style, script or handler is in any page', async (t) => {
  for (const path of ['/', node, '/audit']) {
    const body = await (await get(path)).text();
    t.notRegex(body, /<style|\sstyle=|<script(?! type="module" src="\/page\/page\.js")|<[a-z][^>]*\son\w+=/i);
  }
});

test('the audit page gives the key, the checkpoint and the commands', async (t) => {
  const body = await (await get('/audit')).text();
  t.true(body.includes(`log ${deps.vkey}\nquorum none`));
  t.true(body.includes(CHECKPOINT.trimEnd()));
  t.true(body.includes('npx ledger audit http://ledger.test --policy policy'));
  const byTls = await (await get('/audit', { 'X-Forwarded-Proto': 'https' })).text();
  t.true(byTls.includes('npx ledger audit https://ledger.test --policy policy'));
  t.false(byTls.includes('http://ledger.test'));
});

test('before the first checkpoint the audit page says so', async (t) => {
  const early = pageRoutes({ ...deps, checkpoint: () => null });
  t.regex(await (await early.request('http://ledger.test/audit')).text(), /no checkpoint yet/);
});

for (const [path, status, words] of [
  ['/node/0000000000000000', 404, 'No such node'],
  ['/node/xyz', 400, '16 hex digits'],
  [`${node}?window=decade`, 400, '2h, day, week, month, year'],
  [`${node}?window=__proto__`, 400, '2h, day, week, month, year'],
  ['/?after=%3Cb%3E', 400, '&lt;b&gt;'],
] as const) {
  test(`asked wrongly: ${path}`, async (t) => {
    const response = await get(path);
    t.is(response.status, status);
    t.true((await response.text()).includes(words));
  });
}

test('a page that has not changed is not sent again', async (t) => {
  const etag = (await get(node)).headers.get('ETag')!;
  t.is((await get(node, { 'If-None-Match': etag })).status, 304);
});

test('routes beside these keep their own rules', async (t) => {
  const response = await app.request('http://ledger.test/v1/batches', { method: 'POST' });
  t.is(await response.text(), 'elsewhere');
  t.is(response.headers.get('Access-Control-Allow-Origin'), null);
  t.is(response.headers.get('Content-Security-Policy'), null);
  t.is((await get('/v1/nodes')).headers.get('Content-Security-Policy'), null);
});
