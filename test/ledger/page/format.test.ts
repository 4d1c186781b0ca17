import test from 'ava';
import {
  ago, bytes, countOf, dayText, duration, energy, percent, percentInColumn, utcText, watts,
} from '../../../ledger/page/format.ts';

let number = 1;
const AT_S = Date.parse('2027-03-02T09:05:07Z') / 1000;

for (const [said, expected] of [
  [watts(4352), '4.35 W'], [watts(13_840), '13.8 W'], [watts(0), '0 W'], [watts(820), '0.820 W'],
  [watts(null), 'unknown'],
  [energy(999_400_000), '999 Wh'], [energy(999_500_000), '1.00 kWh'], [energy(23_712_000_000), '23.7 kWh'],
  [energy(0), '0 Wh'], [energy(12), '< 0.001 Wh'],
  [bytes(0), '0 B'], [bytes(999), '999 B'], [bytes(1000), '1.00 kB'], [bytes(34_200_000_000), '34.2 GB'],
  [percent(1), '100 %'], [percent(0.99999), '> 99.99 %'], [percent(0.00001), '< 0.01 %'],
  [percentInColumn(1), '100.0 %'], [percentInColumn(0.9999), '> 99.9 %'], [percentInColumn(0.0001), '< 0.1 %'],
  [percentInColumn(0.9), '90.0 %'], [percentInColumn(0), '0.0 %'],
  [percent(0), '0 %'], [percent(0.9871), '98.71 %'],
  [duration(0), '0 s'], [duration(59), '59 s'], [duration(3600), '1 h'], [duration(3661), '1 h 1 min'],
  [duration(86_400 * 3 + 7200), '3 d 2 h'],
  [ago(100, 103), 'just now'], [ago(100, 220), '2 min ago'],
  [countOf(1, 'node'), '1 node'], [countOf(1200, 'node'), '1,200 nodes'],
  [utcText(AT_S), '2 Mar 2027, 09:05 UTC'], [dayText(AT_S), '2 Mar'],
]) {
  test(`said: ${expected} (${number++})`, (t) => {
    t.is(said, expected);
  });
}
