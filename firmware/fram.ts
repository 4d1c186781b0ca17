// FRAM MB85RC256V (Fujitsu datasheet MB85RC256V-DS501-00017): 32 KB at I²C address 0x50, two
// address bytes, no wear, no write delay. What a fulfilled write wrote survives a power cut; a cut
// write leaves a prefix.
//
// Owns the chip's protocol. It knows nothing of what is stored. One transaction at a time: the bus
// that it is given sees to that.

/** Writes `bytes` to the chip at `address`, then reads `count` bytes; throws if nobody answers. */
export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

const ADDRESS = 0x50
const SIZE_BYTES = 32768
/** Two address bytes and these fit the 233 bytes that one bus packet takes. */
const CHUNK_BYTES = 224

export class Fram {
  readonly sizeBytes = SIZE_BYTES
  private bus: Bus

  constructor(bus: Bus) {
    this.bus = bus
  }

  async read(address: number, length: number): Promise<Buffer> {
    const bytes = Buffer.alloc(length)
    for (let at = 0; at < length; at += CHUNK_BYTES) {
      const count = Math.min(CHUNK_BYTES, length - at)
      bytes.set(await this.bus.transfer(ADDRESS, pointer(address + at, count, 0), count), at)
    }
    return bytes
  }

  async write(address: number, bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length; at += CHUNK_BYTES) {
      const count = Math.min(CHUNK_BYTES, bytes.length - at)
      const packet = pointer(address + at, count, count)
      for (let i = 0; i < count; i++) packet[2 + i] = bytes[at + i]
      await this.bus.transfer(ADDRESS, packet, 0)
    }
  }
}

/** The two address bytes and room for `room` more; refuses to wrap around the end of the memory. */
function pointer(address: number, count: number, room: number): Buffer {
  if (address < 0 || address + count > SIZE_BYTES) throw new Error('fram-range: ' + address)
  const packet = Buffer.alloc(2 + room)
  packet[0] = Math.floor(address / 256)
  packet[1] = address % 256
  return packet
}
