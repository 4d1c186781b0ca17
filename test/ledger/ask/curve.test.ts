import test from 'ava';
import fc from 'fast-check';
import { COUNTERS, countersAt, pauseBetween, pointsBetween, zeroMark } from '../../../ledger/ask/curve.ts';
import type { Counters, Mark } from '../../../ledger/ask/curve.ts';

/** Marks of a meter that runs, stands still and starts again by chance. */
const history = fc
  .array(
    fc.record({
      ranS: fc.integer({ min: 1, max: 5000 }), stoodS: fc.constantFrom(0, 0, 0, 700, 90_000),
      downS: fc.integer({ min: 0, max: 300 }), milliW: fc.integer({ min: 0, max: 20_000 }),
      bytes: fc.integer({ min: 0, max: 10 ** 9 }),
    }),
    { minLength: 1, maxLength: 30 },
  )
  .map((steps) => steps.reduce<Mark[]>((marks, step) => {
    const last = marks[marks.length - 1];
    const downS = Math.min(step.downS, step.ranS);
    return [...marks, {
      atS: last.atS + step.ranS + step.stoodS,
      bootId: last.bootId + (step.stoodS > 0 ? 1 : 0),
      uptimeS: step.stoodS > 0 ? Math.ceil(step.ranS / 2) : last.uptimeS + step.ranS,
      energyMicroWh: last.energyMicroWh + Math.round((step.milliW * step.ranS) / 3.6),
      upS: last.upS + step.ranS - downS, downS: last.downS + downS, unknownS: 0,
      wanInBytes: last.wanInBytes + step.bytes, wanOutBytes: last.wanOutBytes,
    }];
  }, [zeroMark(1_000_000)]));

test('however a window is cut, its spans sum to what the counters rose by', (t) => {
  fc.assert(fc.property(
    history, fc.array(fc.integer({ min: 0, max: 200_000 }), { maxLength: 20 }),
    (marks, cuts) => {
      const last = marks[marks.length - 1];
      const within = cuts.map((cut) => marks[0].atS + cut).filter((atS) => atS < last.atS);
      const edges = [...new Set([marks[0].atS, ...within, last.atS])].sort((a, b) => a - b);
      const points = pointsBetween(edges, (edgeS) => countersAt(marks, edgeS));
      const sum = (name: keyof Counters): number =>
        points.reduce((total, point) => total + (point[name] ?? 0), 0);
      t.is(sum('energyMicroWh'), last.energyMicroWh);
      t.is(sum('wanInBytes'), last.wanInBytes);
      t.is(sum('upS') + sum('downS') + sum('unknownS'), last.atS - marks[0].atS);
      t.true(Math.abs(sum('upS') - last.upS) <= points.length);
    },
  ));
});

test('counters at a mark are the mark’s, and never fall between marks', (t) => {
  fc.assert(fc.property(history, (marks) => {
    for (const mark of marks) {
      for (const name of COUNTERS) t.is(countersAt(marks, mark.atS)[name], mark[name]);
    }
    let before = countersAt(marks, marks[0].atS);
    for (let atS = marks[0].atS; atS <= marks[marks.length - 1].atS; atS += 997) {
      const now = countersAt(marks, atS);
      for (const name of COUNTERS) t.true(now[name] >= before[name]);
      before = now;
    }
  }));
});

test('a pause lies after the time that the meter ran on, and before its new boot', (t) => {
  const before = { ...zeroMark(1000), bootId: 3, uptimeS: 5000, upS: 5000 };
  const after = { ...before, atS: 2900, bootId: 4, uptimeS: 600, upS: 5900 };
  t.deepEqual(pauseBetween(before, after), { startS: 1300, endS: 2300 });
  t.is(pauseBetween(before, { ...after, atS: 1900 }), null);
});

test('nothing seen is null, never zero, and never up', (t) => {
  const before = { ...zeroMark(1000), bootId: 3, uptimeS: 5000, upS: 5000, energyMicroWh: 10 };
  const after = { ...before, atS: 2900, bootId: 4, uptimeS: 600, upS: 5900, energyMicroWh: 1000 };
  const [point] = pointsBetween([1400, 2200], (atS) => countersAt([before, after], atS));
  t.like(point, { upS: 0, downS: 0, unknownS: 800, energyMicroWh: null, meanMilliW: null });
  const [beyond] = pointsBetween([2900, 5000], (atS) => countersAt([before, after], atS));
  t.like(beyond, { upS: 0, unknownS: 2100, energyMicroWh: null, wanInBytes: null });
});
