// The wire format between meter and ledger: interval records, batches, the enrolment statement,
// replies, and the COSE envelopes around them. docs/wire.md draws the same bytes as CDDL.
//
// Shared, byte for byte, by the meter's virtual machine and by Node, therefore: imports nothing,
// uses no Uint8Array, BigInt, bit shifts above 31 bits or regular expressions. It never signs,
// hashes or keeps anything. Encoders write into bytes that the caller owns; decoders accept exactly
// what the encoders write (RFC 8949 § 4.2.1, shortest forms) and throw a WireError otherwise.

/** Bytes to read or write, as both runtimes have them. */
export interface Bytes {
  [index: number]: number
  readonly length: number
}

/** Bytes that can be cut: `Uint8Array` in Node, `Buffer` in DeviceScript. */
export interface SliceOf<B> extends Bytes {
  slice(start?: number, end?: number): B
}

/** Where an encoder writes next: `bytes[at]`. The caller sizes `bytes`; overflow throws. */
export interface Sink {
  bytes: Bytes
  at: number
}

/** Where a decoder reads next: `bytes[at]`, below `end`. */
export interface Source {
  bytes: Bytes
  at: number
  end: number
}

/** Thrown for every byte that is not as written here; the message starts with a closed code. */
export class WireError extends Error {
  code: string
  constructor(code: string, detail: string) {
    super(code + ': ' + detail)
    this.code = code
  }
}

// ---------------------------------------------------------------- interval record

/**
 * Cumulative counters at the end of an interval. Every field is an integer in 0 … 2^51 − 1, so that
 * the difference to a prediction by slope stays exact: 2 GWh, 2 PB, seventy million years.
 */
export interface IntervalRecord {
  /** First and last sequence number that this record covers; equal unless merged. */
  firstSeq: number
  lastSeq: number
  /** Which boot of the meter; rises by one each time. */
  bootId: number
  /** Seconds since that boot. */
  uptimeS: number
  /** Unix time, as well as `timeState` says: 0 unknown, 1 set, 2 synchronised. */
  unixS: number
  timeState: number
  /** Measured: energy since the meter was first started. */
  energyMicroWh: number
  /** Measured: power within the interval. */
  minMilliW: number
  meanMilliW: number
  maxMilliW: number
  /** Measured: reachability since first start; the three durations sum to the meter's time. */
  probesMade: number
  probesAnswered: number
  upS: number
  downS: number
  unknownS: number
  /** Claimed by the node: traffic since first start, its restarts bridged. */
  wanInBytes: number
  wanOutBytes: number
  /** Claimed by the node. */
  diskUsedBytes: number
  /** Sum of FLAG values. */
  flags: number
  /** Which calibration the measured power used. */
  calibrationId: number
}

type Field = keyof IntervalRecord

/** How a delta predicts a field: as it was, one after the last, as the line before, or rising as before. */
type Prediction = 'same' | 'next' | 'single' | 'slope'

interface FieldRule {
  name: Field
  predict: Prediction
}

/** The fields in wire order: the position is the array index and the mask bit. */
export const FIELDS: FieldRule[] = [
  { name: 'firstSeq', predict: 'next' },
  { name: 'lastSeq', predict: 'single' },
  { name: 'bootId', predict: 'same' },
  { name: 'uptimeS', predict: 'slope' },
  { name: 'unixS', predict: 'slope' },
  { name: 'timeState', predict: 'same' },
  { name: 'energyMicroWh', predict: 'slope' },
  { name: 'minMilliW', predict: 'same' },
  { name: 'meanMilliW', predict: 'same' },
  { name: 'maxMilliW', predict: 'same' },
  { name: 'probesMade', predict: 'slope' },
  { name: 'probesAnswered', predict: 'slope' },
  { name: 'upS', predict: 'slope' },
  { name: 'downS', predict: 'slope' },
  { name: 'unknownS', predict: 'slope' },
  { name: 'wanInBytes', predict: 'slope' },
  { name: 'wanOutBytes', predict: 'slope' },
  { name: 'diskUsedBytes', predict: 'same' },
  { name: 'flags', predict: 'same' },
  { name: 'calibrationId', predict: 'same' },
]

/** Bits of `flags`: what happened within the interval. */
export const FLAG = {
  sensorFault: 1,
  overRange: 2,
  /** The node's counters began anew: it restarted. */
  counterReset: 4,
  clockStep: 8,
  powerLost: 16,
  merged: 32,
  /** A counter of the node ran over its end; nothing was lost by it. */
  counterWrap: 64,
  /** Why the node did not answer: its port is closed, … */
  refused: 128,
  /** … nobody is there, or no such name, … */
  noRoute: 256,
  /** … no answer within the patience, … */
  hung: 512,
  /** … or an answer that is no node's. */
  wrongAnswer: 1024,
  /** The node was found at another address. */
  nodeMoved: 2048,
  /** The meter's memory did not answer, or not rightly. */
  memoryFault: 4096,
  /** The meter hashes or signs otherwise than the standards say, and signs nothing while it does. */
  unsound: 8192,
}

// ---------------------------------------------------------------- sizes and names

/** COSE algorithm numbers: RFC 8778, RFC 9864, RFC 9053. */
export const ALG = { hssLms: -46, ed25519: -19, hmac256: 5 }

export const METER_ID_BYTES = 8
export const HASH_BYTES = 32
export const NONCE_BYTES = 16
/** HSS public key with one level of an n = 24 tree: u32 levels, u32 type, u32 type, I, T[1]. */
export const HSS_PUBLIC_KEY_BYTES = 52

/** A day of 15-minute records and one more; a batch of them stays far below the posting limit. */
export const MAX_RECORDS = 97
/** What a meter may declare missing in one batch. */
export const MAX_GAPS = 16
/** A longer origin is refused at pairing; the reply must fit the meter's receive buffer. */
export const MAX_ORIGIN_CHARS = 96
/** Largest signed batch; the ledger refuses more before reading it. */
export const MAX_BATCH_BYTES = 16384

export const ENROL_CONTEXT = 'commons-kit/enrol'

// ---------------------------------------------------------------- batch payload
//
//   a4 … a7                   map
//      01 48 <8>              meter id
//      02 94 <20 uints>       base record, fields in order
//      03 8n (4n <delta>)…    deltas, absent when there is one record
//      04 58 20 <32> | f6     hash of the last accepted batch, null for the first
//      05 58 20 <32>          firmware hash
//      06 8n (82 first last)… sequence numbers that the meter knows are lost, absent if none
//      07 58 34 <52>          the public key that signs from the next batch on, absent if the same
//
//   delta:  mask      LEB128, bit i set iff field i differs from its prediction
//           change…   zigzag LEB128 of (value − prediction), one for each bit set, in field order

export interface Gap {
  firstSeq: number
  lastSeq: number
}

export interface BatchPayload<B extends Bytes> {
  meterId: B
  /** 1 … MAX_RECORDS, sequence numbers rising. */
  records: IntervalRecord[]
  previous: B | null
  firmwareHash: B
  gaps: Gap[]
  /** The HSS public key that signs what follows this batch; null: the key that signs this one. */
  successor: B | null
}

/** A payload but for its deltas, which may come one by one and be gone again. */
export interface PayloadFrame<B extends Bytes> {
  meterId: B
  first: IntervalRecord
  /** How many records follow the first. */
  deltas: number
  previous: B | null
  firmwareHash: B
  gaps: Gap[]
  successor: B | null
}

/** Writes a batch's payload. */
export function encodePayload<B extends Bytes>(out: Sink, payload: BatchPayload<B>): void {
  const { meterId, records, previous, firmwareHash, gaps, successor } = payload
  const count = records.length
  if (count < 1 || count > MAX_RECORDS)
    throw new WireError('record-count', 'expected 1 to ' + MAX_RECORDS + ', got ' + count)
  const first = records[0]
  const frame = { meterId, first, deltas: count - 1, previous, firmwareHash, gaps, successor }
  putPayloadHead(out, frame)
  for (let i = 1; i < count; i++) putDelta(out, records, i)
  putPayloadTail(out, frame)
}

/**
 * The first of three parts of a payload, up to its deltas. {@link putDelta} writes these, and
 * {@link putPayloadTail} the rest: a small machine rests between them.
 */
export function putPayloadHead<B extends Bytes>(out: Sink, frame: PayloadFrame<B>): void {
  const { meterId, first, deltas, gaps, successor } = frame
  if (gaps.length > MAX_GAPS)
    throw new WireError('gap-count', 'expected at most ' + MAX_GAPS + ', got ' + gaps.length)
  let members = 4
  if (deltas > 0) members++
  if (gaps.length > 0) members++
  if (successor !== null) members++
  putHead(out, MAP, members)
  putUint(out, 1)
  putBytes(out, sized(meterId, METER_ID_BYTES, 'meter-id'))
  putUint(out, 2)
  putHead(out, ARRAY, FIELDS.length)
  FIELDS.forEach(rule => putUint(out, checkedField(first[rule.name])))
  if (deltas > 0) {
    putUint(out, 3)
    putHead(out, ARRAY, deltas)
  }
}

/** What follows a payload's last delta. */
export function putPayloadTail<B extends Bytes>(out: Sink, frame: PayloadFrame<B>): void {
  putUint(out, 4)
  putOptionalHash(out, frame.previous)
  putUint(out, 5)
  putBytes(out, sized(frame.firmwareHash, HASH_BYTES, 'firmware-hash'))
  if (frame.gaps.length > 0) {
    putUint(out, 6)
    putHead(out, ARRAY, frame.gaps.length)
    frame.gaps.forEach(gap => {
      putHead(out, ARRAY, 2)
      putUint(out, gap.firstSeq)
      putUint(out, gap.lastSeq)
    })
  }
  if (frame.successor !== null) {
    putUint(out, 7)
    putBytes(out, sized(frame.successor, HSS_PUBLIC_KEY_BYTES, 'successor'))
  }
}

/** Reads what {@link encodePayload} writes, the whole of `bytes`; order of sequence numbers included. */
export function decodePayload<B extends SliceOf<B>>(bytes: B): BatchPayload<B> {
  const from = sourceOf(bytes)
  const members = takeHead(from, MAP, 7)
  takeKey(from, 1)
  const meterId = takeSized(from, bytes, METER_ID_BYTES)
  takeKey(from, 2)
  takeCount(from, FIELDS.length)
  const records = [emptyRecord()]
  FIELDS.forEach(rule => {
    records[0][rule.name] = checkedField(takeUint(from))
  })
  checkSpan(records[0].firstSeq, records[0].lastSeq)
  let seen = 4
  if (peek(from) === 3) {
    seen++
    takeKey(from, 3)
    const deltas = takeHead(from, ARRAY, MAX_RECORDS - 1)
    if (deltas === 0) throw new WireError('not-canonical', 'empty list of deltas')
    for (let i = 0; i < deltas; i++) records.push(takeDelta(from, records))
  }
  takeKey(from, 4)
  const previous = takeOptionalHash(from, bytes)
  takeKey(from, 5)
  const firmwareHash = takeSized(from, bytes, HASH_BYTES)
  const gaps: Gap[] = []
  if (from.at < from.end && peek(from) === 6) {
    seen++
    takeKey(from, 6)
    const count = takeHead(from, ARRAY, MAX_GAPS)
    if (count === 0) throw new WireError('not-canonical', 'empty list of gaps')
    for (let i = 0; i < count; i++) gaps.push(takeGap(from, gaps))
  }
  let successor: B | null = null
  if (from.at < from.end) {
    seen++
    takeKey(from, 7)
    successor = takeSized(from, bytes, HSS_PUBLIC_KEY_BYTES)
  }
  if (seen !== members) throw new WireError('map-size', 'expected ' + seen + ', got ' + members)
  takeEnd(from)
  return { meterId, records, previous, firmwareHash, gaps, successor }
}

export function putDelta(out: Sink, records: IntervalRecord[], index: number): void {
  const record = records[index]
  if (record.firstSeq <= records[index - 1].lastSeq || record.lastSeq < record.firstSeq)
    throw new WireError('sequence', 'records must rise, got ' + record.firstSeq)
  const before = index > 1 ? records[index - 2] : null
  let mask = 0
  let bit = 1
  const changes: number[] = []
  FIELDS.forEach(rule => {
    const value = checkedField(record[rule.name])
    const change = value - predict(rule, record, records[index - 1], before)
    if (change !== 0) {
      mask += bit
      changes.push(change)
    }
    bit *= 2
  })
  const start = out.at
  putHead(out, BYTES, 0)
  putVarint(out, mask)
  changes.forEach(change => putVarint(out, change >= 0 ? change * 2 : -change * 2 - 1))
  fixShortHead(out, start)
}

export function takeDelta(from: Source, records: IntervalRecord[]): IntervalRecord {
  const length = takeHead(from, BYTES, FIELDS.length * 8 + 3)
  const end = from.at + length
  if (end > from.end) throw new WireError('truncated', 'delta')
  const last = records[records.length - 1]
  const before = records.length > 1 ? records[records.length - 2] : null
  const record = emptyRecord()
  let mask = takeVarint(from, end)
  if (mask >= 1048576) throw new WireError('delta-mask', 'unknown field in ' + mask) // 2^20
  FIELDS.forEach(rule => {
    const changed = mask % 2 === 1
    mask = (mask - (changed ? 1 : 0)) / 2
    let change = 0
    if (changed) {
      const zigzag = takeVarint(from, end)
      change = zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
      if (change === 0) throw new WireError('not-canonical', 'change of 0')
    }
    record[rule.name] = checkedField(predict(rule, record, last, before) + change)
  })
  if (from.at !== end) throw new WireError('delta-length', 'trailing bytes in a delta')
  if (record.firstSeq <= last.lastSeq) throw new WireError('sequence', 'records must rise')
  checkSpan(record.firstSeq, record.lastSeq)
  return record
}

function predict(
  rule: FieldRule,
  record: IntervalRecord,
  last: IntervalRecord,
  before: IntervalRecord | null
): number {
  const value = last[rule.name]
  if (rule.predict === 'next') return last.lastSeq + 1
  if (rule.predict === 'single') return record.firstSeq
  if (rule.predict === 'slope' && before !== null) return 2 * value - before[rule.name]
  return value
}

function takeGap(from: Source, gaps: Gap[]): Gap {
  takeCount(from, 2)
  const gap = { firstSeq: takeUint(from), lastSeq: takeUint(from) }
  checkSpan(gap.firstSeq, gap.lastSeq)
  if (gaps.length > 0 && gap.firstSeq <= gaps[gaps.length - 1].lastSeq)
    throw new WireError('sequence', 'gaps must rise')
  return gap
}

/** A record of zeros, with its fields in wire order. */
export function emptyRecord(): IntervalRecord {
  return {
    firstSeq: 0,
    lastSeq: 0,
    bootId: 0,
    uptimeS: 0,
    unixS: 0,
    timeState: 0,
    energyMicroWh: 0,
    minMilliW: 0,
    meanMilliW: 0,
    maxMilliW: 0,
    probesMade: 0,
    probesAnswered: 0,
    upS: 0,
    downS: 0,
    unknownS: 0,
    wanInBytes: 0,
    wanOutBytes: 0,
    diskUsedBytes: 0,
    flags: 0,
    calibrationId: 0,
  }
}

// ---------------------------------------------------------------- enrolment statement
//
//   a5  01 <context>  02 <origin>  03 58 34 <52>  04 58 20 <32>  05 58 20 <32>

/** What the meter signs at pairing, to show that it holds its key. */
export interface EnrolStatement<B extends Bytes> {
  origin: string
  publicKey: B
  nonce: B
  firmwareHash: B
}

export function encodeEnrol<B extends Bytes>(out: Sink, statement: EnrolStatement<B>): void {
  putHead(out, MAP, 5)
  putUint(out, 1)
  putText(out, ENROL_CONTEXT)
  putUint(out, 2)
  putText(out, statement.origin)
  putUint(out, 3)
  putBytes(out, sized(statement.publicKey, HSS_PUBLIC_KEY_BYTES, 'public-key'))
  putUint(out, 4)
  putBytes(out, sized(statement.nonce, HASH_BYTES, 'nonce'))
  putUint(out, 5)
  putBytes(out, sized(statement.firmwareHash, HASH_BYTES, 'firmware-hash'))
}

export function decodeEnrol<B extends SliceOf<B>>(bytes: B): EnrolStatement<B> {
  const from = sourceOf(bytes)
  takeMap(from, 5)
  takeKey(from, 1)
  const context = takeText(from)
  if (context !== ENROL_CONTEXT) throw new WireError('context', 'got ' + context)
  takeKey(from, 2)
  const origin = takeText(from)
  takeKey(from, 3)
  const publicKey = takeSized(from, bytes, HSS_PUBLIC_KEY_BYTES)
  takeKey(from, 4)
  const nonce = takeSized(from, bytes, HASH_BYTES)
  takeKey(from, 5)
  const firmwareHash = takeSized(from, bytes, HASH_BYTES)
  takeEnd(from)
  return { origin, publicKey, nonce, firmwareHash }
}

// ---------------------------------------------------------------- reply
//
//   89  kind  <origin>  48 <8>  58 20 <32>  50 <16>  index  next  58 20 <32> | f6  unix

/** What a reply says of the batch. */
export const REPLY = { accepted: 0, repeated: 1, notNext: 2, invalid: 3, tryLater: 4 }

export interface Reply<B extends Bytes> {
  /** One of {@link REPLY}. */
  kind: number
  origin: string
  meterId: B
  batchHash: B
  nonce: B
  /** The batch's entry in the log; 0 where it was refused. */
  entryIndex: number
  /** The sequence number that the ledger wants next. */
  nextSeq: number
  /** The last batch that the ledger accepted, null before the first. */
  lastHash: B | null
  unixS: number
}

export function encodeReply<B extends Bytes>(out: Sink, reply: Reply<B>): void {
  putHead(out, ARRAY, 9)
  putUint(out, reply.kind)
  putText(out, reply.origin)
  putBytes(out, sized(reply.meterId, METER_ID_BYTES, 'meter-id'))
  putBytes(out, sized(reply.batchHash, HASH_BYTES, 'batch-hash'))
  putBytes(out, sized(reply.nonce, NONCE_BYTES, 'nonce'))
  putUint(out, reply.entryIndex)
  putUint(out, reply.nextSeq)
  putOptionalHash(out, reply.lastHash)
  putUint(out, reply.unixS)
}

export function decodeReply<B extends SliceOf<B>>(bytes: B): Reply<B> {
  const from = sourceOf(bytes)
  takeCount(from, 9)
  const kind = takeUint(from)
  if (kind > REPLY.tryLater) throw new WireError('reply-kind', 'expected 0 to 4, got ' + kind)
  const origin = takeText(from)
  const meterId = takeSized(from, bytes, METER_ID_BYTES)
  const batchHash = takeSized(from, bytes, HASH_BYTES)
  const nonce = takeSized(from, bytes, NONCE_BYTES)
  const entryIndex = takeUint(from)
  const nextSeq = takeUint(from)
  const lastHash = takeOptionalHash(from, bytes)
  const unixS = takeUint(from)
  takeEnd(from)
  return { kind, origin, meterId, batchHash, nonce, entryIndex, nextSeq, lastHash, unixS }
}

// ---------------------------------------------------------------- COSE envelopes (RFC 9052)
//
//   COSE_Sign1   d2 84  <protected>  a0  <payload>  <signature>
//   COSE_Mac0    d1 84  <protected>  a0  <payload>  <tag>
//   protected    bstr of  a2 01 <alg> 04 <kid>   or, without a key id,  a1 01 <alg>

export interface Envelope<B extends Bytes> {
  alg: number
  /** The key's id; null where the header has none. */
  kid: B | null
  /** The serialised protected header, as signed. */
  header: B
  payload: B
  /** The signature, or the tag. */
  proof: B
}

/** Writes a protected header without the byte string around it. */
export function encodeHeader(out: Sink, alg: number, kid: Bytes | null): void {
  putHead(out, MAP, kid === null ? 1 : 2)
  putUint(out, 1)
  if (alg < 0) putHead(out, NEGATIVE, -1 - alg)
  else putUint(out, alg)
  if (kid !== null) {
    putUint(out, 4)
    putBytes(out, kid)
  }
}

/** Writes the bytes that a COSE_Sign1 signature covers (RFC 9052 § 4.4), without external data. */
export function encodeSigStructure(out: Sink, header: Bytes, payload: Bytes): void {
  putCovered(out, 'Signature1', header, payload)
}

/** Writes the bytes that a COSE_Mac0 tag covers (RFC 9052 § 6.3), without external data. */
export function encodeMacStructure(out: Sink, header: Bytes, payload: Bytes): void {
  putCovered(out, 'MAC0', header, payload)
}

export function encodeSign1(out: Sink, header: Bytes, payload: Bytes, signature: Bytes): void {
  putEnvelope(out, 18, header, payload, signature)
}

/** Writes all of a COSE_Sign1 but its last bytes, which are those of the signature. */
export function encodeSign1Head(
  out: Sink,
  header: Bytes,
  payload: Bytes,
  signatureBytes: number
): void {
  putEnvelopeHead(out, 18, header, payload)
  putHead(out, BYTES, signatureBytes)
}

export function encodeMac0(out: Sink, header: Bytes, payload: Bytes, tag: Bytes): void {
  putEnvelope(out, 17, header, payload, tag)
}

export function decodeSign1<B extends SliceOf<B>>(bytes: B): Envelope<B> {
  return takeEnvelope(bytes, 18)
}

export function decodeMac0<B extends SliceOf<B>>(bytes: B): Envelope<B> {
  return takeEnvelope(bytes, 17)
}

function putCovered(out: Sink, context: string, header: Bytes, payload: Bytes): void {
  putHead(out, ARRAY, 4)
  putText(out, context)
  putBytes(out, header)
  putHead(out, BYTES, 0)
  putBytes(out, payload)
}

function putEnvelope(out: Sink, tag: number, header: Bytes, payload: Bytes, proof: Bytes): void {
  putEnvelopeHead(out, tag, header, payload)
  putBytes(out, proof)
}

function putEnvelopeHead(out: Sink, tag: number, header: Bytes, payload: Bytes): void {
  putHead(out, TAG, tag)
  putHead(out, ARRAY, 4)
  putBytes(out, header)
  putHead(out, MAP, 0)
  putBytes(out, payload)
}

function takeEnvelope<B extends SliceOf<B>>(bytes: B, tag: number): Envelope<B> {
  const from = sourceOf(bytes)
  const got = takeHead(from, TAG, 255)
  if (got !== tag) throw new WireError('cose-tag', 'expected ' + tag + ', got ' + got)
  takeCount(from, 4)
  const header = takeBytes(from, bytes)
  takeMap(from, 0)
  const payload = takeBytes(from, bytes)
  const proof = takeBytes(from, bytes)
  takeEnd(from)
  const inner = sourceOf(header)
  const members = takeHead(inner, MAP, 2)
  takeKey(inner, 1)
  const major = peek(inner) >= NEGATIVE * 32 ? NEGATIVE : UINT
  const magnitude = takeHead(inner, major, 65535)
  let kid: B | null = null
  if (members === 2) {
    takeKey(inner, 4)
    kid = takeBytes(inner, header)
  } else if (members !== 1) throw new WireError('cose-header', 'expected 1 or 2, got ' + members)
  takeEnd(inner)
  return { alg: major === UINT ? magnitude : -1 - magnitude, kid, header, payload, proof }
}

// ---------------------------------------------------------------- CBOR (RFC 8949 § 3)

const UINT = 0
const NEGATIVE = 1
const BYTES = 2
const TEXT = 3
const ARRAY = 4
const MAP = 5
const TAG = 6
const NULL_BYTE = 0xf6
/** 2^53: integers from here on are not exact in either runtime. */
const TOO_LARGE = 9007199254740992
/** 2^51: four times this, a zigzagged difference of slopes, is still exact. */
const FIELD_TOO_LARGE = 2251799813685248

function putByte(out: Sink, byte: number): void {
  if (out.at >= out.bytes.length) throw new WireError('overflow', 'more than ' + out.bytes.length)
  out.bytes[out.at] = byte
  out.at++
}

function putHead(out: Sink, major: number, value: number): void {
  let size = 0
  if (value >= 4294967296) size = 8
  else if (value >= 65536) size = 4
  else if (value >= 256) size = 2
  else if (value >= 24) size = 1
  const info = size === 0 ? value : size === 1 ? 24 : size === 2 ? 25 : size === 4 ? 26 : 27
  putByte(out, major * 32 + info)
  let divisor = 1
  for (let i = 1; i < size; i++) divisor *= 256
  let rest = value
  for (let i = 0; i < size; i++) {
    const digit = Math.floor(rest / divisor)
    putByte(out, digit)
    rest -= digit * divisor
    divisor /= 256
  }
}

function putUint(out: Sink, value: number): void {
  putHead(out, UINT, checkedUint(value))
}

function putBytes(out: Sink, bytes: Bytes): void {
  putHead(out, BYTES, bytes.length)
  const { at } = out
  const end = at + bytes.length
  if (end > out.bytes.length) throw new WireError('overflow', 'more than ' + out.bytes.length)
  // Byte by byte through putByte, a batch's 2 KB would take half the machine steps there may be.
  const to = out.bytes
  for (let i = 0; i < bytes.length; i++) to[at + i] = bytes[i]
  out.at = end
}

function putText(out: Sink, text: string): void {
  if (text.length > MAX_ORIGIN_CHARS) throw new WireError('text-length', 'got ' + text.length)
  putHead(out, TEXT, text.length)
  for (let i = 0; i < text.length; i++) putByte(out, checkedChar(text.charCodeAt(i)))
}

function putOptionalHash(out: Sink, hash: Bytes | null): void {
  if (hash === null) putByte(out, NULL_BYTE)
  else putBytes(out, sized(hash, HASH_BYTES, 'hash'))
}

/** Rewrites a byte string's one-byte head, or makes room for two, now that its length is known. */
function fixShortHead(out: Sink, start: number): void {
  const length = out.at - start - 1
  if (length >= 24) {
    putByte(out, 0)
    for (let i = out.at - 1; i > start + 1; i--) out.bytes[i] = out.bytes[i - 1]
    out.bytes[start + 1] = length
    out.bytes[start] = BYTES * 32 + 24
  } else out.bytes[start] = BYTES * 32 + length
}

/** LEB128, shortest form. */
function putVarint(out: Sink, value: number): void {
  let rest = value
  while (rest >= 128) {
    // Not rest % 128: the meter's machine takes remainders of the low 32 bits, as signed.
    const next = Math.floor(rest / 128)
    putByte(out, 128 + (rest - next * 128))
    rest = next
  }
  putByte(out, rest)
}

function sourceOf(bytes: Bytes): Source {
  return { bytes, at: 0, end: bytes.length }
}

function peek(from: Source): number {
  if (from.at >= from.end) throw new WireError('truncated', 'at byte ' + from.at)
  return from.bytes[from.at]
}

function takeByte(from: Source): number {
  const byte = peek(from)
  from.at++
  return byte
}

/** The argument of a head of type `major`, at most `max`. */
function takeHead(from: Source, major: number, max: number): number {
  const at = from.at
  const first = takeByte(from)
  if (Math.floor(first / 32) !== major)
    throw new WireError('cbor-type', 'expected ' + major + ' at byte ' + at + ', got ' + first)
  const info = first % 32
  let value = info
  if (info >= 24) {
    if (info > 27) throw new WireError('not-canonical', 'head ' + first + ' at byte ' + at)
    const size = info === 24 ? 1 : info === 25 ? 2 : info === 26 ? 4 : 8
    value = 0
    for (let i = 0; i < size; i++) value = value * 256 + takeByte(from)
    const least = size === 1 ? 24 : size === 2 ? 256 : size === 4 ? 65536 : 4294967296
    if (value < least) throw new WireError('not-canonical', 'long form of ' + value)
  }
  if (value > max) throw new WireError('too-large', 'expected at most ' + max + ', got ' + value)
  return value
}

function takeUint(from: Source): number {
  return takeHead(from, UINT, TOO_LARGE - 1)
}

function takeKey(from: Source, key: number): void {
  const got = takeUint(from)
  if (got !== key) throw new WireError('map-key', 'expected ' + key + ', got ' + got)
}

function takeCount(from: Source, count: number): void {
  const got = takeHead(from, ARRAY, 255)
  if (got !== count) throw new WireError('array-size', 'expected ' + count + ', got ' + got)
}

function takeMap(from: Source, count: number): void {
  const got = takeHead(from, MAP, 255)
  if (got !== count) throw new WireError('map-size', 'expected ' + count + ', got ' + got)
}

function takeBytes<B extends SliceOf<B>>(from: Source, bytes: B): B {
  const length = takeHead(from, BYTES, MAX_BATCH_BYTES)
  const start = from.at
  if (start + length > from.end) throw new WireError('truncated', 'byte string at ' + start)
  from.at = start + length
  return bytes.slice(start, start + length)
}

function takeSized<B extends SliceOf<B>>(from: Source, bytes: B, length: number): B {
  return sized(takeBytes(from, bytes), length, 'byte-string')
}

function takeOptionalHash<B extends SliceOf<B>>(from: Source, bytes: B): B | null {
  if (peek(from) !== NULL_BYTE) return takeSized(from, bytes, HASH_BYTES)
  takeByte(from)
  return null
}

function takeText(from: Source): string {
  const length = takeHead(from, TEXT, MAX_ORIGIN_CHARS)
  let text = ''
  for (let i = 0; i < length; i++) text += String.fromCharCode(checkedChar(takeByte(from)))
  return text
}

function takeVarint(from: Source, end: number): number {
  let value = 0
  let scale = 1
  for (let i = 0; i < 8; i++) {
    if (from.at >= end) throw new WireError('truncated', 'varint')
    const byte = takeByte(from)
    value += (byte % 128) * scale
    if (byte < 128) {
      if (byte === 0 && i > 0) throw new WireError('not-canonical', 'long varint')
      return checkedUint(value)
    }
    scale *= 128
  }
  throw new WireError('too-large', 'varint')
}

function takeEnd(from: Source): void {
  if (from.at !== from.end) throw new WireError('trailing', 'bytes after byte ' + from.at)
}

function checkedUint(value: number): number {
  if (!(value >= 0 && value < TOO_LARGE && Math.floor(value) === value))
    throw new WireError('not-uint', 'got ' + value)
  return value
}

function checkedField(value: number): number {
  if (value >= FIELD_TOO_LARGE) throw new WireError('too-large', 'field of ' + value)
  return checkedUint(value)
}

/** Printable ASCII: the one text that both runtimes cut and compare alike. */
function checkedChar(code: number): number {
  if (code < 0x20 || code > 0x7e) throw new WireError('text', 'not printable ASCII: ' + code)
  return code
}

function checkSpan(firstSeq: number, lastSeq: number): void {
  if (lastSeq < firstSeq) throw new WireError('sequence', lastSeq + ' before ' + firstSeq)
}

function sized<B extends Bytes>(bytes: B, length: number, what: string): B {
  if (bytes.length !== length)
    throw new WireError('size', what + ': expected ' + length + ' bytes, got ' + bytes.length)
  return bytes
}
