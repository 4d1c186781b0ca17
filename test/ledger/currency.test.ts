import test from 'ava';
import fc from 'fast-check';
import { CURRENCIES, currencyExponent, majorUnits } from '../../ledger/currency.ts';

test('decimals are the standard’s', (t) => {
  for (const [code, exponent] of [
    ['EUR', 2], ['USD', 2], ['JPY', 0], ['KRW', 0], ['ISK', 0], ['BHD', 3], ['KWD', 3], ['TND', 3],
    ['AFN', 2], ['IDR', 2],
  ] as const) t.is(currencyExponent(code), exponent, code);
  for (const none of ['eur', 'XXX', 'XAU', 'EURO', '', 'DEM']) t.is(currencyExponent(none), undefined);
});

test('every code is one that the runtime knows, once', (t) => {
  const known = new Set(Intl.supportedValuesOf('currency'));
  t.deepEqual(CURRENCIES.filter((code) => !known.has(code)), []);
  t.is(new Set(CURRENCIES).size, CURRENCIES.length);
});

test('minor units as major ones: exact, signed, all decimals', (t) => {
  for (const [minor, exponent, text] of [
    [307, 2, '3.07'], [0, 2, '0.00'], [-5, 2, '-0.05'], [307, 0, '307'], [-307, 0, '-307'],
    [1, 3, '0.001'], [1234, 3, '1.234'], [31_450, 5, '0.31450'],
  ] as const) t.is(majorUnits(minor, exponent), text);
  fc.assert(fc.property(fc.maxSafeInteger(), fc.integer({ min: 0, max: 3 }), (minor, exponent) => {
    t.is(BigInt(majorUnits(minor, exponent).replace('.', '')), BigInt(minor));
  }));
});
