// A copy made while batches arrive is a ledger: it opens, audits, and goes on with the same log.

import test from 'ava';
import { join } from 'node:path';
import { existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { audit } from '../../ledger/audit/audit.ts';
import { folderFiles } from '../../ledger/audit/source.ts';
import { backUp } from '../../ledger/backup.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { parseVkey } from '../../ledger/log/note.ts';
import { parsePolicy, verifyCheckpoint } from '../../ledger/log/policy.ts';
import { createCollector, witnessesOf } from '../../ledger/witness/collect.ts';
import { serveWitness } from '../../ledger/witness/serve.ts';
import { openWitness } from '../../ledger/witness/witness.ts';
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

test('a restored backup goes on with its log, and the witness that knew it cosigns', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(join(dir, 'live'));
  const logs = [parseVkey(ledger.log().vkey)];
  const witness = openWitness({ dir: join(dir, 'witness'), logs, nowS: () => 1_800_000_000 });
  const { port, close } = await serveWitness(witness, { port: 0 });
  const lines = [
    `log ${ledger.log().vkey}`, `witness w ${witness.vkey} http://127.0.0.1:${port}/`, 'quorum w', '',
  ];
  const policy = parsePolicy(Buffer.from(lines.join('\n')));
  const meter = createMeter('restored');
  await enrolMeter(ledger, meter);
  await ledger.submitBatch(meter.batch());
  const collect = async (of: Ledger): Promise<unknown[]> =>
    (await createCollector(of.log, witnessesOf(policy)).collect()).map(({ error }) => error);
  t.deepEqual(await collect(ledger), [undefined]);
  const old = ledger.log().checkpoint();
  const entries = ledger.log().read(0, ledger.log().size());
  await ledger.backUp(join(dir, 'copy'));
  await ledger.close();
  rmSync(join(dir, 'live'), { recursive: true });

  const again = await openTestLedger(join(dir, 'copy'));
  t.deepEqual(again.log().checkpoint(), old, 'cosignature and all');
  for (let grown = 0; grown < 3; grown++) {
    t.is((await again.submitBatch(meter.batch())).decision.kind, 'accepted');
    t.deepEqual(await collect(again), [undefined]);
    const { cosignedBy } = verifyCheckpoint(again.log().checkpoint(), policy);
    t.is(cosignedBy.length, 1);
  }
  t.deepEqual(again.log().read(0, entries.length), entries);
  t.is(witness.heads()[0].size, entries.length + 3);
  t.deepEqual(witness.evidence(), []);
  const report = await audit(folderFiles(again.store.publicDir), { policy });
  t.true(report.ok);
  await again.close();
  await close();
  witness.close();
  remove();
});

test('what is erased while a backup is taken is in neither half of it', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(join(dir, 'live'));
  const meter = createMeter('erased');
  await enrolMeter(ledger, meter, { publish: 1 });
  for (let i = 0; i < 4; i++) await ledger.submitBatch(meter.batch());
  const erase = (): Promise<unknown> => ledger.erase(meter.id, { fromMs: 0, toMs: 9e15 });
  const { store } = ledger;
  // Before the moment that is copied, at it, and after: whichever files have been copied by then.
  const pools = {
    before: async <R>(work: () => Promise<R>): Promise<R> => erase().then(work),
    after: async <R>(work: () => Promise<R>): Promise<R> => {
      const result = await work();
      await erase();
      return result;
    },
  };
  for (const [when, between] of Object.entries(pools)) {
    await backUp(store, { between }, join(dir, when));
    t.true((await auditLedger(ledger)).ok, when);
    await ledger.submitBatch(meter.batch());
  }
  // One that is listed and gone when its turn comes.
  const { publicDir, copyDatabases } = store;
  const [name] = readdirSync(join(publicDir, 'blob'));
  let asked = 0;
  const vanishing = {
    // Asked for once for the list, then for each file.
    get publicDir() {
      if (asked++ === 1) rmSync(join(publicDir, 'blob', name));
      return publicDir;
    },
    copyDatabases,
  };
  await backUp(vanishing, { between: (work) => work() }, join(dir, 'gone'));
  t.false(existsSync(join(dir, 'gone/public/blob', name)));
  await ledger.close();
  for (const when of Object.keys(pools)) {
    const copy = await openTestLedger(join(dir, when));
    t.true((await auditLedger(copy)).ok, when);
    // The fourth batch was the last one the first time, which is not erased.
    t.deepEqual([2, 5].map((index) => copy.state().fateOf(index)), ['erased', undefined], when);
    await copy.close();
  }
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
