// The audit's words, whatever a meter claims: one that lies must not keep the others' from being
// read.

import test from 'ava';
import { formatReport } from '../../../ledger/audit/report.ts';
import {
  auditLedger, enrolMeter, openTestLedger, temporaryDir,
} from '../../helpers/ledger-folder.ts';
import { createMeter } from '../../helpers/meter.ts';

test('a time that no calendar has stays a number', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const meter = createMeter('mallory');
  await enrolMeter(ledger, meter);
  const late = meter.records(1, (record) => ({ ...record, unixS: 2 ** 51 - 1, timeState: 0 }));
  t.is((await ledger.submitBatch(meter.batch(late))).decision.kind, 'accepted');
  const lines = formatReport(await auditLedger(ledger));
  t.regex(lines, /^audit passed/);
  t.regex(lines, /until 2251799813685247 s/);
  await ledger.close();
  remove();
});
