// Hash-based signatures: LM-OTS and one-level HSS-LMS by RFC 8554, with the parameter sets of
// RFC 9858. Makes keys and signatures; the ledger has its own verifier. Imports nothing: the hash
// and the pause are passed in, so that the same file runs in the meter and on Node.
//
// Owns the arithmetic only. It never chooses, stores or advances a signature index, and never sees
// a random source: whoever calls `sign` has made the index durable first, and never uses one twice.
//
// The meter cannot hold a tree of 1,024 leaves. It keeps the nodes of one layer (the roots of
// subtrees of 32 leaves) and regrows one subtree at a time:
//
//              T[1]                     `nodeAbove`, `addSubtree`: from the layer
//            /      \
//        …     …      …                 the layer: 2^(h-5) subtree roots, kept
//      /│\          /│\
//     32 leaves    32 leaves            `growSubtree`: from the seed, 32 one-time keys
//
// A key that is not needed yet grows leaf by leaf instead (`growLeaf`), and holds five nodes at most.

/** Bytes to read or write, as both runtimes have them. */
export interface Bytes {
  [index: number]: number
  readonly length: number
}

/** Writes the first `n` bytes of the hash of `a`, or of `a` followed by `b`, to `out[at…]`. */
export type HashInto = (out: Bytes, at: number, n: number, a: Bytes, b?: Bytes) => void

/** What the arithmetic needs from its runtime. */
export interface Runtime {
  hash: HashInto
  alloc: (size: number) => Bytes
  /**
   * Room for the ends of a one-time key's chains; may be the same each time, if no two keys are made
   * at once.
   */
  ends: (size: number) => Bytes
  /** Awaited every few thousand hashes: the meter's machine bounds the steps between two awaits. */
  pause: () => Promise<void>
}

/** One pair of parameter sets (RFC 8554 §§ 4.1 and 5.1, RFC 9858 §§ 4 and 5). */
export interface ParameterSet {
  lmsType: number
  otsType: number
  /** Bytes of a node and of a hash chain's element; m = n in every registered pair used here. */
  n: number
  /** Winternitz parameter: bits of a coefficient. */
  w: number
  /** Elements of a one-time signature. */
  p: number
  /** Left shift of the checksum. */
  ls: number
  /** Height of the tree. */
  h: number
}

/** What makes a key: the tree's identifier and its seed (RFC 8554 Appendix A). */
export interface Secret {
  set: ParameterSet
  /** 16 bytes. */
  I: Bytes
  /** n bytes. */
  seed: Bytes
}

/** Where one signature takes its parts from; the trees are heap-ordered, node r at r × n. */
export interface Signing {
  /** Index of the one-time key: fresh, durable, never used before. */
  q: number
  /** The randomizer C: n bytes, fresh. */
  C: Bytes
  /** The subtree that holds leaf q, by `growSubtree`. */
  subtree: Bytes
  /** The path from the subtree's root to the tree's: one node a level, the lowest first. */
  upper: Bytes
}

/** Leaves of a subtree: 2^5, the smallest registered tree. */
const SUBTREE_HEIGHT = 5
const SUBTREE_LEAVES = 32

const D_PBLC = 0x8080
const D_MESG = 0x8181
const D_LEAF = 0x8282
const D_INTR = 0x8383

/**
 * Hashes between two pauses: about 60 machine steps each (`npm run speed -- meter`), so at most half of
 * the limit of 131,072, a chain of 255 more included.
 */
const HASHES_BETWEEN_PAUSES = 512

/** Elements in a piece of a signature: some three hundred bytes. */
const CHAINS_A_PIECE = 12

/**
 * RFC 8554 table 1 and RFC 9858 table 1, by the low two bits of the type: w, then p and ls for each
 * n.
 */
const OTS_ROWS = [
  { w: 1, p32: 265, ls32: 7, p24: 200, ls24: 8 },
  { w: 2, p32: 133, ls32: 6, p24: 101, ls24: 6 },
  { w: 4, p32: 67, ls32: 4, p24: 51, ls24: 4 },
  { w: 8, p32: 34, ls32: 0, p24: 26, ls24: 0 },
]
/** RFC 8554 table 2: heights in the order of the types. */
const HEIGHTS = [5, 10, 15, 20, 25]

/**
 * The parameter set of a pair of type codes: LMS 5–24 in fives and LM-OTS 1–16 in fours, each time
 * SHA-256 n 32, SHA-256 n 24, SHAKE n 32, SHAKE n 24. The hash itself is the runtime's.
 */
export function parameterSet(lmsType: number, otsType: number): ParameterSet {
  const family = Math.floor((lmsType - 5) / 5)
  if (lmsType < 5 || lmsType > 24 || Math.floor((otsType - 1) / 4) !== family)
    throw new Error('lms-type: no pair ' + lmsType + ', ' + otsType)
  const row = OTS_ROWS[(otsType - 1) % 4]
  const n = family % 2 === 0 ? 32 : 24
  return {
    lmsType,
    otsType,
    n,
    w: row.w,
    p: n === 32 ? row.p32 : row.p24,
    ls: n === 32 ? row.ls32 : row.ls24,
    h: HEIGHTS[(lmsType - 5) % 5],
  }
}

/** How many subtrees the kept layer counts. */
export function subtreeCount(set: ParameterSet): number {
  return power2(set.h - SUBTREE_HEIGHT)
}

/** Bytes of an LMS signature: q, LM-OTS type, C, y, LMS type, path (RFC 8554 § 5.4). */
export function signatureBytes(set: ParameterSet): number {
  return 12 + set.n * (1 + set.p + set.h)
}

/** Of a subtree's nodes. */
export function subtreeBytes(set: ParameterSet): number {
  return 2 * SUBTREE_LEAVES * set.n
}

/** Of a one-time key's ends. */
export function endsBytes(set: ParameterSet): number {
  return set.p * set.n
}

/**
 * Grows the subtree of leaves 32 × `index` onwards. Returns its nodes heap-ordered: node 1 is the
 * subtree's root, node 32 its first leaf; 64 × n bytes, in `room` if there is one.
 */
export async function growSubtree(
  rt: Runtime,
  secret: Secret,
  index: number,
  room?: Bytes,
): Promise<Bytes> {
  const { h } = secret.set
  const nodes = room ? room : rt.alloc(subtreeBytes(secret.set))
  const work = { left: HASHES_BETWEEN_PAUSES }
  for (let i = 0; i < SUBTREE_LEAVES; i++) {
    const q = index * SUBTREE_LEAVES + i
    await leafNode(rt, secret, q, { nodes, at: SUBTREE_LEAVES + i, work })
  }
  // The last leaves and these nodes together would be more than half of what there may be at once.
  await rt.pause()
  for (let width = SUBTREE_LEAVES / 2; width >= 1; width /= 2) {
    // Node `width` of the subtree, leftmost of its level, is node `first` of the whole tree.
    const first = (power2(h - SUBTREE_HEIGHT) + index) * width
    for (let i = 0; i < width; i++) {
      const node = width + i
      innerNode(rt, secret, first + i, { nodes, from: 2 * node, into: nodes, to: node })
    }
  }
  await rt.pause()
  return nodes
}

/**
 * Adds leaf `q` to `stack`, the nodes that stand for the leaves of its subtree before it, higher ones
 * first. Returns the stack that stands for one leaf more; after a subtree's last leaf it is the
 * subtree's root alone, and the next leaf begins with an empty one.
 */
export async function growLeaf(rt: Runtime, secret: Secret, q: number, stack: Bytes): Promise<Bytes> {
  const { n, h } = secret.set
  const nodes = rt.alloc(stack.length + n)
  copy(nodes, 0, stack, 0, stack.length)
  const work = { left: HASHES_BETWEEN_PAUSES }
  await leafNode(rt, secret, q, { nodes, at: stack.length / n, work })
  return climbed(rt, secret, nodes, { r: power2(h) + q, index: q % SUBTREE_LEAVES })
}

/**
 * Adds subtree `index`, by its root, to a stack in the same way; after the last one it is T[1] alone.
 */
export function addSubtree(
  rt: Runtime,
  secret: Secret,
  index: number,
  root: Bytes,
  stack: Bytes,
): Bytes {
  const { n, h } = secret.set
  const nodes = rt.alloc(stack.length + n)
  copy(nodes, 0, stack, 0, stack.length)
  copy(nodes, stack.length, root, 0, n)
  return climbed(rt, secret, nodes, { r: power2(h - SUBTREE_HEIGHT) + index, index })
}

/**
 * `nodes`, the last of which is node `r`, the one numbered `index` of its height, with every two
 * neighbours of one height replaced by the node above them.
 */
function climbed(
  rt: Runtime,
  secret: Secret,
  nodes: Bytes,
  { r, index }: { r: number; index: number },
): Bytes {
  const { n } = secret.set
  let top = nodes.length / n - 1
  let above = r
  // Each one bit at the end of the number is a neighbour of the same height to its left.
  for (let rest = index; rest % 2 === 1; rest = Math.floor(rest / 2)) {
    above = Math.floor(above / 2)
    top--
    innerNode(rt, secret, above, { nodes, from: top, into: nodes, to: top })
  }
  const grown = rt.alloc((top + 1) * n)
  copy(grown, 0, nodes, 0, grown.length)
  return grown
}

/** Node `r` of the tree, of the two below it. */
export function nodeAbove(rt: Runtime, secret: Secret, r: number, left: Bytes, right: Bytes): Bytes {
  const { n } = secret.set
  const nodes = rt.alloc(2 * n)
  copy(nodes, 0, left, 0, n)
  copy(nodes, n, right, 0, n)
  const above = rt.alloc(n)
  innerNode(rt, secret, r, { nodes, from: 0, into: above, to: 0 })
  return above
}

/** u32 type ‖ u32 LM-OTS type ‖ I ‖ T[1] (RFC 8554 § 5.3). */
export function lmsPublicKey(rt: Runtime, secret: Secret, root: Bytes): Bytes {
  const { set, I } = secret
  const key = rt.alloc(24 + set.n)
  putU32(key, 0, set.lmsType)
  putU32(key, 4, set.otsType)
  copy(key, 8, I, 0, 16)
  copy(key, 24, root, 0, set.n)
  return key
}

/** One-level HSS: u32 L = 1 ‖ LMS public key (RFC 8554 § 6.1). */
export function hssPublicKey(rt: Runtime, secret: Secret, root: Bytes): Bytes {
  return after32(rt, 1, lmsPublicKey(rt, secret, root))
}

/**
 * One-level HSS: u32 Nspk = 0 ‖ LMS signature (RFC 8554 § 6.2). In pieces, as all signatures here: a
 * small heap soon has no room for fifteen hundred bytes in one.
 */
export async function hssSign(
  rt: Runtime,
  secret: Secret,
  message: Bytes,
  signing: Signing,
): Promise<Bytes[]> {
  const signature = await lmsSign(rt, secret, message, signing)
  signature.unshift(rt.alloc(4))
  return signature
}

/** RFC 8554 §§ 4.5 and 5.4.1. */
export async function lmsSign(
  rt: Runtime,
  secret: Secret,
  message: Bytes,
  signing: Signing,
): Promise<Bytes[]> {
  const { set } = secret
  const { n, h } = set
  const { q } = signing
  const signature = await oneTimeSign(rt, secret, message, signing)
  const path = rt.alloc(4 + h * n)
  putU32(path, 0, set.lmsType)
  let node = SUBTREE_LEAVES + (q % SUBTREE_LEAVES)
  for (let level = 0; level < h; level++) {
    const at = 4 + level * n
    if (level >= SUBTREE_HEIGHT) copy(path, at, signing.upper, (level - SUBTREE_HEIGHT) * n, n)
    else copy(path, at, signing.subtree, (node % 2 === 0 ? node + 1 : node - 1) * n, n)
    node = Math.floor(node / 2)
  }
  await rt.pause()
  signature.push(path)
  return signature
}

/** LM-OTS alone: q ‖ type ‖ C ‖ y, an LMS signature but for its path; `signing` needs no trees. */
export async function oneTimeSign(
  rt: Runtime,
  secret: Secret,
  message: Bytes,
  signing: Signing,
): Promise<Bytes[]> {
  const { n, otsType } = secret.set
  await rt.pause()
  const head = rt.alloc(8 + n)
  putU32(head, 0, signing.q)
  putU32(head, 4, otsType)
  copy(head, 8, signing.C, 0, n)
  const signature = [head]
  await signOneTime(rt, secret, message, signing, signature)
  return signature
}

/**
 * Algorithm 3 of RFC 8554: each chain walked as far as its coefficient of the message says. Adds the
 * chains' elements to `signature`.
 */
async function signOneTime(
  rt: Runtime,
  secret: Secret,
  message: Bytes,
  signing: Signing,
  signature: Bytes[],
): Promise<void> {
  const { n, w, p, ls } = secret.set
  const Q = rt.alloc(n + 2)
  const before = rt.alloc(22 + n)
  copy(before, 0, prefix(rt, secret.I, signing.q, D_MESG, 22), 0, 22)
  copy(before, 22, signing.C, 0, n)
  rt.hash(Q, 0, n, before, message)
  const sum = checksum(Q, n, w, ls)
  Q[n] = Math.floor(sum / 256)
  Q[n + 1] = sum % 256
  const chains = chainsOf(rt, secret, signing.q)
  let left = HASHES_BETWEEN_PAUSES
  for (let i = 0; i < p; i++) {
    const place = i % CHAINS_A_PIECE
    if (place === 0) signature.push(rt.alloc(Math.min(CHAINS_A_PIECE, p - i) * n))
    const a = coef(Q, i, w)
    walk(rt.hash, chains, i, a, signature[signature.length - 1], place * n)
    left -= a + 1
    if (left <= 0) {
      await rt.pause()
      left = HASHES_BETWEEN_PAUSES
    }
  }
}

/** Algorithm 1 of RFC 8554: K, the hash of every chain's end. */
async function oneTimePublicKey(
  rt: Runtime,
  secret: Secret,
  q: number,
  work: { left: number },
): Promise<Bytes> {
  const { n, w, p } = secret.set
  const ends = rt.ends(endsBytes(secret.set))
  const chains = chainsOf(rt, secret, q)
  const steps = power2(w) - 1
  for (let i = 0; i < p; i++) {
    walk(rt.hash, chains, i, steps, ends, i * n)
    work.left -= steps + 1
    if (work.left <= 0) {
      await rt.pause()
      work.left = HASHES_BETWEEN_PAUSES
    }
  }
  const K = rt.alloc(n)
  rt.hash(K, 0, n, prefix(rt, secret.I, q, D_PBLC, 22), ends)
  return K
}

/** Two hash inputs, I ‖ u32 q ‖ u16 i ‖ u8 j ‖ n bytes: the chains' starts, and their steps. */
interface Chains {
  n: number
  /** j = 0xff and the seed: hashes to a chain's first element (RFC 8554 Appendix A). */
  start: Bytes
  step: Bytes
}

function chainsOf(rt: Runtime, secret: Secret, q: number): Chains {
  const n = secret.set.n
  const start = prefix(rt, secret.I, q, 0, 23 + n)
  start[22] = 0xff
  copy(start, 23, secret.seed, 0, n)
  return { n, start, step: prefix(rt, secret.I, q, 0, 23 + n) }
}

/** Writes element i of the one-time key, after `steps` steps along its chain, to `out[at…]`. */
function walk(
  hash: HashInto,
  chains: Chains,
  i: number,
  steps: number,
  out: Bytes,
  at: number,
): void {
  const { n, start, step } = chains
  start[20] = Math.floor(i / 256)
  start[21] = i % 256
  step[20] = start[20]
  step[21] = start[21]
  if (steps === 0) {
    hash(out, at, n, start)
    return
  }
  hash(step, 23, n, start)
  for (let j = 0; j < steps - 1; j++) {
    step[22] = j
    hash(step, 23, n, step)
  }
  step[22] = steps - 1
  hash(out, at, n, step)
}

/** Algorithm 2 of RFC 8554. */
function checksum(Q: Bytes, n: number, w: number, ls: number): number {
  let sum = 0
  const most = power2(w) - 1
  for (let i = 0; i < (n * 8) / w; i++) sum += most - coef(Q, i, w)
  return (sum * power2(ls)) % 65536
}

/** The i-th string of w bits (RFC 8554 § 3.1.3). */
function coef(S: Bytes, i: number, w: number): number {
  const perByte = 8 / w
  const shift = power2(w * (perByte - 1 - (i % perByte)))
  return Math.floor(S[Math.floor(i / perByte)] / shift) % power2(w)
}

/** nodes[at] = leaf q, node 2^h + q of the tree: H(I ‖ u32(r) ‖ D_LEAF ‖ K). */
async function leafNode(
  rt: Runtime,
  secret: Secret,
  q: number,
  { nodes, at, work }: { nodes: Bytes; at: number; work: { left: number } },
): Promise<void> {
  const { n, h } = secret.set
  const K = await oneTimePublicKey(rt, secret, q, work)
  rt.hash(nodes, at * n, n, prefix(rt, secret.I, power2(h) + q, D_LEAF, 22), K)
}

/** into[to] = node r of the tree, of its children at nodes[from] and after it. */
function innerNode(
  rt: Runtime,
  secret: Secret,
  r: number,
  { nodes, from, into, to }: { nodes: Bytes; from: number; into: Bytes; to: number },
): void {
  const n = secret.set.n
  const data = prefix(rt, secret.I, r, D_INTR, 22 + 2 * n)
  copy(data, 22, nodes, from * n, 2 * n)
  rt.hash(into, to * n, n, data)
}

/** I ‖ u32(number) ‖ u16(domain), in `size` bytes. */
function prefix(rt: Runtime, I: Bytes, number: number, domain: number, size: number): Bytes {
  const bytes = rt.alloc(size)
  copy(bytes, 0, I, 0, 16)
  putU32(bytes, 16, number)
  bytes[20] = Math.floor(domain / 256)
  bytes[21] = domain % 256
  return bytes
}

function after32(rt: Runtime, number: number, rest: Bytes): Bytes {
  const bytes = rt.alloc(4 + rest.length)
  putU32(bytes, 0, number)
  copy(bytes, 4, rest, 0, rest.length)
  return bytes
}

function putU32(bytes: Bytes, at: number, value: number): void {
  bytes[at] = Math.floor(value / 16777216) % 256
  bytes[at + 1] = Math.floor(value / 65536) % 256
  bytes[at + 2] = Math.floor(value / 256) % 256
  bytes[at + 3] = value % 256
}

function copy(to: Bytes, at: number, from: Bytes, start: number, length: number): void {
  for (let i = 0; i < length; i++) to[at + i] = from[start + i]
}

function power2(exponent: number): number {
  let value = 1
  for (let i = 0; i < exponent; i++) value *= 2
  return value
}
