// Projections beside the log: caught up after a crash, and grown again the same.

import test from 'ava';
import { nextIndex } from '../../ledger/ask/project.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import { storageFault } from '../../ledger/storage-fault.ts';
import {
  createClock, dumpProjections, enrolmentParts, enrolMeter, openTestLedger, temporaryDir, VOLUNTEER,
} from '../helpers/ledger-folder.ts';
import { createMeter, createVolunteer, digest, START_S } from '../helpers/meter.ts';
import { priceBytes } from '../helpers/price.ts';

async function fill(ledger: Ledger, clock: ReturnType<typeof createClock>): Promise<void> {
  await ledger.admit(VOLUNTEER.publicKey);
  await ledger.setPrice(priceBytes(VOLUNTEER));
  for (const [publish, name] of [[1, 'alice'], [3, 'bob'], [0, 'carol']] as const) {
    const meter = createMeter(name);
    await enrolMeter(ledger, meter, { publish });
    for (let i = 0; i < 4; i++) {
      await ledger.submitBatch(meter.batch(meter.records(2)));
      clock.atMs += 43_200_000;
    }
    // Into the next month, and past its closing.
    clock.atMs += 20 * 86_400_000;
    const milliMinorPerKWh = 30_000 + clock.atMs % 977;
    const validFrom = new Date(clock.atMs).toISOString().slice(0, 10);
    await ledger.setPrice(priceBytes(VOLUNTEER, { milliMinorPerKWh, validFrom }));
  }
}

test('rebuilt projections are those that were grown live', async (t) => {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  const live = await openTestLedger(dir, { clock });
  await fill(live, clock);
  const grown = dumpProjections(live);
  await live.close();
  const rebuilt = await openTestLedger(dir, { clock, freshProjections: true });
  t.deepEqual(dumpProjections(rebuilt), grown);
  t.is(nextIndex(rebuilt.store.ledgerDb), rebuilt.log().size());
  t.deepEqual([grown.price, grown.month, grown.bill].map(({ length }) => length), [4, 2, 5]);
  await rebuilt.close();
  remove();
});

test('projections that fell behind the log are caught up at start', async (t) => {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  const problems: unknown[] = [];
  const ledger = await openTestLedger(dir, { clock, onProblem: (error) => problems.push(error) });
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter);
  await ledger.submitBatch(meter.batch());
  // The projections' disk fails; the log's does not: the batch is accepted all the same.
  ledger.store.ledgerDb.exec('PRAGMA query_only = ON');
  t.is((await ledger.submitBatch(meter.batch())).decision.kind, 'accepted');
  t.is(problems.length, 1);
  t.is(nextIndex(ledger.store.ledgerDb), 3);
  await ledger.close();
  const again = await openTestLedger(dir, { clock });
  t.is(nextIndex(again.store.ledgerDb), 4);
  await again.close();
  remove();
});

test('projections that SQLite has no page for: accepted, told, caught up when it has', async (t) => {
  const { dir, remove } = temporaryDir();
  const problems: unknown[] = [];
  const onProblem = (error: unknown): void => void problems.push(error);
  const clock = createClock((START_S + 40 * 86_400) * 1000);
  const ledger = await openTestLedger(dir, { clock, onProblem });
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter);
  const { ledgerDb: db } = ledger.store;
  db.exec('PRAGMA max_page_count = 1');
  let sent = 0;
  for (; problems.length === 0; sent++) {
    const batch = meter.batch(meter.records(96));
    t.is((await ledger.submitBatch(batch)).decision.kind, 'accepted');
  }
  t.is(storageFault(problems[0])?.code, 'disk-full');
  t.true(nextIndex(db) < ledger.log().size());
  db.exec('PRAGMA max_page_count = 1000000');
  await ledger.submitBatch(meter.batch());
  t.is(nextIndex(db), 2 + sent + 1);
  const grown = dumpProjections(ledger);
  await ledger.close();
  const rebuilt = await openTestLedger(dir, { freshProjections: true });
  t.deepEqual(dumpProjections(rebuilt), grown);
  await rebuilt.close();
  remove();
});

test('what comes while a failed write is mended is stored, or refused for good', async (t) => {
  const { dir, remove } = temporaryDir();
  const [alice, bob] = [createMeter('alice'), createMeter('bob')];
  let isFull = false;
  let meanwhile: Promise<string> | undefined;
  const submit = (ledger: Ledger, batch: Uint8Array): Promise<string> =>
    ledger.submitBatch(batch).then(({ decision: { kind } }) => kind, () => 'failed');
  const batch = bob.batch();
  const ledger: Ledger = await openTestLedger(dir, {
    onStep() {
      if (isFull) throw new Error('no space left on device');
    },
    onProblem() {
      isFull = false;
      queueMicrotask(() => void (meanwhile = submit(ledger, batch)));
    },
  });
  for (const meter of [alice, bob]) await enrolMeter(ledger, meter);
  isFull = true;
  t.is(await submit(ledger, alice.batch()), 'failed');
  const [size, first] = [ledger.log().size(), await meanwhile];
  t.is(ledger.log().size(), first === 'accepted' ? size + 1 : size);
  await submit(ledger, batch);
  await ledger.close();
  const again = await openTestLedger(dir);
  t.is(await submit(again, batch), 'repeated');
  await again.close();
  remove();
});

interface Hold {
  /** Resolves when something waits to be written. */
  reached: Promise<void>;
  /** Lets it go on, or fail. */
  end(error?: Error): void;
}

/** A ledger whose next write waits, once `hold` is called. */
async function openSlowly(dir: string): Promise<{ ledger: Ledger; hold(): Hold }> {
  let meet: (() => Promise<void>) | undefined;
  const ledger = await openTestLedger(dir, { onStep: () => meet?.() });
  return {
    ledger,
    hold() {
      const [reached, ended] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
      meet = () => {
        reached.resolve();
        return ended.promise;
      };
      return {
        reached: reached.promise,
        end(error) {
          meet = undefined;
          if (error === undefined) ended.resolve();
          else ended.reject(error);
        },
      };
    },
  };
}

/** Whether a promise has ended before the disk could say anything. */
async function endsAtOnce(promise: Promise<unknown>): Promise<boolean> {
  let hasEnded = false;
  promise.then(() => (hasEnded = true), () => (hasEnded = true));
  for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
  return hasEnded;
}

test('nothing that rests on a write is answered before it is durable, or where it fails', async (t) => {
  const { dir, remove } = temporaryDir();
  const { ledger, hold } = await openSlowly(dir);
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter);
  const other = createVolunteer('bob').publicKey;
  const scenes: [string, string, (() => Promise<unknown>)[]][] = [];
  const submit = (batch: Uint8Array) => (): Promise<string> =>
    ledger.submitBatch(batch).then(({ decision: { kind } }) => kind);
  const admit = (): Promise<string> => ledger.admit(other).then(({ isNew }) => `new ${isNew}`);
  scenes.push(['new true', 'new false', [admit, admit]]);
  const out = meter.batch(meter.records(1), { previous: digest('nothing'), q: 2 });
  const next = meter.batch(meter.records(1), { previous: null, q: 5 });
  // What is wanted next is told with a refusal.
  scenes.push(['accepted', 'not-next', [submit(next), submit(out)]]);
  const second = meter.batch(meter.records(1), { q: 5 });
  scenes.push(['equivocation', 'invalid', [submit(second), submit(second)]]);
  for (const [first, again, asked] of scenes) {
    const failing = hold();
    const lost = asked.map((ask) => ask());
    await failing.reached;
    for (const promise of lost) t.false(await endsAtOnce(promise), again);
    failing.end(new Error('no space left on device'));
    const ends = (await Promise.allSettled(lost)).map(({ status }) => status);
    t.deepEqual(ends, ['rejected', 'rejected'], again);
    const slow = hold();
    const kept = asked.map((ask) => ask());
    await slow.reached;
    for (const promise of kept) t.false(await endsAtOnce(promise), again);
    slow.end();
    t.deepEqual(await Promise.all(kept), [first, again]);
  }
  t.is(ledger.log().size(), 5);
  await ledger.close();
  remove();
});

test('an answer tells where its meter stood by it, not by what came after', async (t) => {
  const { dir, remove } = temporaryDir();
  const { ledger, hold } = await openSlowly(dir);
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter);
  const slow = hold();
  const batches = [meter.batch(), meter.batch()];
  const first = ledger.submitBatch(batches[0]);
  await slow.reached;
  const answers = [first, ledger.submitBatch(batches[1])];
  slow.end();
  for (const [i, { decision }] of (await Promise.all(answers)).entries()) {
    t.true(decision.kind === 'accepted');
    if (decision.kind === 'accepted') t.deepEqual(decision.meter.last?.hash, digest(batches[i]));
  }
  await ledger.close();
  remove();
});

test('a wish waits for its own meter’s batches, not for a busy ledger to be idle', async (t) => {
  const { dir, remove } = temporaryDir();
  const [alice, bob] = [createMeter('alice'), createMeter('bob')];
  const sent = Array.from({ length: 8 }, () => bob.batch());
  let posted: Promise<unknown>[] = [];
  let isBusy = false;
  const ledger: Ledger = await openTestLedger(dir, {
    onStep(step) {
      // While one is made durable the next one comes: something always is on the way.
      if (isBusy && step === 'swapped head' && posted.length < sent.length) {
        posted.push(ledger.submitBatch(sent[posted.length]));
      }
    },
  });
  for (const meter of [alice, bob]) await enrolMeter(ledger, meter);
  await ledger.submitBatch(alice.batch());
  isBusy = true;
  posted.push(ledger.submitBatch(sent[0]));
  const { index } = await ledger.erase(alice.id, { fromMs: 0, toMs: 9e15 });
  await Promise.all(posted);
  t.true(index < 5 + sent.length, `entry ${index}`);
  await ledger.close();
  remove();
});

test('a stranger’s seal is not even opened', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const [enrolment] = await enrolmentParts(ledger, createMeter('mallory'));
  await t.throwsAsync(ledger.enrol(enrolment, new Uint8Array(9)), { code: 'not-admitted' });
  t.is(ledger.log().size(), 0);
  await ledger.close();
  remove();
});
