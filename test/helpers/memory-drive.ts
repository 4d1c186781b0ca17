// A drive in memory, for the writer: honest, or smaller than it says; with a hook before each
// transfer, to fail it or to hold it up.

import type { FileHandle } from 'node:fs/promises';

import { blockBytes, laneCount } from '../../provisioner/drive/blocks.ts';
import { alignedMemory, type Medium } from '../../provisioner/drive/medium.ts';

export interface Transfer {
  kind: 'write' | 'read' | 'flush';
  atBytes: number;
  sizeBytes: number;
}

export interface MemoryDriveOptions {
  sizeBytes: number;
  /** Where it really ends; default: where it says. */
  realBytes?: number;
  /** What becomes of writes beyond. */
  beyond?: 'wraps' | 'drops';
  /** Before each transfer: what it throws is the drive's answer. */
  before?: (transfer: Transfer) => Promise<void> | void;
}

export interface MemoryDrive {
  medium: Medium;
  /** Everything it was asked, in order. */
  transfers: Transfer[];
  before: NonNullable<MemoryDriveOptions['before']>;
  /** What it gives for this extent. */
  bytes(atBytes: number, sizeBytes: number): Buffer;
  put(bytes: Uint8Array, atBytes: number): void;
}

export function memoryDrive(options: MemoryDriveOptions): MemoryDrive {
  const { sizeBytes, realBytes = sizeBytes, beyond = 'wraps' } = options;
  const held = Buffer.alloc(realBytes);
  const transfers: Transfer[] = [];
  const drive = { transfers, before: options.before ?? (() => {}) } as MemoryDrive;

  /** The pieces in which a transfer meets what is really there. */
  const eachPiece = (at: number, size: number, act: (at: number, from: number, to: number) => void) => {
    for (let from = 0; from < size; ) {
      const real = at + from < realBytes || beyond === 'wraps' ? (at + from) % realBytes : undefined;
      const to = real === undefined ? size : Math.min(size, from + realBytes - real);
      if (real !== undefined) act(real, from, to);
      from = to;
    }
  };
  drive.put = (bytes, atBytes) =>
    eachPiece(atBytes, bytes.length, (at, from, to) => held.set(bytes.subarray(from, to), at));
  drive.bytes = (atBytes, size) => {
    const found = Buffer.alloc(size);
    eachPiece(atBytes, size, (at, from, to) => held.copy(found, from, at, at + to - from));
    return found;
  };
  const ask = async (transfer: Transfer): Promise<void> => {
    transfers.push(transfer);
    await drive.before(transfer);
    const end = transfer.atBytes + transfer.sizeBytes;
    if (end > sizeBytes) throw Object.assign(new Error('beyond the end'), { code: 'EIO' });
  };
  const file = {
    async write(from: Uint8Array, _at: number, size: number, position: number) {
      await ask({ kind: 'write', atBytes: position, sizeBytes: size });
      drive.put(from.subarray(0, size), position);
      return { bytesWritten: size };
    },
    async read(into: Uint8Array, _at: number, size: number, position: number) {
      await ask({ kind: 'read', atBytes: position, sizeBytes: size });
      into.set(drive.bytes(position, size));
      return { bytesRead: size };
    },
    datasync: () => ask({ kind: 'flush', atBytes: 0, sizeBytes: 0 }),
    async close() {},
  } as unknown as FileHandle;
  const memory = alignedMemory(laneCount * blockBytes);
  const traffic = { asked: 0, answered: 0 };
  drive.medium = {
    ...{ path: '/dev/null', file, sizeBytes, direct: true, zeroed: false, traffic, memory },
  };
  return drive;
}
