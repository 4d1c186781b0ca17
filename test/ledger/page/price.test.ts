import test from 'ava';
import { costOf, moneyText } from '../../../ledger/page/price.ts';

const EUR = { currency: 'EUR', minorPerKWh: 31 };

test('the wall’s energy is the lead’s over the efficiency, rounded once', (t) => {
  const home = { energyMicroWh: 8.8e9, efficiencyPermille: 880 };
  t.is(costOf([home], EUR), 310);
  t.is(costOf(Array.from({ length: 100 }, () => ({ energyMicroWh: 1.45e7, efficiencyPermille: 1000 })), EUR), 45);
  t.is(costOf([], EUR), 0);
});

test('amounts carry their currency, with as many decimals as it has', (t) => {
  t.is(moneyText(307, EUR), '€3.07');
  t.is(moneyText(307, { currency: 'JPY', minorPerKWh: 31 }), '¥307');
});
