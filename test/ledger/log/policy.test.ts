// Policies by c2sp.org/tlog-policy: its example, each of its rules broken, and checkpoints judged.

import test from 'ava';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { cosign } from '../../../ledger/log/cosignature.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import {
  formatNote, formatVkey, SIGNATURE_TYPE, signNote, verifierKey,
} from '../../../ledger/log/note.ts';
import type { SignatureType } from '../../../ledger/log/note.ts';
import { parsePolicy, reachesQuorum, verifyCheckpoint } from '../../../ledger/log/policy.ts';
import { digest } from '../../helpers/meter.ts';

const ORIGIN = 'log.test/commons';
const seed = (name: string): Uint8Array => digest(name);
const vkey = (name: string, type: SignatureType): string =>
  formatVkey(verifierKey(name, type, signingKey(seed(name)).publicKey));
const log = vkey(ORIGIN, SIGNATURE_TYPE.ed25519);
const witness = (name: string): string => vkey(name, SIGNATURE_TYPE.cosignatureV1);
const policy = (...lines: string[]): ReturnType<typeof parsePolicy> =>
  parsePolicy(Buffer.from(`${lines.join('\n')}\n`));

/** tlog-policy.md § Example policy, with keys put in. */
const EXAMPLE = [
  `log ${log}`,
  '',
  ...['X1', 'X2', 'X3'].map((name) => `witness ${name} ${witness(name)}`),
  'group X-witnesses 2 X1 X2 X3',
  '',
  ...['Y1', 'Y2', 'Y3'].map((name) => `witness ${name} ${witness(name)}`),
  '\tgroup Y-witnesses any Y1 Y2 Y3 ',
  '',
  '# both',
  'group X-and-Y all X-witnesses Y-witnesses',
  'quorum X-and-Y',
];

test('the specification’s example wants two of X and one of Y', (t) => {
  const parsed = policy(...EXAMPLE);
  const reaches = (...names: string[]): boolean => reachesQuorum(parsed, new Set(names));
  t.true(reaches('X1', 'X3', 'Y2'));
  t.true(reaches('X1', 'X2', 'X3', 'Y1', 'Y2'));
  t.false(reaches('X1', 'Y1', 'Y2', 'Y3'));
  t.false(reaches('X1', 'X2', 'X3'));
  t.false(reaches());
});

test('each rule of the format is kept', (t) => {
  const w = `witness W ${witness('W')}`;
  const bad: [string, string[]][] = [
    ['no quorum', [`log ${log}`]],
    ['two quorums', ['quorum none', 'quorum none']],
    ['unknown keyword', ['peer x', 'quorum none']],
    ['name of nobody', [`log ${log}`, 'quorum W']],
    ['used before defined', ['quorum W', w]],
    ['duplicate log', [`log ${log}`, `log ${log} https://a.test/`, 'quorum none']],
    ['duplicate witness key', [w, `witness V ${witness('W')}`, 'quorum none']],
    ['duplicate name', [w, `witness W ${witness('V')}`, 'quorum none']],
    ['reserved name', [`witness none ${witness('W')}`, 'quorum none']],
    ['empty group', [w, 'group G all', 'quorum G']],
    ['threshold 0', [w, 'group G 0 W', 'quorum G']],
    ['threshold above members', [w, 'group G 2 W', 'quorum G']],
    ['threshold with a zero', [w, 'group G 01 W', 'quorum G']],
    ['member twice', [w, 'group G any W W', 'quorum G']],
    ['member of two groups', [w, 'group G any W', 'group H any W', 'quorum G']],
    ['none in a group', [w, 'group G any none', 'quorum G']],
    ['log key of a witness', [`log ${witness('W')}`, 'quorum none']],
    ['witness key of a log', [`witness W ${log}`, 'quorum none']],
    ['bad key', [`log ${log}x`, 'quorum none']],
    ['control character', ['# \u0007', 'quorum none']],
  ];
  for (const [what, lines] of bad) t.throws(() => policy(...lines), { code: 'malformed-policy' }, what);
  t.throws(() => parsePolicy(Buffer.from('quorum none')), { code: 'malformed-policy' });
  t.notThrows(() => parsePolicy(Buffer.from('# caf\xe9\nquorum none\n', 'latin1')));
});

test('a checkpoint needs its log, under its own origin, and the quorum', (t) => {
  const text = (origin: string): string =>
    formatCheckpoint({ origin, size: 1, root: digest('root'), extensions: [] });
  const signed = signNote(text(ORIGIN), ORIGIN, seed(ORIGIN));
  const line = (name: string): ReturnType<typeof cosign> =>
    cosign(signed.text, { name, seed: seed(name), timeS: 1_767_225_600 });
  const wantsW = policy(`log ${log}`, `witness W ${witness('W')}`, 'quorum W');
  const plain = policy(`log ${log}`, 'quorum none');

  t.is(verifyCheckpoint(formatNote(signed), plain).size, 1);
  t.throws(() => verifyCheckpoint(formatNote(signed), wantsW), { code: 'no-quorum' });
  const cosigned = { ...signed, signatures: [...signed.signatures, line('W')] };
  t.deepEqual(verifyCheckpoint(formatNote(cosigned), wantsW).cosignedBy, ['W']);
  const onlyW = { ...signed, signatures: [line('W')] };
  t.throws(() => verifyCheckpoint(formatNote(onlyW), wantsW), { code: 'unknown-log' });
  const stranger = { ...signed, signatures: [...signed.signatures, line('V')] };
  t.throws(() => verifyCheckpoint(formatNote(stranger), wantsW), { code: 'no-quorum' });
  const bad = line('W');
  bad.signature[7] ^= 1; // another second than was signed
  const redated = { ...signed, signatures: [...signed.signatures, bad] };
  t.throws(() => verifyCheckpoint(formatNote(redated), wantsW), { code: 'bad-signature' });
  const other = signNote(text('other.test/log'), ORIGIN, seed(ORIGIN));
  t.throws(() => verifyCheckpoint(formatNote(other), plain), { code: 'wrong-origin' });
});
