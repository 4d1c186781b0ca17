// Every kind of tampering, each by its name, on a log of several bundles. `npm run test:audit` does
// the same on a hundred thousand batches.

import test from 'ava';
import { audit } from '../../../ledger/audit/audit.ts';
import { formatReport } from '../../../ledger/audit/report.ts';
import { parsePolicy } from '../../../ledger/log/policy.ts';
import { createLargeLog, inMemory, publish } from '../../helpers/large-log.ts';
import { TAMPERINGS } from '../../helpers/tamperings.ts';
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

test('another log’s entries are opaque: its structure holds, or does not', async (t) => {
  const leaves = Array.from({ length: 700 }, (_, i) => Buffer.from(`go.sum line ${i}`));
  const other = publish(leaves, new Map());
  const options = { policy, structureOnly: true };
  const report = await audit(inMemory(other), options);
  t.like(report, { ok: true, findings: [], unread: 700, size: 700 });
  t.regex(formatReport(report), /700 entries of unknown meaning/);
  t.false((await audit(inMemory(other), { policy })).ok);
  for (const path of other.keys()) {
    const bytes = other.get(path)!;
    const changed = new Map(other).set(path, bytes.with(-1, bytes.at(-1)! ^ 1));
    t.false((await audit(inMemory(changed), options)).ok, path);
  }
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
