import test from 'ava';
import { countSpans, edgesOf } from '../../../ledger/ask/steps.ts';
import { isoOf } from '../../../ledger/ask/parameters.ts';

const at = (text: string): number => Date.parse(text) / 1000;
const cut = (from: string, to: string, step: 'hour' | 'day' | 'month'): string[] =>
  edgesOf(at(from), at(to), step).map(isoOf);

test('months are cut where they begin, leap days and new years included', (t) => {
  t.deepEqual(cut('2027-12-15T00:00:00Z', '2028-03-01T00:00:00Z', 'month'), [
    '2027-12-15T00:00:00Z', '2028-01-01T00:00:00Z', '2028-02-01T00:00:00Z', '2028-03-01T00:00:00Z',
  ]);
});

test('the first and the last span may be shorter', (t) => {
  t.deepEqual(cut('2027-01-01T00:30:00Z', '2027-01-01T02:10:00Z', 'hour'), [
    '2027-01-01T00:30:00Z', '2027-01-01T01:00:00Z', '2027-01-01T02:00:00Z', '2027-01-01T02:10:00Z',
  ]);
});

test('an empty window has no spans', (t) => {
  t.deepEqual(edgesOf(5, 5, 'hour'), [5]);
});

test('the count that bounds an answer is never below the answer', (t) => {
  for (const step of ['hour', 'day', 'month'] as const) {
    const [from, to] = [at('2027-01-31T23:59:59Z'), at('2029-02-01T00:00:01Z')];
    t.true(countSpans(from, to, step) >= edgesOf(from, to, step).length - 1, step);
  }
});
