import test from 'ava';
import fc from 'fast-check';
import { DatabaseSync } from 'node:sqlite';
import { emptyRecord } from '../../../firmware/wire.ts';
import { isDue, PUBLISH } from '../../../ledger/publish.ts';
import type { PublishedBatch } from '../../../ledger/publish.ts';
import type { Entry } from '../../../ledger/entry.ts';
import { applyEntry, createProjections, nextIndex } from '../../../ledger/ask/project.ts';
import { createReader } from '../../../ledger/ask/read.ts';
import { readMissing, readStatus } from '../../../ledger/ask/node.ts';
import { readSeries } from '../../../ledger/ask/series.ts';
import { applyAll, logOf, settle, signed, tell } from './homes.ts';
import type { Home } from './homes.ts';

const START_S = Date.parse('2027-03-01T00:00:00Z') / 1000;
const DAY_S = 86_400;
const at = (hours: number): number => START_S + hours * 3600;

const alice: Home = {
  meter: 'a11ce00000000001', enrolledS: START_S, untilS: at(72),
  down: [{ fromS: at(10), toS: at(11) }], off: [{ fromS: at(30), toS: at(33) }],
  cutOff: [{ fromS: at(50), toS: at(60) }],
};
const bob: Home = { meter: 'b0b0000000000002', enrolledS: at(5), untilS: at(72), publish: PUBLISH.day };

/** Every row of every table, to compare whole states. */
function dump(db: DatabaseSync): unknown {
  const tables = [
    'meter', 'block', 'day', 'total', 'pause', 'gap', 'waiting', 'volunteer', 'projection', 'price',
    'month', 'bill', 'account',
  ];
  return tables.map((table) =>
    db.prepare(`SELECT * FROM ${table}`).all().map((row) => ({ ...row })));
}

test('totals are the meter’s own counters, through outages, reboots and late delivery', (t) => {
  const reader = createReader(settle([alice]));
  const meter = reader.meter(alice.meter)!;
  const last = tell(alice, 1).records.at(-1)!;
  const { total } = readStatus(reader, meter, at(72));
  t.is(total.energyMicroWh, last.energyMicroWh);
  t.is(total.wanInBytes, last.wanInBytes);
  t.is(total.upS, last.upS);
  t.is(total.downS, 3600);
  t.is(total.upS + total.downS + total.unknownS, 72 * 3600);
  for (const step of ['hour', 'day', 'month', 'raw', 420] as const) {
    const points = readSeries(reader, meter, { fromS: 0, toS: at(99), step, nowS: at(72) });
    const sum = points.reduce((energy, point) => energy + (point.energyMicroWh ?? 0), 0);
    t.is(sum, last.energyMicroWh, `step ${step}`);
  }
});

test('a window that ends within a record still shows it, up to there', (t) => {
  const reader = createReader(settle([alice]));
  const meter = reader.meter(alice.meter)!;
  const window = { fromS: at(2) + 300, toS: at(2) + 700, nowS: at(72) };
  for (const step of ['raw', 'hour'] as const) {
    const points = readSeries(reader, meter, { ...window, step });
    t.is(points.length, 1);
    t.like(points[0], { startS: window.fromS, endS: window.toS, upS: 400 });
    const { minMilliW, meanMilliW, maxMilliW, diskUsedBytes } = points[0];
    t.true(minMilliW! <= meanMilliW! && meanMilliW! <= maxMilliW! && diskUsedBytes! > 0);
  }
});

test('records of a boot that did not yet know the time find their true place', (t) => {
  const db = settle([alice]);
  const reader = createReader(db);
  const records = reader.book(reader.meter(alice.meter)!).touching({ startS: 0, endS: at(99) });
  t.is(records[0].timeState, 0);
  t.is(records[0].atS, START_S + 900);
  t.is(records[0].timeSource, 'boot');
  const afterOff = records.find(({ bootId }) => bootId === 2)!;
  t.is(afterOff.atS, at(33) + 900);
});

test('the time without power is missing, and the hours in it are not up', (t) => {
  const reader = createReader(settle([alice]));
  const meter = reader.meter(alice.meter)!;
  t.deepEqual(readMissing(reader, meter, at(72)), [
    { kind: 'meter-off', startS: at(30), endS: at(33) },
  ]);
  const window = { fromS: at(30), toS: at(33), step: 'hour' as const, nowS: at(72) };
  for (const point of readSeries(reader, meter, window)) {
    t.like(point, { upS: 0, unknownS: 3600, energyMicroWh: null, minMilliW: null });
  }
});

test('silence begins at the last batch, and the node is no longer up', (t) => {
  const reader = createReader(settle([alice]));
  const meter = reader.meter(alice.meter)!;
  t.is(readStatus(reader, meter, at(72) + 60).state, 'up');
  const later = readStatus(reader, meter, at(96));
  t.is(later.state, 'silent');
  t.is(later.powerMilliW, null);
  t.is(later.total.unknownS, readStatus(reader, meter, at(72)).total.unknownS + 24 * 3600);
  t.like(readMissing(reader, meter, at(96))[0], { kind: 'silence', endS: null });
});

test('down is said, and since when', (t) => {
  const home = { ...alice, untilS: at(12), down: [{ fromS: at(10), toS: at(99) }], off: [] };
  const reader = createReader(settle([home]));
  t.like(readStatus(reader, reader.meter(home.meter)!, at(12)), { state: 'down', sinceS: at(10) });
});

test('with daily publication only each day’s last batch is shown, and the days are exact', (t) => {
  const home = { ...bob, untilS: at(80) };
  const reader = createReader(settle([alice, home]));
  const meter = reader.meter(bob.meter)!;
  const told = tell(home, 2).records;
  const shown = reader.book(meter).touching({ startS: 0, endS: at(99) });
  t.is(shown.length, 3 * 4);
  t.true(shown.every(({ atS }) => atS % DAY_S > DAY_S - 7200 || atS % DAY_S === 0));
  const { total, state } = readStatus(reader, meter, at(80) + 60);
  t.is(total.energyMicroWh, told.find(({ lastSeq }) => lastSeq === shown.at(-1)!.lastSeq)!.energyMicroWh);
  t.is(state, 'reporting');
  const days = { fromS: at(24), toS: at(72), nowS: at(80) };
  const [day] = readSeries(reader, meter, { ...days, step: 'day' });
  t.true(day.energyMicroWh! > 0 && day.minMilliW === null, 'one hour’s extremes are not the day’s');
  t.true(readSeries(reader, meter, { ...days, step: 'raw' }).some(({ minMilliW }) => minMilliW !== null));
  t.is(meter.batches, Math.ceil(told.length / 4));
});

test('with no publication nothing of a home is shown but that it reports', (t) => {
  const db = settle([{ ...bob, publish: PUBLISH.none }]);
  const reader = createReader(db);
  const meter = reader.meter(bob.meter)!;
  t.like(readStatus(reader, meter, at(72)), { state: 'reporting', powerMilliW: null });
  t.is(db.prepare('SELECT count(*) AS n FROM block').get()!.n, 0);
  t.is(db.prepare('SELECT count(*) AS n FROM waiting').get()!.n, 0);
});

interface Told extends PublishedBatch {
  fate: 'erased' | 'disclosed' | undefined;
}

/** Batches of one record each under changing choices; the index is the record’s number. */
const histories: fc.Arbitrary<Told[]> = fc.array(fc.record({
  afterMs: fc.constantFrom(900_000, 2_700_000, DAY_S * 1000),
  publish: fc.constantFrom(...Object.values(PUBLISH)),
  namesKey: fc.oneof({ weight: 4, arbitrary: fc.constant(false) }, fc.constant(true)),
  fate: fc.oneof(
    { weight: 4, arbitrary: fc.constant(undefined) }, fc.constantFrom('erased', 'disclosed'),
  ),
}), { minLength: 1, maxLength: 9 }).map((steps) => {
  let receivedMs = START_S * 1000;
  return steps.map(({ afterMs, ...step }, i) =>
    ({ ...step, index: i + 1, receivedMs: receivedMs += afterMs }));
});

function projectionOf(history: readonly Told[]): DatabaseSync {
  const [enrolment] = logOf([{ ...bob, enrolledS: START_S, publish: PUBLISH.none }]);
  const meterId = new Uint8Array(Buffer.from(bob.meter, 'hex'));
  const hash = new Uint8Array(32);
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyEntry(db, enrolment);
  for (const { index: seq, receivedMs, publish, namesKey, fate } of history) {
    const chosen: Entry = {
      type: 'publication-changed', receivedMs, meterId, requestHash: hash, publish,
    };
    applyEntry(db, { index: nextIndex(db), entry: chosen, blob: null });
    const received = { receivedMs, meterId, firstSeq: seq, lastSeq: seq, batchHash: hash };
    const entry: Entry = namesKey
      ? { type: 'key-succeeded', ...received, successor: new Uint8Array(52) }
      : { type: 'batch-received', ...received };
    const unixS = receivedMs / 1000;
    const record = {
      ...emptyRecord(), firstSeq: seq, lastSeq: seq, bootId: 1, timeState: 2, unixS,
      uptimeS: unixS - START_S, upS: unixS - START_S, energyMicroWh: seq,
    };
    const blob = fate === 'erased' ? null : signed(meterId, [record]);
    applyEntry(db, { index: nextIndex(db), entry, blob, fate });
  }
  return db;
}

test('whatever owners choose in turn, what is due is shown once, and nothing else waits', (t) => {
  fc.assert(fc.property(histories, (history) => {
    const db = projectionOf(history);
    const reader = createReader(db);
    const meter = reader.meter(bob.meter)!;
    const shown = reader.book(meter).touching({ startS: 0, endS: 2 * START_S });
    const due = history.filter((batch, i) => {
      if (batch.fate !== undefined) return batch.fate === 'disclosed';
      // What was received to be published at once is public already, whatever comes next.
      return batch.publish === PUBLISH.batch || isDue(batch, history[i + 1] ?? null);
    });
    t.deepEqual(shown.map(({ lastSeq }) => lastSeq), due.map(({ index }) => index));
    const { fate, namesKey, publish } = history.at(-1)!;
    const isOpen = publish === PUBLISH.hour || publish === PUBLISH.day;
    const waiting = db.prepare('SELECT count(*) AS n FROM waiting').get()!.n;
    t.is(waiting, isOpen && !namesKey && fate === undefined ? 1 : 0);
    db.close();
  }), { seed: 20261127, numRuns: 200 });
});

test('entries applied again change nothing; grown again, the tables are the same', (t) => {
  const log = logOf([alice, bob]);
  const db = settle([alice, bob]);
  const state = dump(db);
  applyAll(db, log);
  t.deepEqual(dump(db), state);
  const again = new DatabaseSync(':memory:');
  createProjections(again);
  for (const applied of log) applyEntry(again, applied);
  createProjections(again);
  t.deepEqual(dump(again), state);
});

test('an entry out of turn is refused, and changes nothing', (t) => {
  const [first, , third] = logOf([alice]);
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyEntry(db, first);
  const state = dump(db);
  t.throws(() => applyEntry(db, third), { code: 'projection-order' });
  t.deepEqual(dump(db), state);
  t.is(nextIndex(db), 1);
});

test('a layout of another version is dropped and wants the log from its start', (t) => {
  const db = settle([alice]);
  db.exec('UPDATE projection SET version = 0');
  createProjections(db);
  t.is(nextIndex(db), 0);
  t.is(createReader(db).countMeters(), 0);
});

test('an erased batch is counted as missing, not guessed', (t) => {
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyAll(db, logOf([alice]).map((applied) => (
    applied.index === 5 ? { ...applied, blob: null } : applied
  )));
  const reader = createReader(db);
  const meter = reader.meter(alice.meter)!;
  t.is(meter.missingBatches, 1);
  t.is(readStatus(reader, meter, at(72)).total.energyMicroWh, tell(alice, 1).records.at(-1)!.energyMicroWh);
});

test('what a meter declares lost is a gap between the records around it', (t) => {
  const { records, entries } = tell({ ...alice, off: [], cutOff: [] }, 1);
  const meterId = new Uint8Array(Buffer.from(alice.meter, 'hex'));
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyEntry(db, { index: 0, ...entries[0] });
  applyEntry(db, { index: 1, ...entries[1] });
  applyEntry(db, { index: 2, ...entries[2] });
  const gaps = [{ firstSeq: 9, lastSeq: 12 }];
  applyEntry(db, { index: 3, ...entries[4], blob: signed(meterId, records.slice(12, 16), gaps) });
  const reader = createReader(db);
  const meter = reader.meter(alice.meter)!;
  const expected = { kind: 'gap', startS: at(2), endS: at(3), gap: gaps[0] } as const;
  t.deepEqual(readMissing(reader, meter, at(4)), [expected]);
  const window = { fromS: at(2), toS: at(3) + 900, step: 'raw' as const, nowS: at(4) };
  const points = readSeries(reader, meter, window);
  t.deepEqual(points.map(({ startS, endS }) => [startS, endS]), [[at(2), at(3)], [at(3), at(3) + 900]]);
  t.is(points[0].minMilliW, null);
  t.is(points[1].minMilliW, records[12].minMilliW);
  const sum = points.reduce((energy, point) => energy + point.energyMicroWh!, 0);
  t.is(sum, records[12].energyMicroWh - records[7].energyMicroWh);
});
