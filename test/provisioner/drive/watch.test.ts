import test from 'ava';

import type { Clock } from '../../../provisioner/drive/clock.ts';
import { watchDrive } from '../../../provisioner/drive/watch.ts';

/** A clock that is moved by hand, a second at a time. */
function handClock() {
  const ticks = new Set<() => void>();
  const clock: Clock & { pass(seconds: number): void } = {
    nowMs: () => now,
    every(_periodMs, tick) {
      ticks.add(tick);
      return () => ticks.delete(tick);
    },
    pass(seconds) {
      for (let passed = 0; passed < seconds; passed++) {
        now += 1000;
        for (const tick of ticks) tick();
      }
    },
  };
  let now = 0;
  return clock;
}

test('a drive that was asked and is silent for 30 s is told of while that lasts', (t) => {
  const clock = handClock();
  const traffic = { asked: 0, answered: 0 };
  const told: number[] = [];
  const end = watchDrive({ traffic }, clock, (silentMs) => told.push(silentMs / 1000));
  clock.pass(100); // Nobody asked it anything: we wait for the image.
  traffic.asked = 4;
  clock.pass(29);
  t.deepEqual(told, []);
  clock.pass(1);
  t.deepEqual(told, [30]);
  clock.pass(25);
  t.deepEqual(told, [30, 40, 50]);
  traffic.answered = 1; // It was only very slow.
  clock.pass(29);
  t.deepEqual(told, [30, 40, 50]);
  clock.pass(2);
  t.deepEqual(told.slice(3), [30]);
  end();
  clock.pass(60);
  t.is(told.length, 4);
});
