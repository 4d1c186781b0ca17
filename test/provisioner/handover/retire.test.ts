// A kit retired at a real ledger: its secrets gone, its meter's key taken back and proven so, and
// what could not be done said, to be done by saying it again.

import { sign } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';
import { decode } from 'cborg';

import type { Ledger } from '../../../ledger/ledger.ts';
import { serveLedger } from '../../../ledger/server.ts';
import type { Campaign } from '../../../provisioner/campaign/campaign.ts';
import { ed25519FromSeed } from '../../../provisioner/campaign/identity.ts';
import type { Wipe } from '../../../provisioner/drive/wipe.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { finishErasing } from '../../../provisioner/handover/handover.ts';
import { retireKit, retirementOf, retirementText } from '../../../provisioner/handover/retire.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';
import { auditLedger, openTestLedger } from '../../helpers/ledger-folder.ts';
import { createMeter, enrolmentBody } from '../../helpers/meter.ts';

const meter = createMeter('alice');

interface Scene extends TestBench {
  ledger: Ledger;
  url: string;
  stop(): Promise<void>;
  retire(change?: Change): ReturnType<typeof retireKit>;
}

interface Change {
  fetch?: typeof fetch;
  wipe?: Wipe;
  reason?: string;
  campaign?: Campaign;
}

/** Alice's kit is paired with a meter that the ledger has enrolled under the bench's volunteer. */
async function open(t: ExecutionContext): Promise<Scene> {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const { ledgerOrigin } = bench.campaign;
  const ledger = await openTestLedger(join(bench.dir, 'ledger'), { origin: ledgerOrigin });
  t.teardown(ledger.close);
  const { port, close } = await serveLedger(ledger, { port: 0 });
  let isServed = true;
  const stop = async (): Promise<void> => {
    if (isServed) await close();
    isServed = false;
  };
  t.teardown(stop);
  const { publicKey, signingKey } = bench.identity;
  await ledger.admit(publicKey);
  const { origin, ageRecipient } = ledger.store.keys;
  const signed = (bytes: Uint8Array) => new Uint8Array(sign(null, bytes, signingKey));
  const volunteer = { publicKey, text: '', sign: signed };
  const body = await enrolmentBody(meter, volunteer, { origin, ageRecipient });
  const [enrolment, sealed] = decode(body) as [Uint8Array, Uint8Array];
  await ledger.enrol(new Uint8Array(enrolment), new Uint8Array(sealed));
  const [alice] = bench.campaign.kits;
  await bench.secrets.kit(alice);
  bench.record.done('alice', 'pair', { meter: meter.idHex });
  const url = `http://127.0.0.1:${port}`;
  return {
    ...{ ...bench, ledger, url, stop },
    retire({ fetch: fetchFrom = fetch, wipe, reason, campaign = bench.campaign } = {}) {
      const deps = { fetch: fetchFrom, ledgerUrl: url, report: () => {} };
      return retireKit(alice, { ...bench, campaign }, { reason, wipe, deps });
    },
  };
}

async function refusal(promise: Promise<unknown>): Promise<KitError> {
  return promise.then(
    () => Promise.reject(new Error('expected a refusal')),
    (error: unknown) => (error instanceof KitError ? error : Promise.reject(error)),
  );
}

test('what will happen, and what is left to do by hand, is said with names', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice, bob] = bench.campaign.kits;
  const drive = { drive: '/dev/sdx', kind: 'usb', serial: 'S123' };
  bench.record.done('alice', 'flash', drive);
  bench.record.done('alice', 'flash', drive);
  bench.record.done('alice', 'flash', { drive: '/tmp/alice.img', kind: 'file', serial: null });
  bench.record.done('alice', 'pair', { meter: '0123456789abcdef' });
  const text = retirementText(alice, retirementOf(alice, bench));
  t.regex(text, /Written for it were: \/dev\/sdx, serial S123; \/tmp\/alice\.img\./);
  t.regex(text, /nothing more of meter 0123456789abcdef/);
  t.regex(text, /still lets the bench in.*--wipe/);
  t.notRegex(retirementText(alice, retirementOf(alice, bench), { wipes: true }), /--wipe/);
  const bare = retirementText(bob, retirementOf(bob, bench));
  t.notRegex(bare, /Written|[Mm]eter|drive/);
  bench.record.done('alice', 'handover', {});
  const owners = retirementText(alice, retirementOf(alice, bench));
  t.regex(owners, /owner’s posts and keys/);
  t.regex(owners, /has the owner agreed/);
});

test('secrets are gone for good, the key is taken back, proven so, and why is recorded', async (t) => {
  const s = await open(t);
  const [alice, bob] = s.campaign.kits;
  await s.secrets.kit(bob);
  t.is((await s.ledger.submitBatch(meter.batch())).decision.kind, 'accepted');
  const { retiredMeters } = await s.retire({ reason: 'its drive died' });
  t.deepEqual(retiredMeters, [{ meter: meter.idHex, entry: 3, vouched: false }]);
  t.like(s.record.latest('alice', 'retire'), {
    status: 'done',
    detail: { meters: [meter.idHex], reason: 'its drive died', entries: retiredMeters },
  });
  const { decision } = await s.ledger.submitBatch(meter.batch());
  t.like(decision, { kind: 'invalid', reason: { code: 'retired' } });
  const report = await auditLedger(s.ledger);
  t.deepEqual([report.findings, report.entries.retired, report.nodes[0].retired], [[], 1, true]);

  t.false(existsSync(join(s.dir, 'secrets', 'alice.age')));
  await t.throwsAsync(s.secrets.kit(alice), { code: 'kit-handed-over' });
  await t.notThrowsAsync(s.secrets.kit(bob));
  t.false(await finishErasing(alice, s), 'retired is not handed over');
  t.is(s.record.latest('alice', 'handover'), undefined);
  t.deepEqual((await s.retire()).retiredMeters, retiredMeters, 'said again');
  const campaign = { ...s.campaign, ledgerKey: s.ledger.log().vkey };
  t.true((await s.retire({ campaign })).retiredMeters[0].vouched);
});

test('an unreachable ledger is told by its own code; said again, the rest is done', async (t) => {
  const s = await open(t);
  await s.stop();
  const error = await refusal(s.retire());
  t.is(error.code, 'meter-not-retired');
  t.regex(error.got!, /ledger-unreachable/);
  t.regex(error.hint!, /secrets of alice are erased.*again/);
  const recorded = s.record.latest('alice', 'retire');
  t.like(recorded, { status: 'failed', detail: { code: 'meter-not-retired' } });
  t.true(await s.secrets.isErased(s.campaign.kits[0]));
  const { port, close } = await serveLedger(s.ledger, { port: 0 });
  t.teardown(close);
  const deps = { fetch, ledgerUrl: `http://127.0.0.1:${port}`, report: () => {} };
  const { retiredMeters } = await retireKit(s.campaign.kits[0], s, { deps });
  t.is(retiredMeters[0].entry, 2);
  t.is(s.record.latest('alice', 'retire')?.status, 'done');
});

test('a ledger that refuses, or says yes and enters nothing, is not believed', async (t) => {
  const s = await open(t);
  const { key, publicKey } = ed25519FromSeed(new Uint8Array(32).fill(7));
  const stranger = { ...s, identity: { ...s.identity, signingKey: key, publicKey } };
  const deps = { fetch, ledgerUrl: s.url, report: () => {} };
  const refused = await refusal(retireKit(s.campaign.kits[0], stranger, { deps }));
  t.is(refused.code, 'meter-not-retired');
  t.regex(refused.got!, /ledger-refused/);

  const answering = (index: number): typeof fetch => async (url, init) => {
    if (init?.method !== 'POST') return fetch(url, init);
    return Response.json({ meter: meter.idHex, index }, { status: 201 });
  };
  for (const index of [0, 1, 99]) {
    const error = await refusal(s.retire({ fetch: answering(index) }));
    t.regex(error.got!, /retirement-unproven/, `entry ${index}`);
  }
  const ledgerKey = `${s.campaign.ledgerOrigin}+00000000+AQ`;
  const otherKey = await refusal(s.retire({ campaign: { ...s.campaign, ledgerKey } }));
  t.regex(otherKey.got!, /retirement-unproven/);
  t.is(s.ledger.log().size(), 2, 'nothing is posted to a ledger under another key');
});

test('a wipe that fails keeps no key from being taken back, and both are told', async (t) => {
  const s = await open(t);
  const parts = { code: 'drive-vanished', message: '/dev/sdx went away', got: 'ENODEV' };
  const failing = new KitError(parts);
  const wipe = { plan: {} as Wipe['plan'], known: true, run: () => Promise.reject(failing) };
  t.is(await refusal(s.retire({ wipe })), failing);
  t.is(s.ledger.log().size(), 3);
  await s.stop();
  const both = await refusal(s.retire({ wipe }));
  t.is(both.code, 'retire-unfinished');
  t.regex(both.got!, /meter-not-retired.*drive-vanished/s);
});

test('a meter of a pairing that was cut off is taken back too; a stranger’s is told', async (t) => {
  const s = await open(t);
  const statement = Buffer.from(meter.statement(s.campaign.ledgerOrigin)).toString('hex');
  const lost = createMeter('lost');
  const unknown = Buffer.from(lost.statement(s.campaign.ledgerOrigin)).toString('hex');
  s.record.done('alice', 'enrolment', { statement, body: '' });
  s.record.done('alice', 'enrolment', { statement: unknown, body: '' });
  const { retiredMeters } = await s.retire();
  t.deepEqual(retiredMeters.map(({ meter: id, entry }) => [id, entry]), [
    [meter.idHex, 2], [lost.idHex, null],
  ]);
});

test('a kit that never had a secret gets none by retiring, and asks no ledger', async (t) => {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const [alice] = bench.campaign.kits;
  const deps = { fetch: () => Promise.reject(new Error('asked')), report: () => {} };
  await retireKit(alice, bench, { deps });
  t.true(await bench.secrets.isErased(alice));
  await t.throwsAsync(bench.secrets.kit(alice), { instanceOf: KitError });
});
