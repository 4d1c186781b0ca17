// The interval records that wait for the ledger: a ring of pages in FRAM. A record costs about 25
// bytes, so that 26 pages of 1,024 bytes hold ten days at a quarter of an hour. When they are full,
// the two neighbouring pages of finest resolution become one: an outage of any length costs
// resolution, never totals.
//
// Owns the bytes of its pages. It never decides what a record says, and frees nothing that the
// ledger has not accepted until the room is needed.
//
//   page     generation u32 ‖ firstSeq u32 ‖ lastSeq u32 ‖ crc u32 ‖ entry… ‖ 00
//   entry    delta ‖ crc u16
//
// generation rises with each page begun. lastSeq is 0 in a page that is appended to; a page made by
// merging names its last, and outranks every older page that begins within it. The page's crc is
// CRC-32 over (page's address ‖ the three numbers). A delta is a byte string as in a batch
// (wire.ts): the first is taken from a record of zeros, the second from the first alone. An entry's
// crc is the low half of CRC-32 over (generation ‖ delta).
//
// What a power cut can tear: an entry is written from its second byte on, with the 00 that ends the
// page after it; then its first byte, where a 00 stood. One byte is not torn: the entry is there or
// not. A merged page is written with its header last; then the two that it replaces are free.
import { FLAG, emptyRecord, putDelta, takeDelta } from './wire.js'
import type { Bytes, IntervalRecord } from './wire.js'

export interface RingParts {
  read(address: number, length: number): Promise<Buffer>
  write(address: number, bytes: Buffer): Promise<void>
  crc32(bytes: Bytes, start: number, end: number, salt: number): number
  /** Lets other fibers run; awaited while another caller holds the ring. */
  pause(): Promise<void>
}

export interface RingPlace {
  start: number
  pageBytes: number
  pages: number
}

/** What the ring may let go of, and where it must not merge. */
export interface Accepted {
  /** Records up to here are in the ledger. */
  throughSeq: number
  /** Last record of the outstanding batch, 0 if there is none: no merged record may straddle it. */
  batchLastSeq: number
}

interface Page {
  address: number
  generation: number
  firstSeq: number
  /** Last record's; of the page appended to, the last one yet, or firstSeq - 1. */
  lastSeq: number
}

/** A page being filled by merging. */
interface Filling {
  bytes: Buffer
  at: number
  prior: IntervalRecord[]
  generation: number
}

const HEADER_BYTES = 16
/**
 * The longest delta: head, mask, and twenty changes of eight bytes; then its crc and the end mark.
 */
const MAX_ENTRY_BYTES = 2 + 3 + 160 + 3

/** Opens the ring, whatever a power cut left there. */
export async function openRing(parts: RingParts, place: RingPlace): Promise<Ring> {
  const ring = new Ring(parts, place)
  await ring.open()
  return ring
}

export class Ring {
  /** Last sequence number kept, 0 if none. */
  lastSeq = 0
  /** Pages that have been merged since the ring was opened. */
  merges = 0
  private parts: RingParts
  private place: RingPlace
  /** Pages with records, oldest first; the last may be open for appending. */
  private live: Page[] = []
  private free: number[] = []
  private generation = 0
  /** Where the next entry goes in the last page; 0 if that page is closed. */
  private at = 0
  /** The last two records of that page: what the next delta is taken from. */
  private prior: IntervalRecord[] = []
  private held = false

  constructor(parts: RingParts, place: RingPlace) {
    this.parts = parts
    this.place = place
  }

  async open(): Promise<void> {
    const found: Page[] = []
    const merged: Page[] = []
    for (let i = 0; i < this.place.pages; i++) {
      const address = this.place.start + i * this.place.pageBytes
      const page = this.toPage(await this.parts.read(address, HEADER_BYTES), address)
      if (page === null) this.free.push(address)
      else {
        found.push(page)
        if (page.lastSeq > 0) merged.push(page)
        this.generation = Math.max(this.generation, page.generation)
      }
    }
    for (let i = 0; i < found.length; i++) {
      if (outranked(merged, found[i])) this.free.push(found[i].address)
      else this.live.push(found[i])
    }
    this.live.sort((a, b) => a.firstSeq - b.firstSeq || a.generation - b.generation)
    const last = this.live.length - 1
    for (let i = 0; i < last; i++)
      if (this.live[i].lastSeq === 0) this.live[i].lastSeq = this.live[i + 1].firstSeq - 1
    if (last >= 0) await this.openLast(this.live[last])
  }

  /** Finds the end of the newest page. */
  private async openLast(page: Page): Promise<void> {
    const closed = page.lastSeq > 0
    const cursor = await this.cursorOf(page)
    for (let record = cursor.next(); record !== null; record = cursor.next()) {
      page.lastSeq = record.lastSeq
      await this.rest(cursor.count)
    }
    if (page.lastSeq === 0) page.lastSeq = page.firstSeq - 1
    this.lastSeq = page.lastSeq
    if (!closed) {
      this.at = cursor.at
      this.prior = cursor.prior
    }
  }

  /** Keeps a record; it is there for good once the promise is fulfilled. */
  async append(record: IntervalRecord, accepted: Accepted): Promise<void> {
    await this.hold()
    try {
      if (record.firstSeq <= this.lastSeq)
        throw new Error('sequence: expected more than ' + this.lastSeq + ', got ' + record.firstSeq)
      let entry = this.at > 0 ? this.encode(record, this.prior, this.generationOfLast()) : null
      if (entry === null || this.at + entry.length > this.place.pageBytes) {
        await this.beginPage(record.firstSeq, accepted)
        entry = this.encode(record, [], this.generation)
      }
      const last = this.live[this.live.length - 1]
      const address = last.address + this.at
      await this.parts.write(address + 1, entry.slice(1, entry.length))
      await this.parts.write(address, entry.slice(0, 1))
      this.at += entry.length - 1
      last.lastSeq = record.lastSeq
      this.lastSeq = record.lastSeq
      this.prior = lastTwo(this.prior, record)
    } finally {
      this.held = false
    }
  }

  /**
   * Up to `limit` records from `fromSeq` on, oldest first. A merged record that begins earlier is
   * cut to begin there: its counters are those of its end, and stay true.
   */
  async readFrom(fromSeq: number, limit: number): Promise<IntervalRecord[]> {
    await this.hold()
    const records: IntervalRecord[] = []
    try {
      for (let i = 0; i < this.live.length && records.length < limit; i++) {
        const page = this.live[i]
        if (page.lastSeq < fromSeq) continue
        const cursor = await this.cursorOf(page)
        let record = cursor.next()
        while (record !== null && records.length < limit) {
          if (record.lastSeq >= fromSeq) records.push(record)
          await this.rest(cursor.count)
          record = cursor.next()
        }
      }
    } finally {
      this.held = false
    }
    if (records.length > 0 && records[0].firstSeq < fromSeq) records[0].firstSeq = fromSeq
    return records
  }

  private async hold(): Promise<void> {
    while (this.held) await this.parts.pause()
    this.held = true
  }

  private generationOfLast(): number {
    return this.live[this.live.length - 1].generation
  }

  /** Opens an empty page after the last one. One page stays spare: merging writes there. */
  private async beginPage(firstSeq: number, accepted: Accepted): Promise<void> {
    this.at = 0
    while (this.free.length < 2) {
      if (this.live.length > 1 && this.live[0].lastSeq <= accepted.throughSeq) {
        const oldest = this.live.shift()
        if (oldest) this.free.push(oldest.address)
      } else await this.mergeFinest(accepted)
    }
    const address = this.free[0]
    this.generation++
    const page = { address, generation: this.generation, firstSeq, lastSeq: 0 }
    // The header and the first end mark go in one write: without the mark an old entry might
    // follow.
    const start = Buffer.alloc(HEADER_BYTES + 1)
    this.putHeader(start, page)
    await this.parts.write(address, start)
    page.lastSeq = firstSeq - 1
    this.free.shift()
    this.live.push(page)
    this.at = HEADER_BYTES
    this.prior = []
  }

  /** Makes one page of the two neighbours that span the fewest intervals, the oldest such pair. */
  private async mergeFinest(accepted: Accepted): Promise<void> {
    let best = -1
    let fewest = 0
    for (let i = 0; i + 1 < this.live.length; i++) {
      const span = this.live[i + 1].lastSeq - this.live[i].firstSeq
      if (best < 0 || span < fewest) {
        best = i
        fewest = span
      }
    }
    if (best < 0) throw new Error('ring: too small')
    const pair = [this.live[best], this.live[best + 1]]
    this.generation++
    const page = {
      address: this.free[0],
      generation: this.generation,
      firstSeq: pair[0].firstSeq,
      lastSeq: pair[1].lastSeq,
    }
    await this.writeMerged(page, pair, accepted)
    this.free.shift()
    this.free.push(pair[0].address, pair[1].address)
    this.live = this.live.filter(old => old !== pair[1])
    this.live[best] = page
    this.merges++
  }

  /** Writes the pair's records, merged by twos, or by as many as it takes to fit; header last. */
  private async writeMerged(page: Page, pair: Page[], accepted: Accepted): Promise<void> {
    const bytes = Buffer.alloc(this.place.pageBytes)
    let group = 2
    while (!(await this.fill(bytes, page.generation, pair, group, accepted))) group++
    await this.parts.write(page.address, Buffer.alloc(HEADER_BYTES))
    await this.parts.write(page.address + HEADER_BYTES, bytes.slice(HEADER_BYTES, bytes.length))
    const header = Buffer.alloc(HEADER_BYTES)
    this.putHeader(header, page)
    await this.parts.write(page.address, header)
  }

  /** Whether the pair's records fit into a page, `group` of them merged to one. */
  private async fill(
    bytes: Buffer,
    generation: number,
    pair: Page[],
    group: number,
    accepted: Accepted,
  ): Promise<boolean> {
    const to: Filling = { bytes, at: HEADER_BYTES, prior: [], generation }
    let merged: IntervalRecord | null = null
    let count = 0
    for (let i = 0; i < 2; i++) {
      const cursor = await this.cursorOf(pair[i])
      for (let record = cursor.next(); record !== null; record = cursor.next()) {
        if (record.lastSeq <= accepted.throughSeq) continue
        merged = merged === null ? record : mergeRecords(merged, record)
        count++
        if (count % group === 0 || record.lastSeq === accepted.batchLastSeq) {
          if (!this.put(to, merged)) return false
          merged = null
        }
        await this.rest(cursor.count)
      }
    }
    return merged === null || this.put(to, merged)
  }

  /** Whether the record still fitted. */
  private put(to: Filling, record: IntervalRecord): boolean {
    const entry = this.encode(record, to.prior, to.generation)
    if (to.at + entry.length > to.bytes.length) return false
    to.bytes.set(entry, to.at)
    to.at += entry.length - 1
    to.prior = lastTwo(to.prior, record)
    return true
  }

  /** Delta, crc, and the mark that ends the page. */
  private encode(record: IntervalRecord, prior: IntervalRecord[], generation: number): Buffer {
    const chain = prior.length === 0 ? [emptyRecord()] : prior.slice(0)
    chain.push(record)
    const out = { bytes: Buffer.alloc(MAX_ENTRY_BYTES), at: 0 }
    putDelta(out, chain, chain.length - 1)
    const crc = this.parts.crc32(out.bytes, 0, out.at, generation)
    out.bytes[out.at] = (crc >>> 8) & 255
    out.bytes[out.at + 1] = crc & 255
    return out.bytes.slice(0, out.at + 3)
  }

  private async cursorOf(page: Page): Promise<Cursor> {
    const bytes = await this.parts.read(page.address, this.place.pageBytes)
    return new Cursor(bytes, page.generation, this.parts.crc32)
  }

  /** A record costs a few thousand machine steps: lets other fibers run after every eighth. */
  private async rest(count: number): Promise<void> {
    if (count % 8 === 0) await this.parts.pause()
  }

  private putHeader(bytes: Buffer, page: Page): void {
    putU32(bytes, 0, page.generation)
    putU32(bytes, 4, page.firstSeq)
    putU32(bytes, 8, page.lastSeq)
    putU32(bytes, 12, this.parts.crc32(bytes, 0, 12, page.address))
  }

  private toPage(bytes: Bytes, address: number): Page | null {
    if (getU32(bytes, 12) !== this.parts.crc32(bytes, 0, 12, address)) return null
    const generation = getU32(bytes, 0)
    return { address, generation, firstSeq: getU32(bytes, 4), lastSeq: getU32(bytes, 8) }
  }
}

/** Reads a page's records one by one, so that never more than three stand in memory. */
class Cursor {
  /** Where the next entry begins, or the end mark stands. */
  at = HEADER_BYTES
  count = 0
  /** The last two records. */
  prior: IntervalRecord[] = []
  private bytes: Buffer
  private generation: number
  private crc32: RingParts['crc32']

  constructor(bytes: Buffer, generation: number, crc: RingParts['crc32']) {
    this.bytes = bytes
    this.generation = generation
    this.crc32 = crc
  }

  /** The next record; null at the end mark, or where a damaged entry ends the page. */
  next(): IntervalRecord | null {
    const { bytes, at } = this
    if (at >= bytes.length || bytes[at] === 0) return null
    const length = bytes[at] === 0x58 ? 2 + bytes[at + 1] : 1 + bytes[at] - 0x40
    if (length < 1 || at + length + 2 > bytes.length) return null
    const crc = this.crc32(bytes, at, at + length, this.generation)
    if (((crc >>> 8) & 255) !== bytes[at + length]) return null
    if ((crc & 255) !== bytes[at + length + 1]) return null
    const from = { bytes, at, end: at + length }
    const record = takeDelta(from, this.count === 0 ? [emptyRecord()] : this.prior)
    this.prior = lastTwo(this.prior, record)
    this.at = at + length + 2
    this.count++
    return record
  }
}

function lastTwo(prior: IntervalRecord[], record: IntervalRecord): IntervalRecord[] {
  return prior.length > 0 ? [prior[prior.length - 1], record] : [record]
}

/**
 * One record for two neighbours: the later one's counters, the extremes of both, the mean weighted
 * by the intervals that each covers, every flag of either.
 */
export function mergeRecords(earlier: IntervalRecord, later: IntervalRecord): IntervalRecord {
  const merged = emptyRecord()
  Object.assign(merged, later)
  const before = earlier.lastSeq - earlier.firstSeq + 1
  const after = later.lastSeq - later.firstSeq + 1
  merged.firstSeq = earlier.firstSeq
  merged.minMilliW = Math.min(earlier.minMilliW, later.minMilliW)
  merged.maxMilliW = Math.max(earlier.maxMilliW, later.maxMilliW)
  const sum = earlier.meanMilliW * before + later.meanMilliW * after
  merged.meanMilliW = Math.round(sum / (before + after))
  merged.flags = earlier.flags | later.flags | FLAG.merged
  return merged
}

/** Whether a merged page stands for `page`: it was made of it, and is newer. */
function outranked(merged: Page[], page: Page): boolean {
  return merged.some(other => {
    const within = page.firstSeq >= other.firstSeq && page.firstSeq <= other.lastSeq
    return within && page.generation < other.generation
  })
}

function putU32(bytes: Buffer, at: number, value: number): void {
  bytes[at] = Math.floor(value / 16777216) % 256
  bytes[at + 1] = Math.floor(value / 65536) % 256
  bytes[at + 2] = Math.floor(value / 256) % 256
  bytes[at + 3] = value % 256
}

function getU32(bytes: Bytes, at: number): number {
  return bytes[at] * 16777216 + bytes[at + 1] * 65536 + bytes[at + 2] * 256 + bytes[at + 3]
}
