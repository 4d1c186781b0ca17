import test from 'ava';
import { readCommonsDays, readCommonsSums } from '../../../ledger/ask/commons.ts';
import { COUNTERS, countersAt, rounded, zeroMark } from '../../../ledger/ask/curve.ts';
import { createReader } from '../../../ledger/ask/read.ts';
import { readSeries } from '../../../ledger/ask/series.ts';
import { edgesOf } from '../../../ledger/ask/steps.ts';
import { chance, settle } from './homes.ts';
import type { Home } from './homes.ts';

const START_S = Date.parse('2027-03-01T00:00:00Z') / 1000;
const DAY_S = 86_400;

/** Homes that start anywhere in a day, lose power over midnights, and deliver late. */
function someHomes(random: () => number): Home[] {
  return Array.from({ length: 4 }, (_, i): Home => {
    const enrolledS = START_S + Math.floor(random() * 3 * DAY_S);
    const untilS = START_S + 9 * DAY_S;
    const span = () => {
      const fromS = enrolledS + Math.floor(random() * 6 * DAY_S);
      return { fromS, toS: fromS + Math.floor(random() * 2.5 * DAY_S) };
    };
    const off = [span(), span()].sort((a, b) => a.fromS - b.fromS);
    return {
      meter: `a11ce0000000000${i}`, enrolledS, untilS, off, cutOff: [span()], down: [span()],
      publish: ([1, 1, 2, 3] as const)[i],
    };
  });
}

/** The first found a node that seemed to have been up for longer than it had lived. */
const seeds = [403_073_337, Date.now() % 2 ** 31];

for (const seed of seeds) test(`a day’s sums, its records and all records tell the same, seed ${seed}`, (t) => {
  const random = chance(seed);
  for (let round = 0; round < 6; round++) {
    const reader = createReader(settle(someHomes(random), seed + round));
    const nowS = START_S + 10 * DAY_S;
    const meters = reader.meters('', 9);
    for (const meter of meters) {
      const book = reader.book(meter);
      const records = book.touching({ startS: 0, endS: nowS });
      const marks = [zeroMark(meter.lifeS), ...records];
      for (let day = START_S + DAY_S; day < nowS; day += DAY_S / 3) {
        if (day < meter.lifeS) continue;
        t.deepEqual(rounded(book.countersAt(day)), rounded(countersAt(marks, day)), meter.meter);
      }
    }
    const days = readCommonsDays(reader, meters, { fromS: 0, toS: nowS, nowS, step: 'day' });
    const edges = edgesOf(days[0].startS, nowS, 'day');
    t.deepEqual(days, readCommonsSums(reader, meters, edges));
    for (const day of days) {
      const own = meters.flatMap((meter) => (
        readSeries(reader, meter, { fromS: day.startS, toS: day.endS, step: 'day', nowS })
      ));
      for (const name of COUNTERS.filter((counter) => counter !== 'unknownS')) {
        const sum = own.reduce((total, point) => total + (point[name] ?? 0), 0);
        t.is(day[name] ?? 0, sum, `${name} of all`);
      }
    }
  }
});
