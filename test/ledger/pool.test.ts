// The pool: order kept, company found, failures told to all whom they concern.

import test from 'ava';
import { createPool } from '../../ledger/pool.ts';

test('what waits together is committed together, in order', async (t) => {
  const pools: number[][] = [];
  const commit = async (items: number[]): Promise<void> => void pools.push(items);
  const pool = createPool<number>({ commit, onFailure: async () => {}, maxItems: 4 });
  await Promise.all(Array.from({ length: 10 }, (_, i) => pool.add(i)));
  t.deepEqual(pools, [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]);
  await pool.add(10);
  t.deepEqual(pools.at(-1), [10]);
  await pool.idle();
});

test('a failed commit fails those who waited behind it too, once the damage is seen to', async (t) => {
  const events: string[] = [];
  let fails = true;
  const pool = createPool<number>({
    async commit(items) {
      if (fails) throw new Error('disk');
      events.push(`committed ${items.join()}`);
    },
    async onFailure(error) {
      events.push((error as Error).message);
      fails = false;
    },
    maxItems: 2,
  });
  const adding = [1, 2, 3].map((item) => pool.add(item).catch(() => events.push(`refused ${item}`)));
  await Promise.all(adding);
  t.deepEqual(events, ['disk', 'refused 1', 'refused 2', 'refused 3']);
  await pool.add(4);
  t.is(events.at(-1), 'committed 4');
});

test('while the damage of a failed commit is seen to, no other work has its turn', async (t) => {
  const events: string[] = [];
  let between: Promise<void> | undefined;
  const pool = createPool<number>({
    async commit() {
      between = pool.between(async () => void events.push('between'));
      throw new Error('disk');
    },
    async onFailure() {
      events.push('seen to');
      await new Promise((resolve) => setImmediate(resolve));
      events.push('mended');
    },
  });
  await t.throwsAsync(pool.add(1), { message: 'disk' });
  await between;
  t.deepEqual(events, ['seen to', 'mended', 'between']);
});
