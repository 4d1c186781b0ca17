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
import { FreePages, Pages } from './pages.js'
import { emptyRecord } from './wire.js'
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

/** Two pages to be made one. */
interface Merging {
  page: Page
  pair: Page[]
  /** How many records become one. */
  group: number
  accepted: Accepted
  /** Only to see whether they fit. */
  isTrial: boolean
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
  private free: FreePages
  private generation = 0
  /** Where the next entry goes in the last page; 0 if that page is closed. */
  private at = 0
  /** The last two records of that page: what the next delta is taken from. */
  private prior: IntervalRecord[] = []
  /** A write failed there: an entry may stand where the next one goes. */
  private torn = false
  private held = false
  /** A page that is read: taken once, for free parts of the heap are smaller. */
  private read: Buffer

  constructor(parts: RingParts, place: RingPlace) {
    this.parts = parts
    this.place = place
    this.read = Buffer.alloc(place.pageBytes)
    this.live = new Pages(place.pages, place.start, place.pageBytes)
    this.free = new FreePages(place.pages, place.start, place.pageBytes)
  }

  /** Reads all headers and the newest page; writes nothing. */
  async open(): Promise<void> {
    const merged: Page[] = []
    for (let i = 0; i < this.place.pages; i++) {
      const address = this.place.start + i * this.place.pageBytes
      const header = await readHeader(this.parts.store, address)
      if (header === null) this.free.add(address)
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
      this.free.add(page.address)
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

  /** What {@link each} gives, as many as it gives: for a few. */
  async readFrom(fromSeq: number, limit: number): Promise<IntervalRecord[]> {
    const records: IntervalRecord[] = []
    await this.each(fromSeq, record => {
      if (records.length < limit) records.push(record)
      return records.length < limit
    })
    return records
  }

  /**
   * Gives the records from `fromSeq` on, oldest first, one by one, until `take` wants no more. A merged
   * record that begins earlier is cut to begin there: its counters are those of its end, and stay
   * true. Nothing is appended meanwhile.
   */
  async each(fromSeq: number, take: (record: IntervalRecord) => boolean): Promise<void> {
    await this.hold()
    try {
      let wanted = true
      for (let i = 0; i < this.live.count && wanted; i++) {
        if (this.live.lastSeq(i) < fromSeq) continue
        const cursor = await this.wholeCursor(this.live.get(i))
        for (let record = cursor.next(); record !== null && wanted; record = cursor.next()) {
          if (record.lastSeq >= fromSeq) {
            // The next record is made of this one as it stands in the page.
            const given = record.firstSeq < fromSeq ? cutTo(record, fromSeq) : record
            wanted = take(given)
          }
          await this.parts.pause()
        }
      }
    } finally {
      this.held = false
    }
  }

  /** Once it is seen to reach the page's last record: it ends too early if it is worn, or if a bus spoils it. */
  private async wholeCursor(page: Page): Promise<Cursor> {
    const bytes = await this.readPage(page)
    const cursor = new Cursor(bytes, page.generation)
    let seen = 0
    for (let record = cursor.next(); record !== null; record = cursor.next()) {
      seen = record.lastSeq
      await this.rest(cursor.count)
    }
    if (seen === page.lastSeq) return new Cursor(bytes, page.generation)
    return await this.sureCursor(page)
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
    while (this.free.count < 2) {
      if (this.live.count > 1 && this.live.lastSeq(0) <= accepted.throughSeq) {
        this.free.add(this.live.get(0).address)
        this.live.remove(0)
      } else await this.mergeFinest(accepted)
    }
    const address = this.free.first()
    this.generation++
    const page = { address, generation: this.generation, firstSeq, lastSeq: 0 }
    // The header and the first end mark go in one write: without the mark an old entry might
    // follow.
    const start = Buffer.alloc(HEADER_BYTES + 1)
    putHeader(start, page)
    await this.parts.store.write(address, start)
    page.lastSeq = firstSeq - 1
    this.free.takeFirst()
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
      address: this.free.first(),
      generation: this.generation,
      firstSeq: pair[0].firstSeq,
      lastSeq: pair[1].lastSeq,
    }
    await this.writeMerged(page, pair, accepted)
    this.free.takeFirst()
    this.free.add(pair[0].address)
    this.free.add(pair[1].address)
    this.live.remove(best + 1)
    this.live.set(best, page)
    this.merges++
  }

  /** Writes the pair's records, merged by twos, or by as many as it takes to fit; header last. */
  private async writeMerged(page: Page, pair: Page[], accepted: Accepted): Promise<void> {
    const { store } = this.parts
    let group = 2
    while (!(await this.fill({ page, pair, group, accepted, isTrial: true }))) group++
    await store.write(page.address, Buffer.alloc(HEADER_BYTES))
    if (!(await this.fill({ page, pair, group, accepted, isTrial: false })))
      throw new Error('ring: pages read otherwise than before')
    const header = Buffer.alloc(HEADER_BYTES)
    putHeader(header, page)
    await store.write(page.address, header)
  }

  /** Whether the pair's records fit into a page, `group` of them merged to one. */
  private async fill(merging: Merging): Promise<boolean> {
    const { pair, group, accepted } = merging
    const to = { at: HEADER_BYTES, prior: [] as IntervalRecord[] }
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
          if (!(await this.put(merging, to, merged))) return false
          merged = null
        }
        await this.rest(cursor.count)
      }
    }
    return merged === null || (await this.put(merging, to, merged))
  }

  /** Whether the record still fits; it is written unless this is a trial. */
  private async put(
    { page, isTrial }: Merging,
    to: { at: number; prior: IntervalRecord[] },
    record: IntervalRecord,
  ): Promise<boolean> {
    const entry = encodeEntry(record, to.prior, page.generation)
    if (to.at + entry.length > this.place.pageBytes) return false
    if (!isTrial) await this.parts.store.write(page.address + to.at, entry)
    to.at += entry.length - 1
    to.prior = lastTwo(to.prior, record)
    return true
  }

  private async readPage(page: Page): Promise<Buffer> {
    return await this.parts.store.read(page.address, this.place.pageBytes, this.read)
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

function cutTo(record: IntervalRecord, firstSeq: number): IntervalRecord {
  const cut = emptyRecord()
  Object.assign(cut, record)
  cut.firstSeq = firstSeq
  return cut
}

/** Null if surely no page begins at `address`. */
async function readHeader(store: Store, address: number): Promise<Buffer | null> {
  return await readWhole(store, address, HEADER_BYTES, bytes => isHeader(bytes, address))
}

/** Whether a merged page stands for `page`: it was made of it, and is newer. */
function outranked(merged: Page[], page: Page): boolean {
  return merged.some(other => {
    const within = page.firstSeq >= other.firstSeq && page.firstSeq <= other.lastSeq
    return within && page.generation < other.generation
  })
}
