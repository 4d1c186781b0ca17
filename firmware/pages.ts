// Which pages of the ring hold records, oldest first, and which hold none: tables of 13 bytes and of
// one a page, for a memory of 128 KB has 122 of them, and an object for each would take a sixth of
// the meter's heap.
//
// Owns the tables' bytes, which never leave the heap. It reads no memory (ring.ts does).
//
//   number u8 ‖ generation u32 ‖ firstSeq u32 ‖ lastSeq u32
import { getNumber, putNumber } from './cell.js'
import type { Page } from './page.js'

const ROW_BYTES = 13

export class Pages {
  count = 0
  private bytes: Buffer
  private start: number
  private pageBytes: number

  /** At most 256 pages, the first at `start`. */
  constructor(pages: number, start: number, pageBytes: number) {
    this.bytes = Buffer.alloc(pages * ROW_BYTES)
    this.start = start
    this.pageBytes = pageBytes
  }

  get(index: number): Page {
    const at = index * ROW_BYTES
    return {
      address: this.start + this.bytes[at] * this.pageBytes,
      generation: getNumber(this.bytes, at + 1, 4),
      firstSeq: this.firstSeq(index),
      lastSeq: this.lastSeq(index),
    }
  }

  firstSeq(index: number): number {
    return getNumber(this.bytes, index * ROW_BYTES + 5, 4)
  }

  lastSeq(index: number): number {
    return getNumber(this.bytes, index * ROW_BYTES + 9, 4)
  }

  set(index: number, page: Page): void {
    const at = index * ROW_BYTES
    this.bytes[at] = (page.address - this.start) / this.pageBytes
    putNumber(this.bytes, at + 1, 4, page.generation)
    putNumber(this.bytes, at + 5, 4, page.firstSeq)
    this.setLastSeq(index, page.lastSeq)
  }

  setLastSeq(index: number, lastSeq: number): void {
    putNumber(this.bytes, index * ROW_BYTES + 9, 4, lastSeq)
  }

  /** Puts a page where its first sequence number belongs, and its generation among equals. */
  insert(page: Page): void {
    let index = this.count
    while (index > 0 && isBefore(page, this.get(index - 1))) {
      this.set(index, this.get(index - 1))
      index--
    }
    this.set(index, page)
    this.count++
  }

  remove(index: number): void {
    for (let i = index; i + 1 < this.count; i++) this.set(i, this.get(i + 1))
    this.count--
  }
}

function isBefore(a: Page, b: Page): boolean {
  return a.firstSeq < b.firstSeq || (a.firstSeq === b.firstSeq && a.generation < b.generation)
}

/** The pages that hold no records, first in, first out: a byte for each. */
export class FreePages {
  count = 0
  private numbers: Buffer
  private start: number
  private pageBytes: number

  constructor(pages: number, start: number, pageBytes: number) {
    this.numbers = Buffer.alloc(pages)
    this.start = start
    this.pageBytes = pageBytes
  }

  /** The address of the one that is next. */
  first(): number {
    return this.start + this.numbers[0] * this.pageBytes
  }

  add(address: number): void {
    this.numbers[this.count] = (address - this.start) / this.pageBytes
    this.count++
  }

  takeFirst(): void {
    for (let i = 0; i + 1 < this.count; i++) this.numbers[i] = this.numbers[i + 1]
    this.count--
  }
}
