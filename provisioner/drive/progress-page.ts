// The page that a half-written drive carries, alone in its blank first MiB: which image was being
// written, and how much of it is on the drive for sure. Pure. It owns this format (little-endian):
//
//      0    8  "KITDRIVE"
//      8    4  version, 1
//     12    4  zeros
//     16    8  size of the drive, bytes
//     24    8  durable: the image's body before this offset is on the drive
//     32   32  SHA-256 of the raw image
//     64 4000  zeros
//   4064   32  SHA-256 of all before
//
// It only saves work: whatever it says, everything is read back and compared in the end.

import { createHash } from 'node:crypto';

import { pageBytes } from './manifest.ts';

/** Its place: far from what firmware looks at, which is the first pages and the last. */
export const progressAtBytes = 512 << 10;

export interface WriteProgress {
  driveSizeBytes: number;
  durableBytes: number;
  /** Hex. */
  rawSha256: string;
}

const magic = 'KITDRIVE';
const version = 1;
const digestAt = pageBytes - 32;

/** Fills `page`, which is {@link pageBytes} long. */
export function encodeProgress(page: Uint8Array, progress: WriteProgress): Uint8Array {
  const view = Buffer.from(page.buffer, page.byteOffset, pageBytes).fill(0);
  view.write(magic, 0, 'latin1');
  view.writeUInt32LE(version, 8);
  view.writeBigUInt64LE(BigInt(progress.driveSizeBytes), 16);
  view.writeBigUInt64LE(BigInt(progress.durableBytes), 24);
  view.write(progress.rawSha256, 32, 'hex');
  view.set(digest(view), digestAt);
  return page;
}

/** What the page tells; undefined when it is none, or torn. */
export function decodeProgress(page: Uint8Array): WriteProgress | undefined {
  const view = Buffer.from(page.buffer, page.byteOffset, pageBytes);
  if (view.toString('latin1', 0, 8) !== magic || view.readUInt32LE(8) !== version) return undefined;
  if (!view.subarray(digestAt).equals(digest(view))) return undefined;
  return {
    driveSizeBytes: Number(view.readBigUInt64LE(16)),
    durableBytes: Number(view.readBigUInt64LE(24)),
    rawSha256: view.toString('hex', 32, 64),
  };
}

function digest(view: Buffer): Buffer {
  return createHash('sha256').update(view.subarray(0, digestAt)).digest();
}
