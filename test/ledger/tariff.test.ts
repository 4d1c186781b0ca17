// Rounding and splitting by hand: half a minor unit is a whole one, a price that changes splits what
// was used before from what was used after, and a currency's decimals are its own.

import test from 'ava';
import fc from 'fast-check';
import { firstCalendar } from '../../ledger/calendar.ts';
import { currencyExponent, majorUnits } from '../../ledger/currency.ts';
import {
  checkPrice, holdsFrom, MAX_PRICES, minorOf, MOST_MINOR, tariffOf, weigh,
} from '../../ledger/tariff.ts';
import type { SetPrice } from '../../ledger/tariff.ts';

const KWH = 1_000_000_000;
const at = (iso: string): number => Date.parse(iso) / 1000;
const price = (parts: Partial<SetPrice>): SetPrice => ({
  index: 1, receivedMs: 0, hash: new Uint8Array(32), volunteerKey: new Uint8Array(32), currency: 'EUR',
  milliMinorPerKWh: 30_000, validFrom: '2027-03-01', zone: 'UTC', fromS: at('2027-03-01T00:00Z'),
  ...parts,
});
const costOf = (energyMicroWh: number, milliMinor: number, permille: number): number =>
  minorOf(BigInt(energyMicroWh) * BigInt(milliMinor), permille);

for (const [energyMicroWh, milliMinor, permille, minor, why] of [
  [8.8 * KWH, 31_000, 880, 310, '8.8 kWh by the lead are 10 at the wall'],
  [KWH / 2, 1_000, 1000, 1, '0.5 is rounded up'],
  [KWH / 2 - 1, 1_000, 1000, 0, 'just below is not'],
  [3 * (KWH / 2), 1_000, 1000, 2, '1.5 is rounded up'],
  [-KWH / 2, 1_000, 1000, 0, '−0.5 is rounded up, to nothing'],
  [-KWH / 2 - 1, 1_000, 1000, -1, 'just below is a credit'],
  [KWH, 31_450, 1000, 31, '31.45 cents'],
  [10 * KWH, 31_450, 1000, 315, '314.5 cents'],
  [KWH, 31_450, 850, 37, '31.45 ÷ 0.85 is exactly 37'],
  [0, 31_450, 850, 0, 'nothing costs nothing'],
  [9_000_000 * KWH, 10_000_000_000, 1, MOST_MINOR, 'absurd: it stays a whole number'],
] as const) {
  test(`${energyMicroWh} µWh at ${milliMinor} and ${permille} ‰: ${why}`, (t) => {
    t.is(costOf(energyMicroWh, milliMinor, permille), minor);
  });
}

test('an exponent of 0 and of 3: the minor unit is what is rounded to', (t) => {
  // 12.5 kWh at 31.2 yen; at 3.2 fils; at 0.0295 dinar.
  for (const [currency, milliMinor, text] of [
    ['JPY', 31_200, '390'], ['BHD', 3_200, '0.040'], ['KWD', 29_500, '0.369'], ['EUR', 31_200, '3.90'],
  ] as const) {
    const minor = costOf(12.5 * KWH, milliMinor, 1000);
    t.is(majorUnits(minor, currencyExponent(currency)!), text, currency);
  }
});

test('a price that changes within a month splits the cost by time', (t) => {
  const tariff = tariffOf([
    price({ index: 4, milliMinorPerKWh: 30_000 }),
    price({ index: 9, milliMinorPerKWh: 60_000, fromS: at('2027-03-11T00:00Z') }),
  ]);
  // One kWh a day, from a day before the first price.
  const energyAt = (atS: number): number => Math.round(((atS - at('2027-02-28T00:00Z')) / 86_400) * KWH);
  const span = { fromS: at('2027-02-28T00:00Z'), toS: at('2027-03-31T00:00Z') };
  t.is(minorOf(weigh(tariff, span, energyAt), 1000), 10 * 30 + 20 * 60);
});

test('of two prices from one moment the later entry holds', (t) => {
  const [wrong, right] = [price({ index: 4 }), price({ index: 5, milliMinorPerKWh: 31_450 })];
  const step = { fromS: wrong.fromS, milliMinorPerKWh: 31_450 };
  t.deepEqual(tariffOf([wrong, right]), [step]);
  t.deepEqual(tariffOf([right, wrong]), [step]);
});

test('a span’s weight is the sum of its parts’', (t) => {
  const steps = fc.array(fc.record({ fromS: fc.nat(10_000), milliMinorPerKWh: fc.nat(100_000) }), { maxLength: 6 });
  const moments = fc.array(fc.nat(10_000), { minLength: 2, maxLength: 6 });
  fc.assert(fc.property(steps, moments, (list, times) => {
    const tariff = tariffOf(list.map((step, index) => price({ ...step, index })));
    const edges = times.toSorted((a, b) => a - b);
    const energyAt = (atS: number): number => Math.floor(atS ** 1.7);
    const parts = edges.slice(1).map((toS, i) => weigh(tariff, { fromS: edges[i], toS }, energyAt));
    const whole = weigh(tariff, { fromS: edges[0], toS: edges.at(-1)! }, energyAt);
    t.is(parts.reduce((sum, part) => sum + part, 0n), whole);
  }));
});

const REFUSED: [code: string, price: SetPrice, prices: SetPrice[]][] = [
  ['month-closed', price({ validFrom: '2027-02-28' }), []],
  ['price-currency', price({ currency: 'CHF' }), [price({})]],
  ['price-limit', price({}), Array.from({ length: MAX_PRICES }, (_, index) => price({ index }))],
];
for (const [code, refused, prices] of REFUSED) {
  test(`a price may be refused: ${code}`, (t) => {
    const calendar = firstCalendar(Date.parse('2027-03-01T00:00Z'));
    t.is((t.throws(() => checkPrice(refused, { prices, calendar })) as { code?: string }).code, code);
    t.notThrows(() => checkPrice(price({}), { prices: prices.slice(0, 1), calendar }));
  });
}

test('a price holds from its date on, but never from within a month that is closed', (t) => {
  // The log counted in UTC until now; 1 March begins an hour earlier in Berlin.
  const calendar = firstCalendar(Date.parse('2027-03-05T00:00Z'));
  t.is(holdsFrom(price({ fromS: at('2027-02-28T23:00Z') }), calendar), at('2027-03-01T00:00Z'));
  t.is(holdsFrom(price({ fromS: at('2027-03-07T23:00Z') }), calendar), at('2027-03-07T23:00Z'));
});
