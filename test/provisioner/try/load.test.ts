import test from 'ava';
import { BUSY_MILLI_W, createLoad, IDLE_MILLI_W } from '../../../provisioner/try/load.ts';

test('power follows processor time between two samples', (t) => {
  const load = createLoad(2);
  t.is(load.milliW(), 0, 'nothing is plugged in');
  load.plugIn();
  load.sample(10, 1000);
  t.is(load.milliW(), IDLE_MILLI_W);
  load.sample(11, 2000);
  t.is(load.milliW(), IDLE_MILLI_W + BUSY_MILLI_W / 2, 'one of two processors busy');
  load.sample(15, 3000);
  t.is(load.milliW(), IDLE_MILLI_W + BUSY_MILLI_W, 'never more than all of them');
});

test('a machine that starts again begins with no processor time', (t) => {
  const load = createLoad(2);
  load.plugIn();
  load.sample(10, 1000);
  load.sample(12, 2000);
  load.sample(0.5, 3000);
  t.is(load.milliW(), IDLE_MILLI_W + BUSY_MILLI_W, 'the old share holds until two new samples');
  load.sample(0.5, 4000);
  t.is(load.milliW(), IDLE_MILLI_W);
  load.unplug();
  t.is(load.milliW(), 0);
});
