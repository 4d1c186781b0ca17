// Reports to the ledger: builds a batch of what it lacks, signs it, keeps it whole, posts it
// through the node's relay or directly, and believes nothing but a reply that carries the pairing
// key's tag over this very batch and this attempt's nonce. An untagged answer changes nothing.
//
// Owns the order of these steps. The bytes are those of wire.ts; what must survive is in the
// journal before a byte is sent. It never decides when to report.
import {
  ALG,
  REPLY,
  decodeMac0,
  decodeReply,
  encodeHeader,
  encodeMacStructure,
  encodeSigStructure,
  encodeSign1,
  putDelta,
  putPayloadHead,
  putPayloadTail,
} from './wire.js'
import type { BatchPayload, Gap, IntervalRecord, Reply, Sink, WireError } from './wire.js'

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
  keepBatch(batch: Buffer, about: Outstanding): Promise<void>
  /** Null if it surely is not whole any more. */
  readBatch(isWhole: (batch: Buffer) => boolean): Promise<Buffer | null>
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
  readRecords(fromSeq: number, limit: number): Promise<IntervalRecord[]>
  /** Signs with a fresh index, durable before it is used. */
  sign(message: Buffer): Promise<Buffer>
  /** The key that a batch built now names, null if none. */
  successor(): NextKey | null
  /** Puts the successor of that number in force, for good. */
  adopt(number: number): Promise<void>
  /** Posts `body`; throws if no answer came whole. */
  post(url: string, headers: string[], body: Buffer): Promise<Posted>
  digest(bytes: Buffer): Buffer
  hmac(key: Buffer, bytes: Buffer): Buffer
  random(size: number): Buffer
  /**
   * Awaited between steps, and within them: encoding 24 records would take half the machine steps
   * there may be at once.
   */
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
  /** Where to post, in the order of trying. */
  urls: string[]
}

/** A payload to be signed. */
interface Draft {
  payload: Buffer
  lastSeq: number
  /** Number of the key it names, 0 if none. */
  names: number
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

/** A day of quarters of an hour would be 96: this many stand in memory at once instead. */
const BATCH_RECORDS = 24
/**
 * Base record, deltas, hashes and gaps: 24 quiet records take 560 bytes. To write more bytes than
 * this would also take more machine steps than there may be at once.
 */
const PAYLOAD_BYTES = 1000
/** Each takes some three thousand machine steps, one of wild numbers twice that. */
const DELTAS_BETWEEN_PAUSES = 4
/** Tag, array and empty map. */
const ENVELOPE_BYTES = 3
/** Array, "Signature1" with its head, and the empty external data. */
const SIG_STRUCTURE_BYTES = 13
const HEADER_BYTES = 24
const NONCE_BYTES = 16
const MAX_GAPS = 16
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
    for (let i = 0; i < this.about.urls.length; i++) {
      const nonce = this.parts.random(NONCE_BYTES)
      const posted = await this.post(this.about.urls[i], nonce, batch)
      const reply = posted === null ? null : this.open(posted.body, nonce)
      if (posted !== null && reply !== null) {
        this.parts.synchronise(reply.unixS, posted.sentMs)
        return await this.act(reply)
      }
    }
    return OUTCOME.silent
  }

  /** The outstanding batch as kept, built if there is none; null if there is nothing to report. */
  private async kept(): Promise<Buffer | null> {
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
  private async readBack(): Promise<Buffer | null> {
    const { store, digest } = this.parts
    const { outstanding } = store
    if (outstanding === null) return null
    const { hash } = outstanding
    return await store.readBatch(bytes => equalConstant(digest(bytes), hash))
  }

  /** Whether there was something to build a batch of. Kept whole before this returns. */
  private async build(): Promise<boolean> {
    const { store } = this.parts
    const firstSeq = store.link.nextSeq
    // The records go out of reach here: they and a signature would crowd a heap of 64 KB.
    const draft = await this.draft(firstSeq)
    if (draft === null) return false
    await this.parts.pause()
    const batch = await this.signed(draft.payload)
    await this.parts.pause()
    const hash = this.parts.digest(batch)
    const { lastSeq, names } = draft
    await store.keepBatch(batch, { lengthBytes: batch.length, firstSeq, lastSeq, hash, names })
    return true
  }

  /** The payload of what the ledger lacks from `firstSeq` on; null if that is nothing. */
  private async draft(firstSeq: number): Promise<Draft | null> {
    const next = this.parts.successor()
    // A batch that names a key is public whatever the owner chose (docs/wire.md): short, then.
    const found = await this.parts.readRecords(firstSeq, next === null ? BATCH_RECORDS : 1)
    if (found.length === 0) return null
    const bytes = Buffer.alloc(PAYLOAD_BYTES)
    const out = { bytes, at: 0 }
    let records = withFewGaps(found, firstSeq)
    await this.parts.pause()
    while (!(await this.encoded(out, records, { firstSeq, next }))) {
      records = records.slice(0, Math.ceil(records.length / 2))
      await this.parts.pause()
    }
    return {
      payload: bytes.slice(0, out.at),
      lastSeq: records[records.length - 1].lastSeq,
      names: next === null ? 0 : next.number,
    }
  }

  /** Whether the records fitted: a node that claims wild numbers makes large ones. One fits. */
  private async encoded(
    out: Sink,
    records: IntervalRecord[],
    { firstSeq, next }: { firstSeq: number; next: NextKey | null },
  ): Promise<boolean> {
    out.at = 0
    try {
      await this.encode(out, {
        meterId: this.about.meterId,
        records,
        previous: this.parts.store.link.lastHash,
        firmwareHash: this.about.firmwareHash,
        gaps: gapsOf(records, firstSeq),
        successor: next === null ? null : next.publicKey,
      })
      return true
    } catch (error) {
      if ((error as WireError).code !== 'overflow' || records.length === 1) throw error
      return false
    }
  }

  private async encode(out: Sink, payload: BatchPayload<Buffer>): Promise<void> {
    putPayloadHead(out, payload)
    for (let i = 1; i < payload.records.length; i++) {
      putDelta(out, payload.records, i)
      if (i % DELTAS_BETWEEN_PAUSES === 0) await this.parts.pause()
    }
    putPayloadTail(out, payload)
  }

  private async signed(payload: Buffer): Promise<Buffer> {
    const header = headerOf(this.about.meterId)
    const message = covered(header, payload)
    await this.parts.pause()
    const signature = await this.parts.sign(message)
    await this.parts.pause()
    return sealed(header, payload, signature)
  }

  /** The answer, whatever its status; null if there was none. */
  private async post(url: string, nonce: Buffer, batch: Buffer): Promise<Posted | null> {
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
  return covered(headerOf(meterId), payload)
}

/** The COSE_Sign1 of a payload and the signature over {@link signedPart}. */
export function signedMessage(meterId: Buffer, payload: Buffer, signature: Buffer): Buffer {
  return sealed(headerOf(meterId), payload, signature)
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

/** What is missing between the sequence number wanted and the records at hand. */
export function gapsOf(records: IntervalRecord[], nextSeq: number): Gap[] {
  const gaps: Gap[] = []
  let seq = nextSeq
  records.forEach(record => {
    if (record.firstSeq > seq) gaps.push({ firstSeq: seq, lastSeq: record.firstSeq - 1 })
    seq = record.lastSeq + 1
  })
  return gaps
}

/** The records before which at most as many gaps lie as a batch may declare. */
function withFewGaps(records: IntervalRecord[], nextSeq: number): IntervalRecord[] {
  let count = records.length
  while (gapsOf(records.slice(0, count), nextSeq).length > MAX_GAPS) count--
  return records.slice(0, count)
}

function headerOf(meterId: Buffer): Buffer {
  const out = { bytes: Buffer.alloc(HEADER_BYTES), at: 0 }
  encodeHeader(out, ALG.hssLms, meterId)
  return out.bytes.slice(0, out.at)
}

function covered(header: Buffer, payload: Buffer): Buffer {
  const strings = stringBytes(header) + stringBytes(payload)
  const out = { bytes: Buffer.alloc(SIG_STRUCTURE_BYTES + strings), at: 0 }
  encodeSigStructure(out, header, payload)
  return out.bytes
}

function sealed(header: Buffer, payload: Buffer, signature: Buffer): Buffer {
  // Just so many bytes: cut to length, two kilobytes would stand twice in a heap of 64.
  const strings = stringBytes(header) + stringBytes(payload) + stringBytes(signature)
  const out = { bytes: Buffer.alloc(ENVELOPE_BYTES + strings), at: 0 }
  encodeSign1(out, header, payload, signature)
  return out.bytes
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
