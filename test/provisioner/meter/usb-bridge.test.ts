import test from 'ava';
import fc from 'fast-check';
import type { FrameParts } from '../../../provisioner/virtual/jacdac.ts';
import { encodeUsb, usbReader, wakeBridge } from '../../../provisioner/meter/usb-bridge.ts';

const SEED = 20_261_126;

const frames = fc.record({
  deviceId: fc.stringMatching(/^[0-9a-f]{16}$/),
  isCommand: fc.boolean(),
  packets: fc.array(
    fc.record({
      serviceIndex: fc.integer({ min: 0, max: 0x3f }),
      command: fc.integer({ min: 0, max: 0xffff }),
      // The byte that is stuffed, often.
      data: fc.array(fc.oneof(fc.constant(0xfe), fc.integer({ min: 0, max: 255 })), { maxLength: 60 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});
const line = fc.stringMatching(/^[ -~]{0,40}$/);

function read(chunks: Uint8Array[]) {
  const heard: unknown[] = [];
  const reader = usbReader({
    line: (text) => heard.push(text),
    frame: ({ deviceId, isCommand, packets }) =>
      heard.push({ deviceId, isCommand, packets: packets.map((p) => ({ ...p, data: [...p.data] })) }),
  });
  chunks.forEach(reader);
  return heard;
}

const toParts = (frame: { packets: { data: number[] }[] }): FrameParts =>
  ({ ...frame, packets: frame.packets.map((p) => ({ ...p, data: Uint8Array.from(p.data) })) }) as FrameParts;

test('frames and log come out as they went in, wherever the bytes are cut', (t) => {
  const sequence = fc.array(fc.oneof(frames, line), { maxLength: 6 });
  fc.assert(
    fc.property(sequence, fc.integer({ min: 1, max: 70 }), (said, chunk) => {
      const bytes = Buffer.concat(
        said.map((one) => (typeof one === 'string' ? Buffer.from(`${one}\r\n`) : encodeUsb(toParts(one)))),
      );
      const chunks = Array.from({ length: Math.ceil(bytes.length / chunk) }, (_, index) =>
        bytes.subarray(index * chunk, (index + 1) * chunk),
      );
      t.deepEqual(read(chunks), said);
    }),
    { seed: SEED },
  );
});

test('whatever comes, nothing is thrown, and the next whole frame is heard', (t) => {
  const good = encodeUsb({ deviceId: '0011223344556677', packets: [{ serviceIndex: 1, command: 2, data: Uint8Array.of(3) }] });
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
      const heard = read([noise, Uint8Array.of(0x0a, 0xfe, 0xfd), good]);
      t.like(heard.at(-1), { deviceId: '0011223344556677' });
    }),
    { seed: SEED },
  );
});

test('what wakes the bridge, by hand', (t) => {
  // Frame: CRC, 4 bytes of packet, flags command and multicast, class 0x18f61a4a; packet: index 0x3d.
  t.regex(Buffer.from(wakeBridge()).toString('hex'), /^fefc....04054a1af61800000000003d8100fefdfefc....04054a1af61800000000003d8300fefd$/);
});
