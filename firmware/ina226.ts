// Power monitor INA226 (Texas Instruments SBOS547): shunt and bus voltage, 16 bits each, averaged
// by the chip itself. Turns register values into integer µW by a calibration of two points.
//
// Owns the chip's registers. It integrates nothing and keeps no time. Power is reckoned from the
// two voltages, in integers: the chip's own power register drops bits.

/** Writes `bytes` to the chip at `address`, then reads `count` bytes; throws if nobody answers. */
export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

/** What the bench found at two known currents, as the line through both; and its number. */
export interface Calibration {
  id: number
  /** Current per step of the shunt register: 250,000 nA at 10 mΩ, whose step is 2.5 µV. */
  nanoAmpPerStep: number
  /** Current at shunt register 0. */
  offsetNanoAmp: number
  /** Bus voltage per step: 1,250,000 nV by the datasheet. */
  nanoVoltPerStep: number
}

/** Of one window: signed shunt steps of 2.5 µV, bus steps of 1.25 mV. */
export interface Registers {
  shunt: number
  bus: number
}

export interface Reading {
  microW: number
  /** Clipped: shunt beyond ±81.92 mV, or bus beyond 36 V. */
  overRange: boolean
}

const ADDRESS = 0x40

// Registers (table 4), big-endian.
const CONFIG = 0x00
const SHUNT = 0x01
const BUS = 0x02
const MASK = 0x06
const MAKER = 0xfe

const MAKER_TI = 0x5449
/** Bit 3 of the mask register: a conversion has finished since it was last read. */
const CONVERSION_READY = 8
/** Bus steps of 1.25 mV up to the chip's 36 V. */
const MAX_BUS_STEPS = 28800

/**
 * Configuration (table 6): 1,024 averages of bus 332 µs and shunt 588 µs, continuous. One window is
 * 0.942 s: each reading of one a second is a new one, and next to nothing goes unseen between two.
 *
 *   0 100 | 111 averages | 010 bus | 011 shunt | 111 mode
 */
const SETUP = 0x4000 + 7 * 512 + 2 * 64 + 3 * 8 + 7

export class Ina226 {
  private bus: Bus
  private calibration: Calibration
  private ready = false
  /** Where a register's number is written for the bus: no new bytes three times a second. */
  private pointer = Buffer.alloc(1)

  constructor(bus: Bus, calibration: Calibration) {
    this.bus = bus
    this.calibration = calibration
  }

  /**
   * The mean power of the last window; null until one has finished since the chip was set up.
   * Throws if the chip is absent or not an INA226. A chip that lost its setup is set up again.
   */
  async read(): Promise<Reading | null> {
    const found = await this.readRegisters()
    return found === null ? null : toReading(found.shunt, found.bus, this.calibration)
  }

  /** What {@link read} reckons with. */
  async readRegisters(): Promise<Registers | null> {
    if ((await this.get(CONFIG)) !== SETUP) {
      if ((await this.get(MAKER)) !== MAKER_TI) throw new Error('ina226: another chip answers')
      await this.set(CONFIG, SETUP)
      this.ready = false
      return null
    }
    if (!this.ready) {
      if (Math.floor((await this.get(MASK)) / CONVERSION_READY) % 2 === 0) return null
      this.ready = true
    }
    const shunt = signed(await this.get(SHUNT))
    return { shunt: shunt, bus: await this.get(BUS) }
  }

  private async get(register: number): Promise<number> {
    this.pointer[0] = register
    const bytes = await this.bus.transfer(ADDRESS, this.pointer, 2)
    return bytes[0] * 256 + bytes[1]
  }

  private async set(register: number, value: number): Promise<void> {
    const bytes = Buffer.from([register, Math.floor(value / 256), value % 256])
    await this.bus.transfer(ADDRESS, bytes, 0)
  }
}

/**
 * µW from the two registers. Below zero (a node that feeds back) counts as zero. Current is rounded
 * to µA and voltage to µV before they are multiplied, so that the product, in pW, is exact.
 */
export function toReading(shunt: number, bus: number, calibration: Calibration): Reading {
  const nanoAmp = shunt * calibration.nanoAmpPerStep + calibration.offsetNanoAmp
  const microAmp = Math.max(0, Math.round(nanoAmp / 1000))
  const microVolt = Math.round((bus * calibration.nanoVoltPerStep) / 1000)
  const overRange = shunt >= 32767 || shunt <= -32768 || bus >= MAX_BUS_STEPS
  return { microW: Math.round((microAmp * microVolt) / 1000000), overRange }
}

function signed(value: number): number {
  return value >= 32768 ? value - 65536 : value
}
