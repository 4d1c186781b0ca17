// The Merkle tree of RFC 6962 § 2.1 over SHA-256: leaf and node hashes, roots, inclusion and
// consistency proofs, made and checked. Names follow the RFC: D[n] is the list of n entries,
// MTH its tree hash, PATH and PROOF its two proofs. Pure: reads hashes through a function.

import { hash } from 'node:crypto';

export const HASH_BYTES = 32;
export type Hash = Uint8Array;

/** MTH of no entries: the hash of the empty string. */
export const EMPTY_ROOT: Hash = sha256(new Uint8Array(0));

/** SHA-256(0x00 || entry), RFC 6962 § 2.1. */
export function leafHash(entry: Uint8Array): Hash {
  return sha256(Buffer.concat([Uint8Array.of(0x00), entry]));
}

/** SHA-256(0x01 || left || right), RFC 6962 § 2.1. */
export function nodeHash(left: Hash, right: Hash): Hash {
  return sha256(Buffer.concat([Uint8Array.of(0x01), left, right]));
}

export function sha256(bytes: Uint8Array): Hash {
  return new Uint8Array(hash('sha256', bytes, 'buffer'));
}

/**
 * MTH of the perfect subtree `index` of 2^level leaves: leaves index·2^level and on. Level 0 is a
 * leaf hash. Tiles answer this; so does an array of leaf hashes.
 */
export type ReadNode = (level: number, index: number) => Hash;

/** MTH(D[0:size]). */
export function treeRoot(size: number, read: ReadNode): Hash {
  return size === 0 ? EMPTY_ROOT : rangeRoot(0, size, read);
}

/** PATH(index, D[size]), RFC 6962 § 2.1.1: from the leaf's sibling up to the root's child. */
export function inclusionProof(index: number, size: number, read: ReadNode): Hash[] {
  if (!(0 <= index && index < size)) throw new RangeError(`index ${index} in a tree of ${size}`);
  const proof: Hash[] = [];
  let [start, end] = [0, size];
  while (end - start > 1) {
    const middle = start + splitPoint(end - start);
    if (index < middle) {
      proof.push(rangeRoot(middle, end, read));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, read));
      start = middle;
    }
  }
  return proof.reverse();
}

/** PROOF(oldSize, D[size]), RFC 6962 § 2.1.2; empty when the sizes are equal or the old is 0. */
export function consistencyProof(oldSize: number, size: number, read: ReadNode): Hash[] {
  if (!(0 <= oldSize && oldSize <= size)) throw new RangeError(`${oldSize} to ${size}`);
  if (oldSize === 0 || oldSize === size) return [];
  const proof: Hash[] = [];
  let [start, end] = [0, size];
  while (end !== oldSize) {
    const middle = start + splitPoint(end - start);
    if (oldSize <= middle) {
      proof.push(rangeRoot(middle, end, read));
      end = middle;
    } else {
      proof.push(rangeRoot(start, middle, read));
      start = middle;
    }
  }
  // SUBPROOF with b true: the old root is known to the verifier when it is a subtree by itself.
  if (start > 0) proof.push(rangeRoot(start, end, read));
  return proof.reverse();
}

export interface TreeHead {
  size: number;
  root: Hash;
}

/** Checks PATH by RFC 9162 § 2.1.3.2 (same trees, the algorithm written out). */
export function checkInclusion(
  proof: readonly Hash[],
  head: TreeHead,
  leaf: { index: number; hash: Hash },
): boolean {
  const { index, hash: leafHash } = leaf;
  if (!(Number.isSafeInteger(index) && 0 <= index && index < head.size)) return false;
  if (leafHash.length !== HASH_BYTES) return false;
  let fn = index;
  let sn = head.size - 1;
  let r = leafHash;
  for (const p of proof) {
    if (sn === 0 || p.length !== HASH_BYTES) return false;
    if (odd(fn) || fn === sn) {
      r = nodeHash(p, r);
      while (!odd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      r = nodeHash(r, p);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(r, head.root);
}

/**
 * Checks PROOF by RFC 9162 § 2.1.4.2. There is no proof from an empty tree: it says nothing about
 * what follows it.
 */
export function checkConsistency(proof: readonly Hash[], old: TreeHead, head: TreeHead): boolean {
  if (!(0 < old.size && old.size <= head.size)) return false;
  if (old.size === head.size) return proof.length === 0 && equal(old.root, head.root);
  if (proof.length === 0) return false;
  const path = isPowerOfTwo(old.size) ? [old.root, ...proof] : proof;
  let [fn, sn] = [old.size - 1, head.size - 1];
  while (odd(fn)) [fn, sn] = [half(fn), half(sn)];
  let [fr, sr] = [path[0], path[0]];
  for (const c of path.slice(1)) {
    if (sn === 0 || c.length !== HASH_BYTES) return false;
    if (odd(fn) || fn === sn) {
      [fr, sr] = [nodeHash(c, fr), nodeHash(c, sr)];
      while (!odd(fn) && fn !== 0) [fn, sn] = [half(fn), half(sn)];
    } else {
      sr = nodeHash(sr, c);
    }
    [fn, sn] = [half(fn), half(sn)];
  }
  return sn === 0 && equal(fr, old.root) && equal(sr, head.root);
}

/**
 * MTH(D[start:end]) for a range whose start is a multiple of the perfect subtree it begins with.
 */
function rangeRoot(start: number, end: number, read: ReadNode): Hash {
  const size = end - start;
  if (isPowerOfTwo(size)) return read(Math.log2(size), start / size);
  const k = splitPoint(size);
  return nodeHash(rangeRoot(start, start + k, read), rangeRoot(start + k, end, read));
}

/** k: the largest power of two smaller than n (RFC 6962 § 2.1), n > 1. */
function splitPoint(n: number): number {
  return 2 ** (Math.ceil(Math.log2(n)) - 1);
}

function isPowerOfTwo(n: number): boolean {
  return n > 0 && Number.isInteger(Math.log2(n));
}

const odd = (n: number): boolean => n % 2 === 1;
const half = (n: number): number => Math.floor(n / 2);

export function equal(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && Buffer.compare(a, b) === 0;
}
