// Every kind of tampering, each by its name, on a log of several bundles. `npm run test:audit` does
// the same on a hundred thousand batches.

import test from 'ava';
import { audit } from '../../../ledger/audit/audit.ts';
import { parsePolicy } from '../../../ledger/log/policy.ts';
import { createLargeLog, inMemory, publish, TAMPERINGS } from '../../helpers/large-log.ts';
import { encodeEntry } from '../../../ledger/entry.ts';

const log = await createLargeLog(4, 160);
const files = publish(log.entries.map(encodeEntry), log.blobs);
const policy = parsePolicy(Buffer.from(log.policy));

test('the log passes before anything is changed', async (t) => {
  const { findings, ok, blobs } = await audit(inMemory(files), { policy });
  t.deepEqual(findings, []);
  t.true(ok);
  // Four enrolments, three requests; one of twelve days is erased, with its 47 withheld batches.
  t.deepEqual(blobs, {
    disclosed: 4 + 3 + 11, withheld: 640 - 12 - 47, erased: 48, missing: 0, unreferenced: 0,
  });
});

test('each tampering has a name of its own, and there are thirty or more', (t) => {
  t.is(new Set(TAMPERINGS.map(({ name }) => name)).size, TAMPERINGS.length);
  t.true(TAMPERINGS.length >= 30);
});

for (const { name, finding, apply } of TAMPERINGS) {
  test(`found: ${name}`, async (t) => {
    const { findings, ok } = await audit(inMemory(apply(log, files)), { policy });
    t.false(ok);
    t.true(findings.some(({ code }) => code === finding), JSON.stringify(findings.slice(0, 3)));
  });
}
