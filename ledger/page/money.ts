// Amounts as people read them: in the log's currency, with as many decimals as the standard gives
// its minor unit, not as many as a shop would write. Pure.

import { currencyExponent } from '../currency.ts';

/** 307 as €3.07, of yen as ¥307. */
export function moneyText(minor: number, currency: string): string {
  return format(currency, currencyExponent(currency)!).format(minor / 10 ** currencyExponent(currency)!);
}

/** Thousandths of a minor unit: 31450 as €0.3145. */
export function priceText(milliMinor: number, currency: string): string {
  const exponent = currencyExponent(currency)!;
  return format(currency, exponent, exponent + 3).format(milliMinor / 10 ** (exponent + 3));
}

function format(currency: string, least: number, most = least): Intl.NumberFormat {
  return new Intl.NumberFormat('en', {
    style: 'currency', currency, minimumFractionDigits: least, maximumFractionDigits: most,
  });
}
