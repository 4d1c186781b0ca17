// What an owner may change after pairing, and what the operator may erase: publication, erasure,
// late disclosure. After each scene the audit agrees, a restarted ledger knows the same, and
// projections grown anew are those that stand.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Ledger } from '../../ledger/ledger.ts';
import { signingKey } from '../../ledger/log/ed25519.ts';
import { signRequest } from '../../ledger/owner.ts';
import type { Wish } from '../../ledger/verify/request.ts';
import {
  auditLedger, createClock, dumpProjections, enrolMeter, openTestLedger, temporaryDir,
} from '../helpers/ledger-folder.ts';
import { createMeter, digest, START_S } from '../helpers/meter.ts';
import type { TestMeter } from '../helpers/meter.ts';

const OWNER = signingKey(digest('owner'));
const DAY_MS = 86_400_000;
/** The clock's first day, ten days after the meter's first reading. */
const FIRST_DAY_MS = (START_S + 864_000) * 1000;

interface Scene {
  ledger(): Ledger;
  meter: TestMeter;
  clock: ReturnType<typeof createClock>;
  dir: string;
  /** Sends a batch of one record; its bytes. */
  send(): Promise<Uint8Array>;
  /** Asks as the owner, with the next number. */
  ask(wish: Wish, number?: number): Promise<{ index: number; batches: number }>;
  restart(onStep?: (step: string) => void): Promise<void>;
}

async function onLedger(
  t: ExecutionContext,
  publish: number,
  scene: (parts: Scene) => Promise<void>,
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  let ledger = await openTestLedger(dir, { clock });
  const meter = createMeter('alice');
  const change = (terms: Map<number, unknown>): void => void terms.set(10, OWNER.publicKey);
  await enrolMeter(ledger, meter, { publish, change });
  let count = 0;
  await scene({
    ledger: () => ledger,
    meter,
    clock,
    dir,
    async send() {
      const batch = meter.batch(meter.records(1));
      t.is((await ledger.submitBatch(batch)).decision.kind, 'accepted');
      return batch;
    },
    ask: (wish, number = ++count) => ledger.grant(signed(meter, wish, number)),
    async restart(onStep) {
      await ledger.close();
      ledger = await openTestLedger(dir, { clock, onStep });
    },
  });
  t.deepEqual((await auditLedger(ledger)).findings, []);
  const grown = dumpProjections(ledger);
  const meters = [...ledger.state().meters()];
  await ledger.close();
  ledger = await openTestLedger(dir, { clock, freshProjections: true });
  t.deepEqual(dumpProjections(ledger), grown);
  t.deepEqual([...ledger.state().meters()], meters);
  await ledger.close();
  remove();
}

function signed({ id: meterId }: TestMeter, wish: Wish, number: number, key = OWNER): Uint8Array {
  return signRequest({ origin: 'ledger.test/commons', meterId, number, wish }, key);
}

/** The n-th day of the scene. */
function day(n: number): { fromMs: number; toMs: number } {
  return { fromMs: FIRST_DAY_MS + n * DAY_MS, toMs: FIRST_DAY_MS + (n + 1) * DAY_MS };
}

function publicPath(dir: string, batch: Uint8Array): string {
  return join(dir, 'public/blob', Buffer.from(digest(batch)).toString('hex'));
}

/** Every byte of a ledger's folder, its databases' and their logs' included. */
function holds(dir: string, part: Uint8Array): string[] {
  return readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => readFileSync(path).includes(part));
}

test('less is published from the next batch on, and more again later', (t) =>
  onLedger(t, 1, async ({ send, ask, clock, dir }) => {
    const sent = [await send()];
    await ask({ what: 'publish', publish: 0 });
    sent.push(await send(), await send());
    clock.atMs += DAY_MS;
    await ask({ what: 'publish', publish: 3 });
    // The last one under the old choice stays as it was.
    sent.push(await send(), await send());
    clock.atMs += DAY_MS;
    sent.push(await send());
    const shown = sent.map((batch) => existsSync(publicPath(dir, batch)));
    t.deepEqual(shown, [true, false, false, false, true, false]);
  }));

for (const [from, to] of [[3, 0], [0, 3], [3, 2], [2, 1], [1, 3], [0, 1]] as const) {
  test(`from publication ${from} to ${to}: audit, disclosure and projections agree`, (t) =>
    onLedger(t, from, async ({ send, ask, clock, restart }) => {
      for (let i = 0; i < 9; i++) {
        await send();
        if (i === 3) await ask({ what: 'publish', publish: to });
        if (i === 5) await restart();
        clock.atMs += i % 2 === 0 ? 1_800_000 : DAY_MS / 2;
      }
    }));
}

test('a day is erased: from public, private and projected files, not from the log', (t) =>
  onLedger(t, 3, async ({ send, ask, clock, dir, ledger }) => {
    const first = [await send(), await send()];
    clock.atMs += DAY_MS;
    const second = [await send(), await send()];
    clock.atMs += DAY_MS;
    await send();
    t.true(existsSync(publicPath(dir, first[1])));
    t.is((await ask({ what: 'erase', span: day(0) })).batches, 2);
    for (const batch of first) t.deepEqual(holds(dir, batch.slice(-200)), []);
    for (const batch of second) t.true(holds(dir, batch.slice(-200)).length > 0);
    const { blobs, requests, nodes: [node] } = await auditLedger(ledger());
    t.like(blobs, { withheld: 2, erased: 2, missing: 0 });
    t.is(node.erased, 2);
    t.is(node.shown!.seq, 4);
    t.like(requests[0], { what: 'erase', by: 'owner' });
    const { db } = { db: ledger().store.ledgerDb };
    t.like(db.prepare('SELECT batches, missingBatches FROM meter').get(), {
      batches: 5, missingBatches: 0,
    });
    t.is((await ledger().submitBatch(first[0])).decision.kind, 'repeated');
  }));

test('what nobody could verify without, and the last batch, are not erased', (t) =>
  onLedger(t, 0, async ({ send, ask, meter, ledger, dir }) => {
    const plain = await send();
    const naming = meter.batch(meter.records(1), { successor: meter.grow() });
    t.is((await ledger().submitBatch(naming)).decision.kind, 'accepted');
    meter.adopt();
    await send();
    const last = await send();
    t.is((await ask({ what: 'erase', span: day(0) })).batches, 2);
    t.deepEqual(holds(dir, plain.slice(-200)), []);
    for (const batch of [naming, last]) t.true(holds(dir, batch.slice(-200)).length > 0);
    await send();
  }));

test('evidence stays, and a key may be revoked after an erasure', (t) =>
  onLedger(t, 1, async ({ send, ask, meter, ledger }) => {
    await send();
    await ask({ what: 'erase', span: day(0) });
    const twice = [1, 2].map(() => meter.batch(meter.records(1), { q: 20 }));
    await ledger().submitBatch(twice[0]);
    t.is((await ledger().submitBatch(twice[1])).decision.kind, 'equivocation');
    t.is((await ledger().erase(meter.id, day(0))).batches, 1);
  }));

test('a batch whose erasure is on its way to the disk proves nothing, as after it', (t) =>
  onLedger(t, 1, async ({ send, meter, ledger }) => {
    await ledger().submitBatch(meter.batch(meter.records(1), { q: 5 }));
    await send();
    const second = meter.batch(meter.records(1), { q: 5 });
    const [{ batches }, { decision }] = await Promise.all([
      ledger().erase(meter.id, day(0)), ledger().submitBatch(second),
    ]);
    t.is(batches, 1);
    t.like(decision, { kind: 'invalid', reason: { code: 'one-time-key' } });
    t.is((await ledger().submitBatch(second)).decision.kind, decision.kind);
  }));

test('a withheld day is disclosed later, verifies, and is counted', (t) =>
  onLedger(t, 0, async ({ send, ask, clock, dir, ledger }) => {
    const first = [await send(), await send()];
    clock.atMs += DAY_MS;
    const second = await send();
    const before = await auditLedger(ledger());
    t.is(before.nodes[0].shown, null);
    t.is((await ask({ what: 'disclose', span: day(0) })).batches, 2);
    for (const batch of first) t.true(existsSync(publicPath(dir, batch)));
    t.false(existsSync(publicPath(dir, second)));
    const { nodes: [node] } = await auditLedger(ledger());
    t.is(node.shown!.seq, 2);
    const row = ledger().store.ledgerDb
      .prepare('SELECT upS FROM day ORDER BY day DESC LIMIT 1').get() as { upS: number };
    t.is(row.upS, node.shown!.upS);
  }));

test('a month that was closed is as if what is erased of it had never come', (t) =>
  onLedger(t, 1, async ({ send, ask, clock, ledger }) => {
    await send();
    await send();
    clock.atMs += 40 * DAY_MS;
    await send();
    const billed = (): unknown[] => ledger().store.ledgerDb
      .prepare('SELECT month, energyMicroWh > 0 AS energy FROM bill ORDER BY month').all()
      .map((row) => ({ ...row }));
    t.deepEqual(billed(), [{ month: '2026-01', energy: 1 }]);
    await ask({ what: 'erase', span: day(0) });
    t.deepEqual(billed(), [{ month: '2026-01', energy: null }]);
  }));

test('erased is erased: nothing discloses it again', (t) =>
  onLedger(t, 0, async ({ send, ask, clock, dir }) => {
    const batch = await send();
    await send();
    await ask({ what: 'erase', span: day(0) });
    clock.atMs += DAY_MS;
    t.is((await ask({ what: 'disclose', span: day(0) })).batches, 1);
    t.false(existsSync(publicPath(dir, batch)));
  }));

test('the operator erases without the owner, and the log says who', (t) =>
  onLedger(t, 1, async ({ send, meter, ledger }) => {
    await send();
    await send();
    t.is((await ledger().erase(meter.id, day(0))).batches, 1);
    const { requests } = await auditLedger(ledger());
    t.deepEqual(requests.map(({ what, by }) => `${by} ${what}`), ['operator erase']);
    await t.throwsAsync(ledger().erase(digest('nobody').slice(0, 8), day(0)), { code: 'unknown-meter' });
  }));

test('only the owner asks, each thing once, and not all day', (t) =>
  onLedger(t, 1, async ({ send, ask, meter, ledger, clock }) => {
    await send();
    const wish: Wish = { what: 'publish', publish: 0 };
    const refused = async (bytes: Uint8Array, code: string): Promise<void> => {
      const size = ledger().log().size();
      await t.throwsAsync(ledger().grant(bytes), { code });
      t.is(ledger().log().size(), size);
    };
    await refused(signed(meter, wish, 9, signingKey(digest('mallory'))), 'not-owner');
    await refused(signed(createMeter('bob'), wish, 9), 'unknown-meter');
    const elsewhere = signRequest({ origin: 'other.test/log', meterId: meter.id, number: 9, wish }, OWNER);
    await refused(elsewhere, 'bad-wish');
    const bytes = signed(meter, wish, 5);
    await refused(bytes.with(-1, bytes.at(-1)! ^ 1), 'bad-wish');
    const { index } = await ledger().grant(bytes);
    t.deepEqual(await ledger().grant(bytes), { index, isNew: false, batches: 0 });
    await refused(signed(meter, { what: 'publish', publish: 1 }, 5), 'old-request');
    await ask({ what: 'erase', span: day(0) }, 6);
    await refused(signed(meter, { what: 'erase', span: day(0) }, 7), 'too-soon');
    clock.atMs += 3_600_000;
    await ask({ what: 'erase', span: day(0) }, 8);
  }));

test('a kit without an owner’s key has nobody who may ask', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter);
  const bytes = signed(meter, { what: 'publish', publish: 0 }, 1);
  await t.throwsAsync(ledger.grant(bytes), { code: 'not-owner' });
  await ledger.close();
  remove();
});

for (const cut of ['renamed checkpoint', 'erased blobs', 'swapped head']) {
  test(`cut at “${cut}”, an erasure is finished at the next start, or never was`, (t) =>
    onLedger(t, 1, async ({ send, ask, restart, ledger, dir }) => {
      const batch = await send();
      await send();
      let isArmed = false;
      await restart((step) => {
        if (isArmed && step === cut) throw new Error('cut');
      });
      isArmed = true;
      await t.throwsAsync(ask({ what: 'erase', span: day(0) }));
      isArmed = false;
      await restart();
      const { entries, requests } = await auditLedger(ledger());
      t.is(entries.batches, 2);
      t.is(existsSync(publicPath(dir, batch)), requests.length === 0);
    }));
}
