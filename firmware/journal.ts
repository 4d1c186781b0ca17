// What the meter must not forget when its power is cut: a small number of values in FRAM, each in a
// cell of its own, and the batch that waits for its acknowledgement. Interval records live in the
// ring beside it (ring.ts). Draws the memory; docs/journal.md tells the reasons.
//
// Owns every byte below RING_START. It never decides when to save, and never reads a clock. All
// integers are big-endian.
//
//   0000  header       2 × 32    what this memory is, and which boot this is
//   0040  signing      2 × 32    the key's number, its next unused signature index
//   0080  link         2 × 96    the last accepted batch, the sequence number wanted next
//   0140  outstanding  2 × 64    length, hash and span of the batch below; length 0: none
//   0200  running      2 × 256   the counters of this second
//   0400  key          2 × 128   the key's secret and its parameters
//   0500  pairing      2 × 96    which pairing this is, and what its index 0 has signed
//   0800  layer        32 × 32   the key's kept nodes: 24 bytes, CRC-32, 4 unused
//   0c00  batch        3,072     the outstanding batch as sent
//   1800  ring         26 × 1,024 in a 32 KB memory
//
// A cell is two slots, written in turn, so that a torn write costs the newer value at most:
//
//   rise u32 ‖ payload ‖ crc u32       CRC-32 of (slot's address u32 ‖ rise ‖ payload)
//
// The valid slot with the higher rise is the value. Cells check themselves one by one: there is no
// format step that a power cut could tear.
import { FIELDS, emptyRecord } from './wire.js'
import type { Bytes, IntervalRecord } from './wire.js'

/** Non-volatile memory by address; a `write` whose promise is fulfilled survives a power cut. */
export interface Store {
  read(address: number, length: number): Promise<Buffer>
  write(address: number, bytes: Buffer): Promise<void>
}

/** The counters of this second: what a record of the interval under way would say, and carries. */
export interface Running {
  record: IntervalRecord
  /** Energy not yet counted: nJ, below 3,600,000 = 1 µWh. */
  restNanoJ: number
  /** Measured part of the interval so far. */
  intervalMs: number
  /** Energy within it: nJ. */
  intervalNanoJ: number
  /** Part of a second that no duration has counted yet. */
  restMs: number
  /** The node's own counters when last seen, and which of its boots they belong to. */
  nodeInBytes: number
  nodeOutBytes: number
  /** 16 bytes, zero before the first answer. */
  nodeBoot: Buffer
  /** Day of the Unix time, and the energy when it began. */
  day: number
  dayStartMicroWh: number
}

/** Where the meter stands with the ledger. */
export interface Link {
  /** SHA-256 of the last accepted batch, null before the first. */
  lastHash: Buffer | null
  /** The next sequence number that the ledger wants; 1 at the start. */
  nextSeq: number
  entryIndex: number
  ackedUnixS: number
}

/** The batch that was signed, stored, and not yet acknowledged. */
export interface Outstanding {
  lengthBytes: number
  firstSeq: number
  lastSeq: number
  hash: Buffer
}

/** The pairing that the key was made for. */
export interface PairingMark {
  /** The bench's nonce: another one is another pairing. */
  nonce: Buffer
  /** SHA-256 of the enrolment statement that signature index 0 is spent on. */
  statementHash: Buffer
}

/** A key as it stands in memory; it never leaves it. */
export interface StoredKey {
  number: number
  height: number
  I: Buffer
  seed: Buffer
}

export const RING_START = 0x1800
export const RING_PAGE_BYTES = 1024
export const MAX_STORED_BATCH_BYTES = 3072
/** The layout's version: part of the header, and a reason to refuse a memory. */
const LAYOUT = 1
const MAGIC = 0x434b4d31 // "CKM1"
const LAYER_START = 0x0800
const LAYER_ENTRY_BYTES = 32
const BATCH_START = 0x0c00
const NODE_BYTES = 24
/** Bytes of a counter in the running cell: 2^56 holds every amount of a record (below 2^51). */
const COUNTER_BYTES = 7
const RUNNING_NUMBERS = FIELDS.length + 8

/** Opens the journal in `store`, whatever a power cut left there, and counts this boot. */
export async function openJournal(store: Store): Promise<Journal> {
  const journal = new Journal(store)
  await journal.open()
  return journal
}

export class Journal {
  /** Rises by one with each opening; 1 is the first. */
  bootId = 0
  running: Running | null = null
  link: Link = { lastHash: null, nextSeq: 1, entryIndex: 0, ackedUnixS: 0 }
  outstanding: Outstanding | null = null
  key: StoredKey | null = null
  pairing: PairingMark | null = null
  /**
   * The next unused signature index of `key`; -1 if it is not known: then nothing can be signed.
   */
  nextSignature = -1
  private store: Store
  /** Written each second: not allocated each second. */
  private runningBytes = Buffer.alloc(RUNNING_NUMBERS * COUNTER_BYTES + 16)
  private header: Cell
  private signing: Cell
  private linkCell: Cell
  private outstandingCell: Cell
  private runningCell: Cell
  private keyCell: Cell
  private pairingCell: Cell

  constructor(store: Store) {
    this.store = store
    this.header = new Cell(store, 0x0000, 32)
    this.signing = new Cell(store, 0x0040, 32)
    this.linkCell = new Cell(store, 0x0080, 96)
    this.outstandingCell = new Cell(store, 0x0140, 64)
    this.runningCell = new Cell(store, 0x0200, 256)
    this.keyCell = new Cell(store, 0x0400, 128)
    this.pairingCell = new Cell(store, 0x0500, 96)
  }

  async open(): Promise<void> {
    const header = await this.header.open(12)
    if (header !== null) {
      if (getNumber(header, 0, 4) !== MAGIC || getNumber(header, 4, 4) !== LAYOUT)
        throw new Error('journal-layout: expected ' + LAYOUT + ', got ' + getNumber(header, 4, 4))
      this.bootId = getNumber(header, 8, 4)
    }
    this.running = toRunning(await this.runningCell.open(RUNNING_NUMBERS * COUNTER_BYTES + 16))
    const link = await this.linkCell.open(1 + 32 + 24)
    if (link !== null) this.link = toLink(link)
    this.outstanding = toOutstanding(await this.outstandingCell.open(4 + 16 + 32))
    // A cut between the two writes of `accept` leaves the accepted batch standing: drop it here.
    if (this.outstanding !== null && sameBytes(this.outstanding.hash, this.link.lastHash))
      this.outstanding = null
    this.key = toKey(await this.keyCell.open(8 + 16 + NODE_BYTES))
    const pairing = await this.pairingCell.open(64)
    if (pairing !== null)
      this.pairing = { nonce: pairing.slice(0, 32), statementHash: pairing.slice(32, 64) }
    const signing = await this.signing.open(8)
    if (signing !== null && this.key !== null && getNumber(signing, 0, 4) === this.key.number)
      this.nextSignature = getNumber(signing, 4, 4) + (this.signing.halved ? 1 : 0)
    this.bootId++
    const next = Buffer.alloc(12)
    putNumber(next, 0, 4, MAGIC)
    putNumber(next, 4, 4, LAYOUT)
    putNumber(next, 8, 4, this.bootId)
    await this.header.write(next)
  }

  /** Saves the counters of this second. */
  async saveRunning(running: Running): Promise<void> {
    const { record } = running
    const bytes = this.runningBytes
    let at = 0
    FIELDS.forEach(rule => {
      putNumber(bytes, at, COUNTER_BYTES, record[rule.name])
      at += COUNTER_BYTES
    })
    const carries = [running.restNanoJ, running.intervalMs, running.intervalNanoJ]
    carries.push(running.restMs, running.nodeInBytes, running.nodeOutBytes)
    carries.push(running.day, running.dayStartMicroWh)
    carries.forEach(value => {
      putNumber(bytes, at, COUNTER_BYTES, value)
      at += COUNTER_BYTES
    })
    bytes.set(running.nodeBoot, at)
    await this.runningCell.write(bytes)
    this.running = running
  }

  /** Keeps a new key with its index at 0. The index comes first: a key without one cannot sign. */
  async keepKey(key: StoredKey): Promise<void> {
    await this.writeSigning(key.number, 0)
    const bytes = Buffer.alloc(8 + 16 + NODE_BYTES)
    putNumber(bytes, 0, 4, key.number)
    putNumber(bytes, 4, 4, key.height)
    bytes.set(key.I, 8)
    bytes.set(key.seed, 24)
    await this.keyCell.write(bytes)
    this.key = key
    this.nextSignature = 0
  }

  /** Notes for which pairing the key stands, and what its index 0 signs, before it does. */
  async keepPairing(pairing: PairingMark): Promise<void> {
    const bytes = Buffer.alloc(64)
    bytes.set(pairing.nonce, 0)
    bytes.set(pairing.statementHash, 32)
    await this.pairingCell.write(bytes)
    this.pairing = pairing
  }

  /** Takes the next signature index. It is durable, and can never be taken again, once returned. */
  async takeSignature(): Promise<number> {
    const key = this.key
    if (key === null || this.nextSignature < 0) throw new Error('signature-index: lost')
    const index = this.nextSignature
    if (index >= power2(key.height)) throw new Error('signature-index: key used up')
    await this.writeSigning(key.number, index + 1)
    this.nextSignature = index + 1
    return index
  }

  private async writeSigning(keyNumber: number, index: number): Promise<void> {
    const bytes = Buffer.alloc(8)
    putNumber(bytes, 0, 4, keyNumber)
    putNumber(bytes, 4, 4, index)
    await this.signing.write(bytes)
  }

  /** Keeps a node of the key's layer. */
  async keepNode(index: number, node: Bytes): Promise<void> {
    const bytes = Buffer.alloc(NODE_BYTES + 4)
    for (let i = 0; i < NODE_BYTES; i++) bytes[i] = node[i]
    const address = LAYER_START + index * LAYER_ENTRY_BYTES
    putNumber(bytes, NODE_BYTES, 4, crc32(bytes, 0, NODE_BYTES, this.nodeSalt(address)))
    await this.store.write(address, bytes)
  }

  /** A kept node, null if it was never kept whole for this key. */
  async readNode(index: number): Promise<Buffer | null> {
    const address = LAYER_START + index * LAYER_ENTRY_BYTES
    const bytes = await this.store.read(address, NODE_BYTES + 4)
    const crc = crc32(bytes, 0, NODE_BYTES, this.nodeSalt(address))
    return crc === getNumber(bytes, NODE_BYTES, 4) ? bytes.slice(0, NODE_BYTES) : null
  }

  /**
   * Ties a node to its place and to the key's public identifier, so that an old key's is refused.
   */
  private nodeSalt(address: number): number {
    const key = this.key
    if (key === null) throw new Error('journal: no key')
    return crc32(key.I, 0, key.I.length, address)
  }

  /** Keeps a signed batch whole, before its first byte is sent. */
  async keepBatch(batch: Buffer, about: Outstanding): Promise<void> {
    if (batch.length > MAX_STORED_BATCH_BYTES)
      throw new Error('batch-size: expected at most ' + MAX_STORED_BATCH_BYTES)
    await this.dropBatch()
    await this.store.write(BATCH_START, batch)
    const bytes = Buffer.alloc(4 + 16 + 32)
    putNumber(bytes, 0, 4, batch.length)
    putNumber(bytes, 4, 8, about.firstSeq)
    putNumber(bytes, 12, 8, about.lastSeq)
    bytes.set(about.hash, 20)
    await this.outstandingCell.write(bytes)
    this.outstanding = about
  }

  /** The outstanding batch, byte for byte as kept. */
  async readBatch(): Promise<Buffer> {
    if (this.outstanding === null) throw new Error('journal: no batch')
    return await this.store.read(BATCH_START, this.outstanding.lengthBytes)
  }

  /** Forgets the outstanding batch: it was accepted, or will be built anew. */
  async dropBatch(): Promise<void> {
    if (this.outstanding === null) return
    await this.outstandingCell.write(Buffer.alloc(4 + 16 + 32))
    this.outstanding = null
  }

  /** Notes where the ledger stands now, then drops the batch that was outstanding. */
  async accept(link: Link): Promise<void> {
    const bytes = Buffer.alloc(1 + 32 + 24)
    const lastHash = link.lastHash
    if (lastHash !== null) {
      bytes[0] = 1
      bytes.set(lastHash, 1)
    }
    putNumber(bytes, 33, 8, link.nextSeq)
    putNumber(bytes, 41, 8, link.entryIndex)
    putNumber(bytes, 49, 8, link.ackedUnixS)
    await this.linkCell.write(bytes)
    this.link = link
    await this.dropBatch()
  }
}

/** Two slots and the newest valid payload. */
class Cell {
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
      const bytes = await this.store.read(address, size + 8)
      const rise = getNumber(bytes, 0, 4)
      const valid = getNumber(bytes, 4 + size, 4) === crc32(bytes, 0, 4 + size, address)
      if (valid) found++
      if (valid && rise > this.rise) {
        payload = bytes.slice(4, 4 + size)
        this.slot = slot
        this.rise = rise
      }
    }
    this.halved = found === 1 && this.rise > 1
    return payload
  }

  /**
   * Writes the slot that does not hold the newest value; a write that fails leaves that one valid.
   */
  async write(payload: Buffer): Promise<void> {
    if (payload.length + 8 > this.slotBytes) throw new Error('journal: cell too small')
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

function toRunning(bytes: Buffer | null): Running | null {
  if (bytes === null) return null
  const record = emptyRecord()
  let at = 0
  FIELDS.forEach(rule => {
    record[rule.name] = getNumber(bytes, at, COUNTER_BYTES)
    at += COUNTER_BYTES
  })
  const carry = (index: number) => getNumber(bytes, at + index * COUNTER_BYTES, COUNTER_BYTES)
  return {
    record,
    restNanoJ: carry(0),
    intervalMs: carry(1),
    intervalNanoJ: carry(2),
    restMs: carry(3),
    nodeInBytes: carry(4),
    nodeOutBytes: carry(5),
    day: carry(6),
    dayStartMicroWh: carry(7),
    nodeBoot: bytes.slice(at + 8 * COUNTER_BYTES, at + 8 * COUNTER_BYTES + 16),
  }
}

function toLink(bytes: Buffer): Link {
  return {
    lastHash: bytes[0] === 1 ? bytes.slice(1, 33) : null,
    nextSeq: getNumber(bytes, 33, 8),
    entryIndex: getNumber(bytes, 41, 8),
    ackedUnixS: getNumber(bytes, 49, 8),
  }
}

function toOutstanding(bytes: Buffer | null): Outstanding | null {
  if (bytes === null || getNumber(bytes, 0, 4) === 0) return null
  return {
    lengthBytes: getNumber(bytes, 0, 4),
    firstSeq: getNumber(bytes, 4, 8),
    lastSeq: getNumber(bytes, 12, 8),
    hash: bytes.slice(20, 52),
  }
}

function toKey(bytes: Buffer | null): StoredKey | null {
  if (bytes === null) return null
  return {
    number: getNumber(bytes, 0, 4),
    height: getNumber(bytes, 4, 4),
    I: bytes.slice(8, 24),
    seed: bytes.slice(24, 24 + NODE_BYTES),
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

function putNumber(bytes: Buffer, at: number, size: number, value: number): void {
  let rest = value
  for (let i = size - 1; i >= 0; i--) {
    // Not rest % 256: the meter's machine takes remainders of the low 32 bits, as signed.
    const next = Math.floor(rest / 256)
    bytes[at + i] = rest - next * 256
    rest = next
  }
}

function getNumber(bytes: Bytes, at: number, size: number): number {
  let value = 0
  for (let i = 0; i < size; i++) value = value * 256 + bytes[at + i]
  return value
}

function sameBytes(a: Bytes, b: Bytes | null): boolean {
  if (b === null || a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}

function power2(exponent: number): number {
  let value = 1
  for (let i = 0; i < exponent; i++) value *= 2
  return value
}
