// What goes between a virtual meter's process and the bench, in both directions:
//
//   ┌───────────────┬─────────┬────────────────────────┬───────────┐
//   │ u32 LE length │ u8 kind │ f64 LE virtual time ms │ body …    │   length counts kind to body
//   └───────────────┴─────────┴────────────────────────┴───────────┘
//
// Owns this framing. Knows nothing of what the bodies mean.

/** What a message is about; the comment says what its body holds. */
export const KIND = {
  /** To the meter, once: JSON of VmStart, its length (u32 LE) before it, then the flash image. */
  start: 1,
  /** From the meter: Jacdac frames that it sent at this time, one by one. Wants a reply. */
  exchange: 2,
  /** To the meter, one for each exchange: f64 LE when the bus wants to speak next, then frames. */
  reply: 3,
  /** To the meter: the bus has something to say; please exchange soon. */
  poke: 4,
  /** From the meter: a line of its log. */
  console: 5,
  /** From the meter: the whole image of its flash, to be kept. */
  flash: 6,
  /** From the meter: the program panicked; u32 LE code. */
  panic: 7,
  /** From the meter: JSON of a SocketTap, its length (u32 LE) before it, then the bytes moved. */
  tap: 8,
  /** From the meter: the machine failed for good; UTF-8 words. */
  fault: 9,
} as const;

export interface PipeMessage {
  kind: number;
  atMs: number;
  body: Uint8Array;
}

/** A flash image is 128 KiB and a program less; more is a broken pipe. */
const MAX_MESSAGE_BYTES = 1 << 20;
const HEADER_BYTES = 4;
const FIXED_BYTES = 1 + 8;

export function encodeMessage({ kind, atMs, body }: PipeMessage): Uint8Array {
  const bytes = Buffer.allocUnsafe(HEADER_BYTES + FIXED_BYTES + body.length);
  bytes.writeUInt32LE(FIXED_BYTES + body.length, 0);
  bytes.writeUInt8(kind, 4);
  bytes.writeDoubleLE(atMs, 5);
  bytes.set(body, HEADER_BYTES + FIXED_BYTES);
  return bytes;
}

/** Cuts a stream of chunks into messages, and hands each on as soon as it is whole. */
export function messageReader(take: (message: PipeMessage) => void): (chunk: Buffer) => void {
  let rest: Buffer = Buffer.alloc(0);
  return (chunk) => {
    rest = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    while (rest.length >= HEADER_BYTES) {
      const lengthBytes = rest.readUInt32LE(0);
      if (lengthBytes < FIXED_BYTES || lengthBytes > MAX_MESSAGE_BYTES) {
        throw new RangeError(`message of ${lengthBytes} bytes on the meter's pipe`);
      }
      if (rest.length < HEADER_BYTES + lengthBytes) return;
      const message = rest.subarray(HEADER_BYTES, HEADER_BYTES + lengthBytes);
      rest = rest.subarray(HEADER_BYTES + lengthBytes);
      take({
        kind: message.readUInt8(0),
        atMs: message.readDoubleLE(1),
        body: message.subarray(FIXED_BYTES),
      });
    }
  };
}

/** A body of two parts: some JSON, and bytes after it. */
export function joinParts(json: unknown, bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(JSON.stringify(json));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(text.length);
  return Buffer.concat([length, text, bytes]);
}

/** The inverse of `joinParts`. */
export function splitParts(body: Uint8Array): { json: unknown; bytes: Uint8Array } {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.length);
  const end = 4 + buffer.readUInt32LE(0);
  return { json: JSON.parse(buffer.toString('utf8', 4, end)), bytes: buffer.subarray(end) };
}
