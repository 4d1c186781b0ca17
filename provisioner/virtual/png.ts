// Writes a picture of two colours as PNG (W3C PNG, third edition): one bit a pixel, 1 is white.
// Owns no picture.

import { crc32, deflateSync } from 'node:zlib';

const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);
const FILTER_NONE = 0;

/** @param scale how many PNG pixels a side one of the picture's takes */
export function encodePng(
  width: number,
  height: number,
  isLit: (x: number, y: number) => boolean,
  scale: number,
): Uint8Array {
  const rowBytes = 1 + Math.ceil((width * scale) / 8);
  const rows = Buffer.alloc(rowBytes * height * scale, FILTER_NONE);
  for (let y = 0; y < height * scale; y += 1) {
    for (let x = 0; x < width * scale; x += 1) {
      if (!isLit(Math.floor(x / scale), Math.floor(y / scale))) continue;
      rows[y * rowBytes + 1 + (x >> 3)]! |= 0x80 >> (x & 7);
    }
  }
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width * scale, 0);
  header.writeUInt32BE(height * scale, 4);
  // Bit depth 1, colour type 0 (greyscale); compression, filter and interlace method 0.
  header[8] = 1;
  const data = chunk('IDAT', deflateSync(rows));
  return Buffer.concat([SIGNATURE, chunk('IHDR', header), data, chunk('IEND', Buffer.of())]);
}

/** `u32 length │ type │ data │ u32 CRC of type and data`, big-endian. */
function chunk(type: string, data: Buffer): Buffer {
  const bytes = Buffer.alloc(12 + data.length);
  bytes.writeUInt32BE(data.length, 0);
  bytes.write(type, 4, 'latin1');
  data.copy(bytes, 8);
  bytes.writeUInt32BE(crc32(bytes.subarray(4, 8 + data.length)), 8 + data.length);
  return bytes;
}
