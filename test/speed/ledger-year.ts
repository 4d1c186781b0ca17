// Questions to a ledger that a thousand nodes have told a year of hours: how long the pages and
// the data behind them take, what a record costs on the disk, and a server of it in memory.

import { readFileSync, statSync } from 'node:fs';
import { Agent } from 'node:http';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { Hono } from 'hono';
import { askRoutes } from '../../ledger/ask/routes.ts';
import { nextIndex } from '../../ledger/ask/project.ts';
import { COUNTERS } from '../../ledger/ask/curve.ts';
import { blockId } from '../../ledger/ask/schema.ts';
import { REAL_CLOCK } from '../../ledger/clock.ts';
import { openLedger } from '../../ledger/ledger.ts';
import { pageRoutes } from '../../ledger/page/routes.ts';
import { priceSet, tick } from '../helpers/even-meter.ts';
import { ask, serveFolder } from '../helpers/served-ledger.ts';
import { applyAll, logOf } from '../ledger/ask/homes.ts';
import type { Home } from '../ledger/ask/homes.ts';
import type { Figure, Wanted } from './table.ts';

const NODES = 1_000;
const START_S = Date.parse('2027-01-01T00:00:00Z') / 1000;
const YEAR_S = 365 * 86_400;
const HOUR_S = 3_600;
/** By seeded chance, through the real projections: as many are as different as a thousand. */
const TOLD = 10;
/** Twice a year, in a zone whose months are not UTC’s. */
const PRICES = [
  priceSet('2027-01-01T00:00:00Z', '2027-01-01'),
  priceSet('2027-06-20T00:00:00Z', '2027-07-01', { milliMinorPerKWh: 29_900 }),
];
/** Each question, its median counts. */
const ASKED = 15;
/** Of the server: as many nodes' pages as a reader or a search engine may want in a row. */
const SERVED_NODES = 200;

export async function measureQuestions(
  dir: string, tell: (text: string) => void,
): Promise<{ figures: Figure[]; wanted: Wanted[] }> {
  // A ledger's folder, its log empty: what is asked here stands in the projections.
  await (await openLedger({ dir, clock: REAL_CLOCK })).close();
  const path = join(dir, 'ledger.db');
  const db = new DatabaseSync(path);
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL');
  const startedMs = performance.now();
  const logged = logOf(Array.from({ length: TOLD }, (_, i) => home(i)), 1, PRICES);
  applyAll(db, logged);
  const told = countRecords(db);
  const toldS = (performance.now() - startedMs) / 1000;
  tell('  ten nodes told; the others are given the same rows');
  multiply(db);
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  const records = countRecords(db);
  const bytesPerRecord = statSync(path).size / records;

  const deps = {
    db, now: () => (START_S + YEAR_S) * 1000, origin: 'ledger.test/speed', names: () => null,
    rate: 1, vkey: '', checkpoint: () => null,
  };
  const app = new Hono().route('/', pageRoutes(deps)).route('/', askRoutes(deps));
  const timed = async (where: string): Promise<number> => {
    const times: number[] = [];
    for (let i = 0; i < ASKED; i++) {
      const askedMs = performance.now();
      const answer = await app.request(`http://ledger.test${where}`);
      await answer.text();
      times.push(performance.now() - askedMs);
      if (answer.status !== 200) throw new Error(`${where}: status ${answer.status}`);
    }
    return times.sort((a, b) => a - b)[Math.floor(ASKED / 2)];
  };
  const { nodeJson, yearJson, nodePage } = pathsOf(idOf(NODES / 2));
  const nodeMs = await timed(nodeJson);
  const yearMs = await timed(yearJson);
  const nodePageMs = await timed(nodePage);
  const commonsMs = await timed(COMMONS.page);
  const metricsMs = await timed(COMMONS.metrics);
  const monthsMs = await timed(COMMONS.months);
  const monthMs = await timed(COMMONS.monthCsv);
  const closingMs = performance.now();
  applyAll(db, [{ index: nextIndex(db), ...tick('2028-01-05T00:00:00Z') }]);
  const closedMs = performance.now() - closingMs;
  db.close();
  const serverMb = await memoryOfServer(dir);
  return {
    figures: [
      ['records', records, ''],
      ['the test’s own telling and our projecting', told / toldS, 'records/s'],
      ['projections on the disk', bytesPerRecord, 'bytes a record'],
      ['a node, as JSON', nodeMs, 'ms'],
      ['a node’s year by the day, as JSON', yearMs, 'ms'],
      ['a node’s page, a year', nodePageMs, 'ms'],
      ['the commons’ page', commonsMs, 'ms'],
      ['/metrics of all', metricsMs, 'ms'],
      ['the commons’ months, as JSON', monthsMs, 'ms'],
      ['a month of each node, as CSV', monthMs, 'ms'],
      ['a month closed, once', closedMs, 'ms'],
      ['memory of a server of it, asked all this, its most', serverMb, 'MB'],
    ],
    wanted: [
      { what: 'node page’s data', got: Math.max(nodeMs, yearMs), atMost: 50, unit: ' ms' },
      { what: 'commons page', got: commonsMs, atMost: 200, unit: ' ms' },
      { what: 'memory of the server', got: serverMb, atMost: 300, unit: ' MB' },
      { what: 'a record in the projections', got: bytesPerRecord, atMost: 60, unit: ' B' },
    ],
  };
}

const COMMONS = {
  page: '/', metrics: '/metrics', months: '/v1/months', monthCsv: '/v1/months.csv?month=2027-06',
};

function pathsOf(id: string): { nodeJson: string; yearJson: string; nodePage: string } {
  const nodeJson = `/v1/nodes/${id}`;
  const yearJson = `${nodeJson}/series?from=2027-01-01&to=2028-01-01&step=day`;
  return { nodeJson, yearJson, nodePage: `/node/${id}?window=year` };
}

/** The most that `ledger serve` ever held, asked the same, and for many nodes, by eight readers. */
async function memoryOfServer(dir: string): Promise<number> {
  const clock = `${(START_S + YEAR_S) * 1000},${Date.now()},1`;
  const { child, url, stop } = await serveFolder(dir, { flags: ['--clock', clock] });
  const agent = new Agent({ keepAlive: true });
  const wanted = Array.from({ length: SERVED_NODES }, (_, i) => Object.values(pathsOf(idOf(i + 1))))
    .concat(Array.from({ length: ASKED }, () => Object.values(COMMONS))).flat();
  await Promise.all(Array.from({ length: 8 }, async () => {
    for (let where = wanted.pop(); where !== undefined; where = wanted.pop()) {
      const answer = await ask(new URL(where, url).href, { agent });
      if (answer?.status !== 200) throw new Error(`${where}: status ${answer?.status}`);
    }
  }));
  agent.destroy();
  const status = readFileSync(`/proc/${child.pid}/status`, 'latin1');
  await stop();
  return Number(/^VmHWM:\s+(\d+) kB$/m.exec(status)![1]) / 1_000;
}

function home(i: number): Home {
  const meter = idOf(i + 1);
  const untilS = START_S + YEAR_S;
  return { meter, enrolledS: START_S, untilS, intervalS: HOUR_S, batchRecords: 24 };
}

function idOf(number: number): string {
  return number.toString(16).padStart(16, '0');
}

/** Nodes beyond the first ten have their rows, day by day as a log would write them. */
function multiply(db: DatabaseSync): void {
  const columnsOf = (table: string): string =>
    (db.prepare(`PRAGMA table_info(${table})`).all() as { name: string }[])
      .map(({ name }) => name)
      .filter((name) => !['id', 'meter', 'meterRow', 'day'].includes(name))
      .join(', ');
  const [meters, days, bills, accounts] = ['meter', 'day', 'bill', 'account'].map(columnsOf);
  db.exec('BEGIN');
  const addMeter = db.prepare(`INSERT INTO meter (id, meter, ${meters})
    SELECT ?, ?, ${meters} FROM meter WHERE id = ?`);
  const like = (id: number): number => 1 + (id % TOLD);
  for (let id = TOLD + 1; id <= NODES; id++) addMeter.run(id, idOf(id), like(id));
  const addDay = db.prepare(`INSERT INTO day (meterRow, day, ${days})
    SELECT ?, day, ${days} FROM day WHERE meterRow = ? AND day = ?`);
  const addBlock = db.prepare(
    'INSERT INTO block (id, records) SELECT ?, records FROM block WHERE id = ?',
  );
  for (const [table, columns] of [['bill', bills], ['account', accounts]]) {
    const add = db.prepare(`INSERT INTO ${table} (meterRow, ${columns})
      SELECT ?, ${columns} FROM ${table} WHERE meterRow = ?`);
    for (let id = TOLD + 1; id <= NODES; id++) add.run(id, like(id));
  }
  const last = (db.prepare('SELECT max(day) AS day FROM day').get() as { day: number }).day;
  for (let day = Math.floor(START_S / 86_400) - 2; day <= last; day++) {
    for (let id = TOLD + 1; id <= NODES; id++) {
      addDay.run(id, like(id), day);
      addBlock.run(blockId(day, id), blockId(day, like(id)));
    }
  }
  for (const name of ['meters', ...COUNTERS]) {
    db.exec(`UPDATE total SET ${name} = ${name} * ${NODES / TOLD}`);
  }
  db.exec('COMMIT');
}

function countRecords(db: DatabaseSync): number {
  return (db.prepare('SELECT sum(records) AS count FROM day').get() as { count: number }).count;
}
