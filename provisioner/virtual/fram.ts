// FRAM MB85RC256V (Fujitsu DS501-00017): 32 KB on I²C, no wear, no write delay. A write is the two
// address bytes, most significant first, and the data; a read goes on from the address counter.
// Both run over the end to the beginning. The supply may fail between any two bytes.

import { closeSync, existsSync, openSync, readSync, writeFileSync, writeSync } from 'node:fs';
import type { I2cChip } from './i2c.ts';

export const FRAM_BYTES = 32_768;
const ADDRESS_MASK = FRAM_BYTES - 1;

export interface Fram extends I2cChip {
  /**
   * After so many more data bytes the supply fails: `onCut` is called and nothing further is kept,
   * until power comes back. `undefined` calls it off.
   */
  cutAfter(writtenBytes: number | undefined, onCut: () => void): void;
  /** Data bytes kept since the chip was made. */
  writtenBytes(): number;
}

export interface FramOptions {
  /** What the chip holds; changed in place. */
  cells: Buffer;
  /** Told of each byte range, which does not run over the end, before it is acknowledged. */
  onKept?: (address: number, endAddress: number) => void;
  /** Told, after a write that was kept whole, of the address that follows it. */
  onWritten?: (endAddress: number) => void;
}

/** The chip, without power. */
export function createFram({ cells, onKept, onWritten }: FramOptions): Fram {
  let counter = 0;
  let powered = false;
  let written = 0;
  let cut: { atBytes: number; onCut: () => void } | undefined;

  /** Keeps what fits before the end. */
  const keep = (bytes: Uint8Array): void => {
    const count = Math.min(bytes.length, FRAM_BYTES - counter);
    cells.set(bytes.subarray(0, count), counter);
    if (count > 0) onKept?.(counter, counter + count);
    counter = (counter + count) & ADDRESS_MASK;
    written += count;
    if (count < bytes.length) keep(bytes.subarray(count));
  };

  return {
    write(bytes) {
      if (!powered || bytes.length < 2) return powered;
      // The top bit of the 16 is not decoded (data sheet, "Device address").
      counter = ((bytes[0]! << 8) | bytes[1]!) & ADDRESS_MASK;
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
    },
    read(sizeBytes) {
      const bytes = new Uint8Array(sizeBytes);
      for (let i = 0; i < sizeBytes; i += 1) {
        bytes[i] = cells[counter]!;
        counter = (counter + 1) & ADDRESS_MASK;
      }
      return bytes;
    },
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

/** A chip whose bytes lie in a file. */
export interface FramFile extends Fram {
  close(): void;
}

/**
 * Every byte is in the file before the chip acknowledges it, so that killing this process loses
 * nothing that the meter was told is kept.
 * @param path made, full of zeros, if it is not there
 */
export function openFram(path: string, onWritten?: (endAddress: number) => void): FramFile {
  if (!existsSync(path)) writeFileSync(path, new Uint8Array(FRAM_BYTES));
  const file = openSync(path, 'r+');
  const cells = Buffer.alloc(FRAM_BYTES);
  readSync(file, cells, 0, FRAM_BYTES, 0);
  const onKept = (start: number, end: number): void =>
    void writeSync(file, cells, start, end - start, start);
  const fram = createFram({ cells, onKept, onWritten });
  return { ...fram, close: () => closeSync(file) };
}
