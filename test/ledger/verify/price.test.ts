// Prices as a volunteer signs them: taken, and refused for each thing that can be wrong.

import test from 'ava';
import fc from 'fast-check';
import { verifyPrice } from '../../../ledger/verify/price.ts';
import { createVolunteer } from '../../helpers/meter.ts';
import { priceBytes } from '../../helpers/price.ts';

const ORIGIN = 'ledger.test/commons';
const ALICE = createVolunteer('alice');
const good = priceBytes(ALICE, { origin: ORIGIN });

test('a price says what it costs, in what, from when and where', (t) => {
  const price = verifyPrice(good, ORIGIN);
  t.like(price, {
    currency: 'EUR', milliMinorPerKWh: 31_450, validFrom: '2026-01-01', zone: 'Europe/Berlin',
    fromS: Date.parse('2025-12-31T23:00:00Z') / 1000,
  });
  t.deepEqual(Buffer.from(price.volunteerKey), Buffer.from(ALICE.publicKey));
});

const REFUSED: [why: string, code: string, bytes: Uint8Array][] = [
  ['another ledger’s', 'bad-price', priceBytes(ALICE, { origin: 'ledger.test/other' })],
  ['another context', 'malformed-price', priceBytes(ALICE, { change: (map) => map.set(1, 'commons-kit/kit') })],
  ['no currency', 'malformed-price', priceBytes(ALICE, { currency: 'XAU' })],
  ['a price below nothing', 'malformed-price', priceBytes(ALICE, { milliMinorPerKWh: -1 })],
  ['a price of fractions', 'malformed-price', priceBytes(ALICE, { milliMinorPerKWh: 0.5 })],
  ['an absurd price', 'malformed-price', priceBytes(ALICE, { milliMinorPerKWh: 10_000_000_001 })],
  ['no date', 'malformed-price', priceBytes(ALICE, { validFrom: '2027-02-29' })],
  ['a date before all meters', 'malformed-price', priceBytes(ALICE, { validFrom: '2023-12-31' })],
  ['no zone', 'malformed-price', priceBytes(ALICE, { zone: 'Europe/Atlantis' })],
  ['an offset', 'malformed-price', priceBytes(ALICE, { zone: '+01:00' })],
  ['a member more', 'malformed-price', priceBytes(ALICE, { change: (map) => map.set(7, 1) })],
  ['a member less', 'malformed-price', priceBytes(ALICE, { change: (map) => map.delete(6) })],
  ['too large', 'malformed-price', new Uint8Array(513)],
  ['nothing', 'malformed-price', new Uint8Array(0)],
  ['a trailing byte', 'malformed-price', Uint8Array.of(...good, 0)],
];
for (const [why, code, bytes] of REFUSED) {
  test(`refused: ${why}`, (t) => {
    t.is((t.throws(() => verifyPrice(bytes, ORIGIN)) as { code?: string }).code, code);
  });
}

test('a changed byte is never taken for a price of the same volunteer', (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
    const bytes = good.map((byte, i) => (i === at ? byte ^ change : byte));
    const { code } = t.throws(() => verifyPrice(bytes, ORIGIN)) as { code?: string };
    t.true(code === 'bad-price' || code === 'malformed-price');
  }), { seed, numRuns: 500 });
});
