// The wire format on Node: the kept vectors, the worked example of docs/wire.md, and properties.
// The same vectors run in the meter's virtual machine (test/firmware/edge.test.ts).

import { createPublicKey, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import test from 'ava';
import { decode as decodeCbor } from 'cborg';
import fc from 'fast-check';
import * as wire from '../../firmware/wire.ts';
import type { BatchPayload, IntervalRecord } from '../../firmware/wire.ts';

const FIELD_MAX = 2 ** 51 - 1;

test('the worked example in docs/wire.md is what the encoder writes', (t) => {
  const page = readFileSync(new URL('../../docs/wire.md', import.meta.url), 'utf8');
  const hex = /```hex\n([\s\S]*?)```/.exec(page)?.[1].replaceAll(/;.*|\s/g, '') ?? '';
  const json = JSON.parse(/```json\n([\s\S]*?)```/.exec(page)?.[1] ?? '');
  t.is(encodedHex((out) => wire.encodePayload(out, payloadOf(json))), hex);
  t.deepEqual(wire.decodePayload(fromHex(hex)), payloadOf(json));
});

for (const vector of readVectors().payloads) {
  test(`payload vector: ${vector.name}`, (t) => {
    t.is(encodedHex((out) => wire.encodePayload(out, payloadOf(vector.payload))), vector.hex);
    t.deepEqual(wire.decodePayload(fromHex(vector.hex)), payloadOf(vector.payload));
  });
}

for (const vector of readVectors().refused) {
  test(`refused with ${vector.code}: ${vector.name}`, (t) => {
    const error = t.throws(() => wire.decodePayload(fromHex(vector.hex)));
    t.is((error as wire.WireError).code, vector.code);
  });
}

test('payload: decode ∘ encode is the identity, and encode ∘ decode too', (t) => {
  fc.assert(
    fc.property(payloads(), (payload) => {
      const hex = encodedHex((out) => wire.encodePayload(out, payload));
      const back = wire.decodePayload(fromHex(hex));
      t.deepEqual(back, payload);
      t.is(encodedHex((out) => wire.encodePayload(out, back)), hex);
    }),
    { numRuns: 300 },
  );
});

test('payload: any accepted bytes are the only encoding of what they mean', (t) => {
  fc.assert(
    fc.property(payloads(), fc.nat(), fc.integer({ min: 1, max: 255 }), (payload, where, flip) => {
      const bytes = encoded((out) => wire.encodePayload(out, payload));
      bytes[where % bytes.length] ^= flip;
      let back: BatchPayload<Uint8Array>;
      try {
        back = wire.decodePayload(bytes);
      } catch (error) {
        t.true(error instanceof wire.WireError, String(error));
        return;
      }
      t.deepEqual(encoded((out) => wire.encodePayload(out, back)), bytes);
    }),
    { numRuns: 1000 },
  );
});

test('payload: is CBOR to an independent decoder', (t) => {
  fc.assert(
    fc.property(payloads(), (payload) => {
      const bytes = encoded((out) => wire.encodePayload(out, payload));
      const map = decodeCbor(bytes, { useMaps: true, strict: true }) as Map<number, unknown>;
      t.deepEqual(map.get(1), payload.meterId);
      t.deepEqual(map.get(2), wire.FIELDS.map((rule) => payload.records[0][rule.name]));
      t.is((map.get(3) as unknown[] | undefined)?.length ?? 0, payload.records.length - 1);
      t.deepEqual(map.get(7) ?? null, payload.successor);
    }),
    { numRuns: 100 },
  );
});

test('a quarter of an hour of a home node fits 24 bytes', (t) => {
  const day = typicalDay();
  const size = (records: IntervalRecord[]): number =>
    encoded((out) => wire.encodePayload(out, { ...emptyPayload(), records })).length;
  const perRecord = (size(day) - size(day.slice(0, 1))) / (day.length - 1);
  t.true(perRecord <= 24, `${perRecord} bytes a record`);
});

test('reply, enrolment statement and envelopes: decode ∘ encode is the identity', (t) => {
  fc.assert(
    fc.property(replies(), statements(), fc.boolean(), (reply, statement, withKid) => {
      const replyBytes = encoded((out) => wire.encodeReply(out, reply));
      t.deepEqual(wire.decodeReply(replyBytes), reply);
      t.deepEqual(wire.decodeEnrol(encoded((out) => wire.encodeEnrol(out, statement))), statement);
      const kid = withKid ? reply.meterId : null;
      const alg = withKid ? wire.ALG.hssLms : wire.ALG.hmac256;
      const header = encoded((out) => wire.encodeHeader(out, alg, kid));
      const proof = reply.batchHash;
      const sign1 = encoded((out) => wire.encodeSign1(out, header, replyBytes, proof));
      t.deepEqual(wire.decodeSign1(sign1), { alg, kid, header, payload: replyBytes, proof });
      const mac0 = encoded((out) => wire.encodeMac0(out, header, replyBytes, proof));
      t.deepEqual(wire.decodeMac0(mac0), { alg, kid, header, payload: replyBytes, proof });
      t.throws(() => wire.decodeMac0(sign1), { message: /^cose-tag/ });
    }),
    { numRuns: 100 },
  );
});

test('a byte too many after a reply, a statement or an envelope is refused', (t) => {
  const [reply] = fc.sample(replies(), { numRuns: 1, seed: 1 });
  const [statement] = fc.sample(statements(), { numRuns: 1, seed: 1 });
  const replyBytes = encoded((out) => wire.encodeReply(out, reply));
  const statementBytes = encoded((out) => wire.encodeEnrol(out, statement));
  const header = encoded((out) => wire.encodeHeader(out, wire.ALG.hmac256, null));
  const mac0 = encoded((out) => wire.encodeMac0(out, header, replyBytes, reply.batchHash));
  const longer = (bytes: Uint8Array): Uint8Array => Uint8Array.of(...bytes, 0);
  t.throws(() => wire.decodeReply(longer(replyBytes)), { message: /^trailing/ });
  t.throws(() => wire.decodeEnrol(longer(statementBytes)), { message: /^trailing/ });
  t.throws(() => wire.decodeMac0(longer(mac0)), { message: /^trailing/ });
});

test('the signed structure is that of RFC 9052 § 4.4', (t) => {
  const hex = encodedHex((out) => wire.encodeSigStructure(out, fromHex('a10126'), fromHex('5454')));
  // array(4), "Signature1", bstr header, empty external data, bstr payload
  t.is(hex, '84' + '6a5369676e617475726531' + '43a10126' + '40' + '425454');
});

test('the signature of RFC 9052 appendix C.2.1 covers what encodeSigStructure writes', (t) => {
  const covered = encoded((out) =>
    wire.encodeSigStructure(out, fromHex('a10126'), Buffer.from('This is the content.')),
  );
  const coordinates = {
    x: 'bac5b11cad8f99f9c72b05cf4b9e26d244dc189f745228255a219a86d6a09eff',
    y: '20138bf82dc1b6d562be0fa54ab7804a3a64b6d72ccfed6b6fb6ed28bbfc117e',
  };
  const [x, y] = [coordinates.x, coordinates.y].map((hex) =>
    Buffer.from(hex, 'hex').toString('base64url'),
  );
  const key = createPublicKey({ key: { kty: 'EC', crv: 'P-256', x, y }, format: 'jwk' });
  const signature = fromHex(
    '8eb33e4ca31d1c465ab05aac34cc6b23d58fef5c083106c4d25a91aef0b0117e' +
      '2af9a291aa32e14ab834dc56ed2a223444547e01f11d3b0916e5a4c345cacb36',
  );
  t.true(verify('sha256', covered, { key, dsaEncoding: 'ieee-p1363' }, signature));
});

// RFC 8949 appendix A: integers and their only shortest forms, seen as the fields of a record.
for (const [value, hex] of [
  [0, '00'], [1, '01'], [10, '0a'], [23, '17'], [24, '1818'], [25, '1819'], [100, '1864'],
  [1000, '1903e8'], [1000000, '1a000f4240'], [1000000000000, '1b000000e8d4a51000'],
] as const) {
  test(`RFC 8949 appendix A: ${value} is ${hex}`, (t) => {
    const records = [{ ...wire.emptyRecord(), energyMicroWh: value }];
    const written = encodedHex((out) => wire.encodePayload(out, { ...emptyPayload(), records }));
    // meter id, array of twenty, six fields of one byte, then the energy
    t.is(written.slice(2 + 4 + 16 + 4 + 12).slice(0, hex.length), hex);
  });
}

test('an encoder that runs out of room says so and writes nothing past the end', (t) => {
  const out = { bytes: new Uint8Array(40), at: 0 };
  t.throws(() => wire.encodePayload(out, emptyPayload()), { message: /^overflow/ });
});

interface Vectors {
  payloads: { name: string; payload: unknown; hex: string }[];
  refused: { name: string; hex: string; code: string }[];
}

function readVectors(): Vectors {
  return JSON.parse(readFileSync(new URL('../vectors/wire.json', import.meta.url), 'utf8'));
}

function payloadOf(json: any): BatchPayload<Uint8Array> {
  return {
    meterId: fromHex(json.meterId),
    records: json.records.map((values: Partial<IntervalRecord>) => ({
      ...wire.emptyRecord(),
      ...values,
    })),
    previous: json.previous === null ? null : fromHex(json.previous),
    firmwareHash: fromHex(json.firmwareHash),
    gaps: json.gaps,
    successor: json.successor ? fromHex(json.successor) : null,
  };
}

function emptyPayload(): BatchPayload<Uint8Array> {
  return {
    meterId: new Uint8Array(8),
    records: [wire.emptyRecord()],
    previous: null,
    firmwareHash: new Uint8Array(32),
    gaps: [],
    successor: null,
  };
}

/** 96 records of a node that draws 4.2 to 6.5 W and is read fourteen or fifteen times each. */
function typicalDay(): IntervalRecord[] {
  let record: IntervalRecord = {
    ...wire.emptyRecord(),
    ...{ firstSeq: 4000, lastSeq: 4000, bootId: 3, uptimeS: 3_600_000, unixS: 1_795_000_000 },
    ...{ timeState: 2, energyMicroWh: 5e9, upS: 3_500_000, wanInBytes: 8e10, wanOutBytes: 3e10 },
    ...{ minMilliW: 4200, meanMilliW: 4800, maxMilliW: 6500, diskUsedBytes: 9e9 },
  };
  const day = [record];
  for (let i = 1; i < 96; i++) {
    const wobble = (i * 7919) % 101;
    record = { ...record, firstSeq: record.firstSeq + 1, lastSeq: record.lastSeq + 1 };
    record.uptimeS += 900;
    record.unixS += 900;
    record.energyMicroWh += 1_200_000 + 700 * wobble;
    record.minMilliW = 4200 + wobble;
    record.meanMilliW = 4800 + 2 * wobble;
    record.maxMilliW = 6500 + 5 * wobble;
    record.probesMade += 30;
    record.probesAnswered += 30;
    record.upS += 900;
    record.wanInBytes += 800_000 + 9000 * wobble;
    record.wanOutBytes += 300_000 + 4000 * wobble;
    record.diskUsedBytes += 40_960 * (wobble % 3);
    day.push(record);
  }
  return day;
}

function payloads(): fc.Arbitrary<BatchPayload<Uint8Array>> {
  return fc
    .record({
      meterId: bytes(8),
      records: fc.array(looseRecord(), { minLength: 1, maxLength: 12 }),
      previous: fc.option(bytes(32)),
      firmwareHash: bytes(32),
      gaps: fc.array(fc.tuple(fc.nat(1000), fc.nat(1000)), { maxLength: wire.MAX_GAPS }),
      successor: fc.option(bytes(wire.HSS_PUBLIC_KEY_BYTES)),
    })
    .map((loose) => ({
      ...loose,
      records: withRisingSequences(loose.records),
      gaps: loose.gaps.map(([skip, span], i) => {
        const firstSeq = i * 3000 + skip;
        return { firstSeq, lastSeq: firstSeq + span };
      }),
    }));
}

function looseRecord(): fc.Arbitrary<IntervalRecord> {
  const value = fc.oneof(
    fc.nat(300),
    fc.maxSafeNat().map((n) => n % 2 ** 33),
    fc.maxSafeNat().map((n) => n % (FIELD_MAX + 1)),
    fc.constantFrom(0, 23, 24, 255, 256, 65535, 65536, 2 ** 32 - 1, 2 ** 32, FIELD_MAX),
  );
  const names = wire.FIELDS.map((rule) => rule.name);
  return fc
    .array(value, { minLength: names.length, maxLength: names.length })
    .map((values) => Object.fromEntries(names.map((name, i) => [name, values[i]])))
    .map((record) => record as unknown as IntervalRecord);
}

function withRisingSequences(records: IntervalRecord[]): IntervalRecord[] {
  let next = records[0].firstSeq % 1_000_000;
  return records.map((record) => {
    const firstSeq = next + (record.firstSeq % 3);
    const lastSeq = firstSeq + (record.lastSeq % 4);
    next = lastSeq + 1;
    return { ...record, firstSeq, lastSeq };
  });
}

function replies(): fc.Arbitrary<wire.Reply<Uint8Array>> {
  return fc.record({
    kind: fc.nat(4),
    origin: fc.string({ unit: 'grapheme-ascii', maxLength: wire.MAX_ORIGIN_CHARS }),
    meterId: bytes(8),
    batchHash: bytes(32),
    nonce: bytes(16),
    entryIndex: fc.maxSafeNat(),
    nextSeq: fc.maxSafeNat(),
    lastHash: fc.option(bytes(32)),
    unixS: fc.maxSafeNat(),
  });
}

function statements(): fc.Arbitrary<wire.EnrolStatement<Uint8Array>> {
  return fc.record({
    origin: fc.constantFrom('ledger.test/commons', 'a'),
    publicKey: bytes(wire.HSS_PUBLIC_KEY_BYTES),
    nonce: bytes(32),
    firmwareHash: bytes(32),
  });
}

function bytes(length: number): fc.Arbitrary<Uint8Array> {
  return fc.uint8Array({ minLength: length, maxLength: length });
}

function encoded(write: (out: wire.Sink) => void): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(wire.MAX_BATCH_BYTES);
  const out = { bytes, at: 0 };
  write(out);
  return bytes.slice(0, out.at);
}

function encodedHex(write: (out: wire.Sink) => void): string {
  return Buffer.from(encoded(write)).toString('hex');
}

function fromHex(hex: string): Uint8Array {
  return Uint8Array.from(Buffer.from(hex, 'hex'));
}
