// The disclosure rule, by cases and by what it promises for any history.

import test from 'ava';
import fc from 'fast-check';
import { closesBucket, isDue, PUBLISH } from '../../ledger/publish.ts';
import type { Publish, PublishedBatch } from '../../ledger/publish.ts';

const day = (n: number, hour = 0): number => Date.UTC(2026, 0, n, hour);
const batches = (publish: Publish, ...times: number[]): PublishedBatch[] =>
  times.map((receivedMs, i) => ({ index: 10 + i, receivedMs, namesKey: false, publish }));
/** The entry indices of those that are due. */
const dueBatches = (history: readonly PublishedBatch[]): Set<number> => new Set(
  history.filter((batch, i) => isDue(batch, history[i + 1] ?? null)).map(({ index }) => index));

test('the last batch of a closed bucket is due, the open bucket’s is not', (t) => {
  const times = [day(1, 3), day(1, 23), day(2, 0), day(2, 0), day(4, 1)];
  const due = (publish: Publish): number[] => [...dueBatches(batches(publish, ...times))];
  t.deepEqual(due(PUBLISH.none), []);
  t.deepEqual(due(PUBLISH.batch), [10, 11, 12, 13]);
  t.deepEqual(due(PUBLISH.hour), [10, 11, 13]);
  t.deepEqual(due(PUBLISH.day), [11, 13]);
});

test('a batch that names a key is due at once, whatever was chosen', (t) => {
  for (const publish of Object.values(PUBLISH)) {
    const [first, second] = batches(publish, day(1), day(1, 1));
    t.true(dueBatches([first, { ...second, namesKey: true }]).has(second.index));
  }
});

test('where the choice changes, both must make a batch due', (t) => {
  const closes = (before: Publish, after: Publish): boolean => {
    const [[last], [, next]] = [before, after].map((one) => batches(one, day(1, 2), day(1, 3)));
    return closesBucket(last, next);
  };
  t.true(closes(PUBLISH.hour, PUBLISH.batch));
  t.true(closes(PUBLISH.batch, PUBLISH.hour));
  for (const [one, other] of [[0, 1], [0, 2], [0, 3], [3, 2], [3, 1]] as const) {
    t.false(closes(one, other));
    t.false(closes(other, one));
  }
});

test('days are UTC days: the last millisecond still belongs', (t) => {
  const [last, next] = batches(PUBLISH.day, day(2) - 1, day(2));
  t.true(closesBucket(last, next));
  t.false(closesBucket(last, { ...next, receivedMs: day(2) - 1 }));
});

test('one batch a bucket, and never the newest', (t) => {
  const times = fc.array(fc.integer({ min: 0, max: 90 * 86_400_000 }), { minLength: 1 });
  fc.assert(fc.property(times, (list) => {
    const history = batches(PUBLISH.day, ...list.sort((a, b) => a - b));
    const due = dueBatches(history);
    const days = history.filter(({ index }) => due.has(index)).map(({ receivedMs }) =>
      Math.floor(receivedMs / 86_400_000));
    t.is(new Set(days).size, days.length);
    t.false(due.has(history[history.length - 1].index));
  }));
});
