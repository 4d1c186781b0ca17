// Months and costs worked out by hand, through the real projections.

import test from 'ava';
import { DatabaseSync } from 'node:sqlite';
import { openLedgerBook } from '../../../ledger/ask/months.ts';
import type { LedgerBook, MonthOf } from '../../../ledger/ask/months.ts';
import { createProjections } from '../../../ledger/ask/project.ts';
import type { Applied } from '../../../ledger/ask/project.ts';
import { createReader } from '../../../ledger/ask/read.ts';
import { evenMeter, priceSet, tick } from '../../helpers/even-meter.ts';
import { applyAll } from './homes.ts';

const ALICE = 'a11ce00000000001';
const BOB = 'b0b0000000000002';
const ALL = { limit: 100 };
const KWH = 1e9;

interface Grown {
  book: LedgerBook;
  of(meter: string): MonthOf[];
  all: ReturnType<LedgerBook['months']>;
}

function grow(entries: Omit<Applied, 'index'>[]): Grown {
  const db = new DatabaseSync(':memory:');
  createProjections(db);
  applyAll(db, entries.map((entry, index) => ({ index, ...entry })));
  const [book, reader] = [openLedgerBook(db), createReader(db)];
  return {
    book,
    of: (meter) => book.monthsOf(reader.meter(meter)!, ALL).toReversed(),
    all: book.months(reader.meters('', 99), ALL).toReversed(),
  };
}

const costs = (months: MonthOf[]): (number | null)[] => months.map(({ bill }) => bill.costMinor);

test('a month has the hours of its zone: March in Berlin is one short', (t) => {
  const alice = evenMeter(ALICE, '2027-01-31T23:00:00Z');
  const { of } = grow([
    alice.enrolled, priceSet('2027-01-31T23:00:00Z', '2027-02-01'),
    alice.batch(['2027-02-14T00:00:00Z', '2027-03-01T00:00:00Z']),
    tick('2027-03-10T00:00:00Z'), alice.batch(['2027-04-01T00:00:00Z']),
    tick('2027-04-04T00:00:00Z'),
  ]);
  const months = of(ALICE);
  // 100 W for 28 days, for 31 days less an hour, and for two hours; 30 cents the kWh.
  t.deepEqual(months.map(({ month, bill }) => [month, bill.energyMicroWh, bill.costMinor]), [
    ['2027-02', 67.2 * KWH, 2016], ['2027-03', 74.3 * KWH, 2229], ['2027-04', 0.2 * KWH, 6],
  ]);
  t.like(months[0].bill, { wallS: 28 * 86_400, upS: 28 * 86_400, downS: 0, unknownS: 0 });
  t.like(months[2].bill, { upS: 7200, wanInBytes: 7_200_000, wanOutBytes: 72_000 });
  t.is(months[0].closed?.index, 3);
  t.is(months[2].closed, null);
});

test('costs are differences of roundings: two halves make one cent, not two', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
  const { of, all } = grow([
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    alice.batch([['2027-03-01T00:00:00Z', 0.35 * KWH]]),
    alice.batch([['2027-04-01T00:00:00Z', 0.7 * KWH]]),
    alice.batch([['2027-05-01T00:00:00Z', 0.7 * KWH]]),
    tick('2027-05-04T00:00:00Z'),
  ]);
  // 10.5 cents in each of the first two: 11, then 21 − 11, then nothing, which is known.
  t.deepEqual(costs(of(ALICE)), [11, 10, 0, null]);
  t.deepEqual(costs(all), [11, 10, 0, null]);
});

test('the supply’s losses are paid too', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z', { permille: 880 });
  const { of, book } = grow([
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    alice.batch([['2027-03-01T00:00:00Z', 8.8 * KWH]]), tick('2027-03-04T00:00:00Z'),
  ]);
  t.deepEqual(costs(of(ALICE)), [300, null]);
  t.is(book.prices()[0].milliMinorPerKWh, 30_000);
});

test('yen have no decimals, dinars three', (t) => {
  for (const [currency, milliMinorPerKWh, minor] of [
    // 67.2 kWh at 31.25 yen are 2,100; at 29.5 fils 1,982.4, which is 1.982 dinars.
    ['JPY', 31_250, 2100], ['KWD', 29_500, 1982], ['BHD', 29_500, 1982],
  ] as const) {
    const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
    const terms = { zone: 'UTC', currency, milliMinorPerKWh };
    const { of } = grow([
      alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', terms),
      alice.batch(['2027-03-01T00:00:00Z']), tick('2027-03-04T00:00:00Z'),
    ]);
    t.deepEqual(costs(of(ALICE)), [minor, null], currency);
  }
});

test('a price that changes within a month splits it by time, as does one set back', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
  const { of } = grow([
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    // Told after the month's end, while it is open: 7 of the 28 days at 40 cents.
    alice.batch(['2027-03-01T00:00:00Z']),
    priceSet('2027-03-03T00:00:00Z', '2027-02-22', { zone: 'UTC', milliMinorPerKWh: 40_000 }),
    tick('2027-03-04T00:00:00Z'),
  ]);
  t.deepEqual(costs(of(ALICE)), [Math.round(50.4 * 30 + 16.8 * 40), null]);
});

test('what comes after a month has closed is told with the next, and the closed one stays', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
  const before = [
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    alice.batch(['2027-02-21T00:00:00Z']), tick('2027-03-04T00:00:00Z'),
  ];
  const late = alice.batch(['2027-02-26T00:00:00Z', '2027-03-11T00:00:00Z']);
  const after = [late, tick('2027-04-04T00:00:00Z')];
  // 20 of 28 days at 2.4 kWh: 48 kWh; then 8 days of February, and 10 of March's 31.
  const [february] = grow(before).of(ALICE);
  t.like(february.bill, { energyMicroWh: 48 * KWH, upS: 20 * 86_400, unknownS: 8 * 86_400, costMinor: 1440 });
  const [still, march] = grow([...before, ...after]).of(ALICE);
  t.deepEqual(still, february);
  t.like(march.bill, {
    energyMicroWh: 24 * KWH, upS: 10 * 86_400, unknownS: 21 * 86_400, costMinor: 720 + 576,
    lateMinor: 576,
  });
  t.deepEqual(march.bill.late, {
    energyMicroWh: 19.2 * KWH, upS: 8 * 86_400, downS: 0, wanInBytes: 8 * 86_400_000,
    wanOutBytes: 8 * 864_000,
  });
});

test('late energy costs what it cost then, whatever the price is now', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
  const { of } = grow([
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    alice.batch(['2027-02-21T00:00:00Z']),
    priceSet('2027-03-05T00:00:00Z', '2027-03-01', { zone: 'UTC', milliMinorPerKWh: 60_000 }),
    alice.batch(['2027-04-01T00:00:00Z']), tick('2027-04-04T00:00:00Z'),
  ]);
  t.deepEqual(of(ALICE).map(({ bill }) => [bill.costMinor, bill.lateMinor]), [
    [1440, 0], [Math.round(31 * 2.4 * 60) + 576, 576], [null, 0],
  ]);
});

test('a meter swapped within a month: two nodes, neither negative, and the sum goes on', (t) => {
  const alice = evenMeter(ALICE, '2027-02-01T00:00:00Z');
  const bob = evenMeter(BOB, '2027-02-15T00:00:00Z');
  const { of, all } = grow([
    alice.enrolled, priceSet('2027-02-01T00:00:00Z', '2027-02-01', { zone: 'UTC' }),
    alice.batch(['2027-02-15T00:00:00Z']), bob.enrolled,
    bob.batch(['2027-03-01T00:00:00Z']), tick('2027-03-04T00:00:00Z'),
  ]);
  t.like(of(ALICE)[0].bill, { energyMicroWh: 33.6 * KWH, costMinor: 1008, unknownS: 14 * 86_400 });
  t.like(of(BOB)[0].bill, { energyMicroWh: 33.6 * KWH, costMinor: 1008, wallS: 14 * 86_400 });
  t.like(all[0].bill, { nodes: 2, energyMicroWh: 67.2 * KWH, costMinor: 2016 });
});

test('before any price months are UTC’s and cost nothing that is known; nothing told is unknown', (t) => {
  const [alice, bob] = [evenMeter(ALICE, '2027-02-01T00:00:00Z'), evenMeter(BOB, '2027-02-10T00:00:00Z', { publish: 0 })];
  const { of, all, book } = grow([
    alice.enrolled, bob.enrolled, bob.batch(['2027-02-12T00:00:00Z']),
    alice.batch(['2027-03-01T00:00:00Z']), tick('2027-03-10T00:00:00Z'),
    priceSet('2027-03-11T00:00:00Z', '2027-03-11'), alice.batch(['2027-04-01T00:00:00Z']),
    tick('2027-04-04T00:00:00Z'),
  ]);
  t.is(book.calendar()?.zone, 'Europe/Berlin');
  // March ends two hours before UTC's does; its price holds from 10 March, 23:00 UTC.
  t.deepEqual(of(ALICE).map(({ zone, endS, bill }) => [zone, endS, bill.costMinor]), [
    ['UTC', Date.parse('2027-03-01T00:00:00Z') / 1000, null],
    ['Europe/Berlin', Date.parse('2027-03-31T22:00:00Z') / 1000, (21 * 24 - 1) * 3],
    ['Europe/Berlin', Date.parse('2027-04-04T00:00:00Z') / 1000, 6],
  ]);
  for (const { bill } of of(BOB)) {
    t.like(bill, { energyMicroWh: null, wanInBytes: null, costMinor: null, upS: 0 });
    t.is(bill.unknownS, bill.wallS);
  }
  t.is(all[0].bill.energyMicroWh, 67.2 * KWH);
});

test('months come in pages, newest first', (t) => {
  const alice = evenMeter(ALICE, '2027-01-01T00:00:00Z');
  const { book } = grow([
    alice.enrolled, alice.batch(['2027-05-20T00:00:00Z']), tick('2027-05-20T00:00:00Z'),
  ]);
  const names = (before?: string): string[] =>
    book.months([], { before, limit: 2 }).map(({ month }) => month);
  t.deepEqual(names(), ['2027-05', '2027-04']);
  t.deepEqual(names('2027-04'), ['2027-03', '2027-02']);
  t.deepEqual(names('2027-02'), ['2027-01']);
});
