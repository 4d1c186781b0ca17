// The meter's fourth fiber: the key that is to follow. It grows behind everything else, from the first
// accepted batch on, waits whole until a batch names it, and begins the one after it when it is put
// in force, for ever. Also makes a tree of a stored key.
//
// Owns when a leaf is grown, and when a successor is named. What must survive is in the keyring.
import type { StoredKey } from './keyring.js'
import { CHECKPOINT_LEAVES } from './keyring.js'
import { growLeaves, makeSecret, publicKeyOf } from './key.js'
import type { Bytes, Growth, KeyParts, Tree } from './key.js'
import {
  addSubtree,
  endsBytes,
  growLeaf,
  growSubtree,
  hssPublicKey,
  hssSign,
  nodeAbove,
  parameterSet,
  subtreeBytes,
  subtreeCount,
} from './lms.js'
import type { Edge, Meter } from './meter.js'
import type { NextKey } from './report.js'
import type { Pairing } from './settings.js'

/** LMS_SHA256_M24_H5 and H10, LMOTS_SHA256_N24_W4 (RFC 9858). */
const LMS_H5 = 0x0a
const LMS_H10 = 0x0b
const LMOTS_W4 = 0x07
/** Every key but the first has 1,024 signatures: six weeks of hourly batches. */
const SUCCESSOR_HEIGHT = 10
/** Between two leaves of some 90 ms on a C3: a tree takes four minutes, the meter stays awake. */
const LEAF_REST_MS = 100
const LOOK_MS = 1000
/**
 * A successor is named in every batch from here on: more than a first key has, days of hourly
 * batches for the others. Each refusal spends one.
 */
const NAME_WITH_LEFT = 100
/** Kept for batches that name a successor: no other batch is signed with these. */
const KEPT_FOR_NAMING = 4

/** Grows one key after the other, each once the one before it is in force. */
export async function grow(meter: Meter, pairing: Pairing): Promise<void> {
  const { keys } = meter.journal
  for (;;) {
    // A key that the ledger does not know yet may still be given up for another.
    while (meter.id === null || meter.journal.link.lastHash === null) await meter.edge.sleep(LOOK_MS)
    if (keys.successor === null) {
      const { I, seed } = makeSecret(meter.edge.random, meter.edge.hkdf, pairing.entropy)
      const number = keys.nextNumber()
      await keys.keepSuccessor({ number, height: SUCCESSOR_HEIGHT, I, seed }, meter.id)
    }
    const successor = keys.successor
    if (successor !== null) {
      meter.nextKey = await growWhole(meter, successor)
      while (keys.successor === successor) await meter.edge.sleep(LOOK_MS)
      meter.nextKey = null
    }
  }
}

async function growWhole(meter: Meter, key: StoredKey): Promise<NextKey> {
  const { keys } = meter.journal
  const tree = treeOf(meter.edge, key, { ends: meter.room.ends, subtree: null })
  const store = {
    growth: keys.growth,
    checkpointLeaves: CHECKPOINT_LEAVES,
    keepGrowth: async (growth: Growth) => await keys.keepGrowth(growth),
    keepNode: async (index: number, node: Bytes) =>
      await keys.keepNode(key, index, node),
  }
  try {
    await growLeaves(tree, store, async () => {
      meter.leafGrowing = false
      await meter.edge.sleep(LEAF_REST_MS)
      // A batch and a leaf at once would crowd a heap of 64 KB; and both need the same room.
      while (meter.reporting) await meter.edge.sleep(LEAF_REST_MS)
      meter.leafGrowing = true
    })
  } finally {
    meter.leafGrowing = false
  }
  return { number: key.number, publicKey: await publicKeyOf(tree, signerParts(meter, key)) }
}

/** The key that a batch signed now has to name, null if none. */
export function keyToName(meter: Meter): NextKey | null {
  const { keys } = meter.journal
  const next = meter.nextKey
  if (next === null || keys.successor === null || keys.successor.number !== next.number) return null
  return keys.left() <= NAME_WITH_LEFT ? next : null
}

/** Whether a batch signed now would use up what is kept for naming a successor. */
export function mustWaitForKey(meter: Meter): boolean {
  return meter.journal.keys.left() <= KEPT_FOR_NAMING && keyToName(meter) === null
}

/** What a signer of `key` keeps and takes. */
export function signerParts(meter: Meter, key: StoredKey): KeyParts {
  const { keys } = meter.journal
  return {
    store: {
      takeSignature: async () => await keys.takeSignature(key.number),
      readNode: async (index: number) => await keys.readNode(key, index),
      keepNode: async (index: number, node: Bytes) =>
        await keys.keepNode(key, index, node),
    },
    random: meter.edge.random,
    progress: () => {},
  }
}

/**
 * Large pieces that keys are made and used in. Taken once, at the start: what is free in the heap soon
 * lies in smaller parts.
 */
export interface Room {
  /** The ends of a one-time key's chains; and, while no key is made or used, a draft. */
  ends: Buffer
  subtree: Buffer | null
}

/** For keys of 1,024 signatures. */
export function newRoom(): Room {
  const set = parameterSet(LMS_H10, LMOTS_W4)
  return {
    ends: Buffer.alloc(endsBytes(set)),
    subtree: Buffer.alloc(subtreeBytes(set)),
  }
}

/**
 * A tree of the key, in `room` where that suits. A subtree that it gives is good until it gives the
 * next.
 */
export function treeOf(edge: Edge, key: StoredKey, room: Room): Tree {
  const set = parameterSet(key.height === 5 ? LMS_H5 : LMS_H10, LMOTS_W4)
  const secret = { set: set, I: key.I, seed: key.seed }
  const rt = {
    hash: edge.hashInto,
    alloc: (size: number) => Buffer.alloc(size),
    ends: (size: number) => fitting(room.ends, size),
    pause: edge.pause,
  }
  return {
    n: set.n,
    subtrees: subtreeCount(set),
    growSubtree: async index =>
      await growSubtree(rt, secret, index, fitting(room.subtree, subtreeBytes(set))),
    growLeaf: async (q, stack) => await growLeaf(rt, secret, q, stack),
    addSubtree: (index, root, stack) => addSubtree(rt, secret, index, root, stack),
    nodeAbove: (r, left, right) => nodeAbove(rt, secret, r, left, right),
    publicKey: root => hssPublicKey(rt, secret, root) as Buffer,
    sign: async (message, q, C, subtree, upper) => {
      const parts = { q: q, C: C, subtree: subtree, upper: upper }
      return (await hssSign(rt, secret, message, parts)) as Buffer[]
    },
  }
}

function fitting(piece: Buffer | null, size: number): Buffer {
  return piece !== null && piece.length === size ? piece : Buffer.alloc(size)
}
