// The meter's keys as they stand in FRAM: the one in force with its signature index, and the one
// that grows to follow it. Owns their bytes, and three promises: an index is durable before it is
// used and is never given twice; a key that was succeeded gives no index again, whatever byte the
// power was cut at; half a successor is never taken for a whole one.
//
// It never computes a key or a signature (lms.ts, key.ts), and decides nothing of when. Draws its
// part of the memory; docs/journal.md tells the reasons.
//
//   0040  signing      2 × 32    number of the key in force, its next unused index
//   0400  key          2 × 128   number, height, I, seed
//   05c0  successor    2 × 96    the same, and the meter's id
//   0680  growing      2 × 64    the successor's number, leaves grown, up to two nodes
//   0700  layers       2 × 32 × 28   kept nodes: 24 bytes, CRC-32; even and odd numbers of keys
import { Cell, crc32, getNumber, putNumber, readWhole } from './cell.js'
import type { Store } from './cell.js'
import type { Bytes } from './wire.js'

/** A key as it stands in memory; it never leaves it. */
export interface StoredKey {
  /** Rises from key to key. */
  number: number
  height: number
  I: Buffer
  seed: Buffer
}

/** How far the successor has grown. */
export interface Growth {
  /** A multiple of {@link CHECKPOINT_LEAVES}. */
  leaves: number
  /** The nodes that stand for the leaves of the subtree under way: at most two. */
  stack: Buffer
}

/** Leaves between two checkpoints: a power cut costs that much work, and the FRAM few writes. */
export const CHECKPOINT_LEAVES = 8
const NODE_BYTES = 24
const KEY_BYTES = 8 + 16 + NODE_BYTES
const METER_ID_BYTES = 8
const GROWTH_BYTES = 8 + 2 * NODE_BYTES
const LAYER_START = 0x0700
const LAYER_ENTRY_BYTES = NODE_BYTES + 4
const LAYER_BYTES = 32 * LAYER_ENTRY_BYTES
const SUBTREE_LEAVES = 32

export class Keyring {
  /** The key in force. */
  key: StoredKey | null = null
  /**
   * The next unused signature index of `key`; -1 if it is not known: then nothing can be signed.
   */
  nextSignature = -1
  /** The key that is to follow, whole or not. */
  successor: StoredKey | null = null
  growth: Growth = notGrown()
  /** The id that the first key gave the meter; null while the key in force is the first. */
  meterId: Buffer | null = null
  private store: Store
  /** The next index of the successor, if it was being put in force as the power was cut; or -1. */
  private cutIndex = -1
  private signingCell: Cell
  private keyCell: Cell
  private successorCell: Cell
  private growingCell: Cell

  constructor(store: Store) {
    this.store = store
    this.signingCell = new Cell(store, 0x0040, 32)
    this.keyCell = new Cell(store, 0x0400, 128)
    this.successorCell = new Cell(store, 0x05c0, 96)
    this.growingCell = new Cell(store, 0x0680, 64)
  }

  /** Reads all and writes nothing: {@link settle} does what a power cut left undone. */
  async open(): Promise<void> {
    const key = await this.keyCell.open(KEY_BYTES)
    if (key !== null) this.key = toKey(key)
    const signing = await this.signingCell.open(8)
    const inForce = signing === null ? -1 : getNumber(signing, 0, 4)
    const index = signing === null ? -1 : getNumber(signing, 4, 4) + (this.signingCell.halved ? 1 : 0)
    if (this.key !== null && this.key.number === inForce) this.nextSignature = index
    const next = await this.successorCell.open(KEY_BYTES + METER_ID_BYTES)
    const growth = await this.growingCell.open(GROWTH_BYTES)
    if (next === null) return
    this.openSuccessor(next, inForce)
    const { successor } = this
    if (successor === null) return
    this.growth = toGrowth(growth, successor.number)
    // The power was cut while it was put in force.
    if (successor.number === inForce) this.cutIndex = index
  }

  /** Ends a change of keys that the power was cut in. */
  async settle(): Promise<void> {
    const { successor, cutIndex } = this
    if (successor !== null && cutIndex >= 0) await this.putInForce(successor, cutIndex)
    this.cutIndex = -1
  }

  /** `bytes` may be of the key in force, which has succeeded, or of one that was given up. */
  private openSuccessor(bytes: Buffer, inForce: number): void {
    const successor = toKey(bytes)
    const number = this.key === null ? -1 : this.key.number
    if (successor.number < number) return
    if (number >= 0 || successor.number === inForce)
      this.meterId = bytes.slice(KEY_BYTES, KEY_BYTES + METER_ID_BYTES)
    if (successor.number > number) this.successor = successor
  }

  /** A number that no key had. */
  nextNumber(): number {
    const number = this.key === null ? 0 : this.key.number
    return Math.max(number, this.successor === null ? 0 : this.successor.number) + 1
  }

  /**
   * Keeps a new key of another meter, in the ledger's eyes, with its index at 0; whatever was
   * growing to follow the one before is given up. The index comes first: a key without one cannot
   * sign.
   */
  async keepKey(key: StoredKey): Promise<void> {
    await this.writeSigning(key.number, 0)
    await this.writeKey(key)
    this.key = key
    this.nextSignature = 0
    this.successor = null
    this.growth = notGrown()
    this.meterId = null
  }

  /** Keeps the secret of the key that is to follow, before it grows. */
  async keepSuccessor(key: StoredKey, meterId: Buffer): Promise<void> {
    const bytes = Buffer.alloc(KEY_BYTES + METER_ID_BYTES)
    putKey(bytes, key)
    bytes.set(meterId, KEY_BYTES)
    await this.successorCell.write(bytes)
    this.successor = key
    this.growth = notGrown()
  }

  /** Notes how far the successor has grown. */
  async keepGrowth(growth: Growth): Promise<void> {
    const { successor } = this
    if (successor === null) throw new Error('keyring: no successor')
    const bytes = Buffer.alloc(GROWTH_BYTES)
    putNumber(bytes, 0, 4, successor.number)
    putNumber(bytes, 4, 4, growth.leaves)
    bytes.set(growth.stack, 8)
    await this.growingCell.write(bytes)
    this.growth = growth
  }

  /**
   * Puts the successor of that number in force, from its index 0 on; the key before it gives no
   * index any more. Changes nothing if that has been done.
   */
  async adopt(number: number): Promise<void> {
    const { successor } = this
    if (successor !== null && successor.number === number) await this.putInForce(successor, 0)
  }

  /**
   * The index is what counts: once it is written, the former key is out of force. The rest is done
   * again at boot if it is cut. Both slots are written, so that no worn bit brings the former key
   * back and its seed is gone.
   */
  private async putInForce(key: StoredKey, index: number): Promise<void> {
    await this.writeSigning(key.number, index)
    this.key = key
    this.nextSignature = index
    this.successor = null
    this.growth = notGrown()
    await this.writeKey(key)
    await this.writeKey(key)
    await this.writeSigning(key.number, index)
  }

  /** How many signatures the key in force has left. */
  left(): number {
    if (this.key === null || this.nextSignature < 0) return 0
    return power2(this.key.height) - this.nextSignature
  }

  /**
   * Takes the next signature index of the key with that number, if it is in force. The index is
   * durable, and can never be taken again, once returned.
   */
  async takeSignature(number: number): Promise<number> {
    const { key } = this
    if (key === null || this.nextSignature < 0) throw new Error('signature-index: lost')
    if (key.number !== number) throw new Error('signature-index: key ' + number + ' not in force')
    if (this.left() <= 0) throw new Error('signature-index: key used up')
    const index = this.nextSignature
    await this.writeSigning(number, index + 1)
    this.nextSignature = index + 1
    return index
  }

  /** Keeps a node of the key's layer. */
  async keepNode(key: StoredKey, index: number, node: Bytes): Promise<void> {
    const bytes = Buffer.alloc(LAYER_ENTRY_BYTES)
    for (let i = 0; i < NODE_BYTES; i++) bytes[i] = node[i]
    const address = nodeAddress(key, index)
    putNumber(bytes, NODE_BYTES, 4, crc32(bytes, 0, NODE_BYTES, nodeSalt(key, address)))
    await this.store.write(address, bytes)
  }

  /** A kept node, null if it was never kept whole for this key. */
  async readNode(key: StoredKey, index: number): Promise<Buffer | null> {
    const address = nodeAddress(key, index)
    const salt = nodeSalt(key, address)
    const isWhole = (bytes: Buffer) =>
      crc32(bytes, 0, NODE_BYTES, salt) === getNumber(bytes, NODE_BYTES, 4)
    const found = await readWhole(this.store, address, LAYER_ENTRY_BYTES, isWhole)
    return found === null ? null : found.slice(0, NODE_BYTES)
  }

  private async writeSigning(keyNumber: number, index: number): Promise<void> {
    const bytes = Buffer.alloc(8)
    putNumber(bytes, 0, 4, keyNumber)
    putNumber(bytes, 4, 4, index)
    await this.signingCell.write(bytes)
  }

  private async writeKey(key: StoredKey): Promise<void> {
    const bytes = Buffer.alloc(KEY_BYTES)
    putKey(bytes, key)
    await this.keyCell.write(bytes)
  }
}

/** A successor has the number after its key's: so the two never share a layer. */
function nodeAddress(key: StoredKey, index: number): number {
  return LAYER_START + (key.number & 1) * LAYER_BYTES + index * LAYER_ENTRY_BYTES
}

/** Ties a node to its place and to the key's public identifier, so that an old key's is refused. */
function nodeSalt(key: StoredKey, address: number): number {
  return crc32(key.I, 0, key.I.length, address)
}

function notGrown(): Growth {
  return { leaves: 0, stack: Buffer.alloc(0) }
}

function toGrowth(bytes: Buffer | null, number: number): Growth {
  if (bytes === null || getNumber(bytes, 0, 4) !== number) return notGrown()
  const leaves = getNumber(bytes, 4, 4)
  const nodes = bitsIn((leaves % SUBTREE_LEAVES) / CHECKPOINT_LEAVES)
  return { leaves, stack: bytes.slice(8, 8 + nodes * NODE_BYTES) }
}

function putKey(bytes: Buffer, key: StoredKey): void {
  putNumber(bytes, 0, 4, key.number)
  putNumber(bytes, 4, 4, key.height)
  bytes.set(key.I, 8)
  bytes.set(key.seed, 24)
}

function toKey(bytes: Buffer): StoredKey {
  return {
    number: getNumber(bytes, 0, 4),
    height: getNumber(bytes, 4, 4),
    I: bytes.slice(8, 24),
    seed: bytes.slice(24, 24 + NODE_BYTES),
  }
}

function bitsIn(number: number): number {
  let bits = 0
  for (let rest = number; rest > 0; rest = rest >> 1) bits += rest & 1
  return bits
}

function power2(exponent: number): number {
  let value = 1
  for (let i = 0; i < exponent; i++) value *= 2
  return value
}
