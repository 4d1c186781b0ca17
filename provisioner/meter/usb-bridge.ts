// What goes over a meter's USB while its program runs: Jacdac frames, and the runtime's log as text
// between them (jacdac-spec, services/usbbridge.md; jacdac-c, source/jd_usb.c).
//
//   FE FC  frame …  FE FD        a byte FE inside is FE F8; what stands outside is log
//
// Owns this stuffing, as a pair. No I/O.

import { decodeFrames, encodeFrame, type Frame, type FrameParts } from '../virtual/jacdac.ts';

const MAGIC = 0xfe;
const LITERAL_MAGIC = 0xf8;
const FRAME_START = 0xfc;
const FRAME_END = 0xfd;
/** Two that only say that something was lost, and one without a meaning yet. */
const IGNORED = [0xf9, 0xfa, 0xfb];
/** A frame has a header of 12 bytes and at most 240 more. */
const MAX_FRAME_BYTES = 252;
const MAX_LINE_CHARACTERS = 1024;

const BRIDGE_CLASS_LE = '4a1af618';
const COMMAND = { enablePackets: 0x81, enableLog: 0x83 } as const;
const BROADCAST_INDEX = 0x3d;

export function encodeUsb(parts: FrameParts): Uint8Array {
  const stuffed = [...encodeFrame(parts)].flatMap((byte) =>
    byte === MAGIC ? [MAGIC, LITERAL_MAGIC] : [byte],
  );
  return Uint8Array.from([MAGIC, FRAME_START, ...stuffed, MAGIC, FRAME_END]);
}

/** To the bridge itself: that frames and log shall come. */
export function wakeBridge(): Uint8Array {
  const ask = (command: number): Uint8Array =>
    encodeUsb({
      ...{ deviceId: BRIDGE_CLASS_LE.padEnd(16, '0'), isCommand: true, isMulticast: true },
      packets: [{ serviceIndex: BROADCAST_INDEX, command, data: new Uint8Array() }],
    });
  return Uint8Array.from([...ask(COMMAND.enablePackets), ...ask(COMMAND.enableLog)]);
}

/** Takes bytes as they come; a bent or cut frame is left out, as Jacdac leaves it out. */
export function usbReader(hear: {
  frame(frame: Frame): void;
  line(line: string): void;
}): (bytes: Uint8Array) => void {
  let frame: number[] | undefined;
  let line: number[] = [];
  let escaped = false;

  const literal = (byte: number): void => {
    if (frame !== undefined) {
      if (frame.length >= MAX_FRAME_BYTES) frame = undefined;
      else frame.push(byte);
    } else if (byte === 0x0a) {
      hear.line(Buffer.from(line).toString().replace(/\r$/, ''));
      line = [];
    } else if (line.length < MAX_LINE_CHARACTERS) line.push(byte);
  };
  const end = (): void => {
    const bytes = Uint8Array.from(frame ?? []);
    frame = undefined;
    try {
      decodeFrames(bytes).forEach(hear.frame);
    } catch (error) {
      if (!(error instanceof RangeError)) throw error;
    }
  };
  return (bytes) => {
    for (const byte of bytes) {
      if (!escaped) {
        if (byte === MAGIC) escaped = true;
        else literal(byte);
        continue;
      }
      escaped = false;
      if (byte === FRAME_START) frame = [];
      else if (byte === FRAME_END) end();
      else if (byte === LITERAL_MAGIC) literal(MAGIC);
      else if (!IGNORED.includes(byte)) frame = undefined;
    }
  };
}
