// What a bad line between the meter and a chip makes of a transaction, one kind at a time: a cold
// joint, a missing pull-up, a cable beside a motor. A chip itself is never at fault here, and no
// kind sends a write to another address: no firmware could mend that.

import { I2C_STATUS, type I2cAnswer, type LineFault } from './i2c.ts';

/** Kinds by name; `random` gives 0 ≤ x < 1. */
export type LineFaultName = keyof ReturnType<typeof lineFaults>;

export function lineFaults(random: () => number) {
  const below = (limit: number): number => Math.floor(random() * limit);
  const reading = (change: (bytes: Uint8Array) => Uint8Array): LineFault => (transaction, well) => {
    const { status, bytes } = well(transaction);
    return { status, bytes: bytes.length === 0 ? bytes : change(Uint8Array.from(bytes)) };
  };
  const stuck = (byte: number): LineFault => ({ readBytes }) => done(readBytes, byte);
  return {
    /** Nobody acknowledges. */
    silent: (() => ({ status: I2C_STATUS.noAddressAck, bytes: new Uint8Array() })) as LineFault,
    /** A data line that stays high, or low. Nothing arrives. */
    ones: stuck(0xff),
    zeros: stuck(0x00),
    noise: reading((bytes) => bytes.map(() => below(256))),
    /** A byte is lost, and ones come after the last. */
    shifted: reading((bytes) => Uint8Array.of(...bytes.subarray(1), 0xff)),
    doubled: reading((bytes) => Uint8Array.of(bytes[0]!, ...bytes.subarray(0, -1))),
    flipped: reading((bytes) => flip(bytes, below(8 * bytes.length))),
    /** A read goes to another address. */
    elsewhere: ((transaction, well) => {
      const { write, readBytes } = transaction;
      if (readBytes === 0 || write.length !== 2) return well(transaction);
      return well({ ...transaction, write: flip(Uint8Array.from(write), 1 + below(15)) });
    }) as LineFault,
    /** A write is acknowledged, and not done. */
    unwritten: ((transaction, well) => {
      const { write, readBytes } = transaction;
      return readBytes === 0 && write.length > 2 ? done(0, 0) : well(transaction);
    }) as LineFault,
    /** A bit of what is written arrives wrong. */
    miswritten: ((transaction, well) => {
      const { write } = transaction;
      if (write.length <= 2) return well(transaction);
      const bit = 16 + below(8 * (write.length - 2));
      return well({ ...transaction, write: flip(Uint8Array.from(write), bit) });
    }) as LineFault,
  };
}

function done(readBytes: number, byte: number): I2cAnswer {
  return { status: I2C_STATUS.ok, bytes: new Uint8Array(readBytes).fill(byte) };
}

/** Bit 0 is the highest of the first byte. */
function flip(bytes: Uint8Array, bit: number): Uint8Array {
  bytes[bit >> 3]! ^= 0x80 >> (bit & 7);
  return bytes;
}
