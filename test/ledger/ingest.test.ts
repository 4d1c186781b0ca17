// What the ledger takes and refuses: replays, forgeries, wrong links, counters, times, gaps, and
// one-time keys used twice. After each refusal nothing has changed, and the audit agrees.

import test from 'ava';
import type { IntervalRecord } from '../../firmware/wire.ts';
import type { Ledger } from '../../ledger/ledger.ts';
import type { LedgerError } from '../../ledger/errors.ts';
import {
  auditLedger, createClock, dumpProjections, enrolMeter, openTestLedger, temporaryDir, VOLUNTEER,
} from '../helpers/ledger-folder.ts';
import { createMeter, createVolunteer, digest } from '../helpers/meter.ts';
import type { TestMeter } from '../helpers/meter.ts';
import { retirementBytes } from '../helpers/retirement.ts';

type Scene = { ledger: Ledger; meter: TestMeter; clock: ReturnType<typeof createClock> };

/** Runs a scene on a ledger with one enrolled meter, then audits it. */
async function onLedger(
  t: import('ava').ExecutionContext,
  scene: (parts: Scene) => Promise<void>,
  publish = 1,
): Promise<void> {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  const ledger = await openTestLedger(dir, { clock });
  const meter = createMeter('alice');
  await enrolMeter(ledger, meter, { publish });
  await scene({ ledger, meter, clock });
  t.deepEqual((await auditLedger(ledger)).findings, []);
  await ledger.close();
  remove();
}

/** Submits and tells what was decided; a refusal must leave the log as it was. */
async function submit(ledger: Ledger, batch: Uint8Array): Promise<string> {
  const size = ledger.log().size();
  const { decision } = await ledger.submitBatch(batch);
  const isEntry = decision.kind === 'accepted' || decision.kind === 'equivocation';
  if (ledger.log().size() !== size + (isEntry ? 1 : 0)) throw new Error('a refusal left an entry');
  return decision.kind === 'invalid' ? `invalid: ${decision.reason.code}` : decision.kind;
}

test('batches in order are accepted, replays told their entry again', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  const batches = [meter.batch(), meter.batch(), meter.batch()];
  for (const [i, batch] of batches.entries()) {
    t.is((await ledger.submitBatch(batch)).index, 2 + i);
  }
  for (const [i, batch] of batches.entries()) {
    const { decision, index } = await ledger.submitBatch(batch);
    t.is(decision.kind, 'repeated');
    t.is(index, 2 + i);
  }
  t.is(ledger.log().size(), 5);
}));

test('the same batch twice at once is one entry', (t) => onLedger(t, async ({ ledger, meter }) => {
  const batch = meter.batch();
  const results = await Promise.all([1, 2, 3].map(() => ledger.submitBatch(batch)));
  t.deepEqual(results.map(({ decision }) => decision.kind), ['accepted', 'repeated', 'repeated']);
  t.deepEqual(results.map(({ index }) => index), [2, 2, 2]);
}));

test('a one-time key used twice at once is found before either is on the disk', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
    const one = meter.batch(meter.records(1), { q: 5 });
    const other = meter.batch(meter.records(1), { q: 5 });
    const results = await Promise.all([one, other].map((batch) => ledger.submitBatch(batch)));
    t.deepEqual(results.map(({ decision }) => decision.kind), ['accepted', 'equivocation']);
  }));

test('out of order: what is wanted is said, and taken afterwards', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  const [first, second] = [meter.batch(), meter.batch()];
  t.is(await submit(ledger, second), 'not-next');
  t.is(await submit(ledger, first), 'accepted');
  t.is(await submit(ledger, second), 'accepted');
}));

test('a batch that links to nothing when something is there', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch()), 'accepted');
  t.is(await submit(ledger, meter.batch(meter.records(1), { previous: null })), 'not-next');
  t.is(await submit(ledger, meter.batch(meter.records(1), { previous: digest('x') })), 'not-next');
}));

test('forged signatures, and meters that nobody enrolled', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  const batch = meter.batch();
  for (const at of [batch.length - 1, batch.length - 700]) {
    const forged = batch.map((byte, i) => (i === at ? byte ^ 1 : byte));
    t.is(await submit(ledger, forged), 'invalid: signature');
  }
  t.is(await submit(ledger, createMeter('mallory').batch()), 'unknown-meter');
  t.is(await submit(ledger, batch), 'accepted');
}));

test('bytes that no meter sends', (t) => onLedger(t, async ({ ledger, meter }) => {
  const batch = meter.batch();
  const bad = [
    new Uint8Array(0), batch.slice(0, -1), Uint8Array.of(...batch, 0), new Uint8Array(16_385),
    batch.map((byte, i) => (i === 0 ? byte ^ 1 : byte)),
  ];
  for (const bytes of bad) {
    await t.throwsAsync(ledger.submitBatch(bytes), { code: 'malformed-batch' });
  }
}));

const lies: [string, string, (record: IntervalRecord) => IntervalRecord][] = [
  ['energy runs backwards', 'counters', (r) => ({ ...r, energyMicroWh: r.energyMicroWh - 2_000_000 })],
  ['time up runs backwards', 'counters', (r) => ({ ...r, upS: 0 })],
  ['traffic runs backwards', 'counters', (r) => ({ ...r, wanInBytes: 5 })],
  ['an earlier boot', 'counters', (r) => ({ ...r, bootId: 0 })],
  ['less uptime in the same boot', 'counters', (r) => ({ ...r, uptimeS: 1 })],
  ['more answers than probes', 'record', (r) => ({ ...r, probesAnswered: r.probesMade + 1 })],
  ['an unknown flag', 'record', (r) => ({ ...r, flags: 16_384 })],
  ['an unknown time state', 'record', (r) => ({ ...r, timeState: 3 })],
  ['a time to come', 'time', (r) => ({ ...r, unixS: r.unixS + 1_900_000 })],
  ['a time before meters were made', 'time', (r) => ({ ...r, unixS: 1_600_000_000 })],
  ['a clock that runs backwards', 'time', (r) => ({ ...r, unixS: r.unixS - 9_000 })],
  ['a number left out', 'sequence', (r) => ({ ...r, firstSeq: r.firstSeq + 1, lastSeq: r.lastSeq + 1 })],
];
for (const [what, code, lie] of lies) {
  test(`a signed lie: ${what}`, (t) => onLedger(t, async ({ ledger, meter }) => {
    t.is(await submit(ledger, meter.batch()), 'accepted');
    t.is(await submit(ledger, meter.batch(meter.records(1, lie))), `invalid: ${code}`);
  }));
}

test('readings of a clock that the ledger itself has set ahead are taken once it has caught up', (t) =>
  onLedger(t, async ({ ledger, meter, clock }) => {
  t.is(await submit(ledger, meter.batch()), 'accepted');
  const aheadS = 3_600;
  const records = meter.records(1, (r) => ({ ...r, unixS: clock.atMs / 1000 + aheadS }));
  const batch = meter.batch(records);
  t.is(await submit(ledger, batch), 'not-yet');
  t.is(await submit(ledger, batch), 'not-yet');
  clock.atMs += (aheadS - 300) * 1000;
  t.is(await submit(ledger, batch), 'accepted');
  const most = clock.atMs / 1000 + 300 + 86_400;
  const far = meter.batch(meter.records(1, (r) => ({ ...r, unixS: most + 1 })));
  t.is(await submit(ledger, far), 'invalid: time');
}));

test('clock steps and unknown times are no lies', (t) => onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch()), 'accepted');
  const back = meter.records(1, (r) => ({ ...r, unixS: r.unixS - 9_000, flags: 8 }));
  t.is(await submit(ledger, meter.batch(back)), 'accepted');
  const unknown = meter.records(1, (r) =>
    ({ ...r, unixS: 17, timeState: 0, bootId: r.bootId + 1, uptimeS: 3 }));
  t.is(await submit(ledger, meter.batch(unknown)), 'accepted');
}));

test('gaps must be declared, and only they', (t) => onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch()), 'accepted');
  const gap = meter.skip(5);
  const records = meter.records(2);
  const link = digest(meter.batch(records));
  t.is(await submit(ledger, meter.batch(records, { previous: link })), 'not-next');
  const last = ledger.state().meter(meter.id)!.last!.hash;
  t.is(await submit(ledger, meter.batch(records, { previous: last })), 'invalid: sequence');
  const wide = { ...gap, firstSeq: gap.firstSeq - 1 };
  t.is(await submit(ledger, meter.batch(records, { previous: last, gaps: [wide] })), 'invalid: sequence');
  t.is(await submit(ledger, meter.batch(records, { previous: last, gaps: [gap] })), 'accepted');
  t.deepEqual((await auditLedger(ledger)).nodes[0].gaps, [gap]);
}));

test('a one-time key used twice: both messages public, the key revoked', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 5 })), 'accepted');
  const other = meter.batch(meter.records(1), { q: 5 });
  t.is(await submit(ledger, other), 'equivocation');
  t.is(await submit(ledger, other), 'invalid: revoked');
  t.is(await submit(ledger, meter.batch()), 'invalid: revoked');
  const report = await auditLedger(ledger);
  t.deepEqual(report.equivocations, [{ meter: meter.idHex, index: 3, q: 5 }]);
  t.true(report.nodes[0].revoked);
}, 0));

test('a retired meter’s batches are refused for good, but those that were accepted', async (t) => {
  const { dir, remove } = temporaryDir();
  const clock = createClock();
  let ledger = await openTestLedger(dir, { clock });
  const [meter, other] = [createMeter('alice'), createMeter('bob')];
  await enrolMeter(ledger, meter);
  await enrolMeter(ledger, other);
  const sent = meter.batch();
  t.is(await submit(ledger, sent), 'accepted');
  const paper = retirementBytes(VOLUNTEER, meter.id);
  const refused = async (bytes: Uint8Array, code: string): Promise<void> => {
    const size = ledger.log().size();
    await t.throwsAsync(ledger.retire(bytes), { code });
    t.is(ledger.log().size(), size);
  };
  const stranger = createVolunteer('mallory');
  await refused(retirementBytes(stranger, meter.id), 'not-enroller');
  await ledger.admit(stranger.publicKey);
  await refused(retirementBytes(stranger, meter.id), 'not-enroller');
  await refused(retirementBytes(VOLUNTEER, createMeter('nobody').id), 'unknown-meter');

  const twice = await Promise.all([ledger.retire(paper), ledger.retire(paper)]);
  t.deepEqual(twice.map(({ index, isNew }) => [index, isNew]), [[5, true], [5, false]]);
  const next = meter.batch();
  for (let start = 0; start < 2; start++) {
    t.is(await submit(ledger, next), 'invalid: retired');
    t.is(await submit(ledger, sent), 'repeated');
    t.like(await ledger.retire(paper), { index: 5, isNew: false });
    await t.throwsAsync(enrolMeter(ledger, meter), { code: 'already-enrolled' });
    await ledger.close();
    ledger = await openTestLedger(dir, { clock });
  }
  t.is(await submit(ledger, other.batch()), 'accepted', 'another meter of the same volunteer');

  clock.atMs += 30 * 86_400_000;
  t.is(await submit(ledger, other.batch()), 'accepted');
  const report = await auditLedger(ledger);
  t.deepEqual(report.findings, []);
  t.is(report.entries.retired, 1);
  t.deepEqual(report.nodes.map(({ retired, silences }) => [retired, silences.length]), [
    [true, 0], [false, 1],
  ]);
  const grown = dumpProjections(ledger);
  await ledger.close();
  ledger = await openTestLedger(dir, { clock, freshProjections: true });
  t.deepEqual(dumpProjections(ledger), grown);
  await ledger.close();
  remove();
});

test('a retired meter that signs twice with one key is found out all the same', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 5 })), 'accepted');
  await ledger.retire(retirementBytes(VOLUNTEER, meter.id));
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 5 })), 'equivocation');
  const { nodes: [{ revoked, retired }] } = await auditLedger(ledger);
  t.deepEqual([revoked, retired], [true, true]);
}));

test('evidence sent twice at once is not told that it was accepted', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 5 })), 'accepted');
  const other = meter.batch(meter.records(1), { q: 5 });
  const results = await Promise.all([other, other].map((batch) => ledger.submitBatch(batch)));
  t.deepEqual(results.map(({ decision }) => decision.kind), ['equivocation', 'invalid']);
}));

test('one message signed twice under one one-time key is told like two', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  const records = meter.records(1);
  const twice = ['a', 'b'].map((salt) =>
    meter.batch(records, { q: 5, previous: null, C: digest(salt).subarray(0, 24) }));
  t.is(await submit(ledger, twice[0]), 'accepted');
  t.is(await submit(ledger, twice[1]), 'equivocation');
  t.is((await auditLedger(ledger)).equivocations[0].q, 5);
}));

test('the statement’s one-time key counts too', (t) => onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 0 })), 'equivocation');
  t.is((await auditLedger(ledger)).equivocations[0].q, 0);
}));

test('one-time keys may be skipped, never go back', (t) =>
  onLedger(t, async ({ ledger, meter }) => {
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 9 })), 'accepted');
  t.is(await submit(ledger, meter.batch(meter.records(1), { q: 4 })), 'invalid: one-time-key');
}));

test('a ledger that starts again knows where each meter stands', async (t) => {
  const { dir, remove } = temporaryDir();
  const meter = createMeter('alice');
  const batches = [meter.batch(), meter.batch(), meter.batch()];
  const first = await openTestLedger(dir);
  await enrolMeter(first, meter, { publish: 3 });
  for (const batch of batches.slice(0, 2)) t.is(await submit(first, batch), 'accepted');
  await first.close();
  const second = await openTestLedger(dir);
  t.is(await submit(second, batches[0]), 'repeated');
  t.is(await submit(second, batches[2]), 'accepted');
  t.deepEqual((await auditLedger(second)).findings, []);
  await second.close();
  remove();
});

test('days are disclosed when they are over, by their last batch', (t) =>
  onLedger(t, async ({ ledger, meter, clock }) => {
  const send = (): Promise<string> => submit(ledger, meter.batch(meter.records(1)));
  await send();
  await send();
  const withheld = await auditLedger(ledger);
  t.deepEqual([withheld.blobs.withheld, withheld.nodes[0].shown], [2, null]);
  clock.atMs += 86_400_000;
  await send();
  const { blobs, nodes: [node] } = await auditLedger(ledger);
  t.deepEqual([blobs.withheld, node.disclosed, node.shown!.seq], [2, 1, 2]);
}, 3));

test('a clock that stepped back within a withheld batch is no lie in a later one', (t) =>
  onLedger(t, async ({ ledger, meter, clock }) => {
  const back = meter.records(2);
  t.is(await submit(ledger, meter.batch(back)), 'accepted');
  clock.atMs += 86_400_000;
  const stepped = meter.records(1, (r) => ({ ...r, unixS: r.unixS - 9_000, flags: 8 }));
  t.is(await submit(ledger, meter.batch(stepped)), 'accepted');
  t.is(await submit(ledger, meter.batch(meter.records(1, (r) => ({ ...r, flags: 0 })))), 'accepted');
  clock.atMs += 86_400_000;
  t.is(await submit(ledger, meter.batch(meter.records(1))), 'accepted');
}, 3));

test('the ledger’s own clock may jump back; its entries do not', (t) =>
  onLedger(t, async ({ ledger, meter, clock }) => {
  t.is(await submit(ledger, meter.batch()), 'accepted');
  clock.atMs -= 240_000;
  t.is(await submit(ledger, meter.batch()), 'accepted');
}));

test('refusals say what was wanted', (t) => onLedger(t, async ({ ledger, meter }) => {
  await ledger.submitBatch(meter.batch());
  const lie = meter.records(1, (r) => ({ ...r, upS: 0 }));
  const { decision } = await ledger.submitBatch(meter.batch(lie));
  const { expected, got } = (decision as { reason: LedgerError }).reason;
  t.regex(expected!, /upS from 3600/);
  t.regex(got!, /0, record 5/);
}));
