// The tree against the vectors of test/vectors/rfc6962.json, and its proofs against themselves.

import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  checkConsistency, checkInclusion, consistencyProof, EMPTY_ROOT, inclusionProof, leafHash, nodeHash,
  treeRoot,
} from '../../../ledger/log/tree.ts';
import type { Hash, ReadNode } from '../../../ledger/log/tree.ts';

interface Vectors {
  leaves: string[];
  roots: string[];
  hashes: Record<string, string>;
  inclusion: {
    leafIdx: number; treeSize: number; root: string | null; leafHash: string | null;
    proof: string[] | null; desc: string; wantErr: boolean;
  }[];
  consistency: {
    size1: number; size2: number; root1: string | null; root2: string | null;
    proof: string[] | null; desc: string; wantErr: boolean;
  }[];
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/rfc6962.json', import.meta.url), 'utf8'),
) as Vectors;
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const base64 = (text: string | null): Uint8Array => new Uint8Array(Buffer.from(text ?? '', 'base64'));
const text = (value: string): Uint8Array => new TextEncoder().encode(value);

/** Nodes of perfect subtrees by their definition: slow, and nobody's shortcut. */
function nodesOf(leaves: Hash[]): ReadNode {
  const read: ReadNode = (level, index) => level === 0
    ? leaves[index]
    : nodeHash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1));
  return read;
}

test('leaf, node and empty hashes', (t) => {
  t.deepEqual(leafHash(new Uint8Array(0)), hex(vectors.hashes.emptyLeaf));
  t.deepEqual(leafHash(text('L123456')), hex(vectors.hashes['leaf L123456']));
  t.deepEqual(nodeHash(text('N123'), text('N456')), hex(vectors.hashes['node N123 N456']));
  t.deepEqual(EMPTY_ROOT, hex(vectors.roots[0]));
});

test('roots of the first trees', (t) => {
  const read = nodesOf(vectors.leaves.map((leaf) => leafHash(hex(leaf))));
  vectors.roots.forEach((root, size) => t.deepEqual(treeRoot(size, read), hex(root)));
});

test('inclusion proofs, good and bad', (t) => {
  for (const { leafIdx, treeSize, root, leafHash: leaf, proof, desc, wantErr } of vectors.inclusion) {
    const head = { size: treeSize, root: base64(root) };
    const good = checkInclusion((proof ?? []).map(base64), head, { index: leafIdx, hash: base64(leaf) });
    t.is(good, !wantErr, `${desc}: leaf ${leafIdx} of ${treeSize}`);
  }
});

test('consistency proofs, good and bad', (t) => {
  for (const { size1, size2, root1, root2, proof, desc, wantErr } of vectors.consistency) {
    const old = { size: size1, root: base64(root1) };
    const good = checkConsistency((proof ?? []).map(base64), old, { size: size2, root: base64(root2) });
    t.is(good, !wantErr, `${desc}: ${size1} to ${size2}`);
  }
});

test('every proof of small trees checks, and fails with any hash changed', (t) => {
  const leaves = Array.from({ length: 40 }, (_, i) => leafHash(text(`leaf ${i}`)));
  const read = nodesOf(leaves);
  for (let size = 1; size <= leaves.length; size++) {
    const head = { size, root: treeRoot(size, read) };
    for (let other = 0; other <= size; other++) {
      if (other < size) {
        const leaf = { index: other, hash: leaves[other] };
        const path = inclusionProof(other, size, read);
        t.true(checkInclusion(path, head, leaf));
        spoiled(path).forEach((bad) => t.false(checkInclusion(bad, head, leaf)));
      }
      const old = { size: other, root: treeRoot(other, read) };
      const proof = consistencyProof(other, size, read);
      t.is(checkConsistency(proof, old, head), other > 0);
      spoiled(proof).forEach((bad) => t.false(checkConsistency(bad, old, head)));
    }
  }
});

function spoiled(proof: Hash[]): Hash[][] {
  return proof.map((_, at) => proof.map((hash, i) =>
    i === at ? Uint8Array.from(hash, (byte, j) => (j === 0 ? byte ^ 1 : byte)) : hash));
}
