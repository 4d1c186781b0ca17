import fc from 'fast-check';
import test from 'ava';
import { realMs, virtualMs } from '../../../provisioner/virtual/clock.ts';

const clocks = fc.record({
  startMs: fc.integer({ min: 1.6e12, max: 2e12 }),
  realStartMs: fc.integer({ min: 1.6e12, max: 2e12 }),
  rate: fc.constantFrom(0.5, 1, 2, 10, 100),
});

test('virtual and real time are inverse, and both run forwards', (t) => {
  fc.assert(
    fc.property(clocks, fc.integer({ min: 0, max: 1e9 }), (clock, passedMs) => {
      const real = clock.realStartMs + passedMs;
      const virtual = virtualMs(clock, real);
      return virtual >= clock.startMs && Math.abs(realMs(clock, virtual) - real) < 0.01;
    }),
  );
  t.pass();
});

test('the start is the start, and a second is rate seconds', (t) => {
  const clock = { startMs: 1000, realStartMs: 5000, rate: 10 };
  t.is(virtualMs(clock, 5000), 1000);
  t.is(virtualMs(clock, 6000), 11_000);
  t.is(realMs(clock, 11_000), 6000);
});

test('without a pace any time may have come', (t) => {
  const clock = { startMs: 1000, realStartMs: 5000, rate: Infinity };
  t.is(virtualMs(clock, 5000), Infinity);
  t.is(realMs(clock, 11_000), -Infinity);
});
