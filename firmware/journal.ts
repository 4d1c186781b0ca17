// What the meter must not forget when its power is cut: a small number of values in FRAM, each in a
// cell of its own (cell.ts), its keys (keyring.ts), and the batch that waits for its
// acknowledgement. Interval records live in the ring beside it (ring.ts). Draws the memory;
// docs/journal.md tells the reasons.
//
// Owns every byte below RING_START, those of the keys by its keyring. It never decides when to
// save, and never reads a clock.
//
//   0000  header       2 × 32    what this memory is, and which boot this is
//   0040  signing      2 × 32    keyring
//   0080  link         2 × 96    the last accepted batch, the sequence number wanted next
//   0140  outstanding  2 × 64    length, hash and span of the batch below, the key that it names;
//                                length 0: none
//   01c0  proof        8         written and read back, to see whether the memory answers (fram.ts)
//   01d0  node         2 × 16    the IPv4 address where the node was found by searching
//   0200  running      2 × 256   the counters of this second
//   0400  key          2 × 128   keyring
//   0500  pairing      2 × 96    which pairing this is, and what its index 0 has signed
//   05c0  successor …            keyring, to 0e00
//   0e00  batch        2,560     the outstanding batch as sent
//   1800  ring         26 × 1,024 in a memory of 32 KB, 122 × 1,024 in one of 128 KB
import { Cell, getNumber, putNumber } from './cell.js'
import type { Store } from './cell.js'
import { Keyring } from './keyring.js'
import { FIELDS, emptyRecord } from './wire.js'
import type { Bytes, IntervalRecord } from './wire.js'

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
  /** Number of the key that it names as its own key's successor, 0 if it names none. */
  names: number
}

/** The pairing that the key was made for. */
export interface PairingMark {
  /** The bench's nonce: another one is another pairing. */
  nonce: Buffer
  /** SHA-256 of the enrolment statement that signature index 0 is spent on. */
  statementHash: Buffer
}

const SMALL_BYTES = 32768
const LARGE_BYTES = 131072
export const PROOF_START = 0x01c0
export const RING_START = 0x1800
export const RING_PAGE_BYTES = 1024
export const MAX_STORED_BATCH_BYTES = 2560
/** Of a batch, read at once: free parts of the heap are seldom larger than this. */
const PIECE_BYTES = 448
/**
 * The layout's version: part of the header, and a reason to refuse a memory. It tells the ring's size
 * too, for that must never be guessed where there are records. The one before kept nodes and batch
 * elsewhere: nodes are grown again, a batch that was outstanding is built anew.
 */
const LAYOUT = { former: 1, small: 2, large: 3 }
const MAGIC = 0x434b4d31 // "CKM1"
const BATCH_START = 0x0e00
const OUTSTANDING_BYTES = 4 + 16 + 32 + 4
/** Bytes of a counter in the running cell: 2^56 holds every amount of a record (below 2^51). */
const COUNTER_BYTES = 7
const RUNNING_NUMBERS = FIELDS.length + 8

/**
 * Reads the journal in `store`, whatever a power cut left there. Nothing is written before
 * {@link Journal.begin}.
 */
export async function openJournal(store: Store): Promise<Journal> {
  const journal = new Journal(store)
  await journal.open()
  return journal
}

export class Journal {
  /** Rises by one with each {@link begin}; 1 is the first. */
  bootId = 0
  /** Of the memory, as its first start found it; 0 if this is the first. */
  sizeBytes = 0
  running: Running | null = null
  link: Link = { lastHash: null, nextSeq: 1, entryIndex: 0, ackedUnixS: 0 }
  outstanding: Outstanding | null = null
  pairing: PairingMark | null = null
  /** Where the node was found last, 4 bytes; null if it never had to be searched for. */
  nodeAddress: Buffer | null = null
  readonly keys: Keyring
  private store: Store
  /** Written each second: not allocated each second. */
  private runningBytes = Buffer.alloc(RUNNING_NUMBERS * COUNTER_BYTES + 16)
  private header: Cell
  private linkCell: Cell
  private outstandingCell: Cell
  private runningCell: Cell
  private pairingCell: Cell
  private nodeCell: Cell

  constructor(store: Store) {
    this.store = store
    this.header = new Cell(store, 0x0000, 32)
    this.keys = new Keyring(store)
    this.linkCell = new Cell(store, 0x0080, 96)
    this.outstandingCell = new Cell(store, 0x0140, 64)
    this.runningCell = new Cell(store, 0x0200, 256)
    this.pairingCell = new Cell(store, 0x0500, 96)
    this.nodeCell = new Cell(store, 0x01d0, 16)
  }

  async open(): Promise<void> {
    const header = await this.header.open(12)
    if (header !== null) {
      const layout = getNumber(header, 4, 4)
      if (getNumber(header, 0, 4) !== MAGIC || layout < LAYOUT.former || layout > LAYOUT.large)
        throw new Error('journal-layout: expected 1 to 3, got ' + layout)
      this.sizeBytes = layout === LAYOUT.large ? LARGE_BYTES : SMALL_BYTES
      this.bootId = getNumber(header, 8, 4)
    }
    this.running = toRunning(await this.runningCell.open(RUNNING_NUMBERS * COUNTER_BYTES + 16))
    const link = await this.linkCell.open(1 + 32 + 24)
    if (link !== null) this.link = toLink(link)
    this.outstanding = toOutstanding(await this.outstandingCell.open(OUTSTANDING_BYTES))
    // A cut between the two writes of `accept` leaves the accepted batch standing: drop it here.
    if (this.outstanding !== null && sameBytes(this.outstanding.hash, this.link.lastHash))
      this.outstanding = null
    await this.keys.open()
    const pairing = await this.pairingCell.open(64)
    if (pairing !== null)
      this.pairing = { nonce: pairing.slice(0, 32), statementHash: pairing.slice(32, 64) }
    this.nodeAddress = await this.nodeCell.open(4)
  }

  /** Does what a power cut left undone, and counts this boot: all has been read, and was sound. */
  async begin(sizeBytes: number): Promise<void> {
    await this.keys.settle()
    this.sizeBytes = sizeBytes
    this.bootId++
    const next = Buffer.alloc(12)
    putNumber(next, 0, 4, MAGIC)
    putNumber(next, 4, 4, sizeBytes === LARGE_BYTES ? LAYOUT.large : LAYOUT.small)
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

  /** Notes for which pairing the key stands, and what its index 0 signs, before it does. */
  async keepPairing(pairing: PairingMark): Promise<void> {
    const bytes = Buffer.alloc(64)
    bytes.set(pairing.nonce, 0)
    bytes.set(pairing.statementHash, 32)
    await this.pairingCell.write(bytes)
    this.pairing = pairing
  }

  /** Notes where the node was found. */
  async keepNodeAddress(address: Buffer): Promise<void> {
    await this.nodeCell.write(address)
    this.nodeAddress = address
  }

  /** Keeps a signed batch whole, before its first byte is sent. */
  async keepBatch(batch: Buffer[], about: Outstanding): Promise<void> {
    let lengthBytes = 0
    batch.forEach(piece => {
      lengthBytes += piece.length
    })
    if (lengthBytes > MAX_STORED_BATCH_BYTES)
      throw new Error('batch-size: expected at most ' + MAX_STORED_BATCH_BYTES)
    await this.dropBatch()
    let address = BATCH_START
    for (let i = 0; i < batch.length; i++) {
      await this.store.write(address, batch[i])
      address += batch[i].length
    }
    const bytes = Buffer.alloc(OUTSTANDING_BYTES)
    putNumber(bytes, 0, 4, lengthBytes)
    putNumber(bytes, 4, 8, about.firstSeq)
    putNumber(bytes, 12, 8, about.lastSeq)
    bytes.set(about.hash, 20)
    putNumber(bytes, 52, 4, about.names)
    await this.outstandingCell.write(bytes)
    this.outstanding = about
  }

  /** The outstanding batch, byte for byte as kept; null if it surely is not whole any more. */
  async readBatch(isWhole: (batch: Buffer[]) => boolean): Promise<Buffer[] | null> {
    const { store, outstanding } = this
    if (outstanding === null) throw new Error('journal: no batch')
    const batch: Buffer[] = []
    for (let at = 0; at < outstanding.lengthBytes; at += PIECE_BYTES) {
      const size = Math.min(PIECE_BYTES, outstanding.lengthBytes - at)
      batch.push(await store.read(BATCH_START + at, size))
    }
    if (isWhole(batch)) return batch
    for (let i = 0; i < batch.length; i++)
      batch[i] = await store.readSure(BATCH_START + i * PIECE_BYTES, batch[i])
    return isWhole(batch) ? batch : null
  }

  /** Forgets the outstanding batch: it was accepted, or will be built anew. */
  async dropBatch(): Promise<void> {
    if (this.outstanding === null) return
    await this.outstandingCell.write(Buffer.alloc(OUTSTANDING_BYTES))
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
    names: getNumber(bytes, 52, 4),
  }
}

function sameBytes(a: Bytes, b: Bytes | null): boolean {
  if (b === null || a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
