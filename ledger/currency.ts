// Currencies by ISO 4217: how many decimals the minor unit has. Data of the standard's list one
// (active codes that are money in a country's hands; no metals, funds or testing codes). Not taken
// from the runtime, which gives decimals as shops write them: none for AFN or IDR.

const EXPONENTS: Record<number, string> = {
  0: 'BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF',
  2: 'AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF '
    + 'CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD '
    + 'HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA '
    + 'MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN '
    + 'QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP '
    + 'TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG',
  3: 'BHD IQD JOD KWD LYD OMR TND',
};

const BY_CODE = new Map(Object.entries(EXPONENTS).flatMap(([exponent, codes]) =>
  codes.split(' ').map((code) => [code, Number(exponent)] as const)));

/** Every code, in no order. */
export const CURRENCIES: readonly string[] = [...BY_CODE.keys()];

/** Decimals of the currency's minor unit, or undefined for what is no currency. */
export function currencyExponent(code: string): number | undefined {
  return BY_CODE.get(code);
}

/** 307 minor units as 3.07, of yen as 307; exact, with all decimals. */
export function majorUnits(minor: number | bigint, exponent: number): string {
  const digits = String(minor).replace('-', '').padStart(exponent + 1, '0');
  const whole = digits.slice(0, digits.length - exponent);
  const sign = minor < 0 ? '-' : '';
  return exponent === 0 ? sign + whole : `${sign}${whole}.${digits.slice(-exponent)}`;
}
