// The meter's signing key: made in the meter, from its own randomness and the bench's, and never
// told to anybody. Keeps the layer of inner nodes as it grows, so that a power cut costs one
// subtree's work, and regrows one subtree at a time to sign. The key that is to follow grows leaf by
// leaf behind the meter's other work.
//
// Owns when a subtree is grown and which index signs. The index is durable before it is used: the
// store sees to that. It never prints, exports or copies a secret.

export interface Bytes {
  [index: number]: number
  readonly length: number
}

/** The arithmetic of one key (lms.ts), its secret closed over. */
export interface Tree {
  n: number
  subtrees: number
  growSubtree(index: number): Promise<Bytes>
  growLeaf(q: number, stack: Bytes): Promise<Bytes>
  addSubtree(index: number, root: Bytes, stack: Bytes): Bytes
  nodeAbove(r: number, left: Bytes, right: Bytes): Bytes
  publicKey(root: Bytes): Buffer
  sign(message: Buffer, q: number, C: Buffer, subtree: Bytes, upper: Bytes): Promise<Buffer[]>
}

/** What must survive of the key in force (keyring.ts). */
export interface KeyStore {
  takeSignature(): Promise<number>
  readNode(index: number): Promise<Buffer | null>
  keepNode(index: number, node: Bytes): Promise<void>
}

export interface Growth {
  leaves: number
  stack: Buffer
}

/** What must survive of a key that grows (keyring.ts). */
export interface GrowthStore {
  /** How far the key has grown. */
  growth: Growth
  /** Leaves between two checkpoints: a divisor of a subtree's. */
  checkpointLeaves: number
  keepGrowth(growth: Growth): Promise<void>
  keepNode(index: number, node: Bytes): Promise<void>
}

export interface KeyParts {
  store: KeyStore
  random(size: number): Buffer
  /** Told as the key grows: subtrees done, of how many. */
  progress(done: number, of: number): void
}

/** HKDF-SHA-256 (RFC 5869) with 32 bytes of output. */
export type Derive = (key: Buffer, info: string, salt: Buffer) => Buffer

/** Leaves of a subtree. */
const SUBTREE_LEAVES = 32
const I_BYTES = 16
const SEED_BYTES = 24

/** A new secret: 32 fresh bytes of the meter's own, mixed with the bench's. */
export function makeSecret(
  random: (size: number) => Buffer,
  derive: Derive,
  benchEntropy: Buffer,
): { I: Buffer; seed: Buffer } {
  const own = random(32)
  return {
    I: derive(own, 'commons-kit/lms-i', benchEntropy).slice(0, I_BYTES),
    seed: derive(own, 'commons-kit/lms-seed', benchEntropy).slice(0, SEED_BYTES),
  }
}

/**
 * Grows the whole tree from where the store says, a leaf at a time, with `rest` before each. A power
 * cut costs the leaves since the last checkpoint.
 */
export async function growLeaves(
  tree: Tree,
  store: GrowthStore,
  rest: () => Promise<void>,
): Promise<void> {
  let { leaves, stack } = store.growth
  while (leaves < tree.subtrees * SUBTREE_LEAVES) {
    await rest()
    stack = (await tree.growLeaf(leaves, stack)) as Buffer
    leaves++
    if (leaves % SUBTREE_LEAVES === 0) {
      // First the root, then the word that it is there.
      await store.keepNode(leaves / SUBTREE_LEAVES - 1, stack)
      stack = Buffer.alloc(0)
    }
    if (leaves % store.checkpointLeaves === 0) await store.keepGrowth({ leaves, stack })
  }
}

/** Grows what is not kept yet of the key, and gives a signer. */
export async function openSigner(tree: Tree, parts: KeyParts): Promise<Signer> {
  return new Signer(tree, parts, await publicKeyOf(tree, parts))
}

/** The public key, of the kept nodes; what is not kept yet is grown. */
export async function publicKeyOf(tree: Tree, { store, progress }: KeyParts): Promise<Buffer> {
  let stack: Bytes = Buffer.alloc(0)
  for (let i = 0; i < tree.subtrees; i++) {
    stack = tree.addSubtree(i, await subtreeRoot(tree, store, i, nothing), stack)
    progress(i + 1, tree.subtrees)
  }
  return tree.publicKey(stack)
}

/**
 * The path from a subtree's root to the tree's, lowest first. Reckoned for each signature from the kept
 * nodes: the tree above the subtrees would stand in memory for good, for a millisecond an hour.
 */
async function upperPath(
  tree: Tree,
  store: KeyStore,
  index: number,
  grown: () => void,
): Promise<Bytes> {
  const { n, subtrees } = tree
  let levels = 0
  for (let r = subtrees + index; r > 1; r = Math.floor(r / 2)) levels++
  const path = Buffer.alloc(levels * n)
  let r = subtrees + index
  for (let level = 0; level < levels; level++) {
    copy(path, level * n, await nodeOf(tree, store, r % 2 === 0 ? r + 1 : r - 1, grown), n)
    r = Math.floor(r / 2)
  }
  return path
}

/** Node `r` of the tree above the subtrees. */
async function nodeOf(
  tree: Tree,
  store: KeyStore,
  r: number,
  grown: () => void,
): Promise<Bytes> {
  if (r >= tree.subtrees) return await subtreeRoot(tree, store, r - tree.subtrees, grown)
  const left = await nodeOf(tree, store, 2 * r, grown)
  return tree.nodeAbove(r, left, await nodeOf(tree, store, 2 * r + 1, grown))
}

function nothing(): void {}

/** As it was kept; grown, and kept, if it was not: then the subtree grown before is gone. */
async function subtreeRoot(
  tree: Tree,
  store: KeyStore,
  index: number,
  grown: () => void,
): Promise<Bytes> {
  const kept = await store.readNode(index)
  if (kept !== null) return kept
  grown()
  const root = rootOf(await tree.growSubtree(index), tree.n)
  await store.keepNode(index, root)
  return root
}

export class Signer {
  readonly publicKey: Buffer
  private tree: Tree
  private parts: KeyParts
  /** The subtree grown last, for as long as its leaves are signed with. */
  private subtree: Bytes | null = null
  private subtreeIndex = -1

  constructor(tree: Tree, parts: KeyParts, publicKey: Buffer) {
    this.tree = tree
    this.parts = parts
    this.publicKey = publicKey
  }

  /** Signs with the next index, which is spent even if the signing fails. */
  async sign(message: Buffer): Promise<Buffer[]> {
    const q = await this.parts.store.takeSignature()
    return await this.signAt(message, q, this.parts.random(this.tree.n))
  }

  /**
   * Signs with an index that the caller has bound to this very message for good, and a randomizer
   * that depends on nothing else: the same bytes come out each time.
   */
  async signAt(message: Buffer, q: number, C: Buffer): Promise<Buffer[]> {
    const index = Math.floor(q / SUBTREE_LEAVES)
    const self = this
    const upper = await upperPath(this.tree, this.parts.store, index, () => {
      self.subtree = null
    })
    let subtree = this.subtree
    if (subtree === null || index !== this.subtreeIndex) {
      this.subtree = null
      subtree = await this.tree.growSubtree(index)
      this.subtree = subtree
      this.subtreeIndex = index
    }
    return await this.tree.sign(message, q, C, subtree, upper)
  }
}

/** Node 1 of a heap-ordered tree. */
function rootOf(nodes: Bytes, n: number): Buffer {
  const root = Buffer.alloc(n)
  for (let i = 0; i < n; i++) root[i] = nodes[n + i]
  return root
}

function copy(to: Buffer, at: number, from: Bytes, length: number): void {
  for (let i = 0; i < length; i++) to[at + i] = from[i]
}
