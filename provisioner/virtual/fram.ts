// FRAM MB85RC256V (Fujitsu DS501-00017): 32 KB on I²C, no wear, no write delay. A write is the two
// address bytes, most significant first, and the data; a read goes on from the address counter.
// Both run over the end to the beginning. Every byte is in the file before the chip acknowledges
// it, so that killing this process loses nothing that the meter was told is kept.

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
  /** Data bytes kept since the chip was opened. */
  writtenBytes(): number;
  close(): void;
}

/**
 * @param path made, full of zeros, if it is not there
 * @param onWritten told, after a write that was kept whole, of the address that follows it
 */
export function openFram(path: string, onWritten: (endAddress: number) => void = () => {}): Fram {
  if (!existsSync(path)) writeFileSync(path, new Uint8Array(FRAM_BYTES));
  const file = openSync(path, 'r+');
  const cells = Buffer.alloc(FRAM_BYTES);
  readSync(file, cells, 0, FRAM_BYTES, 0);
  let counter = 0;
  let powered = false;
  let written = 0;
  let cut: { atBytes: number; onCut: () => void } | undefined;

  /** @returns whether it was kept */
  const keep = (byte: number): boolean => {
    if (cut && written >= cut.atBytes) {
      const { onCut } = cut;
      cut = undefined;
      powered = false;
      onCut();
    }
    if (!powered) return false;
    cells[counter] = byte;
    writeSync(file, cells, counter, 1, counter);
    counter = (counter + 1) & ADDRESS_MASK;
    written += 1;
    return true;
  };

  return {
    write(bytes) {
      if (!powered || bytes.length < 2) return powered;
      // The top bit of the 16 is not decoded (data sheet, "Device address").
      counter = ((bytes[0]! << 8) | bytes[1]!) & ADDRESS_MASK;
      const whole = bytes.subarray(2).every(keep);
      if (whole) onWritten(counter);
      return whole;
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
    close: () => closeSync(file),
  };
}
