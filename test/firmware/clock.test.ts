// The meter's clock believes quick replies alone, and says when a known time jumped.
import test from 'ava';
import { Clock, TIME } from '../../firmware/clock.ts';

test('unknown, then synchronised, then merely set', (t) => {
  let nowMs = 5000;
  const clock = new Clock(() => nowMs, 1000);
  t.is(clock.state(), TIME.unknown);
  t.is(clock.unixS(), 1000);
  nowMs += 3000;
  t.is(clock.unixS(), 1003);
  t.false(clock.synchronise(1_795_000_000, nowMs - 200));
  t.is(clock.state(), TIME.synchronised);
  t.is(clock.unixS(), 1_795_000_000);
  nowMs += 37 * 3600 * 1000;
  t.is(clock.state(), TIME.set);
});

test('a slow reply changes nothing; a small difference is none; a jump is said', (t) => {
  let nowMs = 0;
  const clock = new Clock(() => nowMs, 0);
  nowMs = 20_000;
  t.false(clock.synchronise(1_795_000_000, 9_999));
  t.is(clock.state(), TIME.unknown);
  t.false(clock.synchronise(1_795_000_000, 10_000));
  nowMs += 60_000;
  t.false(clock.synchronise(1_795_000_061, nowMs));
  t.is(clock.unixS(), 1_795_000_060);
  t.true(clock.synchronise(1_795_000_160, nowMs));
  t.is(clock.unixS(), 1_795_000_160);
});

test('a time below what was told before the boot is a jump', (t) => {
  t.true(new Clock(() => 0, 1_795_000_000).synchronise(1_794_999_999, 0));
  t.false(new Clock(() => 0, 1_795_000_000).synchronise(1_795_000_000, 0));
});
