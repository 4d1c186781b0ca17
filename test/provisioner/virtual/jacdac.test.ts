import { createRequire } from 'node:module';
import fc from 'fast-check';
import test from 'ava';
import { decodeFrames, encodeFrame } from '../../../provisioner/virtual/jacdac.ts';

/** Jacdac's own implementation, to check ours against. */
const { Packet } = createRequire(import.meta.url)('jacdac-ts') as {
  Packet: {
    fromFrame(frame: Uint8Array, timestamp: number): JacdacPacket[];
    from(command: number, data: Uint8Array): JacdacPacket;
  };
};
interface JacdacPacket {
  serviceIndex: number;
  serviceCommand: number;
  deviceIdentifier: string;
  isCommand: boolean;
  requiresAck: boolean;
  data: Uint8Array;
  toBuffer(): Uint8Array;
}

const packet = fc.record({
  serviceIndex: fc.integer({ min: 0, max: 0x3e }),
  command: fc.integer({ min: 0, max: 0xffff }),
  data: fc.uint8Array({ maxLength: 50 }),
});
const frame = fc.record({
  deviceId: fc.uint8Array({ minLength: 8, maxLength: 8 }).map(hex),
  isCommand: fc.boolean(),
  wantsAck: fc.boolean(),
  isMulticast: fc.constant(false),
  isLoopback: fc.constant(false),
  packets: fc.array(packet, { minLength: 1, maxLength: 4 }),
});

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

test('frames come back as they were, one after the other', (t) => {
  fc.assert(
    fc.property(fc.array(frame, { maxLength: 3 }), (sent) => {
      const got = decodeFrames(Buffer.concat(sent.map(encodeFrame)));
      const plain = (value: object): unknown =>
        JSON.parse(JSON.stringify(value, (key, part) => (key === 'crc' ? undefined : part)));
      const asBuffers = sent.map((one) => ({
        ...one,
        packets: one.packets.map((part) => ({ ...part, data: Buffer.from(part.data) })),
      }));
      const sorted = (one: object) => Object.fromEntries(Object.entries(one).sort());
      const keys = (list: object[]) => list.map(sorted);
      t.deepEqual(plain(keys(got)), plain(keys(asBuffers)));
    }),
    { numRuns: 50 },
  );
});

test("Jacdac's own library reads what we write, and writes what we read", (t) => {
  fc.assert(
    fc.property(frame, (sent) => {
      const read = Packet.fromFrame(encodeFrame(sent), 0);
      t.deepEqual(
        read.map((one) => [one.serviceIndex, one.serviceCommand, hex(one.data)]),
        sent.packets.map((one) => [one.serviceIndex, one.command, hex(one.data)]),
      );
      t.true(read.every((one) => one.deviceIdentifier === sent.deviceId));
      t.true(read.every((one) => one.isCommand === sent.isCommand));
      t.is(read[0].requiresAck, sent.wantsAck);
    }),
    { numRuns: 50 },
  );
});

test('a bent or cut frame is refused', (t) => {
  const data = Uint8Array.of(1, 2, 3);
  const bytes = encodeFrame({
    ...{ deviceId: '0011223344556677', packets: [{ serviceIndex: 1, command: 0x80, data }] },
  });
  for (let index = 0; index < bytes.length; index += 1) {
    const bent = bytes.slice();
    bent[index] ^= 0x10;
    t.throws(() => decodeFrames(bent), { instanceOf: RangeError }, `byte ${index}`);
    if (index === 0) continue;
    t.throws(() => decodeFrames(bytes.subarray(0, index)), { instanceOf: RangeError });
  }
  const tooMuch = { serviceIndex: 1, command: 1, data: new Uint8Array(237) };
  const oversized = { deviceId: '0011223344556677', packets: [tooMuch] };
  t.throws(() => encodeFrame(oversized), { instanceOf: RangeError });
});
