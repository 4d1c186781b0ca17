import fc from 'fast-check';
import test from 'ava';
import {
  encodeMessage,
  joinParts,
  messageReader,
  splitParts,
  type PipeMessage,
} from '../../../provisioner/virtual/vm-pipe.ts';

const messages = fc.array(
  fc.record({
    kind: fc.integer({ min: 1, max: 9 }),
    atMs: fc.double({ min: 0, max: 2e12, noNaN: true }),
    body: fc.uint8Array({ maxLength: 300 }),
  }),
  { maxLength: 8 },
);

test('messages arrive as sent, however the pipe cuts them', (t) => {
  fc.assert(
    fc.property(messages, fc.integer({ min: 1, max: 50 }), (sent, chunkBytes) => {
      const stream = Buffer.concat(sent.map(encodeMessage));
      const got: PipeMessage[] = [];
      const read = messageReader((one) => got.push({ ...one, body: one.body.slice() }));
      for (let at = 0; at < stream.length; at += chunkBytes) {
        read(stream.subarray(at, at + chunkBytes));
      }
      t.deepEqual(
        got.map((message) => ({ ...message, body: [...message.body] })),
        sent.map((message) => ({ ...message, body: [...message.body] })),
      );
    }),
  );
});

test('a length beyond any message is refused', (t) => {
  const read = messageReader(() => t.fail());
  t.throws(() => read(Buffer.from('ffffff7f', 'hex')), { instanceOf: RangeError });
});

test('JSON and bytes travel together', (t) => {
  const { json, bytes } = splitParts(joinParts({ a: ['é', 1] }, Uint8Array.of(0, 255)));
  t.deepEqual([json, [...bytes]], [{ a: ['é', 1] }, [0, 255]]);
});
