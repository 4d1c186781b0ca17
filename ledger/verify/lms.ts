// HSS/LMS signature verification: RFC 8554 with the parameter sets of RFC 9858. Names follow the
// RFCs (I, q, C, Q, Kc, D_MESG …). Owns these formats, and never signs:
//
//   HSS public key   u32 L || LMS public key
//   LMS public key   u32 type || u32 otstype || I || T[1]
//   HSS signature    u32 L−1 || (LMS signature || LMS public key)… || LMS signature
//   LMS signature    u32 q || LMOTS signature || u32 type || path[0..h−1]
//   LMOTS signature  u32 otstype || C || y[0..p−1]
//
// Verification is deterministic and takes no secret; anything malformed is just not a signature.

import { createHash, hash } from 'node:crypto';

type HashName = 'sha256' | 'shake256';

interface LmotsType {
  hash: HashName;
  n: number;
  w: number;
  p: number;
  ls: number;
}

interface LmsType {
  hash: HashName;
  m: number;
  h: number;
}

/** RFC 8554 § 4.1 table 1; RFC 9858 § 3 to 5. Columns: n, w, p, ls. */
const LMOTS_SHAPES: Record<number, [n: number, w: number, p: number, ls: number][]> = {
  32: [[32, 1, 265, 7], [32, 2, 133, 6], [32, 4, 67, 4], [32, 8, 34, 0]],
  24: [[24, 1, 200, 8], [24, 2, 101, 6], [24, 4, 51, 4], [24, 8, 26, 0]],
};
const LMOTS_TYPES = new Map<number, LmotsType>();
/** RFC 8554 § 5.1 table 2; RFC 9858 § 3 to 5: heights 5, 10, 15, 20, 25 in order of type. */
const LMS_TYPES = new Map<number, LmsType>();
for (const [first, firstOts, name, n] of [
  [0x05, 0x01, 'sha256', 32],
  [0x0a, 0x05, 'sha256', 24],
  [0x0f, 0x09, 'shake256', 32],
  [0x14, 0x0d, 'shake256', 24],
] as const) {
  for (const [i, [, w, p, ls]] of LMOTS_SHAPES[n].entries()) {
    LMOTS_TYPES.set(firstOts + i, { hash: name, n, w, p, ls });
  }
  for (let i = 0; i < 5; i++) LMS_TYPES.set(first + i, { hash: name, m: n, h: 5 * (i + 1) });
}

/** RFC 8554 § 7.1: distinguish the hashes from one another. */
const D_PBLC = 0x8080;
const D_MESG = 0x8181;
const D_LEAF = 0x8282;
const D_INTR = 0x8383;

const I_BYTES = 16;
/** RFC 8554 § 6: at most 8 levels. */
const MAX_LEVELS = 8;

/** Which sets the ledger enrols: one level of LMS_SHA256_M24_H5 or H10 with LMOTS_SHA256_N24_W4. */
export const ENROLLED_LMS_TYPES: readonly number[] = [0x0a, 0x0b];
export const ENROLLED_LMOTS_TYPE = 0x07;

/**
 * True if `signature` is valid for `message` under an HSS public key (RFC 8554 § 6.3, algorithm
 * 6b).
 */
export function verifyHss(
  publicKey: Uint8Array,
  message: Uint8Array,
  signature: Uint8Array,
): boolean {
  const key = new Reader(publicKey);
  const levels = key.u32();
  const reader = new Reader(signature);
  if (!(levels >= 1 && levels <= MAX_LEVELS) || reader.u32() + 1 !== levels) return false;
  let current = readLmsPublicKey(key);
  if (current === undefined || key.rest() !== 0) return false;
  for (let level = 1; level < levels; level++) {
    const signed = readLmsSignature(reader);
    const next = signed && readLmsPublicKey(reader);
    if (!next || !verifyLms(current, next.bytes, signed)) return false;
    current = next;
  }
  const last = readLmsSignature(reader);
  return last !== undefined && reader.rest() === 0 && verifyLms(current, message, last);
}

/**
 * The index q of the one-time key that made a one-level HSS signature; undefined if it is not one.
 */
export function signatureIndex(signature: Uint8Array): number | undefined {
  const reader = new Reader(signature);
  return reader.u32() === 0 && reader.rest() >= 4 ? reader.u32() : undefined;
}

/** True for the one-level keys that the ledger enrols. */
export function isEnrollableKey(publicKey: Uint8Array): boolean {
  const reader = new Reader(publicKey);
  const levels = reader.u32();
  const key = readLmsPublicKey(reader);
  if (levels !== 1 || key === undefined || reader.rest() !== 0) return false;
  return ENROLLED_LMS_TYPES.includes(key.type) && key.otsType === ENROLLED_LMOTS_TYPE;
}

interface LmsPublicKey {
  type: number;
  otsType: number;
  I: Uint8Array;
  root: Uint8Array;
  bytes: Uint8Array;
}

interface LmsSignature {
  q: number;
  otsType: number;
  C: Uint8Array;
  y: Uint8Array;
  type: number;
  path: Uint8Array;
}

/** RFC 8554 § 5.4.2, algorithm 6a: the candidate root from signature and message, against T[1]. */
function verifyLms(key: LmsPublicKey, message: Uint8Array, signature: LmsSignature): boolean {
  const { type, otsType, q, path } = signature;
  if (type !== key.type || otsType !== key.otsType) return false;
  const lms = LMS_TYPES.get(type)!;
  const ots = LMOTS_TYPES.get(otsType)!;
  // RFC 9858 § 6: the tree and its one-time keys use the same hash.
  if (ots.hash !== lms.hash || ots.n !== lms.m || q >= 2 ** lms.h) return false;
  const H = hasher(lms.hash, lms.m);
  const Kc = candidateKey(ots, key.I, signature, message);
  let node = 2 ** lms.h + q;
  const tmp = Buffer.alloc(lms.m);
  H(Buffer.concat([key.I, u32(node), u16(D_LEAF), Kc]), tmp, 0);
  for (let i = 0; node > 1; i++, node = Math.floor(node / 2)) {
    const sibling = path.subarray(i * lms.m, (i + 1) * lms.m);
    const [left, right] = node % 2 === 1 ? [sibling, tmp] : [tmp, sibling];
    H(Buffer.concat([key.I, u32(Math.floor(node / 2)), u16(D_INTR), left, right]), tmp, 0);
  }
  return Buffer.compare(tmp, key.root) === 0;
}

/**
 * RFC 8554 § 4.6, algorithm 4b: Kc, the one-time public key that would have made this signature.
 */
function candidateKey(
  { hash: name, n, w, p, ls }: LmotsType,
  I: Uint8Array,
  { q, C, y }: LmsSignature,
  message: Uint8Array,
): Uint8Array {
  const H = hasher(name, n);
  // Q || Cksm(Q).
  const digits = Buffer.alloc(n + 2);
  H(Buffer.concat([I, u32(q), u16(D_MESG), C, message]), digits, 0);
  digits.writeUInt16BE(checksum(digits.subarray(0, n), n, w, ls), n);
  const z = Buffer.alloc(I_BYTES + 6 + p * n);
  z.set(I);
  z.writeUInt32BE(q, I_BYTES);
  z.writeUInt16BE(D_PBLC, I_BYTES + 4);
  // I || u32str(q) || u16str(i) || u8str(j) || tmp, one buffer for the whole of the chains.
  const step = Buffer.alloc(I_BYTES + 7 + n);
  step.set(I);
  step.writeUInt32BE(q, I_BYTES);
  for (let i = 0; i < p; i++) {
    step.writeUInt16BE(i, I_BYTES + 4);
    step.set(y.subarray(i * n, (i + 1) * n), I_BYTES + 7);
    for (let j = coef(digits, i, w); j < 2 ** w - 1; j++) {
      step[I_BYTES + 6] = j;
      H(step, step, I_BYTES + 7);
    }
    z.set(step.subarray(I_BYTES + 7), I_BYTES + 6 + i * n);
  }
  const Kc = Buffer.alloc(n);
  H(z, Kc, 0);
  return Kc;
}

/** RFC 8554 § 4.4, algorithm 2. */
function checksum(Q: Uint8Array, n: number, w: number, ls: number): number {
  let sum = 0;
  for (let i = 0; i < (n * 8) / w; i++) sum += 2 ** w - 1 - coef(Q, i, w);
  return (sum << ls) & 0xffff;
}

/** RFC 8554 § 3.1.3: the i-th w-bit digit of S, high bits first. */
function coef(S: Uint8Array, i: number, w: number): number {
  const perByte = 8 / w;
  return (S[Math.floor(i / perByte)] >> (w * (perByte - 1 - (i % perByte)))) & (2 ** w - 1);
}

function readLmsPublicKey(reader: Reader): LmsPublicKey | undefined {
  const start = reader.at;
  const [type, otsType] = [reader.u32(), reader.u32()];
  const lms = LMS_TYPES.get(type);
  if (lms === undefined || !LMOTS_TYPES.has(otsType)) return undefined;
  const I = reader.take(I_BYTES);
  const root = reader.take(lms.m);
  if (I === undefined || root === undefined) return undefined;
  return { type, otsType, I, root, bytes: reader.bytes.subarray(start, reader.at) };
}

function readLmsSignature(reader: Reader): LmsSignature | undefined {
  const [q, otsType] = [reader.u32(), reader.u32()];
  const ots = LMOTS_TYPES.get(otsType);
  if (ots === undefined) return undefined;
  const [C, y, type] = [reader.take(ots.n), reader.take(ots.p * ots.n), reader.u32()];
  const lms = LMS_TYPES.get(type);
  const path = lms && reader.take(lms.h * lms.m);
  if (C === undefined || y === undefined || path === undefined) return undefined;
  return { q, otsType, C, y, type, path };
}

/** Reads forward; past the end it gives NaN or undefined, which no type or length matches. */
class Reader {
  readonly bytes: Uint8Array;
  at = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  u32(): number {
    const four = this.take(4);
    return four === undefined ? NaN : new DataView(four.buffer, four.byteOffset).getUint32(0);
  }

  take(length: number): Uint8Array | undefined {
    if (this.rest() < length) return undefined;
    this.at += length;
    return this.bytes.subarray(this.at - length, this.at);
  }

  rest(): number {
    return this.bytes.length - this.at;
  }
}

/** Writes the hash of `bytes` to `target`, which may be the same. */
type Hasher = (bytes: Uint8Array, target: Buffer, offset: number) => void;

/**
 * The hash truncated (SHA-256/192) or stretched (SHAKE256) to `length` bytes. Its text of a character
 * a byte takes a quarter of the time of a Buffer, of which each has memory of its own outside V8's
 * heap: at four hundred a signature, tens of megabytes of it were waiting to be collected.
 */
function hasher(name: HashName, length: number): Hasher {
  if (name === 'sha256') {
    return (bytes, target, offset) =>
      void target.write(hash('sha256', bytes, 'latin1'), offset, length, 'latin1');
  }
  return (bytes, target, offset) =>
    target.set(createHash('shake256', { outputLength: length }).update(bytes).digest(), offset);
}

function u32(value: number): Uint8Array {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u16(value: number): Uint8Array {
  return Uint8Array.of(value >> 8, value & 255);
}
