// Entries as an equation over generated values, and their bytes against a drawn example.

import test from 'ava';
import fc from 'fast-check';
import { decodeEntry, encodeEntry } from '../../ledger/entry.ts';
import type { Entry } from '../../ledger/entry.ts';

const bytes = (length: number): fc.Arbitrary<Uint8Array> =>
  fc.uint8Array({ minLength: length, maxLength: length });
const receivedMs = fc.maxSafeNat();
const entry: fc.Arbitrary<Entry> = fc.oneof(
  fc.record({ type: fc.constant('volunteer-admitted' as const), receivedMs, key: bytes(32) }),
  fc.record({
    type: fc.constant('kit-enrolled' as const), receivedMs, meterId: bytes(8), enrolmentHash: bytes(32),
  }),
  fc.record({
    type: fc.constant('batch-received' as const), receivedMs, meterId: bytes(8), firstSeq: fc.nat(),
    lastSeq: fc.integer({ min: 2 ** 31, max: 2 ** 40 }), batchHash: bytes(32),
  }),
  fc.record({
    type: fc.constant('key-succeeded' as const), receivedMs, meterId: bytes(8), firstSeq: fc.nat(),
    lastSeq: fc.integer({ min: 2 ** 31, max: 2 ** 40 }), batchHash: bytes(32), successor: bytes(52),
  }),
  fc.record({
    type: fc.constant('publication-changed' as const), receivedMs, meterId: bytes(8),
    requestHash: bytes(32), publish: fc.constantFrom(0, 1, 2, 3),
  }),
  fc.record({
    type: fc.constant('batches-erased' as const), receivedMs, meterId: bytes(8),
    requestHash: fc.option(bytes(32)), span: fc.nat().map((fromMs) => ({ fromMs, toMs: fromMs + 9 })),
  }),
  fc.record({
    type: fc.constant('batches-disclosed' as const), receivedMs, meterId: bytes(8),
    requestHash: bytes(32), span: fc.nat().map((fromMs) => ({ fromMs, toMs: fromMs + 9 })),
  }),
  fc.record({
    type: fc.constant('key-revoked' as const), receivedMs, meterId: bytes(8),
    evidence: fc.tuple(bytes(32), bytes(32)).filter(([a, b]) => Buffer.compare(a, b) !== 0),
  }),
  fc.record({
    type: fc.constant('meter-retired' as const), receivedMs, meterId: bytes(8),
    retirementHash: bytes(32),
  }),
  fc.record({ type: fc.constant('price-set' as const), receivedMs, priceHash: bytes(32) }),
);

test('decode is the inverse of encode', (t) => {
  fc.assert(fc.property(entry, (one) => void t.deepEqual(decodeEntry(encodeEntry(one)), one)));
});

test('no other bytes decode to the same entry', (t) => {
  fc.assert(fc.property(entry, fc.nat(), fc.integer({ min: 1, max: 255 }), (one, at, change) => {
    const good = encodeEntry(one);
    const changed = good.map((byte, i) => (i === at % good.length ? byte ^ change : byte));
    let other: Entry;
    try {
      other = decodeEntry(changed);
    } catch {
      return;
    }
    t.notDeepEqual(other, one);
    t.deepEqual(encodeEntry(other), changed);
  }));
});

test('the bytes of a batch’s entry', (t) => {
  const batchHash = new Uint8Array(32).fill(0xaa);
  const meterId = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const received = { receivedMs: 1_767_225_600_000, meterId, firstSeq: 5, lastSeq: 300, batchHash };
  const hex = Buffer.from(encodeEntry({ type: 'batch-received', ...received })).toString('hex');
  t.is(hex, `a60103021b0000019b76daa8000348010203040506070804050519012c065820${'aa'.repeat(32)}`);
});

test('the bytes of an entry whose batch names a key', (t) => {
  const batchHash = new Uint8Array(32).fill(0xaa);
  const successor = new Uint8Array(52).fill(0xbb);
  const meterId = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
  const received = { receivedMs: 1_767_225_600_000, meterId, firstSeq: 5, lastSeq: 300, batchHash };
  const bytes = encodeEntry({ type: 'key-succeeded', ...received, successor });
  t.is(Buffer.from(bytes).toString('hex'), 'a70105021b0000019b76daa800034801020304050607080405' +
    `0519012c065820${'aa'.repeat(32)}085834${'bb'.repeat(52)}`);
});

test('the bytes of a price’s entry', (t) => {
  const price = { receivedMs: 1_767_225_600_000, priceHash: new Uint8Array(32).fill(0xaa) };
  const hex = Buffer.from(encodeEntry({ type: 'price-set', ...price })).toString('hex');
  t.is(hex, `a30106021b0000019b76daa800045820${'aa'.repeat(32)}`);
});

test('what is not an entry is refused', (t) => {
  const bad = [
    '', 'a0', '80', 'a2010102 00', 'a10109', 'a301010200035820', 'f6',
    // 1 written in two bytes; keys out of order; an indefinite map; a trailing byte
    `a30118010200035820${'00'.repeat(32)}`,
    `a30200010103 5820${'00'.repeat(32)}`,
    `bf01010200035820${'00'.repeat(32)}ff`,
    `a301010200035820${'00'.repeat(32)}00`,
  ];
  for (const text of bad) {
    const input = new Uint8Array(Buffer.from(text.replaceAll(' ', ''), 'hex'));
    t.throws(() => decodeEntry(input), { code: 'malformed-entry' }, text);
  }
});
