// A price from the bench, judged by the ledger's own verifier; and by a ledger that serves.

import test from 'ava';
import { verifyPrice } from '../../../ledger/verify/price.ts';
import { serveLedger } from '../../../ledger/server.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { parseMinorPerKWh, publishPrice, signPrice } from '../../../provisioner/price/price.ts';
import type { PublishOptions } from '../../../provisioner/price/price.ts';
import { makeBench } from '../../helpers/bench.ts';
import { openTestLedger, temporaryDir } from '../../helpers/ledger-folder.ts';

const ORIGIN = 'ledger.test/commons';
const TERMS = {
  currency: 'EUR', milliMinorPerKWh: 31_450, validFrom: '2026-01-01', zone: 'Europe/Vienna',
};

test('what the bench signs, the ledger reads as it was meant', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const price = verifyPrice(signPrice(ORIGIN, TERMS, bench.identity), ORIGIN);
  t.like(price, TERMS);
  t.deepEqual(Buffer.from(price.volunteerKey), Buffer.from(bench.identity.publicKey));
  t.deepEqual(signPrice(ORIGIN, TERMS, bench.identity), signPrice(ORIGIN, TERMS, bench.identity));
});

test('minor units with up to three decimals, exactly', (t) => {
  for (const [text, milli] of [
    ['31.45', 31_450], ['31', 31_000], ['0.001', 1], ['29.9', 29_900], ['0', 0], ['12345678.999', 12_345_678_999],
  ] as const) t.is(parseMinorPerKWh(text), milli, text);
  for (const text of ['', '31,45', '31.4567', '-1', '1e3', ' 31', '.5', '31.', '123456789', '0x1f']) {
    t.is((t.throws(() => parseMinorPerKWh(text)) as KitError).code, 'price-invalid', text);
  }
});

test('a price reaches the log once; what is wrong is said in the ledger’s words', async (t) => {
  const [bench, folder] = [await makeBench(), temporaryDir()];
  const ledger = await openTestLedger(folder.dir);
  const server = await serveLedger(ledger, { port: 0, onProblem: (error) => t.fail(String(error)) });
  t.teardown(async () => {
    await server.close();
    await ledger.close();
    folder.remove();
    bench.remove();
  });
  const publish = (change: Partial<PublishOptions> = {}) => publishPrice(
    { url: `http://127.0.0.1:${server.port}`, origin: ORIGIN, terms: TERMS, isFirst: false, ...change },
    bench.identity, { fetch },
  );
  const refusal = async (change: Partial<PublishOptions>): Promise<KitError> =>
    (await t.throwsAsync(publish(change), { instanceOf: KitError }))!;
  t.is((await refusal({})).code, 'price-first');
  t.regex((await refusal({ isFirst: true })).expected!, /a volunteer whom this ledger admitted/);
  t.is((await refusal({ origin: 'ledger.test/other' })).code, 'ledger-other');
  t.is(ledger.log().size(), 0);

  await ledger.admit(bench.identity.publicKey);
  const set = await publish({ isFirst: true });
  t.like(set, { index: 1, currency: 'EUR', per_kwh: '0.31450', valid_from: '2026-01-01' });
  t.deepEqual(await publish(), set);
  t.is(ledger.log().size(), 2);
  const other = await refusal({ terms: { ...TERMS, currency: 'CHF' } });
  t.is(other.code, 'ledger-refused');
  t.is(other.expected, 'EUR');
  t.regex((await refusal({ terms: { ...TERMS, validFrom: '2025-12-31' } })).got!, /2025-12-31/);
  t.is(ledger.log().size(), 2);
});
