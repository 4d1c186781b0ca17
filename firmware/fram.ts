// FRAM MB85RC256V (Fujitsu datasheet MB85RC256V-DS501-00017): 32 KB at I²C address 0x50, two
// address bytes, no wear, no write delay. What a fulfilled write wrote survives a power cut; a cut
// write leaves a prefix. MB85RC1MT (DS501-00027): 128 KB, the same, but that the lowest bit of the
// I²C address is the 17th of the memory's: the upper half answers at 0x51.
//
// Owns the chip's protocol, and the doubt: a bus may give ones, zeros, noise, the bytes of another
// address, or an acknowledgement for what was not done. A write is read back. A read is as the bus
// gives it, for whoever checks it; where what it says would be bad news, `readSure` says it of a
// memory that has just proven itself. Knows nothing of what is stored. One transaction at a time:
// the bus that it is given sees to that.

/** Writes `bytes` to the chip at `address`, then reads `count` bytes; throws if nobody answers. */
export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

export interface FramParts {
  bus: Bus
  /** Where eight bytes are free to write and read back. */
  proofAt: number
  /** Ends a slice of work: the machine bounds the steps between two. */
  pause(): Promise<void>
  /** Sleeps by the clock: who only lets others run keeps the one that holds the bus from it. */
  wait(): Promise<void>
}

/** In the words of the screen. */
export const TROUBLE = { silent: 'memory is silent', wrong: 'memory talks nonsense' }

const ADDRESS = 0x50
const HALF_BYTES = 65536
export const SMALL_BYTES = 32768
export const LARGE_BYTES = 131072
/** Two address bytes and these fit the 233 bytes that one bus packet takes. */
const CHUNK_BYTES = 224
/** A spike on the bus spoils one transfer; what lasts for three is a fault. */
const TRIES = 3
const PROOF_BYTES = 8
/** In a row, after whatever went wrong: nine of ten good transfers pass no such row by luck. */
const PROOFS = 8

export class Fram {
  /** What lies beyond is refused. Small until it is told otherwise: no chip is smaller. */
  sizeBytes = SMALL_BYTES
  /** What is wrong for now, one of {@link TROUBLE}; empty while it answers rightly. */
  trouble = ''
  /** Transfers that went wrong, those that were done again with success too. */
  faults = 0
  private parts: FramParts
  /** Rises from proof to proof, so that none is like the one before; -1 before the first. */
  private turn = -1
  /** How many faults there had been when it last proved itself at length; -1: it has not yet. */
  private faultsProven = -1
  private proving = false

  constructor(parts: FramParts) {
    this.parts = parts
  }

  /** See cell.ts. */
  async read(address: number, length: number, room?: Buffer): Promise<Buffer> {
    const bytes = room ? room : Buffer.alloc(length)
    let at = 0
    while (at < length) {
      const count = chunkAt(address + at, length - at)
      bytes.set(await this.readChunk(address + at, count), at)
      at += count
    }
    // Whoever reads reckons a checksum next: some forty machine steps a byte.
    await this.parts.pause()
    return bytes
  }

  /** See cell.ts; `first` is what {@link read} gave. */
  async readSure(address: number, first: Buffer): Promise<Buffer> {
    if (this.faultsProven !== this.faults) await this.proveAtLength()
    const isNew = await this.refreshed(address, first)
    if (isNew) this.faults++
    // Two that agree, and a proof after them.
    if (isNew && (await this.refreshed(address, first))) throw this.failed(TROUBLE.wrong)
    await this.prove()
    this.trouble = ''
    return first
  }

  /** Reads `bytes` anew, into the same place, and says whether they were others. */
  private async refreshed(address: number, bytes: Buffer): Promise<boolean> {
    let isNew = false
    let at = 0
    while (at < bytes.length) {
      const count = chunkAt(address + at, bytes.length - at)
      const again = await this.readChunk(address + at, count)
      for (let i = 0; i < count && !isNew; i++) isNew = again[i] !== bytes[at + i]
      bytes.set(again, at)
      at += count
    }
    await this.parts.pause()
    return isNew
  }

  async write(address: number, bytes: Buffer): Promise<void> {
    let at = 0
    while (at < bytes.length) {
      const count = chunkAt(address + at, bytes.length - at)
      await this.writeChunk(address + at, bytes.slice(at, at + count))
      at += count
    }
    this.trouble = ''
  }

  /**
   * The size of a memory that nothing is known of, found by whether an upper half answers, and is
   * another place than the lower one. Writes the proof's bytes alone, in both halves.
   */
  async findSize(): Promise<number> {
    const { bus, proofAt } = this.parts
    await this.proveAtLength()
    let answers = false
    for (let i = 0; i < TRIES && !answers; i++) {
      try {
        await bus.transfer(ADDRESS + 1, Buffer.alloc(2), 1)
        answers = true
      } catch (error) {
        // That nobody is there is what a small memory says.
        answers = false
      }
    }
    this.sizeBytes = answers ? LARGE_BYTES : SMALL_BYTES
    if (answers) {
      const upper = Buffer.from('upper ha')
      await this.writeChunk(HALF_BYTES + proofAt, upper)
      await this.prove()
      if (!sameBytes(upper, await this.readChunk(HALF_BYTES + proofAt, upper.length)))
        throw this.failed(TROUBLE.wrong)
    }
    await this.prove()
    return this.sizeBytes
  }

  private async proveAtLength(): Promise<void> {
    const { faults } = this
    for (let i = 0; i < PROOFS; i++) await this.prove()
    this.faultsProven = faults
  }

  /** Throws unless the memory takes and gives back what it never held. */
  private async prove(): Promise<void> {
    while (this.proving) await this.parts.wait()
    this.proving = true
    try {
      await this.writeProof()
    } finally {
      this.proving = false
    }
  }

  private async writeProof(): Promise<void> {
    const { proofAt } = this.parts
    if (this.turn < 0) this.turn = (await this.readChunk(proofAt, 1))[0]
    this.turn = (this.turn + 1) & 255
    const proof = Buffer.alloc(PROOF_BYTES)
    // Each byte differs from its neighbours and from the proof before; each bit is once 0, once 1.
    for (let i = 0; i < PROOF_BYTES / 2; i++) {
      proof[i] = (this.turn + 53 * i) & 255
      proof[i + PROOF_BYTES / 2] = 255 - proof[i]
    }
    await this.writeChunk(proofAt, proof)
  }

  private async readChunk(address: number, count: number): Promise<Buffer> {
    return await this.transfer(address, this.pointer(address, count, 0), count)
  }

  /** Writes and reads back, until both agree. */
  private async writeChunk(address: number, bytes: Buffer): Promise<void> {
    const packet = this.pointer(address, bytes.length, bytes.length)
    packet.set(bytes, 2)
    for (let i = 0; i < TRIES; i++) {
      await this.transfer(address, packet, 0)
      if (sameBytes(bytes, await this.readChunk(address, bytes.length))) return
      this.faults++
    }
    throw this.failed(TROUBLE.wrong)
  }

  private async transfer(address: number, packet: Buffer, count: number): Promise<Buffer> {
    const half = address < HALF_BYTES ? 0 : 1
    for (let i = 0; i < TRIES; i++) {
      try {
        return await this.parts.bus.transfer(ADDRESS + half, packet, count)
      } catch (error) {
        this.faults++
      }
    }
    throw this.failed(TROUBLE.silent)
  }

  /** The two address bytes and room for `room` more; refuses to leave the memory. */
  private pointer(address: number, count: number, room: number): Buffer {
    if (address < 0 || address + count > this.sizeBytes) throw new Error('fram-range: ' + address)
    const packet = Buffer.alloc(2 + room)
    packet[0] = Math.floor(address / 256) & 255
    packet[1] = address & 255
    return packet
  }

  private failed(trouble: string): Error {
    this.trouble = trouble
    return new Error(trouble)
  }
}

/** As much of `length` bytes as one packet takes, in one half of the memory. */
function chunkAt(address: number, length: number): number {
  const halfLeft = address < HALF_BYTES ? HALF_BYTES - address : length
  return Math.min(CHUNK_BYTES, length, halfLeft)
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
