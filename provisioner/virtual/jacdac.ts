// Jacdac frames as bytes. Source: Jacdac protocol, "Frames" and "Packets"
// (https://microsoft.github.io/jacdac-docs/reference/protocol/).
//
//   frame   u16 CRC │ u8 size │ u8 flags │ 8 bytes device id │ packets …
//   packet  u8 size │ u8 service index │ u16 command │ data … │ padding to a multiple of 4
//
// All little-endian. `size` of a frame counts its packets with padding, of a packet its data alone.
// The CRC is CRC-16-CCITT over everything after itself. Pure: owns the bytes, not the bus.

export interface Frame {
  /** To a device (true) or a report by it. */
  isCommand: boolean;
  wantsAck: boolean;
  /** `deviceId` holds a service class: for every service of that class. */
  isMulticast: boolean;
  /** The sender sent it to itself as well. */
  isLoopback: boolean;
  /** 16 hexadecimal digits. */
  deviceId: string;
  crc: number;
  packets: Packet[];
}

export interface Packet {
  serviceIndex: number;
  command: number;
  data: Uint8Array;
}

const FLAG = { command: 0x01, ack: 0x02, multicast: 0x04, loopback: 0x40 } as const;
const FRAME_HEADER_BYTES = 12;
const PACKET_HEADER_BYTES = 4;
/** A frame's packets take at most 240 bytes, so that a frame fits UART buffers of 252. */
const MAX_PAYLOAD_BYTES = 240;

/** The service index of device-wide things. */
export const SERVICE_CONTROL = 0;
/** "The frame whose CRC is my command number has arrived." */
export const SERVICE_ACK = 0x3f;
/** Register access: the operation's bits, to which the register's number is added. */
export const GET_REGISTER = 0x1000;
export const SET_REGISTER = 0x2000;

export type FrameParts = Pick<Frame, 'deviceId' | 'packets'> & Partial<Frame>;

/** @throws RangeError more than 240 bytes */
export function encodeFrame(parts: FrameParts): Uint8Array {
  const sizes = parts.packets.map((packet) => align(PACKET_HEADER_BYTES + packet.data.length));
  const payloadBytes = sizes.reduce((sum, size) => sum + size, 0);
  if (payloadBytes > MAX_PAYLOAD_BYTES) {
    throw new RangeError(`a Jacdac frame carries ${MAX_PAYLOAD_BYTES} bytes, not ${payloadBytes}`);
  }
  const bytes = Buffer.alloc(FRAME_HEADER_BYTES + payloadBytes);
  bytes.writeUInt8(payloadBytes, 2);
  bytes.writeUInt8(
    (parts.isCommand ? FLAG.command : 0) |
      (parts.wantsAck ? FLAG.ack : 0) |
      (parts.isMulticast ? FLAG.multicast : 0) |
      (parts.isLoopback ? FLAG.loopback : 0),
    3,
  );
  bytes.write(parts.deviceId, 4, 'hex');
  let offset = FRAME_HEADER_BYTES;
  parts.packets.forEach(({ serviceIndex, command, data }, index) => {
    bytes.writeUInt8(data.length, offset);
    bytes.writeUInt8(serviceIndex, offset + 1);
    bytes.writeUInt16LE(command, offset + 2);
    bytes.set(data, offset + PACKET_HEADER_BYTES);
    offset += sizes[index]!;
  });
  bytes.writeUInt16LE(crc16(bytes.subarray(2)), 0);
  return bytes;
}

/** The frames in `bytes`, one after the other. @throws RangeError one is cut off or bent */
export function decodeFrames(bytes: Uint8Array): Frame[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const frames: Frame[] = [];
  for (let at = 0; at < buffer.length; ) {
    const end = at + FRAME_HEADER_BYTES + (buffer[at + 2] ?? MAX_PAYLOAD_BYTES);
    if (end > buffer.length) throw new RangeError('a Jacdac frame is cut off');
    frames.push(decodeFrame(buffer.subarray(at, end)));
    at = end;
  }
  return frames;
}

function decodeFrame(bytes: Buffer): Frame {
  const crc = bytes.readUInt16LE(0);
  const computed = crc16(bytes.subarray(2));
  if (crc !== computed) throw new RangeError(`Jacdac frame with CRC ${crc}, computed ${computed}`);
  const flags = bytes.readUInt8(3);
  const packets: Packet[] = [];
  let offset = FRAME_HEADER_BYTES;
  while (offset + PACKET_HEADER_BYTES <= bytes.length) {
    const dataBytes = bytes.readUInt8(offset);
    const end = offset + PACKET_HEADER_BYTES + dataBytes;
    if (end > bytes.length) throw new RangeError('a Jacdac packet is cut off');
    packets.push({
      serviceIndex: bytes.readUInt8(offset + 1),
      command: bytes.readUInt16LE(offset + 2),
      data: bytes.subarray(offset + PACKET_HEADER_BYTES, end),
    });
    offset = align(end);
  }
  return {
    isCommand: (flags & FLAG.command) !== 0,
    wantsAck: (flags & FLAG.ack) !== 0,
    isMulticast: (flags & FLAG.multicast) !== 0,
    isLoopback: (flags & FLAG.loopback) !== 0,
    deviceId: bytes.toString('hex', 4, FRAME_HEADER_BYTES),
    ...{ crc, packets },
  };
}

function align(sizeBytes: number): number {
  return (sizeBytes + 3) & ~3;
}

/** CRC-16-CCITT: polynomial 0x1021, start 0xffff, not reflected (jacdac-c, jd_crc16). */
function crc16(bytes: Uint8Array): number {
  let crc = 0xffff;
  for (const byte of bytes) {
    let x = ((crc >> 8) ^ byte) & 0xff;
    x ^= x >> 4;
    crc = ((crc << 8) ^ (x << 12) ^ (x << 5) ^ x) & 0xffff;
  }
  return crc;
}
