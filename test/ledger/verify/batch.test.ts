// Strict bytes: whatever is done to a batch or an enrolment, the reader refuses it or reads the
// same bytes again; nothing it is given makes it throw anything but a refusal.

import test from 'ava';
import { decode } from 'cborg';
import fc from 'fast-check';
import { LedgerError } from '../../../ledger/errors.ts';
import { checkContinuation, checkSuccessor, parseBatch } from '../../../ledger/verify/batch.ts';
import { verifyEnrolment } from '../../../ledger/verify/enrolment.ts';
import { createMeter, createVolunteer, digest, enrolmentBody, START_S } from '../../helpers/meter.ts';

const AGE = 'age1vpwe2pjmmr62mjr8jgmj22r6ua766z7237nf97hez8hn5xwr4ppqaxsssc';
const meter = createMeter('alice');
const batch = meter.batch();

/** A few bytes changed, cut out or put in. */
const edits = fc.array(
  fc.tuple(fc.nat(), fc.integer({ min: 0, max: 2 }), fc.uint8Array({ minLength: 1, maxLength: 4 })),
  { minLength: 1, maxLength: 3 },
);

function edited(bytes: Uint8Array, list: [number, number, Uint8Array][]): Uint8Array {
  let result = Buffer.from(bytes);
  for (const [where, kind, piece] of list) {
    const at = where % (result.length + 1);
    const rest = result.subarray(kind === 0 ? at : at + piece.length);
    result = Buffer.concat([result.subarray(0, at), kind === 1 ? Buffer.alloc(0) : piece, rest]);
  }
  return new Uint8Array(result);
}

function refusalOf(read: () => unknown): string | undefined {
  try {
    read();
    return undefined;
  } catch (error) {
    if (!(error instanceof LedgerError)) throw error;
    return error.code;
  }
}

test('a batch reads, with the hash of its bytes', (t) => {
  const { hash, q, payload } = parseBatch(batch);
  t.deepEqual(hash, digest(batch));
  t.is(q, 1);
  t.is(payload.records.length, 4);
});

test('a next key must be of a kind that may be enrolled, and nobody’s', (t) => {
  const alice = createMeter('alice');
  const successor = alice.grow();
  const check = (key: Uint8Array, isTaken = false) => () => {
    checkSuccessor(parseBatch(alice.batch(undefined, { successor: key })), () => isTaken);
  };
  t.notThrows(check(successor));
  t.is(refusalOf(check(successor, true)), 'successor');
  // RFC 8554 § 6.1: the number of levels, then the two types.
  for (const at of [3, 7, 11]) {
    t.is(refusalOf(check(successor.with(at, 0x0c))), 'successor', `byte ${at}`);
  }
  t.notThrows(() => checkSuccessor(parseBatch(alice.batch()), () => true));
});

test('a payload that names another meter than its key id is no batch', (t) => {
  const bytes = Buffer.from(batch);
  const inHeader = bytes.indexOf(meter.id);
  const inPayload = bytes.indexOf(meter.id, inHeader + 1);
  t.true(inHeader > 0 && inPayload > inHeader);
  bytes[inPayload] ^= 1;
  t.is(refusalOf(() => parseBatch(new Uint8Array(bytes))), 'malformed-batch');
});

test('a one-time key must be above the last one used', (t) => {
  const signed = parseBatch(batch);
  const before = { nextSeq: null, record: null };
  const receivedS = START_S + 86_400;
  const check = (q: number) => () => checkContinuation(signed, { ...before, q }, receivedS);
  t.notThrows(check(signed.q - 1));
  t.is(refusalOf(check(signed.q)), 'one-time-key');
});

test('an edited batch is refused, or is another batch with another hash', (t) => {
  fc.assert(fc.property(edits, (list) => {
    const bytes = edited(batch, list);
    const refusal = refusalOf(() => parseBatch(bytes));
    t.true(refusal === undefined || refusal === 'malformed-batch');
  }), { numRuns: 2_000 });
});

test('an edited enrolment is refused', async (t) => {
  const options = { origin: 'ledger.test/commons', ageRecipient: AGE };
  const [cose] = decode(await enrolmentBody(meter, createVolunteer('v'), options)) as Uint8Array[];
  t.is(verifyEnrolment(new Uint8Array(cose), options.origin).intervalS, 900);
  fc.assert(fc.property(edits, (list) => {
    const bytes = edited(cose, list);
    const refusal = refusalOf(() => verifyEnrolment(bytes, options.origin));
    const same = Buffer.compare(bytes, cose) === 0;
    t.true(same || refusal === 'malformed-enrolment' || refusal === 'bad-enrolment');
  }), { numRuns: 2_000 });
});

test('noise is refused', (t) => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
    t.is(refusalOf(() => parseBatch(bytes)), 'malformed-batch');
    t.is(refusalOf(() => verifyEnrolment(bytes, 'x')), 'malformed-enrolment');
  }), { numRuns: 2_000 });
});
