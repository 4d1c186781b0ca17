// Signatures verified in threads: the same answers as in one, all of them, whatever dies.

import test from 'ava';
import { signersOf } from '../../ledger/succession.ts';
import { parseBatch } from '../../ledger/verify/batch.ts';
import { createVerifiers } from '../../ledger/verifiers.ts';
import { enrolMeter, openTestLedger, temporaryDir } from '../helpers/ledger-folder.ts';
import { createMeter } from '../helpers/meter.ts';

const meter = createMeter('alice');
const checks = Array.from({ length: 24 }, (_, i) => {
  const { message, signature } = parseBatch(meter.batch(meter.records(1)));
  // Every third is another message's.
  const isValid = i % 3 !== 0;
  const signed = isValid ? message : Uint8Array.from(message).fill(0, 0, 9);
  return { isValid, check: { publicKey: meter.publicKey, message: signed, signature } };
});

test('each is told its own answer, however many ask at once', async (t) => {
  const verifiers = createVerifiers(2);
  const answers = await Promise.all(checks.map(({ check }) => verifiers.verify(check)));
  t.deepEqual(answers, checks.map(({ isValid }) => isValid));
  await verifiers.close();
});

test('a thread that dies fails what it was asked, and the next one answers', async (t) => {
  const verifiers = createVerifiers(1);
  // No bytes at all: the thread throws, which must not touch those after it.
  const broken = { ...checks[1].check, message: null as unknown as Uint8Array };
  t.false(await verifiers.verify(broken).then(() => true, () => false));
  t.true(await verifiers.verify(checks[1].check));
  await verifiers.close();
  await t.throwsAsync(verifiers.verify(checks[1].check));
});

test('a ledger with threads takes and refuses as one without', async (t) => {
  const { dir, remove } = temporaryDir();
  const verifiers = createVerifiers(2);
  const ledger = await openTestLedger(dir, { verify: verifiers.verify });
  const [bob, mallory] = [createMeter('bob'), createMeter('mallory')];
  await enrolMeter(ledger, bob);
  const batch = bob.batch();
  const forged = Uint8Array.from(batch);
  forged[forged.length - 1] ^= 1;
  const results = await Promise.all([forged, batch, batch, mallory.batch()]
    .map((bytes) => ledger.submitBatch(bytes)));
  // Which of the two equal ones is first is the threads' to say.
  t.deepEqual(results.map(({ decision: { kind } }) => kind).sort(), [
    'accepted', 'invalid', 'repeated', 'unknown-meter',
  ]);
  t.deepEqual(signersOf(ledger.state(), parseBatch(batch)), []);
  t.is(ledger.log().size(), 3);
  await ledger.close();
  await verifiers.close();
  remove();
});
