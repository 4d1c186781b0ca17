// A meter's keys, one after the other: the batch that names the next one is accepted under the old
// one and always public; from then on the old key has no say but against itself. After each scene
// the audit agrees, and a ledger that starts again knows the same.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { Ledger } from '../../ledger/ledger.ts';
import {
  auditLedger, createClock, dumpProjections, enrolMeter, openTestLedger, temporaryDir,
} from '../helpers/ledger-folder.ts';
import { createMeter, digest } from '../helpers/meter.ts';
import type { TestMeter } from '../helpers/meter.ts';

interface Scene {
  /** The ledger as it is now: `restart` opens another. */
  ledger(): Ledger;
  meter: TestMeter;
  clock: ReturnType<typeof createClock>;
  submit(batch: Uint8Array): Promise<string>;
  restart(freshProjections?: boolean): Promise<void>;
}

async function onLedger(
  t: ExecutionContext,
  scene: (parts: Scene) => Promise<void>,
  publish = 0,
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  let ledger = await openTestLedger(dir, { clock });
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter, { publish });
  await scene({
    ledger: () => ledger,
    meter,
    clock,
    async submit(batch) {
      const { decision } = await ledger.submitBatch(batch);
      return decision.kind === 'invalid' ? `invalid: ${decision.reason.code}` : decision.kind;
    },
    async restart(freshProjections) {
      await ledger.close();
      ledger = await openTestLedger(dir, { clock, freshProjections });
    },
  });
  t.deepEqual((await auditLedger(ledger)).findings, []);
  await ledger.close();
  remove();
}

/** Names the next key, and goes over to it once the ledger has taken that. */
async function succeed(t: ExecutionContext, { meter, submit }: Scene): Promise<Uint8Array> {
  const naming = meter.batch(meter.records(1), { successor: meter.grow() });
  t.is(await submit(naming), 'accepted');
  meter.adopt();
  return naming;
}

test('link and counters go on from key to key, one-time keys begin anew', (t) =>
  onLedger(t, async (scene) => {
    const { meter, submit, ledger } = scene;
    for (let key = 0; key < 3; key++) {
      t.is(await submit(meter.batch(meter.records(1))), 'accepted');
      await succeed(t, scene);
    }
    t.is(await submit(meter.batch(meter.records(1), { q: 0 })), 'accepted');
    const lie = meter.records(1, (record) => ({ ...record, upS: 0 }));
    t.is(await submit(meter.batch(lie, { q: 1, previous: null })), 'not-next');
    const { last } = ledger().state().meter(meter.id)!;
    t.is(await submit(meter.batch(lie, { q: 2, previous: last!.hash })), 'invalid: counters');
    const { entries, nodes: [node], blobs } = await auditLedger(ledger());
    t.like(entries, { enrolled: 1, batches: 7, succeeded: 3, revoked: 0, retired: 0 });
    t.is(node.keys, 4);
    // The owner chose to publish nothing: the three that name a key are public all the same.
    t.is(blobs.withheld, 4);
  }));

test('the former key signs nothing more, whatever it says', (t) => onLedger(t, async (scene) => {
  const { meter, submit } = scene;
  const old = createMeter('alice');
  const naming = await succeed(t, scene);
  old.records(1);
  const options = { previous: digest(naming), q: 7 };
  const records = old.records(1);
  t.is(await submit(old.batch(records, options)), 'invalid: signature');
  old.grow();
  t.is(await submit(old.batch(records, { ...options, successor: old.grow() })), 'invalid: signature');
  t.is(await submit(meter.batch(records)), 'accepted');
}));

test('the successor signs nothing before it is named', (t) => onLedger(t, async (scene) => {
  const { meter, submit } = scene;
  const early = createMeter('alice', { firstKey: 1 });
  t.is(await submit(signedAs(meter, early)), 'invalid: signature');
  await succeed(t, scene);
}));

/** A first batch of `meter` under the key of another. */
function signedAs(meter: TestMeter, other: TestMeter): Uint8Array {
  const bytes = Buffer.from(other.batch(other.records(1)));
  for (let at = bytes.indexOf(other.id); at >= 0; at = bytes.indexOf(other.id)) {
    bytes.set(meter.id, at);
  }
  return new Uint8Array(bytes);
}

test('the batch that names is told its entry again, under either key', (t) =>
  onLedger(t, async (scene) => {
    const { meter, submit, ledger, restart } = scene;
    const naming = await succeed(t, scene);
    t.is(await submit(naming), 'repeated');
    t.is(await submit(meter.batch(meter.records(1))), 'accepted');
    t.is(await submit(naming), 'repeated');
    await restart();
    t.is((await ledger().submitBatch(naming)).index, 2);
    t.is(await submit(naming), 'repeated');
  }));

test('twice at once it is one entry, and what its successor signs may come along', (t) =>
  onLedger(t, async ({ meter, ledger }) => {
    const naming = meter.batch(meter.records(1), { successor: meter.grow() });
    meter.adopt();
    const next = meter.batch(meter.records(1));
    const results = await Promise.all([naming, naming, next].map((batch) =>
      ledger().submitBatch(batch)));
    t.deepEqual(results.map(({ decision: { kind } }) => kind), ['accepted', 'repeated', 'accepted']);
    t.is(ledger().state().meter(meter.id)!.keys.length, 2);
  }));

test('a batch that was refused names nothing', (t) => onLedger(t, async (scene) => {
  const { meter, submit, ledger } = scene;
  const refused = meter.batch(meter.records(1), { previous: digest('x'), successor: meter.grow() });
  t.is(await submit(refused), 'not-next');
  t.is(ledger().state().meter(meter.id)!.keys.length, 1);
  const again = createMeter('alice');
  const records = again.records(1);
  t.is(await submit(again.batch(records, { previous: null, q: 2, successor: meter.grow() })), 'accepted');
}));

test('keys that are taken cannot be named', (t) => onLedger(t, async (scene) => {
  const { meter, submit, ledger } = scene;
  const bob = createMeter('bob');
  await enrolMeter(ledger(), bob);
  const records = meter.records(1);
  const naming = (q: number, successor: Uint8Array): Uint8Array =>
    meter.batch(records, { q, successor, previous: null });
  t.is(await submit(naming(1, meter.publicKey)), 'invalid: successor');
  t.is(await submit(naming(2, bob.publicKey)), 'invalid: successor');
  const next = meter.grow();
  t.is(await submit(naming(3, next.with(7, 0x0c))), 'invalid: successor');
  t.is(await submit(naming(4, next)), 'accepted');
  meter.adopt();
  const after = meter.records(1);
  const link = { previous: ledger().state().meter(meter.id)!.last!.hash };
  t.is(await submit(meter.batch(after, { ...link, q: 0, successor: next })), 'invalid: successor');
  t.is(await submit(meter.batch(after, { ...link, q: 1, successor: meter.publicKey })), 'invalid: successor');
  t.is(await submit(bob.batch(bob.records(1), { successor: next })), 'invalid: successor');
}));

test('a key that was named cannot be enrolled', (t) => onLedger(t, async (scene) => {
  await succeed(t, scene);
  const stolen = createMeter('alice', { firstKey: 1 });
  await t.throwsAsync(enrolMeter(scene.ledger(), stolen), { code: 'already-enrolled' });
}));

test('one index of two keys is no equivocation', (t) => onLedger(t, async (scene) => {
  const { meter, submit, ledger } = scene;
  t.is(await submit(meter.batch(meter.records(1), { q: 1 })), 'accepted');
  await succeed(t, scene);
  for (const q of [0, 1, 2]) t.is(await submit(meter.batch(meter.records(1), { q })), 'accepted');
  t.deepEqual((await auditLedger(ledger())).equivocations, []);
}));

test('a reuse under the former key is told, also after a restart, and ends the meter', (t) =>
  onLedger(t, async (scene) => {
    const { meter, submit, ledger, restart } = scene;
    const old = createMeter('alice');
    await succeed(t, scene);
    await restart();
    old.grow();
    // Another next key by the very signature that named the first.
    const other = old.batch(old.records(1), { q: 1, successor: old.grow() });
    t.is(await submit(other), 'equivocation');
    t.is(await submit(meter.batch(meter.records(1))), 'invalid: revoked');
    const { equivocations, nodes: [node] } = await auditLedger(ledger());
    t.deepEqual(equivocations, [{ meter: meter.idHex, index: 3, q: 1 }]);
    t.true(node.revoked);
  }));

test('a reuse under the former key is told, though it continues the last accepted batch', (t) =>
  onLedger(t, async (scene) => {
    const { meter, submit, ledger } = scene;
    const old = createMeter('alice');
    await succeed(t, scene);
    const previous = ledger().state().meter(meter.id)!.last!.hash;
    t.is(await submit(old.batch(old.records(1), { q: 1, previous })), 'equivocation');
  }));

test('a reuse under the key in force ends the meter as before', (t) => onLedger(t, async (scene) => {
  const { meter, submit } = scene;
  await succeed(t, scene);
  t.is(await submit(meter.batch(meter.records(1), { q: 3 })), 'accepted');
  t.is(await submit(meter.batch(meter.records(1), { q: 3 })), 'equivocation');
  t.is(await submit(meter.batch(meter.records(1), { successor: meter.grow() })), 'invalid: revoked');
}));

for (const publish of [0, 1, 2, 3]) {
  test(`publication ${publish}: restarted and rebuilt, it is the same`, (t) =>
    onLedger(t, async (scene) => {
      const { meter, submit, clock, ledger, restart } = scene;
      for (let i = 0; i < 6; i++) {
        if (i === 2) await succeed(t, scene);
        t.is(await submit(meter.batch(meter.records(1))), 'accepted');
        clock.atMs += 43_200_000;
      }
      const keys = ledger().state().meter(meter.id)!.keys;
      const grown = dumpProjections(ledger());
      await restart(true);
      t.deepEqual(ledger().state().meter(meter.id)!.keys, keys);
      t.deepEqual(dumpProjections(ledger()), grown);
      t.is(await submit(meter.batch(meter.records(1))), 'accepted');
      const { nodes: [node] } = await auditLedger(ledger());
      const [{ upS }] = ledger().store.ledgerDb
        .prepare('SELECT upS FROM day ORDER BY day DESC LIMIT 1').all() as { upS: number }[];
      t.is(upS, node.shown!.upS);
    }, publish));
}
