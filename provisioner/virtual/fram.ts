// FRAM MB85RC256V (Fujitsu DS501-00017): 32 KB on I²C, no wear, no write delay. A write is the two
// address bytes, most significant first, and the data; a read goes on from the address counter.
// Both run over the end to the beginning. The supply may fail between any two bytes. MB85RC1MT
// (DS501-00027) has 128 KB: the 17th bit of the address is the lowest of the chip's own.

import { closeSync, existsSync, fstatSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import type { I2cChip } from './i2c.ts';

export const FRAM_BYTES = 32_768;
export const LARGE_FRAM_BYTES = 131_072;

export interface Fram extends I2cChip {
  /** How the chip answers at the next address, if it is a large one. */
  upper: I2cChip | undefined;
  /**
   * After so many more data bytes the supply fails: `onCut` is called and nothing further is kept,
   * until power comes back. `undefined` calls it off.
   */
  cutAfter(writtenBytes: number | undefined, onCut: () => void): void;
  /** Data bytes kept since the chip was made. */
  writtenBytes(): number;
}

export interface FramOptions {
  /** What the chip holds, 32 or 128 KB; changed in place. */
  cells: Buffer;
  /** Told of each byte range, which does not run over the end, before it is acknowledged. */
  onKept?: (address: number, endAddress: number) => void;
  /** Told, after a write that was kept whole, of the address that follows it. */
  onWritten?: (endAddress: number) => void;
}

/** The chip, without power. */
export function createFram({ cells, onKept, onWritten }: FramOptions): Fram {
  const sizeBytes = cells.length;
  const addressMask = sizeBytes - 1;
  let counter = 0;
  let powered = false;
  let written = 0;
  let cut: { atBytes: number; onCut: () => void } | undefined;

  /** Keeps what fits before the end. */
  const keep = (bytes: Uint8Array): void => {
    const count = Math.min(bytes.length, sizeBytes - counter);
    cells.set(bytes.subarray(0, count), counter);
    if (count > 0) onKept?.(counter, counter + count);
    counter = (counter + count) & addressMask;
    written += count;
    if (count < bytes.length) keep(bytes.subarray(count));
  };

  /** @param half the chip's address bit that belongs to the memory's */
  const write = (bytes: Uint8Array, half: 0 | 1): boolean => {
    if (!powered || bytes.length < 2) return powered;
    // The small one does not decode the top bit of the 16 (data sheet, "Device address").
    counter = ((half << 16) | (bytes[0]! << 8) | bytes[1]!) & addressMask;
    const data = bytes.subarray(2);
    if (cut === undefined || written + data.length <= cut.atBytes) {
      keep(data);
      onWritten?.(counter);
      return true;
    }
    const { atBytes, onCut } = cut;
    cut = undefined;
    keep(data.subarray(0, atBytes - written));
    powered = false;
    onCut();
    return false;
  };
  const read = (count: number): Uint8Array => {
    const bytes = new Uint8Array(count);
    for (let i = 0; i < count; i += 1) {
      bytes[i] = cells[counter]!;
      counter = (counter + 1) & addressMask;
    }
    return bytes;
  };
  const upper = { write: (bytes: Uint8Array) => write(bytes, 1), read, powerOn() {}, powerOff() {} };
  return {
    upper: sizeBytes === LARGE_FRAM_BYTES ? upper : undefined,
    write: (bytes) => write(bytes, 0),
    read,
    powerOn() {
      powered = true;
      counter = 0;
    },
    powerOff() {
      powered = false;
    },
    cutAfter(writtenBytes, onCut) {
      cut = writtenBytes === undefined ? undefined : { atBytes: written + writtenBytes, onCut };
    },
    writtenBytes: () => written,
  };
}

export interface FramFileOptions extends Pick<FramOptions, 'onWritten'> {
  /** Of a file that is not there yet; by default the small chip's. */
  sizeBytes?: number;
}

/** A chip whose bytes lie in a file. */
export interface FramFile extends Fram {
  close(): void;
}

/**
 * Every byte is in the file before the chip acknowledges it, so that killing this process loses
 * nothing that the meter was told is kept.
 * @param path made, full of zeros and of that size, if it is not there
 */
export function openFram(
  path: string,
  { sizeBytes = FRAM_BYTES, onWritten }: FramFileOptions = {},
): FramFile {
  if (!existsSync(path)) writeFileSync(path, new Uint8Array(sizeBytes));
  const file = openSync(path, 'r+');
  const cells = Buffer.alloc(fstatSync(file).size);
  readSync(file, cells, 0, cells.length, 0);
  const onKept = (start: number, end: number): void =>
    void writeSync(file, cells, start, end - start, start);
  const fram = createFram({ cells, onKept, onWritten });
  return { ...fram, close: () => closeSync(file) };
}
