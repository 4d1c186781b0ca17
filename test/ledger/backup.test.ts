// A copy made while batches arrive is a ledger: it opens, audits, and goes on with the same log.

import test from 'ava';
import { join } from 'node:path';
import { readdirSync, readFileSync } from 'node:fs';
import { backUp } from '../../ledger/backup.ts';
import {
  auditLedger, createClock, enrolMeter, openTestLedger, temporaryDir,
} from '../helpers/ledger-folder.ts';
import { createMeter } from '../helpers/meter.ts';

test('a backup taken under load is the log as it stood, and continues it', async (t) => {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  const ledger = await openTestLedger(join(dir, 'live'), { clock });
  const meters = [0, 1, 3].map((publish) => ({ publish, meter: createMeter(`backup ${publish}`) }));
  for (const { publish, meter } of meters) await enrolMeter(ledger, meter, { publish });
  const sent = meters.map(({ meter }) => Array.from({ length: 8 }, () => meter.batch()));
  const report = async (batches: Uint8Array[]): Promise<void> => {
    for (const batch of batches) {
      clock.atMs += 7_200_000;
      t.is((await ledger.submitBatch(batch)).decision.kind, 'accepted');
    }
  };
  const reports = Promise.all(sent.map(report));
  const to = join(dir, 'copy');
  await ledger.backUp(to);
  await reports;
  const live = ledger.log().read(0, ledger.log().size());
  await ledger.close();

  const again = await openTestLedger(to, { clock });
  const size = again.log().size();
  t.deepEqual(again.log().read(0, size), live.slice(0, size));
  t.true((await auditLedger(again)).ok);
  for (const batches of sent) {
    for (const batch of batches) {
      const { decision: { kind } } = await again.submitBatch(batch);
      t.true(kind === 'accepted' || kind === 'repeated');
    }
  }
  t.is(again.log().size(), live.length);
  t.true((await auditLedger(again)).ok);
  await again.close();
  remove();
});

test('a restored backup of a ledger at rest signs the very next checkpoint of the same log', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(join(dir, 'live'));
  const meter = createMeter('rest');
  await enrolMeter(ledger, meter);
  await ledger.submitBatch(meter.batch());
  await ledger.backUp(join(dir, 'copy'));
  const batch = meter.batch();
  await ledger.submitBatch(batch);
  const expected = ledger.log().checkpoint();
  await ledger.close();
  const again = await openTestLedger(join(dir, 'copy'));
  await again.submitBatch(batch);
  // Same clock, same key, same entries: a witness that saw either agrees with the other.
  t.deepEqual(again.log().checkpoint(), expected);
  await again.close();
  remove();
});

test('a backup that fails leaves nothing that looks like one', async (t) => {
  const { dir, remove } = temporaryDir();
  const store = {
    publicDir: dir,
    copyDatabases: async () => { throw new Error('no space left'); },
  };
  const pool = { between: <R>(work: () => Promise<R>) => work() };
  await t.throwsAsync(backUp(store, pool, join(dir, 'copy')), { message: 'no space left' });
  t.deepEqual(readdirSync(dir), []);
  remove();
});

test('a folder that is there is left alone', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(join(dir, 'live'));
  await t.throwsAsync(ledger.backUp(dir), { code: 'backup-exists' });
  t.deepEqual(readdirSync(dir), ['live']);
  t.true(readFileSync(join(dir, 'live', 'public', 'checkpoint')).length > 0);
  await ledger.close();
  remove();
});
