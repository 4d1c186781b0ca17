// A witness's answer to what a log submits: the example of c2sp.org/tlog-witness, each status in the
// specification's order, and trees of every small size.

import test from 'ava';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import { formatNote, SIGNATURE_TYPE, signNote, verifierKey } from '../../../ledger/log/note.ts';
import { consistencyProof, leafHash, nodeHash, treeRoot } from '../../../ledger/log/tree.ts';
import type { Hash, ReadNode } from '../../../ledger/log/tree.ts';
import { judge, NOTHING, readSubmission } from '../../../ledger/witness/judge.ts';
import { formatAddCheckpoint, parseAddCheckpoint } from '../../../ledger/witness/request.ts';
import { digest } from '../../helpers/meter.ts';

/** The request of the specification, as printed there. */
const EXAMPLE = `old 20852014
PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=
jrJZDmY8Y7SyJE0MWLpLozkIVMSMZcD5kvuKxPC3swk=
5+pKlUdi2LeF/BcMHBn+Ku6yhPGNCswZZD1X/6QgPd8=
/6WVhPs2CwSsb5rYBH5cjHV/wSmA79abXAwhXw3Kj/0=

example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
— example.com/behind-the-sofa opLqBQsREYCgu6xQkYQwJr9fo45a62DN9EdmHXnZdXNqlcVGlCum2Wks+49/V6267UEjw6QUXTS5Rovnzv++qbSzm9Q=
`;

const ORIGIN = 'ash.example/commons';
const seed = digest('ash');
const KEY = verifierKey(ORIGIN, SIGNATURE_TYPE.ed25519, signingKey(seed).publicKey);

const nodes = (name: string): ReadNode => function read(level, index): Hash {
  if (level === 0) return leafHash(new TextEncoder().encode(`${name} ${index}`));
  return nodeHash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1));
};
const mine = nodes('mine');
const rootAt = (size: number): Hash => treeRoot(size, mine);

function signed(size: number, root = rootAt(size), { origin = ORIGIN, by = seed } = {}): Uint8Array {
  const text = formatCheckpoint({ origin, size, root, extensions: [] });
  return formatNote(signNote(text, origin, by));
}

function answer(oldSize: number, proof: Hash[], checkpoint: Uint8Array, known = NOTHING): string {
  const body = formatAddCheckpoint({ oldSize, proof, checkpoint });
  const { status, ...rest } = judge(readSubmission(body, [KEY]), known);
  return [status, 'suspicion' in rest ? rest.suspicion : undefined].filter(Boolean).join(' ');
}

test('the specification’s request is read, and written again as it is', (t) => {
  const request = parseAddCheckpoint(Buffer.from(EXAMPLE));
  t.is(request.oldSize, 20_852_014);
  t.is(request.proof.length, 4);
  t.is(Buffer.from(formatAddCheckpoint(request)).toString(), EXAMPLE);
});

test('requests that the specification does not allow', (t) => {
  const refused = [
    '', 'old 1', 'old 01\n\n', 'old -1\n\n', 'old  1\n\n', 'Old 1\n\n', 'old 1 \n\n', 'old 1\r\n\r\n',
    EXAMPLE.replace('PlRN', 'PlR'), EXAMPLE.replace('kaw=\n', 'kaw=\n\n'), EXAMPLE.replace('old', '\nold'),
    `old 1\n${'PlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n'.repeat(64)}\n`,
    EXAMPLE.replace('20852163', '020852163'),
  ];
  for (const body of refused) {
    t.throws(() => readSubmission(Buffer.from(body), [KEY]), { code: 'malformed-request' }, body);
  }
});

test('an unknown log, an unknown key, another log’s key', (t) => {
  const read = (checkpoint: Uint8Array): unknown =>
    readSubmission(formatAddCheckpoint({ oldSize: 0, proof: [], checkpoint }), [KEY]);
  t.throws(() => read(signed(3, rootAt(3), { origin: 'other' })), { code: 'unknown-log' });
  t.throws(() => read(signed(3, rootAt(3), { by: digest('x') })), { code: 'not-signed' });
  const forged = Buffer.from(signed(3)).toString().replace('\n3\n', '\n4\n');
  t.throws(() => read(Buffer.from(forged)), { code: 'not-signed' });
});

test('growth from any size to any other is cosigned, and only with its proof', (t) => {
  for (let size = 0; size <= 20; size++) {
    for (let old = 0; old <= size; old++) {
      const proof = consistencyProof(old, size, mine);
      const known = { size: old, root: rootAt(old) };
      t.is(answer(old, proof, signed(size), known), '200', `${old} to ${size}`);
      const spoilt = [[...proof, digest('x')], ...proof.map((_, i) => proof.toSpliced(i, 1)),
        ...proof.map((_, i) => proof.with(i, digest('x')))];
      for (const other of spoilt) {
        t.is(answer(old, other, signed(size), known), '422 inconsistent', `${old} to ${size}`);
      }
    }
  }
});

test('conflicts and their order', (t) => {
  const known = { size: 5, root: rootAt(5) };
  t.is(answer(0, [], signed(7), known), '409');
  t.is(answer(7, [], signed(7), known), '409');
  t.is(answer(5, [], signed(5, digest('x')), known), '409 fork');
  t.is(answer(3, [], signed(5, digest('x')), known), '409 fork');
  t.is(answer(9, [], signed(7), known), '400');
  t.is(answer(0, [], signed(4), known), '409 rollback');
  t.is(answer(5, [], signed(4), known), '400 rollback');
  t.is(answer(0, [], signed(0, digest('x'))), '409 fork', 'an empty tree has one root');
});
