// HSS/LMS verification against the test cases of RFC 8554 and RFC 9858 (every hash and length that
// they have), and against an independent signer for the set that meters use.

import { readFileSync } from 'node:fs';
import test from 'ava';
import {
  growSubtree, hssPublicKey, hssSign, parameterSet,
} from '../../../firmware/lms.ts';
import type { Runtime } from '../../../firmware/lms.ts';
import { sha256 } from '../../../ledger/log/tree.ts';
import { isEnrollableKey, signatureIndex, verifyHss } from '../../../ledger/verify/lms.ts';
import { createSigner } from '../../helpers/lms-signer.ts';
import { digest } from '../../helpers/meter.ts';

interface Case {
  name: string;
  publicKey: string;
  message: string;
  signature: string;
}

interface KeyCase {
  name: string;
  seed: string;
  identifier: string;
  publicKey: string;
}

const vectors = JSON.parse(
  readFileSync(new URL('../../vectors/lms.json', import.meta.url), 'utf8'),
) as { cases: Case[]; keys: KeyCase[] };
const hex = (text: string): Uint8Array => new Uint8Array(Buffer.from(text, 'hex'));
const flip = (bytes: Uint8Array, at: number): Uint8Array =>
  bytes.map((byte, i) => (i === at ? byte ^ 1 : byte));

for (const { name, publicKey, message, signature } of vectors.cases) {
  test(name, (t) => {
    const [key, text, signed] = [publicKey, message, signature].map(hex);
    t.true(verifyHss(key, text, signed));
    t.false(verifyHss(key, flip(text, 0), signed));
    t.false(verifyHss(key, text, signed.slice(0, -1)));
    t.false(verifyHss(key, text, Uint8Array.of(...signed, 0)));
    t.false(verifyHss(Uint8Array.of(...key, 0), text, signed));
    for (let at = 0; at < signed.length; at += 97) {
      t.false(verifyHss(key, text, flip(signed, at)), `signature byte ${at}`);
    }
    for (let at = 0; at < key.length; at += 7) {
      t.false(verifyHss(flip(key, at), text, signed), `key byte ${at}`);
    }
  });
}

test('the helper’s keys are those of RFC 9858 A.1', (t) => {
  const { seed, identifier, publicKey } = vectors.keys[0];
  const parameters = { n: 24, w: 8, height: 5, seed: hex(seed), identifier: hex(identifier) } as const;
  const key = createSigner(parameters).publicKey;
  t.is(Buffer.from(key.slice(4)).toString('hex'), publicKey);
});

test('the meters’ set: every one-time key signs, for its message alone', (t) => {
  const [seed, identifier] = [digest('seed').slice(0, 24), digest('identifier').slice(0, 16)];
  const signer = createSigner({ n: 24, w: 4, height: 5, seed, identifier });
  t.true(isEnrollableKey(signer.publicKey));
  for (let q = 0; q < 32; q++) {
    const message = digest(`message ${q}`);
    const signature = signer.sign(message, q);
    t.is(signatureIndex(signature), q);
    t.true(verifyHss(signer.publicKey, message, signature));
    t.false(verifyHss(signer.publicKey, digest('another'), signature));
    // The index, 32 of 32 and beyond: no such leaf.
    const beyond = signature.slice();
    new DataView(beyond.buffer).setUint32(4, q + 32);
    t.false(verifyHss(signer.publicKey, message, beyond));
  }
});

test('no byte of a meter’s signature can change', (t) => {
  const [seed, identifier] = [digest('s').slice(0, 24), digest('i').slice(0, 16)];
  const signer = createSigner({ n: 24, w: 4, height: 5, seed, identifier });
  const signature = signer.sign(digest('m'), 3);
  for (let at = 0; at < signature.length; at++) {
    t.false(verifyHss(signer.publicKey, digest('m'), flip(signature, at)), `byte ${at}`);
  }
});

test('what the meter’s own code signs is what the ledger verifies', async (t) => {
  const set = parameterSet(0x0a, 0x07);
  const secret = { set, I: digest('I').slice(0, 16), seed: digest('seed').slice(0, 24) };
  const runtime: Runtime = {
    hash(out, at, n, a, b) {
      const whole = Buffer.concat([a as Uint8Array, (b as Uint8Array | undefined) ?? new Uint8Array(0)]);
      (out as Uint8Array).set(sha256(whole).subarray(0, n), at);
    },
    alloc: (size) => new Uint8Array(size),
    ends: (size) => new Uint8Array(size),
    pause: async () => {},
  };
  const subtree = await growSubtree(runtime, secret, 0);
  const root = (subtree as Uint8Array).slice(24, 48);
  const key = hssPublicKey(runtime, secret, root) as Uint8Array;
  const helper = createSigner({ n: 24, w: 4, height: 5, identifier: secret.I, seed: secret.seed });
  t.deepEqual(key, helper.publicKey);
  const C = digest('C').slice(0, 24);
  const pieces = await hssSign(runtime, secret, digest('m'), {
    q: 7, C, subtree, upper: new Uint8Array(0),
  });
  const signature = new Uint8Array(Buffer.concat(pieces as Uint8Array[]));
  t.true(verifyHss(key, digest('m'), signature));
  t.is(signatureIndex(signature), 7);
});

test('keys of other sets, levels and lengths are not enrolled', (t) => {
  for (const { publicKey } of vectors.cases) t.false(isEnrollableKey(hex(publicKey)));
  t.false(isEnrollableKey(new Uint8Array(0)));
});
