// The meter's I²C bus, on which its chips sit: who answers at an address, and what it says. Time
// comes with every transaction, so that a chip is evaluated at exactly the meter's own moment.

export interface I2cChip {
  /**
   * What follows the address byte of a write.
   * @returns whether every byte was acknowledged
   */
  write(bytes: Uint8Array, atMs: number): boolean;
  /** What the chip puts on the bus for a read of this size. */
  read(sizeBytes: number, atMs: number): Uint8Array;
  /** The supply comes up: volatile registers are at their reset values. */
  powerOn(atMs: number): void;
  /** The supply has gone. */
  powerOff(atMs: number): void;
}

/** As the Jacdac I2C service numbers them (i2c.md: enum Status). */
export const I2C_STATUS = { ok: 0, noAddressAck: 1, noDataAck: 2, noI2c: 3 } as const;
export type I2cStatus = (typeof I2C_STATUS)[keyof typeof I2C_STATUS];

export interface I2cTransaction {
  /** 7 bits. */
  address: number;
  write: Uint8Array;
  /** 0: nothing is read. With both, a repeated start lies between. */
  readBytes: number;
}

export interface I2cBus {
  transact(transaction: I2cTransaction, atMs: number): { status: I2cStatus; bytes: Uint8Array };
}

/** A fault on the bench: the chip's lead is off, or it answers nonsense. */
export type I2cFault = 'gone' | 'garbage';

export interface ChipBus extends I2cBus {
  /** `undefined` repairs it. */
  setFault(address: number, fault: I2cFault | undefined): void;
  powerOn(atMs: number): void;
  powerOff(atMs: number): void;
  transactions(): number;
}

/** @param chips by their 7-bit address */
export function createI2cBus(chips: ReadonlyMap<number, I2cChip>): ChipBus {
  const faults = new Map<number, I2cFault>();
  const none = new Uint8Array();
  let transactions = 0;
  return {
    transact({ address, write, readBytes }, atMs) {
      transactions += 1;
      const chip = chips.get(address);
      const fault = faults.get(address);
      if (chip === undefined || fault === 'gone') {
        return { status: I2C_STATUS.noAddressAck, bytes: none };
      }
      // A chip's clock line stuck high: everything reads as ones, and nothing arrives.
      if (fault === 'garbage') {
        return { status: I2C_STATUS.ok, bytes: new Uint8Array(readBytes).fill(0xff) };
      }
      const writes = write.length > 0 || readBytes === 0;
      if (writes && !chip.write(write, atMs)) return { status: I2C_STATUS.noDataAck, bytes: none };
      const bytes = readBytes > 0 ? chip.read(readBytes, atMs) : none;
      return { status: I2C_STATUS.ok, bytes };
    },
    setFault(address, fault) {
      if (fault === undefined) faults.delete(address);
      else faults.set(address, fault);
    },
    powerOn: (atMs) => chips.forEach((chip) => chip.powerOn(atMs)),
    powerOff: (atMs) => chips.forEach((chip) => chip.powerOff(atMs)),
    transactions: () => transactions,
  };
}
