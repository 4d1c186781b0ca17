// Offline proofs by c2sp.org/tlog-proof: made from a tree, read back, verified, and spoiled.

import test from 'ava';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import {
  formatNote, formatVkey, SIGNATURE_TYPE, signNote, verifierKey,
} from '../../../ledger/log/note.ts';
import { formatLogPolicy, parsePolicy } from '../../../ledger/log/policy.ts';
import { formatProof, parseProof, verifyProof } from '../../../ledger/log/proof.ts';
import { leafHash, nodeHash } from '../../../ledger/log/tree.ts';
import { digest } from '../../helpers/meter.ts';

const ORIGIN = 'log.test/commons';
const seed = digest('log');
const leaves = ['a', 'b', 'c'].map((text) => leafHash(new TextEncoder().encode(text)));
const root = nodeHash(nodeHash(leaves[0], leaves[1]), leaves[2]);
const text = formatCheckpoint({ origin: ORIGIN, size: 3, root, extensions: [] });
const checkpoint = formatNote(signNote(text, ORIGIN, seed));
const vkey = formatVkey(
  verifierKey(ORIGIN, SIGNATURE_TYPE.ed25519, signingKey(seed).publicKey),
);
const policy = parsePolicy(new TextEncoder().encode(formatLogPolicy(vkey)));
const proof = { extra: undefined, index: 1, path: [leaves[0], leaves[2]], checkpoint };

test('a proof reads back, with extra data and without', (t) => {
  for (const extra of [undefined, new Uint8Array(0), digest('extra')]) {
    t.deepEqual(parseProof(formatProof({ ...proof, extra })), { ...proof, extra });
  }
  t.true(Buffer.from(formatProof(proof)).toString().startsWith('c2sp.org/tlog-proof@v1\nindex 1\n'));
});

test('it verifies for its entry alone', (t) => {
  const bytes = formatProof(proof);
  t.is(verifyProof(bytes, leaves[1], policy).size, 3);
  t.throws(() => verifyProof(bytes, leaves[0], policy), { code: 'not-included' });
});

test('no byte of it can change', (t) => {
  const bytes = formatProof(proof);
  for (let i = 0; i < bytes.length; i++) {
    const changed = Uint8Array.from(bytes, (byte, at) => (at === i ? byte ^ 1 : byte));
    t.throws(() => verifyProof(changed, leaves[1], policy), undefined, `byte ${i}`);
  }
});
