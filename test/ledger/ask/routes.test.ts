import test from 'ava';
import { askRoutes } from '../../../ledger/ask/routes.ts';
import { CSV_COLUMNS } from '../../../ledger/ask/csv.ts';
import { settle, tell } from './homes.ts';
import type { Home } from './homes.ts';
import { misfits } from './schema-check.ts';

const START_S = Date.parse('2027-03-01T00:00:00Z') / 1000;
const NOW_MS = (START_S + 48 * 3600 + 60) * 1000;

const homes: Home[] = ['a11ce00000000001', 'b0b0000000000002', 'ca40100000000003'].map((meter, i) => ({
  meter, enrolledS: START_S, untilS: START_S + 48 * 3600, publish: i === 2 ? 3 : 1,
  off: i === 0 ? [{ fromS: START_S + 7200, toS: START_S + 14_400 }] : [],
}));

const db = settle(homes);
const app = askRoutes({
  db, now: () => NOW_MS, origin: 'ledger.test/commons',
  names: (id) => (id === homes[0].meter ? 'Al"ice\\\n<b>' : null),
});
const ask = async (path: string, headers: Record<string, string> = {}): Promise<Response> =>
  app.request(`http://ledger.test${path}`, { headers });
const json = async (path: string): Promise<any> => (await ask(path)).json();

const WHERE: Record<string, string[]> = {
  '/v1/nodes': ['/v1/nodes', '/v1/nodes?limit=2'],
  '/v1/nodes/{id}': homes.map(({ meter }) => `/v1/nodes/${meter}`),
  '/v1/nodes/{id}/series': ['hour', 'day', 'month', 'raw']
    .map((step) => `/v1/nodes/${homes[0].meter}/series?from=2027-03-01&step=${step}`),
  '/v1/nodes/{id}/records.csv': [`/v1/nodes/${homes[0].meter}/records.csv?from=2027-03-01`],
  '/v1/nodes/{id}/months': homes.map(({ meter }) => `/v1/nodes/${meter}/months?limit=2`),
  '/v1/nodes/{id}/months.csv': [`/v1/nodes/${homes[0].meter}/months.csv`],
  '/v1/months': ['/v1/months', '/v1/months?limit=1&before=2027-04'],
  '/v1/months.csv': ['/v1/months.csv', '/v1/months.csv?month=2027-03'],
  '/v1/prices': ['/v1/prices'],
  '/metrics': ['/metrics'],
  '/v1/openapi.json': ['/v1/openapi.json'],
};

test('every path of the OpenAPI document answers as it is described there', async (t) => {
  const document = await json('/v1/openapi.json');
  t.deepEqual(Object.keys(document.paths).sort(), Object.keys(WHERE).sort());
  for (const [path, examples] of Object.entries(WHERE)) {
    const [type, { schema }] = Object.entries<any>(document.paths[path].get.responses[200].content)[0];
    for (const example of examples) {
      const response = await ask(example);
      t.is(response.status, 200, example);
      t.true(response.headers.get('Content-Type')!.startsWith(type), example);
      const answer = type === 'application/json' ? await response.json() : await response.text();
      t.deepEqual(misfits(schema, answer), [], example);
    }
  }
});

test('nodes come in pages', async (t) => {
  const first = await json('/v1/nodes?limit=2');
  t.is(first.total, 3);
  t.deepEqual(first.nodes.map((node: any) => node.id), [homes[0].meter, homes[1].meter]);
  const second = await json(`/v1/nodes?limit=2&after=${first.next}`);
  t.deepEqual(second.nodes.map((node: any) => node.id), [homes[2].meter]);
  t.is(second.next, null);
});

test('the hours of a day sum to the day, and the days to the node’s total', async (t) => {
  const path = `/v1/nodes/${homes[0].meter}`;
  const sum = (answer: any): number => answer.points
    .reduce((total: number, point: any) => total + (point.measured.energy_micro_wh ?? 0), 0);
  const window = 'from=2027-03-01&to=2027-03-03T00:01Z';
  const hours = sum(await json(`${path}/series?${window}&step=hour`));
  t.is(sum(await json(`${path}/series?${window}&step=day`)), hours);
  t.is((await json(path)).measured.energy_micro_wh, hours);
  t.is(hours, tell(homes[0], 1).records.at(-1)!.energyMicroWh);
});

for (const [path, status, code] of [
  ['/v1/nodes?page=2', 400, 'malformed-query'],
  ['/v1/nodes/xyz', 400, 'malformed-query'],
  ['/v1/nodes/0000000000000000', 404, 'unknown-node'],
  ['/v1/nodes/0000000000000000/series', 404, 'unknown-node'],
  [`/v1/nodes/${homes[0].meter}/series?from=1999-01-01`, 400, 'too-much'],
  ['/metrics?x', 400, 'malformed-query'],
  ['/v1/months?before=2027-3', 400, 'malformed-query'],
  ['/v1/months?limit=121', 400, 'malformed-query'],
  ['/v1/months.csv?month=2027-13', 400, 'malformed-query'],
  ['/v1/prices?x=1', 400, 'malformed-query'],
  ['/v1/nodes/0000000000000000/months', 404, 'unknown-node'],
] as const) {
  test(`a problem, said: ${path}`, async (t) => {
    const response = await ask(path);
    t.is(response.status, status);
    t.is(response.headers.get('Content-Type'), 'application/problem+json');
    const problem: any = await response.json();
    t.like(problem, { type: `urn:commons-kit:${code}`, status });
    t.truthy(problem.expected);
    t.truthy(problem.got);
  });
}

test('an answer that has not changed is not sent again', async (t) => {
  const etag = (await ask('/v1/nodes')).headers.get('ETag')!;
  t.truthy(etag);
  const again = await ask('/v1/nodes', { 'If-None-Match': etag });
  t.is(again.status, 304);
  t.is(await again.text(), '');
});

test('CSV has one line a record, as signed', async (t) => {
  const text = await (await ask(`/v1/nodes/${homes[0].meter}/records.csv?from=2027-03-01`)).text();
  const lines = text.trimEnd().split('\r\n').map((line) => line.split(','));
  t.deepEqual(lines[0], CSV_COLUMNS);
  t.true(CSV_COLUMNS.includes('energy_micro_wh') && CSV_COLUMNS.includes('claimed_wan_in_bytes'));
  const { records } = tell(homes[0], 1);
  t.is(lines.length - 1, records.length);
  const column = CSV_COLUMNS.indexOf('energy_micro_wh');
  t.deepEqual(lines.slice(1).map((line) => Number(line[column])), records.map((r) => r.energyMicroWh));
});

test('metrics are OpenMetrics: described families, escaped labels, an end', async (t) => {
  const text = await (await ask('/metrics')).text();
  t.true(text.endsWith('# EOF\n'));
  const families = new Map([...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, type]) => [name, type]));
  for (const line of text.trimEnd().split('\n')) {
    if (line.startsWith('# ')) continue;
    const sample = /^([a-z_]+)(?:\{((?:[a-z_]+="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (-?[0-9.]+)$/.exec(line);
    t.truthy(sample, line);
    const type = families.get(sample![1]) ?? families.get(sample![1].replace(/_(total|info)$/, ''));
    t.truthy(type, line);
    t.is(sample![1].endsWith('_total'), type === 'counter', line);
  }
  t.true(text.includes('name="Al\\"ice\\\\\\n<b>"'));
  const joules = /commons_node_energy_joules_total\{meter="a11ce00000000001",source="measured"\} (\S+)/.exec(text)!;
  t.is(Number(joules[1]), Number((tell(homes[0], 1).records.at(-1)!.energyMicroWh * 0.0036).toFixed(6)));
  const states = [...text.matchAll(/meter="a11ce00000000001",commons_node_state="(\w+)"\} 1/g)];
  t.deepEqual(states.map(([, state]) => state), ['up']);
});
