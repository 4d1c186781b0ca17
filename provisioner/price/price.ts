// A price of the commons' energy: read from the command line, signed by the volunteer, published in
// the ledger's log. docs/ledger.md draws the bytes. The ledger judges them; here it is only seen to
// that they say what the volunteer meant.

import { encode, rfc8949EncodeOptions } from 'cborg';
import { signAsVolunteer, type Volunteer } from '../campaign/volunteer-sign1.ts';
import { KitError } from '../errors.ts';
import { describeLedger, listPrices, setPrice } from '../meter/ledger-client.ts';
import type { Fetch, PriceSet } from '../meter/ledger-client.ts';

const PRICE_CONTEXT = 'commons-kit/price';

export interface PriceTerms {
  /** ISO 4217. */
  currency: string;
  /** Thousandths of the currency's minor unit (cent, fils, yen) for a kilowatt-hour at the wall. */
  milliMinorPerKWh: number;
  /** `2027-03-01` */
  validFrom: string;
  /** IANA's name. */
  zone: string;
}

/** `31.45` as 31,450 thousandths. @throws KitError `price-invalid` */
export function parseMinorPerKWh(text: string): number {
  const [, whole, decimals = ''] = /^(\d{1,8})(?:\.(\d{1,3}))?$/.exec(text) ?? [];
  if (whole !== undefined) return Number(whole + decimals.padEnd(3, '0'));
  throw new KitError({
    code: 'price-invalid',
    message: 'This is not a price',
    expected: 'minor units (cents, yen, fils) for a kilowatt-hour, with at most three decimals',
    got: text.slice(0, 100),
    hint: 'For 31.45 cents a kilowatt-hour, say 31.45.',
    exitCode: 2,
  });
}

/** The bytes that the ledger takes; the same terms give the same bytes. */
export function signPrice(origin: string, terms: PriceTerms, volunteer: Volunteer): Uint8Array {
  const payload = encode(
    new Map<number, unknown>([
      [1, PRICE_CONTEXT],
      [2, origin],
      [3, terms.currency],
      [4, terms.milliMinorPerKWh],
      [5, terms.validFrom],
      [6, terms.zone],
    ]),
    rfc8949EncodeOptions,
  );
  return signAsVolunteer(payload, volunteer);
}

export interface PublishOptions {
  url: string;
  origin: string;
  terms: PriceTerms;
  /** The log has no price yet, and the volunteer knows that this one names its currency for life. */
  isFirst: boolean;
}

/**
 * Signs a price and has the ledger take it; the same price again changes nothing.
 * @throws KitError `ledger-…`, `price-first` the log has no price yet and nobody said so
 */
export async function publishPrice(
  { url, origin, terms, isFirst }: PublishOptions, volunteer: Volunteer, deps: { fetch: Fetch },
): Promise<PriceSet> {
  await describeLedger(url, origin, deps);
  const { prices } = await listPrices(url, deps);
  if (prices.length === 0 && !isFirst) throw notFirst(terms);
  return setPrice(url, signPrice(origin, terms, volunteer), deps);
}

function notFirst({ currency }: PriceTerms): KitError {
  return new KitError({
    code: 'price-first',
    message: 'The ledger has no price yet, and keeps the currency of its first one for life',
    expected: `--first, if ${currency} is what the commons will always reckon in`,
    got: 'a first price without it',
    hint: 'Check price, currency, date and zone; then say it again with --first.',
    exitCode: 2,
  });
}
