import test from 'ava';
import { moneyText, priceText } from '../../../ledger/page/money.ts';

test('amounts carry their currency, with as many decimals as the standard says', (t) => {
  t.is(moneyText(307, 'EUR'), '€3.07');
  t.is(moneyText(-5, 'EUR'), '-€0.05');
  t.is(moneyText(307, 'JPY'), '¥307');
  t.is(moneyText(1234, 'KWD'), 'KWD\u00a01.234');
  // Shops round afghanis to whole ones; bills do not.
  t.is(moneyText(1234, 'AFN'), 'AFN\u00a012.34');
});

test('prices show what lies below the minor unit, if anything does', (t) => {
  t.is(priceText(31_450, 'EUR'), '€0.3145');
  t.is(priceText(31_000, 'EUR'), '€0.31');
  t.is(priceText(31_250, 'JPY'), '¥31.25');
  t.is(priceText(29_500, 'KWD'), 'KWD\u00a00.0295');
});
