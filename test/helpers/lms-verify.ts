// A small LMS verifier for the tests of the meter (RFC 8554 algorithms 4b and 6a, SHA-256 sets
// only), written apart from both the meter's signer and the ledger's verifier.
import { createHash } from 'node:crypto';

const CHAINS: Record<string, { p: number; ls: number }> = {
  '32/1': { p: 265, ls: 7 }, '32/2': { p: 133, ls: 6 },
  '32/4': { p: 67, ls: 4 }, '32/8': { p: 34, ls: 0 },
  '24/1': { p: 200, ls: 8 }, '24/2': { p: 101, ls: 6 },
  '24/4': { p: 51, ls: 4 }, '24/8': { p: 26, ls: 0 },
};

/** Whether `signature` is an LMS signature of `message` under the LMS public key. */
export function verifyLms(publicKey: Buffer, message: Buffer, signature: Buffer): boolean {
  const lmsType = publicKey.readUInt32BE(0);
  const otsType = publicKey.readUInt32BE(4);
  const I = publicKey.subarray(8, 24);
  const n = publicKey.length - 24;
  const h = [5, 10, 15, 20, 25][(lmsType - 5) % 5];
  const w = [1, 2, 4, 8][(otsType - 1) % 4];
  const { p, ls } = CHAINS[`${n}/${w}`];
  if (signature.length !== 12 + n * (1 + p + h)) return false;
  const q = signature.readUInt32BE(0);
  if (signature.readUInt32BE(4) !== otsType || q >= 2 ** h) return false;
  const pathAt = 8 + n * (1 + p);
  if (signature.readUInt32BE(pathAt) !== lmsType) return false;
  const sha = (...parts: Buffer[]) =>
    createHash('sha256').update(Buffer.concat(parts)).digest().subarray(0, n);
  const Q = sha(I, u32(q), u16(0x8181), signature.subarray(8, 8 + n), message);
  let sum = 0;
  for (let i = 0; i < (8 * n) / w; i++) sum += 2 ** w - 1 - coef(Q, i, w);
  const V = Buffer.concat([Q, u16((sum << ls) & 0xffff)]);
  const ends: Buffer[] = [];
  for (let i = 0; i < p; i++) {
    let element = signature.subarray(8 + n * (1 + i), 8 + n * (2 + i));
    for (let j = coef(V, i, w); j < 2 ** w - 1; j++)
      element = sha(I, u32(q), u16(i), Buffer.of(j), element);
    ends.push(element);
  }
  const K = sha(I, u32(q), u16(0x8080), ...ends);
  let r = 2 ** h + q;
  let node = sha(I, u32(r), u16(0x8282), K);
  for (let i = 0; r > 1; i++, r = r >> 1) {
    const beside = signature.subarray(pathAt + 4 + n * i, pathAt + 4 + n * (i + 1));
    const pair = r % 2 === 1 ? [beside, node] : [node, beside];
    node = sha(I, u32(r >> 1), u16(0x8383), ...pair);
  }
  return node.equals(publicKey.subarray(24));
}

function coef(S: Buffer, i: number, w: number): number {
  return (S[Math.floor((i * w) / 8)] >> (8 - w * ((i % (8 / w)) + 1))) & (2 ** w - 1);
}

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u16(value: number): Buffer {
  return Buffer.of(value >> 8, value & 255);
}
