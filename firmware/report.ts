// Reports to the ledger: builds a batch of what it lacks, signs it, keeps it whole, posts it
// through the node's relay or directly, and believes nothing but a reply that carries the pairing
// key's tag over this very batch and this attempt's nonce. An untagged answer changes nothing.
//
// Owns the order of these steps. The bytes are those of wire.ts; what must survive is in the
// journal before a byte is sent. It never decides when to report.
import {
  ALG,
  MAX_GAPS,
  REPLY,
  decodeMac0,
  decodeReply,
  encodeHeader,
  encodeMacStructure,
  encodeSigStructure,
  encodeSign1Head,
  putDelta,
  putPayloadHead,
  putPayloadTail,
} from './wire.js'
import type { Gap, IntervalRecord, PayloadFrame, Reply } from './wire.js'

export interface Link {
  lastHash: Buffer | null
  nextSeq: number
  entryIndex: number
  ackedUnixS: number
}

export interface Outstanding {
  lengthBytes: number
  firstSeq: number
  lastSeq: number
  hash: Buffer
  /** Number of the key that it names as its own key's successor, 0 if it names none. */
  names: number
}

/** What must survive (journal.ts). */
export interface ReportStore {
  link: Link
  outstanding: Outstanding | null
  /** In pieces: where what is free lies in small parts, two kilobytes find no room. */
  keepBatch(batch: Buffer[], about: Outstanding): Promise<void>
  /** In any pieces; null if it surely is not whole any more. */
  readBatch(isWhole: (batch: Buffer[]) => boolean): Promise<Buffer[] | null>
  dropBatch(): Promise<void>
  accept(link: Link): Promise<void>
}

/** The key that signs after the one in force. */
export interface NextKey {
  number: number
  publicKey: Buffer
}

export interface ReportParts {
  store: ReportStore
  /** Gives the records from `fromSeq` on, oldest first, until `take` wants no more. */
  eachRecord(fromSeq: number, take: (record: IntervalRecord) => boolean): Promise<void>
  /** Signs with a fresh index, durable before it is used. */
  sign(message: Buffer): Promise<Buffer[]>
  /** The key that a batch built now names, null if none. */
  successor(): NextKey | null
  /** A thousand bytes to draft in, which nobody else uses until something is signed. */
  scratch: Buffer
  /** Puts the successor of that number in force, for good. */
  adopt(number: number): Promise<void>
  /** Where to post, in the order of trying. */
  urls(): string[]
  /** Posts `body`; throws if no answer came whole. */
  post(url: string, headers: string[], body: Buffer[]): Promise<Posted>
  /** SHA-256 of the pieces, one after the other. */
  digest(pieces: Buffer[]): Buffer
  hmac(key: Buffer, bytes: Buffer): Buffer
  random(size: number): Buffer
  /** Awaited between steps. */
  pause(): Promise<void>
  /** Takes the time of a reply whose request went out at `sentMs`. */
  synchronise(unixS: number, sentMs: number): void
}

export interface Posted {
  body: Buffer
  sentMs: number
}

export interface Reporting {
  meterId: Buffer
  origin: string
  pairKey: Buffer
  firmwareHash: Buffer
}

/** How an attempt ended. */
export const OUTCOME = {
  /** There is nothing to report. */
  nothing: 0,
  accepted: 1,
  /** The ledger wants another sequence number, and the journal now starts there: try at once. */
  notNext: 2,
  /** The ledger will not have this batch: it was dropped. */
  invalid: 3,
  /** The ledger asks to come later. */
  tryLater: 4,
  /** No authentic reply came. */
  silent: 5,
}

/** A day of quarters of an hour would be 96; so many, with their signature, go through one request. */
const BATCH_RECORDS = 24
/** Base record, deltas, hashes and gaps: 24 quiet records take 560 bytes. */
const PAYLOAD_BYTES = 1000
/** Map, meter id, twenty numbers of nine bytes, and the heads of what follows. */
const PAYLOAD_HEAD_BYTES = 200
/** Two hashes, a key, and the list's head; a gap is a pair of numbers. */
const PAYLOAD_TAIL_BYTES = 130
const GAP_BYTES = 19
/** Head, mask, and twenty changes of eight bytes. */
const MAX_DELTA_BYTES = 165
/** Tag, array, empty map and the signature's head. */
const ENVELOPE_BYTES = 6
/** Array, "Signature1" with its head, and the empty external data. */
const SIG_STRUCTURE_BYTES = 13
const HEADER_BYTES = 24
const NONCE_BYTES = 16
/**
 * What no ledger means: a number that the meter would count to in 60,000 years, a time after 2106.
 * One that lies (or errs) may set the clock; it must not make records that cannot be written.
 */
const SEQ_TOO_FAR = 2147483648
const TIME_TOO_FAR = 4294967296

export class Reporter {
  private parts: ReportParts
  private about: Reporting

  constructor(parts: ReportParts, about: Reporting) {
    this.parts = parts
    this.about = about
  }

  /**
   * Builds a batch if none is outstanding, and tries each address once until a reply is authentic.
   * Returns one of {@link OUTCOME}.
   */
  async attempt(): Promise<number> {
    const batch = await this.kept()
    if (batch === null) return OUTCOME.nothing
    const urls = this.parts.urls()
    for (let i = 0; i < urls.length; i++) {
      const nonce = this.parts.random(NONCE_BYTES)
      const posted = await this.post(urls[i], nonce, batch)
      const reply = posted === null ? null : this.open(posted.body, nonce)
      if (posted !== null && reply !== null) {
        this.parts.synchronise(reply.unixS, posted.sentMs)
        return await this.act(reply)
      }
    }
    return OUTCOME.silent
  }

  /** The outstanding batch as kept, built if there is none; null if there is nothing to report. */
  private async kept(): Promise<Buffer[] | null> {
    const { store } = this.parts
    for (;;) {
      if (store.outstanding === null && !(await this.build())) return null
      const batch = await this.readBack()
      if (batch !== null) return batch
      // Worn in the memory, so nobody has these bytes any more: what they said is said anew.
      await store.dropBatch()
    }
  }

  /** The outstanding batch; null if what was kept surely is not whole any more. */
  private async readBack(): Promise<Buffer[] | null> {
    const { store, digest } = this.parts
    const { outstanding } = store
    if (outstanding === null) return null
    const { hash } = outstanding
    return await store.readBatch(batch => equalConstant(digest(batch), hash))
  }

  /** Whether there was something to build a batch of. Kept whole before this returns. */
  private async build(): Promise<boolean> {
    const { store } = this.parts
    const firstSeq = store.link.nextSeq
    const draft = await this.draft(firstSeq)
    if (draft === null) return false
    await this.parts.pause()
    const batch = await this.signed(draft.payload)
    await this.parts.pause()
    const hash = this.parts.digest(batch)
    const lengthBytes = lengthOf(batch)
    const { lastSeq, names } = draft
    await store.keepBatch(batch, { lengthBytes, firstSeq, lastSeq, hash, names })
    return true
  }

  /** The payload of what the ledger lacks from `firstSeq` on; null if that is nothing. */
  private async draft(
    firstSeq: number,
  ): Promise<{ payload: Buffer; lastSeq: number; names: number } | null> {
    const next = this.parts.successor()
    // A batch that names a key is public whatever the owner chose (docs/wire.md): short, then.
    const draft = new Draft(this.parts.scratch, firstSeq, next === null ? BATCH_RECORDS : 1)
    await this.parts.eachRecord(firstSeq, record => draft.add(record))
    const { first, deltas, gaps, lastSeq } = draft
    if (first === null) return null
    await this.parts.pause()
    const payload = draft.payload({
      meterId: this.about.meterId,
      first,
      deltas,
      previous: this.parts.store.link.lastHash,
      firmwareHash: this.about.firmwareHash,
      gaps,
      successor: next === null ? null : next.publicKey,
    })
    return { payload, lastSeq, names: next === null ? 0 : next.number }
  }

  private async signed(payload: Buffer): Promise<Buffer[]> {
    const { meterId } = this.about
    const signature = await this.parts.sign(signedPart(meterId, payload))
    await this.parts.pause()
    return signedMessage(meterId, payload, signature)
  }

  /** The answer, whatever its status; null if there was none. */
  private async post(url: string, nonce: Buffer, batch: Buffer[]): Promise<Posted | null> {
    const headers = ['Content-Type: application/cose', 'Commons-Nonce: ' + nonce.toString('hex')]
    try {
      return await this.parts.post(url + '/v1/batches', headers, batch)
    } catch (error) {
      return null
    }
  }

  /**
   * The reply in `body` if its tag, addressee, batch and nonce are right; null for anything else.
   */
  private open(body: Buffer, nonce: Buffer): Reply<Buffer> | null {
    const { outstanding } = this.parts.store
    if (outstanding === null) return null
    try {
      const envelope = decodeMac0(body)
      const out = { bytes: Buffer.alloc(body.length + 32), at: 0 }
      encodeMacStructure(out, envelope.header, envelope.payload)
      const tag = this.parts.hmac(this.about.pairKey, out.bytes.slice(0, out.at))
      // Tag first, and whole: what an answer without the key says is not even decoded.
      if (!equalConstant(tag, envelope.proof) || envelope.alg !== ALG.hmac256) return null
      const reply = decodeReply(envelope.payload)
      const mine =
        reply.origin === this.about.origin &&
        equalConstant(reply.meterId, this.about.meterId) &&
        equalConstant(reply.batchHash, outstanding.hash) &&
        equalConstant(reply.nonce, nonce)
      const sane = reply.nextSeq < SEQ_TOO_FAR && reply.unixS < TIME_TOO_FAR
      return mine && sane ? reply : null
    } catch (error) {
      return null
    }
  }

  private async act(reply: Reply<Buffer>): Promise<number> {
    const { store } = this.parts
    const link = {
      lastHash: reply.lastHash,
      nextSeq: reply.nextSeq,
      entryIndex: reply.entryIndex,
      ackedUnixS: reply.unixS,
    }
    if (reply.kind === REPLY.accepted || reply.kind === REPLY.repeated) {
      // First the key: a cut after this sends the same batch again, and it is repeated.
      if (store.outstanding !== null && store.outstanding.names > 0)
        await this.parts.adopt(store.outstanding.names)
      await store.accept(link)
      return OUTCOME.accepted
    }
    if (reply.kind === REPLY.notNext) {
      link.entryIndex = store.link.entryIndex
      link.ackedUnixS = store.link.ackedUnixS
      await store.accept(link)
      return OUTCOME.notNext
    }
    if (reply.kind === REPLY.invalid) {
      await store.dropBatch()
      return OUTCOME.invalid
    }
    return OUTCOME.tryLater
  }
}

/** What a signature by the meter covers. */
export function signedPart(meterId: Buffer, payload: Buffer): Buffer {
  const header = headerOf(meterId)
  const strings = stringBytes(header) + stringBytes(payload)
  const out = { bytes: Buffer.alloc(SIG_STRUCTURE_BYTES + strings), at: 0 }
  encodeSigStructure(out, header, payload)
  return out.bytes
}

/** The COSE_Sign1 of a payload and the signature over {@link signedPart}, in pieces. */
export function signedMessage(meterId: Buffer, payload: Buffer, signature: Buffer[]): Buffer[] {
  const header = headerOf(meterId)
  const strings = stringBytes(header) + stringBytes(payload)
  const out = { bytes: Buffer.alloc(ENVELOPE_BYTES + strings), at: 0 }
  encodeSign1Head(out, header, payload, lengthOf(signature))
  return [out.bytes.slice(0, out.at), ...signature]
}

/**
 * How long to wait after `failures` attempts in a row without success: 30 s, doubled each time up
 * to `mostS`, of which a random half is left out, so that meters do not come back all at once.
 */
export function backOffMs(failures: number, mostS: number, random: number): number {
  let seconds = 30
  for (let i = 1; i < failures && seconds < mostS; i++) seconds *= 2
  return Math.round(Math.min(seconds, mostS) * (500 + 500 * random))
}

/**
 * A payload in the making. Records become deltas as they come, so that never more than three stand in
 * memory; the head, which tells how many there are, is put before them at the end.
 */
class Draft {
  first: IntervalRecord | null = null
  deltas = 0
  lastSeq: number
  /** What is missing between the sequence number wanted and the records. */
  gaps: Gap[] = []
  private mostRecords: number
  /** The last two records: what the next delta is taken from. */
  private prior: IntervalRecord[] = []
  private bytes: Buffer
  private at = PAYLOAD_HEAD_BYTES

  /** `bytes` are its own until {@link payload} has copied what it made there. */
  constructor(bytes: Buffer, firstSeq: number, mostRecords: number) {
    this.bytes = bytes
    this.lastSeq = firstSeq - 1
    this.mostRecords = mostRecords
  }

  /**
   * Takes the record if there is room: a node that claims wild numbers makes large ones. Returns
   * whether there may be room for another.
   */
  add(record: IntervalRecord): boolean {
    const hasGap = record.firstSeq > this.lastSeq + 1
    if (!this.hasRoom(hasGap ? 1 : 0)) return false
    if (hasGap) this.gaps.push({ firstSeq: this.lastSeq + 1, lastSeq: record.firstSeq - 1 })
    this.prior.push(record)
    if (this.first === null) this.first = record
    else {
      const out = { bytes: this.bytes, at: this.at }
      putDelta(out, this.prior, this.prior.length - 1)
      this.at = out.at
      this.deltas++
      if (this.prior.length > 2) this.prior = this.prior.slice(1)
    }
    this.lastSeq = record.lastSeq
    return 1 + this.deltas < this.mostRecords
  }

  private hasRoom(moreGaps: number): boolean {
    const gaps = this.gaps.length + moreGaps
    const rest = PAYLOAD_TAIL_BYTES + gaps * GAP_BYTES
    return gaps <= MAX_GAPS && this.at + MAX_DELTA_BYTES + rest <= PAYLOAD_BYTES
  }

  /** The whole payload, in bytes of its own. */
  payload(frame: PayloadFrame<Buffer>): Buffer {
    const { bytes } = this
    const out = { bytes, at: this.at }
    putPayloadTail(out, frame)
    const head = { bytes, at: 0 }
    putPayloadHead(head, frame)
    // Not a slice: on Node it would be the same bytes, which others use again.
    const payload = Buffer.alloc(head.at + out.at - PAYLOAD_HEAD_BYTES)
    for (let i = 0; i < head.at; i++) payload[i] = bytes[i]
    for (let i = head.at; i < payload.length; i++)
      payload[i] = bytes[PAYLOAD_HEAD_BYTES + i - head.at]
    return payload
  }
}

function headerOf(meterId: Buffer): Buffer {
  const out = { bytes: Buffer.alloc(HEADER_BYTES), at: 0 }
  encodeHeader(out, ALG.hssLms, meterId)
  return out.bytes.slice(0, out.at)
}

function lengthOf(pieces: Buffer[]): number {
  let length = 0
  pieces.forEach(piece => {
    length += piece.length
  })
  return length
}

/** Of a byte string, its head included (RFC 8949 § 3). */
function stringBytes(bytes: Buffer): number {
  const { length } = bytes
  return length + (length < 24 ? 1 : length < 256 ? 2 : 3)
}

/** Compares all of both: how long it takes says nothing about where they differ. */
function equalConstant(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  let difference = 0
  for (let i = 0; i < a.length; i++) difference |= a[i] ^ b[i]
  return difference === 0
}
