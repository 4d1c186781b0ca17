import test from 'ava';
import fc from 'fast-check';
import { isoOf } from '../../../ledger/ask/parameters.ts';
import {
  defaultWindow, perStep, plotWindow, timeTicks, valueTicks, WINDOWS,
} from '../../../ledger/page/scale.ts';
import type { WindowName } from '../../../ledger/page/scale.ts';

const NOW_S = Date.parse('2027-03-18T16:25:30Z') / 1000;

test('value ticks are round, evenly apart, from zero to no less than the most', (t) => {
  t.deepEqual(valueTicks(5200), [0, 2000, 4000, 6000]);
  t.deepEqual(valueTicks(1000), [0, 500, 1000]);
  t.deepEqual(valueTicks(0.9), [0, 0.5, 1]);
  fc.assert(fc.property(fc.double({ min: 1, max: 1e15, noNaN: true }), (max) => {
    const ticks = valueTicks(max);
    t.is(ticks[0], 0);
    t.true(ticks.length >= 2 && ticks.length <= 6);
    t.true(ticks[ticks.length - 1] >= max * 0.999999);
    t.true(ticks[ticks.length - 2] < max);
  }));
});

test('time ticks lie within the window, at round moments, and are few', (t) => {
  fc.assert(fc.property(
    fc.integer({ min: 60, max: 3 * 365 * 86_400 }), fc.integer({ min: 1, max: 2 ** 31 }),
    (spanS, fromS) => {
      const ticks = timeTicks(fromS, fromS + spanS);
      t.true(ticks.length <= 38);
      t.true(ticks.every(({ atS }) => atS >= fromS && atS <= fromS + spanS && atS % 60 === 0));
    },
  ));
  const day = timeTicks(NOW_S - 86_400, NOW_S);
  t.deepEqual(day.map(({ text }) => text), [
    '18:00', '21:00', '00:00', '03:00', '06:00', '09:00', '12:00', '15:00',
  ]);
  t.true(day.every(({ clock }) => clock));
  t.deepEqual(timeTicks(NOW_S - 365 * 86_400, NOW_S).slice(0, 2).map(({ text }) => text), ['Apr 2026', 'May 2026']);
});

test('a window starts with the node’s account, on a whole step, and is cut no finer than records', (t) => {
  const lifeS = NOW_S - 3 * 86_400;
  for (const name of Object.keys(WINDOWS) as WindowName[]) {
    const window = plotWindow(name, { nowS: NOW_S, lifeS, intervalS: 900 });
    t.true(window.fromS <= Math.max(lifeS, NOW_S - WINDOWS[name].lengthS), name);
    t.is(window.toS, NOW_S);
    t.true(typeof window.fine === 'number' && window.fine >= 900);
  }
  const year = plotWindow('year', { nowS: NOW_S, lifeS: 0, intervalS: 900 });
  t.is(isoOf(year.fromS), '2026-03-01T00:00:00Z');
  t.like(year, { fine: 86_400, coarse: 'month' });
});

test('a young node is shown whole, one that publishes by the day by the month', (t) => {
  t.is(defaultWindow(3600, 60), '2h');
  t.is(defaultWindow(86_400, 900), 'day');
  t.is(defaultWindow(3600, 86_400), 'month');
});

test('steps are said as people say them', (t) => {
  t.deepEqual([60, 1800, 3600, 21_600, 86_400, 'month' as const].map(perStep), [
    'per minute', 'per 30 minutes', 'per hour', 'per 6 hours', 'per day', 'per month',
  ]);
});
