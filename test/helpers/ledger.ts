// A small ledger for tests of the meter: verifies every signature, the chain and the sequence, and
// answers as it is told to: truly, not at all, or with a forged reply. Written apart from ledger/.
import { createHash, createHmac } from 'node:crypto';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import './firmware.ts';
import type { IntervalRecord } from '../../firmware/wire.ts';
import { verifyLms } from './lms-verify.ts';

const wire = await import('../../firmware/wire.ts');

export interface Posted {
  batch: Buffer;
  nonce: string;
  /** Which of the meter's keys is in force, from 1, and its index that signed: `2/17`. */
  signature: string;
  /** What this ledger answered it with. */
  answer: 'accepted' | 'repeated' | 'notNext' | 'silence' | 'forged' | 'invalid';
}

export interface Answered {
  /** 0: the line is cut instead. */
  status: number;
  body: Buffer;
}

/** The ledger without its server. */
export interface LedgerJudge {
  posted: Posted[];
  records: IntervalRecord[];
  /** The meter's public keys, the last in force. */
  keys: Buffer[];
  gaps: number;
  /** How the next posts are answered; the last goes on. */
  plan: ('truth' | 'silence' | 'forged' | 'invalid')[];
  /** From the enrolment statement's lines. */
  enrol(statement: Buffer): void;
  /** Judges a batch posted with that nonce. Throws if a signature index comes with two batches. */
  answer(batch: Buffer, nonce: string): Answered;
}

export interface TestLedger extends LedgerJudge {
  url: string;
  onPost: () => void;
  close(): void;
}

export const sha256 = (...parts: Uint8Array[]): Buffer => {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part);
  return hash.digest();
};

export function createJudge(origin: string, pairKey: Buffer, unixS: () => number): LedgerJudge {
  let meterId = Buffer.alloc(8);
  let lastHash: Buffer | null = null;
  let nextSeq = 1;
  const accepted = new Map<string, number>();
  const spent = new Map<string, string>();
  const signatureOf = (batch: Buffer): string =>
    `${Math.max(1, ledger.keys.length)}/${wire.decodeSign1(batch).proof.readUInt32BE(4)}`;

  const judge = (batch: Buffer): Posted['answer'] => {
    const hash = sha256(batch).toString('hex');
    const envelope = wire.decodeSign1(batch);
    const payload = wire.decodePayload(envelope.payload);
    if (accepted.has(hash)) return 'repeated';
    const signature = signatureOf(batch);
    const twin = spent.get(signature);
    if (twin !== undefined && twin !== hash) throw new Error(`equivocation at ${signature}`);
    spent.set(signature, hash);
    const inForce = ledger.keys.at(-1);
    if (!inForce || !verifies(inForce, envelope)) return 'invalid';
    const { records } = payload;
    const first = payload.gaps[0]?.firstSeq ?? records[0].firstSeq;
    const none = Buffer.alloc(0);
    const linked = (payload.previous ?? none).equals(lastHash ?? none);
    if (!linked || Math.min(first, records[0].firstSeq) !== nextSeq) return 'notNext';
    ledger.records.push(...records);
    ledger.gaps += payload.gaps.length;
    lastHash = sha256(batch);
    nextSeq = records[records.length - 1].lastSeq + 1;
    accepted.set(hash, accepted.size);
    if (payload.successor !== null) ledger.keys.push(payload.successor);
    return 'accepted';
  };

  const replyTo = (batch: Buffer, nonce: Buffer, kind: number, key: Buffer): Buffer => {
    const payload = encoded((out) =>
      wire.encodeReply(out, {
        kind, origin, meterId, batchHash: sha256(batch), nonce,
        entryIndex: accepted.get(sha256(batch).toString('hex')) ?? 0,
        nextSeq, lastHash, unixS: unixS(),
      }),
    );
    const header = encoded((out) => wire.encodeHeader(out, wire.ALG.hmac256, null));
    const covered = encoded((out) => wire.encodeMacStructure(out, header, payload));
    const tag = createHmac('sha256', key).update(covered).digest();
    return encoded((out) => wire.encodeMac0(out, header, payload, tag));
  };

  const ledger: LedgerJudge = {
    posted: [],
    records: [],
    keys: [],
    gaps: 0,
    plan: ['truth'],
    enrol(statement) {
      const envelope = wire.decodeSign1(statement);
      const { publicKey: key } = wire.decodeEnrol(envelope.payload);
      if (!verifies(key, envelope)) throw new Error('the statement is not signed by its key');
      if (envelope.proof.readUInt32BE(4) !== 0) throw new Error('the statement has another index');
      spent.set('1/0', sha256(statement).toString('hex'));
      ledger.keys = [key];
      meterId = sha256(key).subarray(0, 8) as Buffer<ArrayBuffer>;
    },
    answer(batch, nonce) {
      const step = ledger.plan.length > 1 ? ledger.plan.shift() : ledger.plan[0];
      const signature = signatureOf(batch);
      const answer = step === 'truth' ? judge(batch) : (step ?? 'silence');
      ledger.posted.push({ batch, nonce, signature, answer });
      if (answer === 'silence') return { status: 0, body: Buffer.alloc(0) };
      const kind = { accepted: 0, repeated: 1, notNext: 2, invalid: 3, forged: 0 }[answer];
      const key = answer === 'forged' ? Buffer.alloc(32, 0xff) : pairKey;
      const body = replyTo(batch, Buffer.from(nonce, 'hex'), kind, key);
      return { status: [200, 200, 409, 422][kind], body };
    },
  };
  return ledger;
}

/** The judge behind HTTP, at a port that the system chose. */
export async function openTestLedger(
  origin: string,
  pairKey: Buffer,
  unixS: () => number,
): Promise<TestLedger> {
  const judge = createJudge(origin, pairKey, unixS);
  const server: Server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on('data', (chunk: Buffer) => chunks.push(chunk));
    request.on('end', () => {
      const nonce = String(request.headers['commons-nonce']);
      const { status, body } = judge.answer(Buffer.concat(chunks), nonce);
      if (status === 0) request.socket.destroy();
      else {
        response.writeHead(status, { 'Content-Length': body.length, Connection: 'close' });
        response.end(body);
      }
      ledger.onPost();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  // The very object: a test sets its plan, and reads its lists.
  const ledger: TestLedger = Object.assign(judge, {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    onPost: () => {},
    close: () => void server.close(),
  });
  return ledger;
}

/** HSS with one level: u32 0 before an LMS signature, u32 1 before an LMS key. */
function verifies(
  publicKey: Buffer,
  envelope: { header: Buffer; payload: Buffer; proof: Buffer },
): boolean {
  const message = encoded((out) => wire.encodeSigStructure(out, envelope.header, envelope.payload));
  return verifyLms(publicKey.subarray(4), message, envelope.proof.subarray(4));
}

function encoded(write: (out: { bytes: Buffer; at: number }) => void): Buffer {
  const out = { bytes: Buffer.alloc(8192), at: 0 };
  write(out);
  return out.bytes.subarray(0, out.at);
}
