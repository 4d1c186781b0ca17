// Notes and keys against the examples of c2sp.org/signed-note and of golang.org/x/mod/sumdb/note.

import test from 'ava';
import fc from 'fast-check';
import {
  formatNote, formatVkey, openNote, parseNote, parseVkey, signNote,
} from '../../../ledger/log/note.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** signed-note.md § Example. */
const C2SP_KEY = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k';
const C2SP_NOTE = `This is an example message.

— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=
`;

/** sumdb/note/note_test.go; the seed is that of its skey. */
const PETER_KEY = 'PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
const PETER_SEED = Buffer.from('AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz', 'base64').subarray(1);
const ENOCH_KEY = 'EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop';
const TEXT = `If you think cryptography is the answer to your problem,
then you don't know what your problem is.
`;
const PETER_LINE =
  '— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n';
const ENOCH_LINE =
  '— EnochRoot rwz+eBzmZa0SO3NbfRGzPCpDckykFXSdeX+MNtCOXm2/5n2tiOHp+vAF1aGrQ5ovTG01oOTGwnWLox33WWd1RvMc+QQ=\n';

test('the specification’s note verifies under its key', (t) => {
  const { text, verified } = openNote(bytes(C2SP_NOTE), [parseVkey(C2SP_KEY)]);
  t.is(text, 'This is an example message.\n');
  t.is(verified.length, 1);
});

test('signing gives the bytes that Go’s implementation gives', (t) => {
  const note = signNote(TEXT, 'PeterNeumann', PETER_SEED);
  t.deepEqual(formatNote(note), bytes(`${TEXT}\n${PETER_LINE}`));
});

test('signatures by unknown keys are ignored, by known keys must verify', (t) => {
  const both = bytes(`${TEXT}\n${PETER_LINE}${ENOCH_LINE}`);
  const [peter, enoch] = [parseVkey(PETER_KEY), parseVkey(ENOCH_KEY)];
  t.is(openNote(both, [peter]).verified.length, 1);
  t.is(openNote(both, [peter, enoch]).verified.length, 2);
  t.throws(() => openNote(both, []), { code: 'unknown-signers' });
  const broken = bytes(`${TEXT}\n${PETER_LINE}${ENOCH_LINE.replace('+QQ=', '+QU=')}`);
  t.is(openNote(broken, [peter]).verified.length, 1);
  t.throws(() => openNote(broken, [peter, enoch]), { code: 'bad-signature' });
});

test('malformed notes are refused', (t) => {
  const bad = [
    TEXT,
    `${TEXT}\n`,
    `${TEXT}\n${PETER_LINE.slice(0, -1)}`,
    `\u0001${TEXT}\n${PETER_LINE}`,
    `${TEXT}\n— Bad Name x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n`,
    `${TEXT}\n${PETER_LINE}Unexpected line.\n`,
    `${TEXT}\n${PETER_LINE.repeat(101)}`,
  ];
  for (const note of bad) t.throws(() => parseNote(bytes(note)), { code: 'malformed-note' });
  const notUtf8 = Uint8Array.of(0xff, ...bytes(`${TEXT}\n${PETER_LINE}`));
  t.throws(() => parseNote(notUtf8), { code: 'malformed-note' });
});

test('no part and no neighbour of a vkey is a vkey', (t) => {
  t.is(formatVkey(parseVkey(PETER_KEY)), PETER_KEY);
  for (let start = 0; start <= PETER_KEY.length; start++) {
    for (let end = start + 1; end <= PETER_KEY.length; end++) {
      if (start === 0 && end === PETER_KEY.length) continue;
      t.throws(() => parseVkey(PETER_KEY.slice(start, end)), { code: 'malformed-vkey' });
    }
  }
  for (let i = 0; i < PETER_KEY.length; i++) {
    const next = String.fromCharCode(PETER_KEY.charCodeAt(i) + 1);
    const text = PETER_KEY.slice(0, i) + next + PETER_KEY.slice(i + 1);
    t.throws(() => parseVkey(text), { code: 'malformed-vkey' });
  }
  const wrongLength = 'PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==';
  const wrongType = 'PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW';
  for (const key of [wrongLength, wrongType]) {
    t.throws(() => parseVkey(key), { code: 'malformed-vkey' });
  }
});

test('what is signed opens, and says the same', (t) => {
  const line = fc.stringMatching(/^[ -~é–]*$/);
  fc.assert(fc.property(fc.array(line, { minLength: 1 }), fc.uint8Array({ minLength: 32, maxLength: 32 }),
    (lines, seed) => {
      const text = `${lines.join('\n')}\n`;
      const note = formatNote(signNote(text, 'a.test/log', seed));
      const vkey = parseVkey(formatVkey(openKey(seed)));
      return openNote(note, [vkey]).text === text;
    }), { numRuns: 50 });
  t.pass();
});

function openKey(seed: Uint8Array): ReturnType<typeof parseVkey> {
  const line = signNote('x\n', 'a.test/log', seed).signatures[0];
  const id = line.keyId.toString(16).padStart(8, '0');
  const material = Buffer.from([1, ...signingKey(seed).publicKey]).toString('base64');
  return parseVkey(`a.test/log+${id}+${material}`);
}
