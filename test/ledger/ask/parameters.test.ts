import test from 'ava';
import {
  isoOf, parseNodesQuery, parseNoQuery, parseRecordsQuery, parseSeriesQuery,
} from '../../../ledger/ask/parameters.ts';

const NOW_S = Date.parse('2027-03-02T12:00:00Z') / 1000;
const query = (text: string): URLSearchParams => new URLSearchParams(text);

test('without a window the last day by the hour is meant', (t) => {
  t.deepEqual(parseSeriesQuery(query(''), NOW_S), { fromS: NOW_S - 86_400, toS: NOW_S, step: 'hour' });
});

test('dates and UTC times are read', (t) => {
  const { fromS, toS } = parseRecordsQuery(query('from=2027-01-31&to=2027-01-31T18:30Z'), NOW_S);
  t.is(isoOf(fromS), '2027-01-31T00:00:00Z');
  t.is(isoOf(toS), '2027-01-31T18:30:00Z');
  t.is(parseRecordsQuery(query('to=2027-01-31T18:30:05Z'), NOW_S).toS, toS + 5);
});

for (const [text, expected] of [
  ['from=yesterday', 'from: a UTC time like 2027-01-31 or 2027-01-31T18:00Z'],
  ['from=2027-02-30', 'from: a UTC time like 2027-01-31 or 2027-01-31T18:00Z'],
  ['from=2027-02-01T10:00:00+01:00', 'from: a UTC time like 2027-01-31 or 2027-01-31T18:00Z'],
  ['from=2027-02-02&to=2027-02-01', 'from before to'],
  ['step=minute', 'step: one of hour, day, month, raw'],
  ['step=hour&step=day', 'only from, to, step, each once'],
  ['setp=hour', 'only from, to, step, each once'],
  ['from=2001-01-01&step=hour', 'at most 10000 points'],
]) {
  test(`refused: ?${text}`, (t) => {
    const error = t.throws(() => parseSeriesQuery(query(text), NOW_S));
    t.is((error as Error & { expected: string }).expected, expected);
  });
}

for (const text of ['limit=0', 'limit=101', 'limit=1e1', 'after=zz', 'after=ABCDEF0123456789']) {
  test(`refused: nodes ?${text}`, (t) => {
    t.throws(() => parseNodesQuery(query(text)), { code: 'malformed-query' });
  });
}

test('where no parameter has a meaning, none is taken', (t) => {
  t.throws(() => parseNoQuery(query('x=1')), { code: 'malformed-query' });
  t.notThrows(() => parseNoQuery(query('')));
});

test('what is echoed of a wrong value is bounded', (t) => {
  const error = t.throws(() => parseSeriesQuery(query(`step=${'x'.repeat(5000)}`), NOW_S));
  t.true((error as Error & { got: string }).got.length < 120);
});
