// One-level HSS/LMS key generation and signing for tests: RFC 8554 § 4.5 and § 5.4.1 with the
// private keys of its Appendix A, SHA-256 only. Written apart from ledger/verify and from the
// firmware, so that none of the three can be wrong in the same way. Deterministic; keeps the whole
// tree in memory.

import { hash } from 'node:crypto';

const W4 = { 32: { p: 67, type: 3 }, 24: { p: 51, type: 7 } } as const;
const W8 = { 32: { p: 34, type: 4 }, 24: { p: 26, type: 8 } } as const;

export interface SignerParameters {
  n: 24 | 32;
  w: 4 | 8;
  height: 5 | 10;
  /** I, 16 bytes. */
  identifier: Uint8Array;
  /** SEED, n bytes. */
  seed: Uint8Array;
}

export interface LmsSigner {
  /** HSS public key: u32 1, then the LMS public key. */
  publicKey: Uint8Array;
  /**
   * Signs with one-time key `q` and randomizer `C`, by default the key's own; nothing keeps the
   * caller from using one twice.
   */
  sign(message: Uint8Array, q: number, C?: Uint8Array): Uint8Array;
}

/** @param T the tree of the same parameters, where it has been made already */
export function createSigner(parameters: SignerParameters, T = hashTree(parameters)): LmsSigner {
  const { n, w, height, identifier: I } = parameters;
  const { p, type: otsType } = (w === 4 ? W4 : W8)[n];
  const lmsType = (n === 32 ? 5 : 10) + (height === 5 ? 0 : 1);
  const { sha, chain, secret, top } = oneTimeKeys(parameters);
  const publicKey = Buffer.concat([u32(1), u32(lmsType), u32(otsType), I, T[1]]);
  const sign = (message: Uint8Array, q: number, C = secret(q, 0xfffd)): Uint8Array => {
    const Q = sha(I, u32(q), u16(0x8181), C, message);
    const digits = withChecksum(Q, w, p, top);
    const y = digits.map((digit, i) => chain(q, i, 0, digit, secret(q, i)));
    const path = Array.from({ length: height }, (_, i) => T[(((2 ** height + q) >> i) ^ 1)]);
    return new Uint8Array(
      Buffer.concat([u32(0), u32(q), u32(otsType), C, ...y, u32(lmsType), ...path]),
    );
  };
  return { publicKey: new Uint8Array(publicKey), sign };
}

/** T of § 5.3: a key's tree, its nodes by their numbers from the root's 1. A second's work at height 10. */
export function hashTree(parameters: SignerParameters): Uint8Array[] {
  const { n, w, height, identifier: I } = parameters;
  const { p } = (w === 4 ? W4 : W8)[n];
  const { sha, chain, secret, top } = oneTimeKeys(parameters);
  const leaf = (q: number): Uint8Array => {
    const ends = Array.from({ length: p }, (_, i) => chain(q, i, 0, top, secret(q, i)));
    const K = sha(I, u32(q), u16(0x8080), ...ends);
    return sha(I, u32(2 ** height + q), u16(0x8282), K);
  };
  const T: Uint8Array[] = [];
  for (let r = 2 ** (height + 1) - 1; r >= 1; r--) {
    T[r] = r >= 2 ** height
      ? leaf(r - 2 ** height)
      : sha(I, u32(r), u16(0x8383), T[2 * r], T[2 * r + 1]);
  }
  return T;
}

function oneTimeKeys({ n, w, identifier: I, seed }: SignerParameters) {
  const sha = (...parts: Uint8Array[]): Buffer =>
    hash('sha256', Buffer.concat(parts), 'buffer').subarray(0, n);
  const chain = (q: number, i: number, from: number, to: number, start: Uint8Array): Uint8Array => {
    const hashed = Buffer.concat([I, u32(q), u16(i), Uint8Array.of(0), start]);
    const at = hashed.length - n;
    for (let j = from; j < to; j++) {
      hashed[at - 1] = j;
      // As text: a Buffer a hash would take most of the time that keys take.
      hashed.write(hash('sha256', hashed, 'latin1'), at, n, 'latin1');
    }
    return hashed.subarray(at);
  };
  const secret = (q: number, i: number): Uint8Array =>
    sha(I, u32(q), u16(i), Uint8Array.of(0xff), seed);
  return { sha, chain, secret, top: 2 ** w - 1 };
}

/** The digits of Q, then those of its checksum, left-justified in 16 bits as § 4.4 has it. */
function withChecksum(Q: Uint8Array, w: 4 | 8, p: number, top: number): number[] {
  const split = (bytes: Uint8Array): number[] =>
    w === 8 ? [...bytes] : [...bytes].flatMap((byte) => [byte >> 4, byte & 15]);
  const digits = split(Q);
  const sum = digits.reduce((total, digit) => total + top - digit, 0);
  const justified = w === 8 ? u16(sum) : u16(sum << 4);
  return [...digits, ...split(justified)].slice(0, p);
}

function u32(value: number): Uint8Array {
  return Uint8Array.of(value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255);
}

function u16(value: number): Uint8Array {
  return Uint8Array.of((value >> 8) & 255, value & 255);
}
