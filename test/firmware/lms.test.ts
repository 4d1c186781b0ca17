// LMS keys and signatures against RFC 8554 Appendix F and RFC 9858 Appendix A: where the documents
// give SEED and I, the same signature must come out, byte for byte, with their randomizer C.
import test from 'ava';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import {
  growSubtree,
  hssPublicKey,
  hssSign,
  lmsPublicKey,
  lmsSign,
  nodeAbove,
  parameterSet,
  signatureBytes,
  subtreeCount,
  type Bytes,
  type ParameterSet,
  type Runtime,
  type Secret,
} from '../../firmware/lms.ts';
import { verifyLms } from '../helpers/lms-verify.ts';

interface Case {
  name: string;
  publicKey: string;
  message: string;
  signature: string;
}
const cases = (read('lms.json') as { cases: Case[] }).cases;
/** What the documents print of each private key; `from` is where the LMS parts start in a case. */
const secrets = (read('lms-secrets.json') as { secrets: SecretCase[] }).secrets;
interface SecretCase {
  case: string;
  level: number;
  lmsType: number;
  otsType: number;
  seed: string;
  I: string;
  q: number;
}

for (const secretCase of secrets) {
  test(`${secretCase.case}, level ${secretCase.level}: key and signature as printed`, async (t) => {
    const set = parameterSet(secretCase.lmsType, secretCase.otsType);
    const secret = { set, I: hex(secretCase.I), seed: hex(secretCase.seed) };
    const parts = partsOf(secretCase, set);
    const rt = runtime(set);
    const grown = await growAll(rt, secret);
    t.is(text(lmsPublicKey(rt, secret, grown.nodes[1])), parts.publicKey.toString('hex'));
    const q = parts.signature.readUInt32BE(0);
    t.is(q, secretCase.q);
    const C = parts.signature.subarray(8, 8 + set.n);
    const subtree = grown.subtrees[Math.floor(q / 32)];
    const upper = upperOf(grown, q);
    const pieces = await lmsSign(rt, secret, parts.message, { q, C, subtree, upper });
    t.is(text(Buffer.concat(pieces as Buffer[])), parts.signature.toString('hex'));
  });
}

test("the meter's own set signs at every tenth index, verified, and only for its message", async (t) => {
  const set = parameterSet(0x0b, 0x07);
  const secret = { set, I: Buffer.alloc(16, 5), seed: Buffer.alloc(24, 6) };
  const rt = runtime(set);
  const grown = await growAll(rt, secret);
  const key = Buffer.from(hssPublicKey(rt, secret, grown.nodes[1]) as Buffer);
  t.is(key.length, 52);
  t.is(signatureBytes(set), 1500);
  for (let q = 0; q < 1024; q += 31) {
    const message = Buffer.from(`message ${q}`);
    const subtree = grown.subtrees[Math.floor(q / 32)];
    const signing = { q, C: Buffer.alloc(24, q), subtree, upper: upperOf(grown, q) };
    const signature = Buffer.concat((await hssSign(rt, secret, message, signing)) as Buffer[]);
    const lms = signature.subarray(4);
    t.true(verifyLms(key.subarray(4), message, lms), `q ${q}`);
    t.false(verifyLms(key.subarray(4), Buffer.from('another'), lms), `q ${q}`);
  }
});

test('pairs that no registry has are refused', (t) => {
  t.throws(() => parameterSet(0x0b, 0x03), { message: /lms-type/ });
  t.throws(() => parameterSet(4, 1), { message: /lms-type/ });
  t.throws(() => parameterSet(25, 16), { message: /lms-type/ });
});

/** Where a level's public key, signature and message stand in a case's HSS bytes (RFC 8554 § 6). */
function partsOf(secretCase: SecretCase, set: ParameterSet) {
  const found = cases.find((one) => one.name === secretCase.case);
  if (!found) throw new Error(`no case ${secretCase.case}`);
  const hss = hex(found.signature);
  const own = signatureBytes(set);
  if (hss.readUInt32BE(0) === 0 || secretCase.level === 1)
    return {
      publicKey: secretCase.level === 1 ? keyInside(hss, set) : hex(found.publicKey).subarray(4),
      signature: hss.subarray(hss.length - own),
      message: hex(found.message),
    };
  const nextKey = hss.subarray(4 + own, 4 + own + 24 + 32);
  return {
    publicKey: hex(found.publicKey).subarray(4),
    signature: hss.subarray(4, 4 + own),
    message: nextKey,
  };
}

function keyInside(hss: Buffer, set: ParameterSet): Buffer {
  const end = hss.length - signatureBytes(set);
  return hss.subarray(end - 24 - set.n, end);
}

/** The tree above the subtrees by number, and these. */
interface Grown {
  nodes: Bytes[];
  subtrees: Bytes[];
}

/** The neighbours of the nodes above leaf `q` and its subtree. */
function upperOf({ nodes, subtrees }: Grown, q: number): Buffer {
  const path = [];
  for (let r = subtrees.length + Math.floor(q / 32); r > 1; r >>= 1) path.push(nodes[r ^ 1] as Buffer);
  return Buffer.concat(path);
}

async function growAll(rt: Runtime, secret: Secret): Promise<Grown> {
  const n = secret.set.n;
  const count = subtreeCount(secret.set);
  const nodes: Bytes[] = [];
  const subtrees: Bytes[] = [];
  for (let i = 0; i < count; i++) {
    const subtree = await growSubtree(rt, secret, i);
    subtrees.push(subtree);
    nodes[count + i] = (subtree as Buffer).subarray(n, 2 * n);
  }
  for (let r = count - 1; r >= 1; r--) {
    nodes[r] = nodeAbove(rt, secret, r, nodes[2 * r], nodes[2 * r + 1]);
  }
  return { nodes, subtrees };
}

function runtime(set: ParameterSet): Runtime {
  const algorithm = set.lmsType < 15 ? 'sha256' : 'shake256';
  const options = set.lmsType < 15 ? {} : { outputLength: set.n };
  return {
    hash(out, at, n, a, b) {
      const digest = createHash(algorithm, options).update(a as Buffer);
      if (b) digest.update(b as Buffer);
      (out as Buffer).set(digest.digest().subarray(0, n), at);
    },
    alloc: (size) => Buffer.alloc(size),
    ends: (size) => Buffer.alloc(size),
    pause: async () => {},
  };
}

function read(name: string): unknown {
  return JSON.parse(readFileSync(new URL(`../vectors/${name}`, import.meta.url), 'utf8'));
}

function hex(digits: string): Buffer {
  return Buffer.from(digits, 'hex');
}

function text(bytes: Bytes): string {
  return Buffer.from(bytes as Buffer).toString('hex');
}
