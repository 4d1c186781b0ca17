// Which key the meter reports with, and the statement by which the bench enrols it. A pairing,
// known by the bench's nonce, has a key of its own; signature index 0 of that key is spent on its
// enrolment statement and on nothing else, ever.
//
// Owns that binding. The statement's hash is durable before index 0 signs it; the same statement
// gives the same bytes at each boot; a different one gets a new key. It never grows or holds a
// tree.
import { encodeEnrol } from './wire.js'

export interface StoredKey {
  number: number
  height: number
  I: Buffer
  seed: Buffer
}

export interface Link {
  lastHash: Buffer | null
  nextSeq: number
  entryIndex: number
  ackedUnixS: number
}

export interface PairingMark {
  nonce: Buffer
  statementHash: Buffer
}

/** What must survive (journal.ts). */
export interface EnrolStore {
  keys: EnrolKeys
  pairing: PairingMark | null
  link: Link
  keepPairing(mark: PairingMark): Promise<void>
  accept(link: Link): Promise<void>
}

/** What must survive of the keys (keyring.ts). */
export interface EnrolKeys {
  key: StoredKey | null
  nextSignature: number
  /** The id that this pairing's first key gave; null while that key is in force. */
  meterId: Buffer | null
  nextNumber(): number
  keepKey(key: StoredKey): Promise<void>
  takeSignature(number: number): Promise<number>
}

/** A grown key (key.ts). */
export interface Signer {
  publicKey: Buffer
  signAt(message: Buffer, q: number, C: Buffer): Promise<Buffer[]>
}

export interface EnrolParts<S extends Signer> {
  store: EnrolStore
  open(key: StoredKey): Promise<S>
  makeSecret(): { I: Buffer; seed: Buffer }
  derive(key: Buffer, info: string, salt: Buffer): Buffer
  digest(bytes: Buffer): Buffer
  /** What a signature over `payload` covers, and the COSE_Sign1 of both in pieces (report.ts). */
  covered(meterId: Buffer, payload: Buffer): Buffer
  sealed(meterId: Buffer, payload: Buffer, signature: Buffer[]): Buffer[]
  /** The interval under way: where a second pairing's reports begin. */
  currentSeq(): number
}

/** What the bench set. */
export interface Pairing {
  origin: string
  nonce: Buffer
  firmwareHash: Buffer
  height: number
}

export interface Enrolled<S extends Signer> {
  signer: S
  meterId: Buffer
  /** The enrolment statement; null once the ledger has accepted a batch. */
  statement: Buffer[] | null
}

const METER_ID_BYTES = 8
const RANDOMIZER_BYTES = 24
/** Envelope aside: context, key, nonce and hash take 170 bytes, the origin at most 98. */
const STATEMENT_BYTES = 320

/** The signer of this pairing, made if it has to be, and its statement while it is needed. */
export async function enrol<S extends Signer>(
  parts: EnrolParts<S>,
  pairing: Pairing,
): Promise<Enrolled<S>> {
  const { store } = parts
  const mark = store.pairing
  if (store.keys.key === null || (mark !== null && !sameBytes(mark.nonce, pairing.nonce)))
    await newKey(parts, pairing)
  let opened = await openKey(parts)
  if (store.link.lastHash !== null)
    return { signer: opened.signer, meterId: opened.meterId, statement: null }
  let statement = await signStatement(parts, pairing, opened)
  if (statement === null) {
    await newKey(parts, pairing)
    opened = await openKey(parts)
    statement = await signStatement(parts, pairing, opened)
  }
  return { signer: opened.signer, meterId: opened.meterId, statement }
}

interface Opened<S extends Signer> {
  signer: S
  meterId: Buffer
  key: StoredKey
}

async function openKey<S extends Signer>(parts: EnrolParts<S>): Promise<Opened<S>> {
  const { key, meterId } = parts.store.keys
  if (key === null) throw new Error('enrol: no key')
  const signer = await parts.open(key)
  const ownId = parts.digest(signer.publicKey).slice(0, METER_ID_BYTES)
  return { signer, meterId: meterId === null ? ownId : meterId, key }
}

/**
 * A new key is a new meter to the ledger. If the old one ever reported, the new one begins with the
 * interval under way; otherwise nothing was told yet, and all of it still will be.
 */
async function newKey<S extends Signer>(parts: EnrolParts<S>, pairing: Pairing): Promise<void> {
  const { keys, link } = parts.store
  const { I, seed } = parts.makeSecret()
  await keys.keepKey({ number: keys.nextNumber(), height: pairing.height, I, seed })
  const nextSeq = link.lastHash === null ? link.nextSeq : parts.currentSeq()
  await parts.store.accept({ lastHash: null, nextSeq, entryIndex: 0, ackedUnixS: 0 })
}

/** The signed statement; null if index 0 is bound to another one, or was lost. */
async function signStatement<S extends Signer>(
  parts: EnrolParts<S>,
  pairing: Pairing,
  opened: Opened<S>,
): Promise<Buffer[] | null> {
  const { store } = parts
  const { signer, meterId, key } = opened
  const payload = statementPayload(signer.publicKey, pairing)
  const message = parts.covered(meterId, payload)
  const statementHash = parts.digest(message)
  if (store.keys.nextSignature === 0) {
    await store.keepPairing({ nonce: pairing.nonce, statementHash })
    await store.keys.takeSignature(key.number)
  }
  const mark = store.pairing
  if (mark === null || !sameBytes(mark.statementHash, statementHash)) return null
  const C = parts.derive(key.seed, 'commons-kit/enrol-c', pairing.nonce).slice(0, RANDOMIZER_BYTES)
  return parts.sealed(meterId, payload, await signer.signAt(message, 0, C))
}

function statementPayload(publicKey: Buffer, pairing: Pairing): Buffer {
  const out = { bytes: Buffer.alloc(STATEMENT_BYTES), at: 0 }
  const { origin, nonce, firmwareHash } = pairing
  encodeEnrol(out, { origin, publicKey, nonce, firmwareHash })
  return out.bytes.slice(0, out.at)
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
