// Months against hand-computed ones: clocks set forward and back, leap days, zones at both ends of
// the day, and a zone that is changed. Times are of the IANA's table.

import test from 'ava';
import {
  closeMonths, endOfMonth, firstCalendar, inZone, isDate, isZone, nextMonth, startOfDate,
} from '../../ledger/calendar.ts';

const at = (iso: string): number => Date.parse(iso) / 1000;

for (const [month, zone, end, why] of [
  ['2027-02', 'Europe/Berlin', '2027-02-28T23:00:00Z', 'winter, an hour before UTC'],
  ['2027-03', 'Europe/Berlin', '2027-03-31T22:00:00Z', 'the clock went forward on the 28th'],
  ['2027-10', 'Europe/Berlin', '2027-10-31T23:00:00Z', 'the clock goes back on the last day'],
  ['2028-02', 'Europe/Berlin', '2028-02-29T23:00:00Z', 'a leap day'],
  ['2100-02', 'UTC', '2100-03-01T00:00:00Z', 'no leap day in 2100'],
  ['2027-12', 'Pacific/Kiritimati', '2027-12-31T10:00:00Z', 'fourteen hours before UTC'],
  ['2027-12', 'Pacific/Niue', '2028-01-01T11:00:00Z', 'eleven hours after UTC'],
  ['2027-12', 'Etc/GMT+12', '2028-01-01T12:00:00Z', 'the last zone to end a month'],
  ['2027-06', 'Asia/Kathmandu', '2027-06-30T18:15:00Z', 'three quarters of an hour'],
  ['2016-03', 'America/Sao_Paulo', '2016-04-01T03:00:00Z', 'south of the equator'],
] as const) {
  test(`${month} ends in ${zone} at ${end}: ${why}`, (t) => {
    t.is(endOfMonth(month, zone), at(end));
  });
}

test('months are as long as the zone’s clock makes them', (t) => {
  const lengthH = (month: string, zone: string): number =>
    (endOfMonth(month, zone) - startOfDate(`${month}-01`, zone)) / 3600;
  t.is(lengthH('2027-03', 'Europe/Berlin'), 31 * 24 - 1);
  t.is(lengthH('2027-10', 'Europe/Berlin'), 31 * 24 + 1);
  t.is(lengthH('2028-02', 'Europe/Berlin'), 29 * 24);
  t.is(lengthH('2027-04', 'Australia/Lord_Howe'), 30 * 24 + 0.5);
});

test('a date begins where the clock first shows it', (t) => {
  // In Beirut the clock went from midnight to one o’clock on 26 March 2027’s forerunners.
  t.is(startOfDate('2022-03-27', 'Asia/Beirut'), at('2022-03-26T22:00:00Z'));
  t.is(startOfDate('2018-11-04', 'America/Sao_Paulo'), at('2018-11-04T03:00:00Z'));
});

test('a month closes at the first entry three days after its end, not a millisecond before', (t) => {
  const calendar = inZone(firstCalendar(Date.parse('2027-03-10T12:00:00Z')), 'Europe/Berlin');
  t.like(calendar, { month: '2027-03', startS: at('2027-03-01T00:00:00Z') });
  const closesMs = Date.parse('2027-04-03T22:00:00Z');
  t.is(calendar.closesMs, closesMs);
  t.deepEqual(closeMonths(calendar, closesMs - 1), { closed: [], calendar });
  const { closed, calendar: next } = closeMonths(calendar, closesMs);
  t.deepEqual(closed, [{
    month: '2027-03', startS: at('2027-03-01T00:00:00Z'), endS: at('2027-03-31T22:00:00Z'),
    zone: 'Europe/Berlin',
  }]);
  t.like(next, { month: '2027-04', startS: at('2027-03-31T22:00:00Z') });
});

test('an entry after a long silence closes all months before it, end to end', (t) => {
  const calendar = firstCalendar(Date.parse('2027-11-30T23:59:59Z'));
  const { closed, calendar: next } = closeMonths(calendar, Date.parse('2028-03-04T00:00:00Z'));
  t.deepEqual(closed.map(({ month }) => month), ['2027-11', '2027-12', '2028-01', '2028-02']);
  closed.forEach(({ endS }, i) => t.is(endS, closed[i + 1]?.startS ?? next.startS));
  t.is(next.month, '2028-03');
});

test('a change of zone makes one month longer or shorter, and loses no second', (t) => {
  const calendar = firstCalendar(Date.parse('2027-01-15T00:00:00Z'));
  const { closed: [january], calendar: february } = closeMonths(
    inZone(calendar, 'Pacific/Niue'), Date.parse('2027-02-05T00:00:00Z'),
  );
  t.is(january.endS, at('2027-02-01T11:00:00Z'));
  const { closed: [shorter] } = closeMonths(
    inZone(february, 'Pacific/Kiritimati'), Date.parse('2027-03-05T00:00:00Z'),
  );
  t.is(shorter.startS, january.endS);
  t.is(shorter.endS, at('2027-02-28T10:00:00Z'));
});

test('a log that claims an absurd time closes no more months than 2200 has seen', (t) => {
  const { closed } = closeMonths(firstCalendar(0), Number.MAX_SAFE_INTEGER);
  t.true(closed.length <= 230 * 12);
  t.is(firstCalendar(Number.MAX_SAFE_INTEGER).month, '2200-01');
});

test('months follow each other over the year’s end', (t) => {
  t.is(nextMonth('2027-12'), '2028-01');
  t.is(nextMonth('2027-01'), '2027-02');
});

test('only dates of the calendar and zones as the table spells them', (t) => {
  for (const date of ['2028-02-29', '2027-12-31']) t.true(isDate(date), date);
  for (const date of ['2027-02-29', '2027-2-1', '2027-13-01', '', '2027-01-01T00:00', '+002027-01-01']) {
    t.false(isDate(date), date);
  }
  for (const zone of ['Europe/Berlin', 'UTC', 'Pacific/Kiritimati', 'Etc/GMT+12']) t.true(isZone(zone), zone);
  for (const zone of ['europe/berlin', '+01:00', 'Europe/Atlantis', '', 'CET+1']) t.false(isZone(zone), zone);
});
