// The ledger of a simulated year: the project's own, its folder and its HTTP routes included, called
// without a socket; and in front of it the moods of a ledger, a relay or a thief in the line that is
// slow, silent, out of order or lying. What a mood answers never reaches the ledger's own books.
import { createHmac } from 'node:crypto';
import { decode, encode, rfc8949EncodeOptions } from 'cborg';
import type { Hono } from 'hono';
import '../../helpers/firmware.ts';
import { openLedger, type Ledger } from '../../../ledger/ledger.ts';
import { ledgerRoutes } from '../../../ledger/routes.ts';
import { LIMITS } from '../../../ledger/limits.ts';
import { createVolunteer, enrolmentBody, written } from '../../helpers/meter.ts';
import { verifyLms } from '../../helpers/lms-verify.ts';
import type { BatchPayload, IntervalRecord, Reply } from '../../../firmware/wire.ts';
import { httpResponse, type Answer, type HttpRequest } from './network.ts';

const wire = await import('../../../firmware/wire.ts');

export const ORIGIN = 'ledger.test/year';

/** How it answers for now. */
export const MOODS = [
  'well', 'silent', 'slow', 'late ack', 'try later', 'wrong shape', 'forged', 'replayed',
  'another batch', 'another nonce', 'absurd',
] as const;
export type Mood = (typeof MOODS)[number];

/** A batch that came to the ledger's own door, and what it said. */
export interface Judged {
  status: number;
  bytes: Buffer;
  payload: BatchPayload<Buffer>;
  /** Which of the meter's keys signed it, from 0, and with which index: `1/17`. */
  signature: string;
}

export interface Commons {
  mood: Mood;
  /** How many of the posts that find it well are answered in some mood all the same. */
  moodiness: number;
  readonly answered: Record<Mood, number>;
  /** How far its clock is from the world's. */
  skewMs: number;
  readonly judged: Judged[];
  /** In the order of acceptance, each once. */
  readonly records: IntervalRecord[];
  bodyBytes: number;
  /** The meter's public keys, the last in force. */
  readonly keys: Buffer[];
  enrol(statement: Buffer): Promise<void>;
  answer(request: HttpRequest): Promise<Answer | undefined>;
  /** What the ledger's page of this node says. */
  node(): Promise<NodeDocument>;
  ledger: Ledger;
  close(): Promise<void>;
}

export interface NodeDocument {
  enrolled: string;
  measured: { energy_micro_wh: number; up_s: number; down_s: number; unknown_s: number };
  claimed: { wan_in_bytes: number; wan_out_bytes: number };
}

/** What it takes of the world that it is in. */
export interface Surroundings {
  timeline: { nowMs(): number };
  chance: () => number;
  digest(bytes: Uint8Array): Buffer;
  note(line: string): void;
  amiss(what: string): void;
}

export async function openCommons(
  world: Surroundings, dir: string, pairKey: Buffer,
): Promise<Commons> {
  const { chance } = world;
  const nowMs = (): number => world.timeline.nowMs() + commons.skewMs;
  // The world's years pass in seconds: by the machine's own steady clock, every night were a leap.
  const steadyMs = (): number => world.timeline.nowMs();
  const ledger = await openLedger({ dir, origin: ORIGIN, clock: { nowMs, rate: 1 }, steadyMs });
  const problems: unknown[] = [];
  const app: Hono = ledgerRoutes(ledger, {
    limits: LIMITS,
    addressOf: () => '127.0.0.1',
    onProblem: (error) => void problems.push(error),
    nowMs: () => world.timeline.nowMs(),
  });
  let id = '';
  let seen: Buffer = Buffer.alloc(0);
  const hashes = new Set<string>();

  /** The ledger's own answer, noted. */
  const judge = async ({ headers, body }: HttpRequest): Promise<Buffer> => {
    const response = await app.request('http://ledger.test/v1/batches', {
      method: 'POST',
      headers: Object.fromEntries(headers),
      body: new Uint8Array(body),
    });
    if (problems.length > 0) throw problems[0];
    const bytes = Buffer.from(await response.arrayBuffer());
    commons.bodyBytes += body.length + bytes.length;
    note(response.status, body);
    if (response.status === 422) {
      const { decision } = await ledger.submitBatch(new Uint8Array(body));
      if (decision.kind === 'invalid') world.note(`because ${decision.reason.got}`);
    }
    return httpResponse(response.status, bytes);
  };
  const note = (status: number, bytes: Buffer): void => {
    const envelope = wire.decodeSign1(bytes);
    const payload = wire.decodePayload(envelope.payload);
    const { firstSeq } = payload.records[0];
    const { lastSeq } = payload.records[payload.records.length - 1];
    world.note(`ledger ${status} ${firstSeq}-${lastSeq} ${world.digest(bytes).toString('hex')}`);
    const message = Buffer.from(written((out) =>
      wire.encodeSigStructure(out, envelope.header, envelope.payload)));
    const { keys, judged, records } = commons;
    const lms = envelope.proof.subarray(4);
    const by = keys.findLastIndex((key) => verifyLms(key.subarray(4), message, lms));
    judged.push({ status, bytes: Buffer.from(bytes), payload, signature: `${by}/${lms.readUInt32BE(0)}` });
    const hash = world.digest(bytes).toString('hex');
    if (by < 0) world.amiss('a signature is wrong');
    if (hashes.has(hash)) return;
    if (by < keys.length - 1) world.amiss('a key that was succeeded signed another batch');
    if (status !== 200) return;
    hashes.add(hash);
    records.push(...payload.records);
    if (payload.successor !== null) keys.push(payload.successor);
  };

  const forge = (request: HttpRequest, change: (reply: Reply<Buffer>) => void, key: Buffer) => {
    const last = commons.records.at(-1);
    const reply: Reply<Buffer> = {
      kind: wire.REPLY.accepted, origin: ORIGIN, meterId: Buffer.from(id, 'hex'),
      batchHash: world.digest(request.body),
      nonce: Buffer.from(request.headers.get('commons-nonce') ?? '', 'hex'),
      entryIndex: 7, nextSeq: (last?.lastSeq ?? 0) + 5, lastHash: world.digest(request.body),
      unixS: Math.floor(nowMs() / 1000) + 86_400,
    };
    change(reply);
    const payload = written((out) => wire.encodeReply(out, reply));
    const header = written((out) => wire.encodeHeader(out, wire.ALG.hmac256, null));
    const covered = written((out) => wire.encodeMacStructure(out, header, payload));
    const tag = new Uint8Array(createHmac('sha256', key).update(covered).digest());
    return httpResponse(200, written((out) => wire.encodeMac0(out, header, payload, tag)));
  };

  const answers: Record<Mood, (request: HttpRequest) => Promise<Answer | undefined>> = {
    well: async (request) => {
      const bytes = await judge(request);
      seen = bytes;
      return { bytes, afterMs: 20 + Math.floor(chance() * 400) };
    },
    silent: async () => ({ bytes: Buffer.alloc(0), afterMs: 3_600_000 }),
    // It has the batch, and says so when nobody listens any more.
    slow: async (request) => ({ bytes: await judge(request), afterMs: 13_000 }),
    'late ack': async (request) => ({ bytes: await judge(request), afterMs: 11_000 }),
    'try later': async (request) => {
      // A time that runs ahead, told without an entry that is dated by it, would be a ledger at odds
      // with itself: it could not take the records that follow.
      if (commons.skewMs > 0) return await answers.well(request);
      const change = (reply: Reply<Buffer>): void => {
        Object.assign(reply, { kind: wire.REPLY.tryLater, unixS: Math.floor(nowMs() / 1000) });
      };
      return { bytes: forge(request, change, pairKey), afterMs: 50 };
    },
    'wrong shape': async () => ({ bytes: wrongShape(chance, seen), afterMs: 50 }),
    forged: async (request) => ({ bytes: forge(request, () => {}, Buffer.alloc(32, 1)), afterMs: 5 }),
    replayed: async () => ({ bytes: seen, afterMs: 50 }),
    'another batch': async (request) => ({
      bytes: forge(request, (reply) => void (reply.batchHash = Buffer.alloc(32, 9)), pairKey),
      afterMs: 50,
    }),
    'another nonce': async (request) => ({
      bytes: forge(request, (reply) => void (reply.nonce = Buffer.alloc(16, 9)), pairKey),
      afterMs: 50,
    }),
    absurd: async (request) => ({
      bytes: forge(request, (reply) => {
        if (chance() < 0.5) reply.nextSeq = 2 ** 40;
        else reply.unixS = 2 ** 40;
      }, pairKey),
      afterMs: 50,
    }),
  };

  const commons: Commons = {
    mood: 'well',
    moodiness: 0,
    answered: Object.fromEntries(MOODS.map((mood) => [mood, 0])) as Record<Mood, number>,
    skewMs: 0,
    judged: [],
    records: [],
    bodyBytes: 0,
    keys: [],
    ledger,
    async enrol(statement) {
      const volunteer = createVolunteer('year');
      await ledger.admit(volunteer.publicKey);
      const { publicKey } = wire.decodeEnrol(wire.decodeSign1(statement).payload);
      commons.keys.push(publicKey);
      id = world.digest(publicKey).subarray(0, 8).toString('hex');
      const { origin, ageRecipient } = ledger.store.keys;
      const meter = { pairingKey: new Uint8Array(pairKey), statement: () => new Uint8Array(statement) };
      const body = await enrolmentBody(meter, volunteer, { origin, ageRecipient });
      const [enrolment, sealed] = (decode(body) as Uint8Array[]).map((part) => new Uint8Array(part));
      await ledger.enrol(enrolment, sealed);
    },
    answer(request) {
      const moody = commons.mood === 'well' && chance() < commons.moodiness;
      const mood = moody ? MOODS[Math.floor(chance() * MOODS.length)] : commons.mood;
      commons.answered[mood]++;
      world.note(`mood ${mood}`);
      return answers[mood](request);
    },
    async node() {
      const response = await app.request(`http://ledger.test/v1/nodes/${id}`);
      return await response.json() as NodeDocument;
    },
    close: () => ledger.close(),
  };
  return commons;
}

/** No index twice, nothing honest refused, no gap. */
export function checkReports({ judged }: Commons, amiss: (what: string) => void): void {
  const byIndex = new Map<string, Buffer>();
  /** Batches that the ledger put off, as it does while its clock is behind the meter's. */
  const waiting = new Set<string>();
  for (const { status, bytes, payload, signature } of judged) {
    if (status !== 200 && status !== 503) amiss(`the ledger answered ${status}`);
    if (payload.gaps.length > 0) amiss(`a gap: ${JSON.stringify(payload.gaps)}`);
    if (!(byIndex.get(signature) ?? bytes).equals(bytes)) amiss(`index ${signature} signed twice`);
    byIndex.set(signature, bytes);
    if (status === 503) waiting.add(signature);
    else waiting.delete(signature);
  }
  if (waiting.size > 0) amiss(`${waiting.size} batches were put off for ever`);
}

/** Answers that no ledger gives: cut, spoilt, endless, contradicting themselves. */
function wrongShape(chance: () => number, seen: Buffer): Buffer {
  const headEnd = seen.indexOf('\r\n\r\n') + 4;
  const body = seen.subarray(headEnd);
  const spoilt = Buffer.from(seen);
  if (spoilt.length > 0) spoilt[Math.floor(chance() * spoilt.length)] ^= 1 << Math.floor(chance() * 8);
  const text = (head: string, rest: Uint8Array = body): Buffer =>
    Buffer.concat([Buffer.from(`HTTP/1.1 ${head}\r\n\r\n`), rest]);
  const shapes = [
    Buffer.alloc(0),
    seen.subarray(0, Math.floor(chance() * seen.length)),
    spoilt,
    text('200 OK'),
    text(`200 OK\r\nContent-Length: ${body.length + 1}`),
    text(`200 OK\r\nContent-Length: ${body.length}\r\nContent-Length: 1`),
    text('200 OK\r\nContent-Length: 99999999999999999999'),
    text('200 OK\r\nContent-Length: 1000000', Buffer.alloc(4_000)),
    text('200 OK\r\nTransfer-Encoding: chunked'),
    text(`200 OK\r\nX: ${'x'.repeat(4_000)}\r\nContent-Length: 0`),
    text('302 Found\r\nLocation: http://login.test/\r\nContent-Length: 0', Buffer.alloc(0)),
    httpResponse(200, Buffer.from('<html>Please log in</html>')),
    httpResponse(200, Buffer.alloc(0)),
    httpResponse(200, Buffer.alloc(1024, 0xff)),
    httpResponse(200, encode([1, { a: 'b' }], rfc8949EncodeOptions)),
    httpResponse(500, Buffer.from('{"type":"about:blank"}')),
    Buffer.from('SSH-2.0-OpenSSH_9.2\r\n'),
    Buffer.from(Array.from({ length: 600 }, () => Math.floor(chance() * 256))),
  ];
  return shapes[Math.floor(chance() * shapes.length)];
}
