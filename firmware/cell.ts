// A value that survives a power cut at any byte of its writing: two slots in FRAM, written in turn,
// so that a torn write costs the newer value at most.
//
//   rise u32 ‖ payload ‖ crc u32       CRC-32 of (slot's address u32 ‖ rise ‖ payload)
//
// The valid slot with the higher rise is the value. Cells check themselves one by one: there is no
// format step that a power cut could tear. Owns the two slots and the integers in them, all
// big-endian; it never knows what a payload means (journal.ts and keyring.ts do).
import type { Bytes } from './wire.js'

/** Non-volatile memory by address; a `write` whose promise is fulfilled survives a power cut. */
export interface Store {
  /** As the bus gives them, which may be wrong; in `room`, of that length, if there is one. */
  read(address: number, length: number, room?: Buffer): Promise<Buffer>
  /**
   * The same bytes as `first`, which were read at that address, from a memory that proves that it
   * answers rightly; throws if it does not. May put them into `first`.
   */
  readSure(address: number, first: Buffer): Promise<Buffer>
  /** Throws unless the bytes are there. */
  write(address: number, bytes: Buffer): Promise<void>
}

/**
 * The bytes, if they are whole; null only if what is there surely is not. That a check fails says
 * little by itself: a good checksum is no accident, a bad one may be the bus's.
 */
export async function readWhole(
  store: Store,
  address: number,
  length: number,
  isWhole: (bytes: Buffer) => boolean,
): Promise<Buffer | null> {
  const bytes = await store.read(address, length)
  if (isWhole(bytes)) return bytes
  const sure = await store.readSure(address, bytes)
  return isWhole(sure) ? sure : null
}

/** Two slots and the newest valid payload. */
export class Cell {
  /**
   * The other slot, once written, is not valid: a write was torn, and its value never used, or a
   * bit has worn since, and the value found is the one before the newest.
   */
  halved = false
  private store: Store
  private address: number
  private slotBytes: number
  private slot = 1
  private rise = 0

  constructor(store: Store, address: number, slotBytes: number) {
    this.store = store
    this.address = address
    this.slotBytes = slotBytes
  }

  async open(size: number): Promise<Buffer | null> {
    let payload: Buffer | null = null
    let found = 0
    for (let slot = 0; slot < 2; slot++) {
      const address = this.address + slot * this.slotBytes
      const bytes = await this.readSlot(address, size)
      const valid = bytes !== null
      if (valid) found++
      const rise = valid ? getNumber(bytes, 0, 4) : 0
      if (valid && rise > this.rise) {
        payload = bytes.slice(4, 4 + size)
        this.slot = slot
        this.rise = rise
      }
    }
    this.halved = found === 1 && this.rise > 1
    return payload
  }

  private async readSlot(address: number, size: number): Promise<Buffer | null> {
    const isWhole = (bytes: Buffer) =>
      getNumber(bytes, 4 + size, 4) === crc32(bytes, 0, 4 + size, address)
    return await readWhole(this.store, address, size + 8, isWhole)
  }

  /**
   * Writes the slot that does not hold the newest value; a write that fails leaves that one valid.
   */
  async write(payload: Buffer): Promise<void> {
    if (payload.length + 8 > this.slotBytes) throw new Error('cell: too small')
    const slot = 1 - this.slot
    const address = this.address + slot * this.slotBytes
    const bytes = Buffer.alloc(payload.length + 8)
    putNumber(bytes, 0, 4, this.rise + 1)
    bytes.set(payload, 4)
    putNumber(bytes, 4 + payload.length, 4, crc32(bytes, 0, 4 + payload.length, address))
    await this.store.write(address, bytes)
    this.slot = slot
    this.rise++
  }
}

/** CRC-32 (ISO-HDLC, as in zlib) of `bytes[start…end)` after the four bytes of `salt`. */
export function crc32(bytes: Bytes, start: number, end: number, salt: number): number {
  let crc = -1
  for (let i = 3; i >= 0; i--) crc = crcStep(crc, (salt >>> (8 * i)) & 255)
  for (let i = start; i < end; i++) crc = crcStep(crc, bytes[i])
  return ~crc >>> 0
}

/** One byte, a nibble at a time: the table of sixteen fits a small machine. */
function crcStep(crc: number, byte: number): number {
  let next = crc ^ byte
  next = (next >>> 4) ^ CRC_NIBBLES[next & 15]
  return (next >>> 4) ^ CRC_NIBBLES[next & 15]
}

const CRC_NIBBLES = [
  0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4, 0x4db26158, 0x5005713c,
  0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c, 0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
]

/** Big-endian, in `size` bytes. */
export function putNumber(bytes: Buffer, at: number, size: number, value: number): void {
  let rest = value
  for (let i = size - 1; i >= 0; i--) {
    // Not rest % 256: the meter's machine takes remainders of the low 32 bits, as signed.
    const next = Math.floor(rest / 256)
    bytes[at + i] = rest - next * 256
    rest = next
  }
}

export function getNumber(bytes: Bytes, at: number, size: number): number {
  let value = 0
  for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]
  return value
}
