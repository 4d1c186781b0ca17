// A page of interval records in FRAM: its header, and its records one after the other, each as the
// change from those before it.
//
// Owns the bytes of a page. It never reads or writes a memory, and knows no other page (ring.ts).
//
//   page     generation u32 ‖ firstSeq u32 ‖ lastSeq u32 ‖ crc u32 ‖ entry… ‖ 00
//   entry    delta ‖ crc u16
//
// generation rises with each page begun. lastSeq is 0 in a page that is appended to; a page made by
// merging names its last, and outranks every older page that begins within it. The page's crc is
// CRC-32 over (page's address ‖ the three numbers). A delta is a byte string as in a batch
// (wire.ts): the first is taken from a record of zeros, the second from the first alone. An entry's
// crc is the low half of CRC-32 over (generation ‖ delta).
import { crc32, getNumber, putNumber } from './cell.js'
import { FLAG, emptyRecord, putDelta, takeDelta } from './wire.js'
import type { Bytes, IntervalRecord } from './wire.js'

export interface Page {
  address: number
  generation: number
  firstSeq: number
  /** Last record's; of the page appended to, the last one yet, or firstSeq - 1. */
  lastSeq: number
}

export const HEADER_BYTES = 16
/**
 * The longest delta: head, mask, and twenty changes of eight bytes; then its crc and the end mark.
 */
const MAX_ENTRY_BYTES = 2 + 3 + 160 + 3

export function putHeader(bytes: Buffer, page: Page): void {
  putNumber(bytes, 0, 4, page.generation)
  putNumber(bytes, 4, 4, page.firstSeq)
  putNumber(bytes, 8, 4, page.lastSeq)
  putNumber(bytes, 12, 4, crc32(bytes, 0, 12, page.address))
}

/** Whether `bytes` begin with the header of a page at `address`. */
export function isHeader(bytes: Bytes, address: number): boolean {
  return getNumber(bytes, 12, 4) === crc32(bytes, 0, 12, address)
}

/** What a header says that {@link isHeader}. */
export function toPage(bytes: Bytes, address: number): Page {
  return {
    address,
    generation: getNumber(bytes, 0, 4),
    firstSeq: getNumber(bytes, 4, 4),
    lastSeq: getNumber(bytes, 8, 4),
  }
}

/** Delta, crc, and the mark that ends the page. */
export function encodeEntry(
  record: IntervalRecord,
  prior: IntervalRecord[],
  generation: number,
): Buffer {
  const chain = prior.length === 0 ? [emptyRecord()] : prior.slice(0)
  chain.push(record)
  const out = { bytes: Buffer.alloc(MAX_ENTRY_BYTES), at: 0 }
  putDelta(out, chain, chain.length - 1)
  putNumber(out.bytes, out.at, 2, crc32(out.bytes, 0, out.at, generation) & 0xffff)
  return out.bytes.slice(0, out.at + 3)
}

/** Reads a page's records one by one, so that never more than three stand in memory. */
export class Cursor {
  /** Where the next entry begins, or the end mark stands. */
  at = HEADER_BYTES
  count = 0
  /** The last two records. */
  prior: IntervalRecord[] = []
  private bytes: Buffer
  private generation: number

  constructor(bytes: Buffer, generation: number) {
    this.bytes = bytes
    this.generation = generation
  }

  /** The next record; null at the end mark, or where a damaged entry ends the page. */
  next(): IntervalRecord | null {
    const { bytes, at } = this
    if (at >= bytes.length || bytes[at] === 0) return null
    const length = bytes[at] === 0x58 ? 2 + bytes[at + 1] : 1 + bytes[at] - 0x40
    if (length < 1 || at + length + 2 > bytes.length) return null
    const crc = crc32(bytes, at, at + length, this.generation) & 0xffff
    if (crc !== getNumber(bytes, at + length, 2)) return null
    const from = { bytes, at, end: at + length }
    const record = takeDelta(from, this.count === 0 ? [emptyRecord()] : this.prior)
    this.prior = lastTwo(this.prior, record)
    this.at = at + length + 2
    this.count++
    return record
  }
}

/** The records that the next delta is taken from. */
export function lastTwo(prior: IntervalRecord[], record: IntervalRecord): IntervalRecord[] {
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
