// The interval records that wait for the ledger: a ring of pages (page.ts) in FRAM. A record costs
// about 25 bytes, so that 26 pages of 1,024 bytes hold ten days at a quarter of an hour. When they
// are full, the two neighbouring pages of finest resolution become one: an outage of any length
// costs resolution, never totals.
//
// Owns which page holds what, and the order of writing. It never decides what a record says, frees
// nothing that the ledger has not accepted until the room is needed, and takes no page for free and
// no record for the last because a bus said so once.
//
// What a power cut can tear: an entry is written from its second byte on, with the 00 that ends the
// page after it; then its first byte, where a 00 stood. One byte is not torn: the entry is there or
// not. A merged page is written with its header last; then the two that it replaces are free.
import { readWhole } from './cell.js'
import type { Store } from './cell.js'
import {
  Cursor,
  HEADER_BYTES,
  encodeEntry,
  isHeader,
  lastTwo,
  mergeRecords,
  putHeader,
  toPage,
} from './page.js'
import type { Page } from './page.js'
import { Pages } from './pages.js'
import type { IntervalRecord } from './wire.js'

export interface RingParts {
  store: Store
  /** Lets other fibers run. */
  pause(): Promise<void>
  /**
   * Sleeps by the clock, while another caller holds the ring: only to let others run would keep that
   * one from its bus for ever.
   */
  wait(): Promise<void>
}

export interface RingPlace {
  start: number
  pageBytes: number
  /** At most 256. */
  pages: number
}

/** What the ring may let go of, and where it must not merge. */
export interface Accepted {
  /** Records up to here are in the ledger. */
  throughSeq: number
  /** Last record of the outstanding batch, 0 if there is none: no merged record may straddle it. */
  batchLastSeq: number
}

/** A page being filled by merging. */
interface Filling {
  bytes: Buffer
  at: number
  prior: IntervalRecord[]
  generation: number
}

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
  /** Pages with records; the last may be open for appending. */
  private live: Pages
  /** Addresses of the others. */
  private free: number[] = []
  private generation = 0
  /** Where the next entry goes in the last page; 0 if that page is closed. */
  private at = 0
  /** The last two records of that page: what the next delta is taken from. */
  private prior: IntervalRecord[] = []
  /** A write failed there: an entry may stand where the next one goes. */
  private torn = false
  private held = false

  constructor(parts: RingParts, place: RingPlace) {
    this.parts = parts
    this.place = place
    this.live = new Pages(place.pages, place.start, place.pageBytes)
  }

  /** Reads all headers and the newest page; writes nothing. */
  async open(): Promise<void> {
    const merged: Page[] = []
    for (let i = 0; i < this.place.pages; i++) {
      const address = this.place.start + i * this.place.pageBytes
      const header = await readHeader(this.parts.store, address)
      if (header === null) this.free.push(address)
      else {
        const page = toPage(header, address)
        this.live.insert(page)
        if (page.lastSeq > 0) merged.push(page)
        this.generation = Math.max(this.generation, page.generation)
      }
      await this.rest(i)
    }
    for (let i = this.live.count - 1; i >= 0; i--) {
      const page = this.live.get(i)
      if (!outranked(merged, page)) continue
      this.free.push(page.address)
      this.live.remove(i)
    }
    const last = this.live.count - 1
    for (let i = 0; i < last; i++)
      if (this.live.lastSeq(i) === 0) this.live.setLastSeq(i, this.live.firstSeq(i + 1) - 1)
    if (last >= 0) await this.openLast(last)
  }

  /** Finds the end of the newest page: what is appended goes there. */
  private async openLast(index: number): Promise<void> {
    const page = this.live.get(index)
    const closed = page.lastSeq > 0
    const cursor = await this.sureCursor(page)
    for (let record = cursor.next(); record !== null; record = cursor.next()) {
      page.lastSeq = record.lastSeq
      await this.rest(cursor.count)
    }
    if (page.lastSeq === 0) page.lastSeq = page.firstSeq - 1
    this.live.setLastSeq(index, page.lastSeq)
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
      let entry = this.at > 0 ? encodeEntry(record, this.prior, this.lastPage().generation) : null
      if (entry === null || this.at + entry.length > this.place.pageBytes) {
        await this.beginPage(record.firstSeq, accepted)
        entry = encodeEntry(record, [], this.generation)
      }
      await this.writeEntry(this.lastPage().address + this.at, entry)
      this.at += entry.length - 1
      this.live.setLastSeq(this.live.count - 1, record.lastSeq)
      this.lastSeq = record.lastSeq
      this.prior = lastTwo(this.prior, record)
    } finally {
      this.held = false
    }
  }

  private async writeEntry(address: number, entry: Buffer): Promise<void> {
    const { store } = this.parts
    if (this.torn) await store.write(address, Buffer.alloc(1))
    this.torn = true
    await store.write(address + 1, entry.slice(1, entry.length))
    await store.write(address, entry.slice(0, 1))
    this.torn = false
  }

  /**
   * Up to `limit` records from `fromSeq` on, oldest first. A merged record that begins earlier is
   * cut to begin there: its counters are those of its end, and stay true.
   */
  async readFrom(fromSeq: number, limit: number): Promise<IntervalRecord[]> {
    await this.hold()
    const records: IntervalRecord[] = []
    try {
      for (let i = 0; i < this.live.count && records.length < limit; i++) {
        if (this.live.lastSeq(i) < fromSeq) continue
        const page = this.live.get(i)
        const before = records.length
        const cursor = new Cursor(await this.readPage(page), page.generation)
        const seen = await this.take(cursor, fromSeq, limit, records)
        // It ends too early: as a worn page does, or as one that a bus spoils.
        if (records.length < limit && seen !== page.lastSeq) {
          while (records.length > before) records.pop()
          await this.take(await this.sureCursor(page), fromSeq, limit, records)
        }
      }
    } finally {
      this.held = false
    }
    if (records.length > 0 && records[0].firstSeq < fromSeq) records[0].firstSeq = fromSeq
    return records
  }

  /** Adds what the cursor gives from `fromSeq` on; returns the last sequence number seen. */
  private async take(
    cursor: Cursor,
    fromSeq: number,
    limit: number,
    records: IntervalRecord[],
  ): Promise<number> {
    let seen = 0
    let record = cursor.next()
    while (record !== null && records.length < limit) {
      seen = record.lastSeq
      if (seen >= fromSeq) records.push(record)
      await this.rest(cursor.count)
      record = cursor.next()
    }
    return seen
  }

  private async hold(): Promise<void> {
    while (this.held) await this.parts.wait()
    this.held = true
  }

  private lastPage(): Page {
    return this.live.get(this.live.count - 1)
  }

  /** Opens an empty page after the last one. One page stays spare: merging writes there. */
  private async beginPage(firstSeq: number, accepted: Accepted): Promise<void> {
    this.at = 0
    while (this.free.length < 2) {
      if (this.live.count > 1 && this.live.lastSeq(0) <= accepted.throughSeq) {
        this.free.push(this.live.get(0).address)
        this.live.remove(0)
      } else await this.mergeFinest(accepted)
    }
    const address = this.free[0]
    this.generation++
    const page = { address, generation: this.generation, firstSeq, lastSeq: 0 }
    // The header and the first end mark go in one write: without the mark an old entry might
    // follow.
    const start = Buffer.alloc(HEADER_BYTES + 1)
    putHeader(start, page)
    await this.parts.store.write(address, start)
    page.lastSeq = firstSeq - 1
    this.free.shift()
    this.live.set(this.live.count, page)
    this.live.count++
    this.at = HEADER_BYTES
    this.torn = false
    this.prior = []
  }

  /** Makes one page of the two neighbours that span the fewest intervals, the oldest such pair. */
  private async mergeFinest(accepted: Accepted): Promise<void> {
    let best = -1
    let fewest = 0
    for (let i = 0; i + 1 < this.live.count; i++) {
      const span = this.live.lastSeq(i + 1) - this.live.firstSeq(i)
      if (best < 0 || span < fewest) {
        best = i
        fewest = span
      }
    }
    if (best < 0) throw new Error('ring: too small')
    const pair = [this.live.get(best), this.live.get(best + 1)]
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
    this.live.remove(best + 1)
    this.live.set(best, page)
    this.merges++
  }

  /** Writes the pair's records, merged by twos, or by as many as it takes to fit; header last. */
  private async writeMerged(page: Page, pair: Page[], accepted: Accepted): Promise<void> {
    const { store } = this.parts
    const bytes = Buffer.alloc(this.place.pageBytes)
    let group = 2
    while (!(await this.fill(bytes, page.generation, pair, group, accepted))) group++
    await store.write(page.address, Buffer.alloc(HEADER_BYTES))
    await store.write(page.address + HEADER_BYTES, bytes.slice(HEADER_BYTES, bytes.length))
    const header = Buffer.alloc(HEADER_BYTES)
    putHeader(header, page)
    await store.write(page.address, header)
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
      // What is not seen here is lost.
      const cursor = await this.sureCursor(pair[i])
      for (let record = cursor.next(); record !== null; record = cursor.next()) {
        if (record.lastSeq <= accepted.throughSeq) continue
        merged = merged === null ? record : mergeRecords(merged, record)
        count++
        if (count % group === 0 || record.lastSeq === accepted.batchLastSeq) {
          if (!put(to, merged)) return false
          merged = null
        }
        await this.rest(cursor.count)
      }
    }
    return merged === null || put(to, merged)
  }

  private async readPage(page: Page): Promise<Buffer> {
    return await this.parts.store.read(page.address, this.place.pageBytes)
  }

  private async sureCursor(page: Page): Promise<Cursor> {
    const { store } = this.parts
    const bytes = await store.readSure(page.address, await this.readPage(page))
    return new Cursor(bytes, page.generation)
  }

  /** A record costs a few thousand machine steps: lets other fibers run after every eighth. */
  private async rest(count: number): Promise<void> {
    if (count % 8 === 0) await this.parts.pause()
  }
}

/** Null if surely no page begins at `address`. */
async function readHeader(store: Store, address: number): Promise<Buffer | null> {
  return await readWhole(store, address, HEADER_BYTES, bytes => isHeader(bytes, address))
}

/** Whether the record still fitted. */
function put(to: Filling, record: IntervalRecord): boolean {
  const entry = encodeEntry(record, to.prior, to.generation)
  if (to.at + entry.length > to.bytes.length) return false
  to.bytes.set(entry, to.at)
  to.at += entry.length - 1
  to.prior = lastTwo(to.prior, record)
  return true
}

/** Whether a merged page stands for `page`: it was made of it, and is newer. */
function outranked(merged: Page[], page: Page): boolean {
  return merged.some(other => {
    const within = page.firstSeq >= other.firstSeq && page.firstSeq <= other.lastSeq
    return within && page.generation < other.generation
  })
}
