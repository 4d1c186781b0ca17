// Token buckets: what they allow, on a clock of the test's own.

import test from 'ava';
import fc from 'fast-check';
import { createLimiter } from '../../ledger/limits.ts';

test('a burst, then the sustained rate, each address for itself', (t) => {
  let nowMs = 0;
  const limiter = createLimiter({ burst: 3, perS: 2 }, () => nowMs);
  t.deepEqual([1, 2, 3, 4].map(() => limiter.take('a')), [0, 0, 0, 1]);
  t.is(limiter.take('b'), 0);
  nowMs += 500;
  t.deepEqual([limiter.take('a'), limiter.take('a')], [0, 1]);
  nowMs += 3_600_000;
  t.deepEqual([1, 2, 3, 4].map(() => limiter.take('a')), [0, 0, 0, 1]);
});

test('never more than burst and rate together allow', (t) => {
  const waits = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 200 });
  fc.assert(fc.property(waits, (pausesMs) => {
    let nowMs = 0;
    const limiter = createLimiter({ burst: 5, perS: 4 }, () => nowMs);
    let allowed = 0;
    for (const pauseMs of pausesMs) {
      nowMs += pauseMs;
      if (limiter.take('a') === 0) allowed++;
    }
    t.true(allowed <= 5 + (nowMs / 1000) * 4 + 1e-9);
  }));
});
