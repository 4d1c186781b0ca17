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
  transact(transaction: I2cTransaction, atMs: number): I2cAnswer;
}

export interface I2cAnswer {
  status: I2cStatus;
  bytes: Uint8Array;
}

/** What a bad line makes of a transaction; `well` carries one out as a good line would. */
export type LineFault = (
  transaction: I2cTransaction,
  well: (transaction: I2cTransaction) => I2cAnswer,
) => I2cAnswer;

/** A fault on the bench: the chip's lead is off, or it answers nonsense (line-faults.ts has more). */
export type I2cFault = 'gone' | 'garbage';

export interface ChipBus extends I2cBus {
  /** `undefined` repairs it. */
  setFault(address: number, fault: I2cFault | LineFault | undefined): void;
  powerOn(atMs: number): void;
  powerOff(atMs: number): void;
  transactions(): number;
}

const NONE = new Uint8Array();
const notThere = (): I2cAnswer => ({ status: I2C_STATUS.noAddressAck, bytes: NONE });
const NAMED: Record<I2cFault, LineFault> = {
  gone: notThere,
  // A chip's clock line stuck high: everything reads as ones, and nothing arrives.
  garbage: ({ readBytes }) => ({
    status: I2C_STATUS.ok,
    bytes: new Uint8Array(readBytes).fill(0xff),
  }),
};

/** @param chips by their 7-bit address */
export function createI2cBus(chips: ReadonlyMap<number, I2cChip>): ChipBus {
  const faults = new Map<number, LineFault>();
  let transactions = 0;
  const onGoodLine = ({ address, write, readBytes }: I2cTransaction, atMs: number): I2cAnswer => {
    const chip = chips.get(address);
    if (chip === undefined) return notThere();
    const writes = write.length > 0 || readBytes === 0;
    if (writes && !chip.write(write, atMs)) return { status: I2C_STATUS.noDataAck, bytes: NONE };
    return { status: I2C_STATUS.ok, bytes: readBytes > 0 ? chip.read(readBytes, atMs) : NONE };
  };
  return {
    transact(transaction, atMs) {
      transactions += 1;
      const fault = faults.get(transaction.address);
      if (fault === undefined) return onGoodLine(transaction, atMs);
      return fault(transaction, (changed) => onGoodLine(changed, atMs));
    },
    setFault(address, fault) {
      if (fault === undefined) faults.delete(address);
      else faults.set(address, typeof fault === 'string' ? NAMED[fault] : fault);
    },
    powerOn: (atMs) => chips.forEach((chip) => chip.powerOn(atMs)),
    powerOff: (atMs) => chips.forEach((chip) => chip.powerOff(atMs)),
    transactions: () => transactions,
  };
}
