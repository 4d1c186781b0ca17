// The disclosure rule, by cases and by what it promises for any history.

import test from 'ava';
import fc from 'fast-check';
import { closesBucket, dueBatches, PUBLISH } from '../../ledger/publish.ts';
import type { PublishedBatch } from '../../ledger/publish.ts';

const day = (n: number, hour = 0): number => Date.UTC(2026, 0, n, hour);
const batches = (...times: number[]): PublishedBatch[] =>
  times.map((receivedMs, i) => ({ index: 10 + i, receivedMs, namesKey: false }));

test('the last batch of a closed bucket is due, the open bucket’s is not', (t) => {
  const history = batches(day(1, 3), day(1, 23), day(2, 0), day(2, 0), day(4, 1));
  const due = (publish: 0 | 1 | 2 | 3): number[] => [...dueBatches(publish, history)];
  t.deepEqual(due(PUBLISH.none), []);
  t.deepEqual(due(PUBLISH.batch), [10, 11, 12, 13]);
  t.deepEqual(due(PUBLISH.hour), [10, 11, 13]);
  t.deepEqual(due(PUBLISH.day), [11, 13]);
});

test('a batch that names a key is due at once, whatever was chosen', (t) => {
  const [first, second] = batches(day(1), day(1, 1));
  const history = [first, { ...second, namesKey: true }];
  for (const publish of Object.values(PUBLISH)) {
    t.true(dueBatches(publish, history).has(second.index));
  }
});

test('days are UTC days: the last millisecond still belongs', (t) => {
  const [last] = batches(day(2) - 1);
  t.true(closesBucket(PUBLISH.day, last, { index: 11, receivedMs: day(2) }));
  t.false(closesBucket(PUBLISH.day, last, { index: 11, receivedMs: day(2) - 1 }));
});

test('one batch a bucket, and never the newest', (t) => {
  const times = fc.array(fc.integer({ min: 0, max: 90 * 86_400_000 }), { minLength: 1 });
  fc.assert(fc.property(times, (list) => {
    const history = batches(...list.sort((a, b) => a - b));
    const due = dueBatches(PUBLISH.day, history);
    const days = history.filter(({ index }) => due.has(index)).map(({ receivedMs }) =>
      Math.floor(receivedMs / 86_400_000));
    t.is(new Set(days).size, days.length);
    t.false(due.has(history[history.length - 1].index));
  }));
});
