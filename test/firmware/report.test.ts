// Reporting against a small ledger in the test: what is believed, what is sent again, and what
// changes nothing.
import test from 'ava';
import { createHash, createHmac } from 'node:crypto';
import '../helpers/firmware.ts';
import type { Link, NextKey, Outstanding, ReportStore } from '../../firmware/report.ts';
import type { IntervalRecord } from '../../firmware/wire.ts';

const { OUTCOME, Reporter, backOffMs } = await import('../../firmware/report.ts');
const wire = await import('../../firmware/wire.ts');

const meterId = Buffer.from('0102030405060708', 'hex');
const pairKey = Buffer.alloc(32, 0x5a);
const sha256 = (...pieces: Buffer[]) => createHash('sha256').update(Buffer.concat(pieces)).digest();
const hmac = (key: Buffer, bytes: Buffer) => createHmac('sha256', key).update(bytes).digest();

class Store implements ReportStore {
  link: Link = { lastHash: null, nextSeq: 1, entryIndex: 0, ackedUnixS: 0 };
  outstanding: Outstanding | null = null;
  batch: Buffer = Buffer.alloc(0);
  async keepBatch(batch: Buffer[], about: Outstanding) {
    this.batch = Buffer.concat(batch);
    this.outstanding = about;
  }
  async readBatch() {
    return [this.batch.subarray(0, 7), this.batch.subarray(7)];
  }
  async dropBatch() {
    this.outstanding = null;
  }
  async accept(link: Link) {
    this.link = link;
    this.outstanding = null;
  }
}

interface Answer {
  kind?: number;
  nextSeq?: number;
  unixS?: number;
  lastHash?: Buffer | null;
  /** Bends the reply before it is sent. */
  bend?: (body: Buffer) => Buffer;
  key?: Buffer;
  nonce?: Buffer;
  origin?: string;
  batchHash?: Buffer;
}

/** A reporter with records 1 … `count`, whose posts `answers` replies to, one by one. */
function scene(count: number, answers: (Answer | 'silence')[], make = recordAt) {
  const store = new Store();
  const posted: { url: string; nonce: string; batch: Buffer }[] = [];
  const state = {
    signatures: 0, steps: 0, adopted: [] as number[], next: null as NextKey | null,
  };
  const reporter = new Reporter(
    {
      store,
      async eachRecord(fromSeq, take) {
        const records = Array.from({ length: count }, (_, i) => make(i + 1));
        for (const record of records) {
          if (record.lastSeq >= fromSeq && !take(record)) return;
        }
      },
      sign: async (message) => [Buffer.of(++state.signatures), sha256(message)],
      successor: () => state.next,
      scratch: Buffer.alloc(1000, 0xa5),
      urls: () => ['R', 'L'],
      adopt: async (number) => void state.adopted.push(number),
      digest: (pieces) => sha256(...pieces),
      hmac,
      random: (size) => Buffer.alloc(size, posted.length + 1),
      pause: async () => {},
      synchronise: () => void state.steps++,
      post: async (url, headers, body) => {
        const batch = Buffer.concat(body);
        const nonce = headers[1].slice('Commons-Nonce: '.length);
        posted.push({ url, nonce, batch });
        const answer = answers.shift();
        if (answer === undefined || answer === 'silence') throw new Error('http: time is up');
        return { body: replyTo(answer, nonce, batch), sentMs: 0 };
      },
    },
    { meterId, origin: 'ledger.test/commons', pairKey, firmwareHash: Buffer.alloc(32) },
  );
  return { store, posted, reporter, state };
}

function recordAt(seq: number): IntervalRecord {
  const record = wire.emptyRecord();
  record.firstSeq = record.lastSeq = seq;
  record.energyMicroWh = seq * 1000;
  return record;
}

function replyTo(answer: Answer, nonce: string, batch: Buffer): Buffer {
  const payload = wire.decodePayload(wire.decodeSign1(batch).payload);
  const last = payload.records[payload.records.length - 1].lastSeq;
  const out = { bytes: Buffer.alloc(600), at: 0 };
  wire.encodeReply(out, {
    kind: answer.kind ?? wire.REPLY.accepted,
    origin: answer.origin ?? 'ledger.test/commons',
    meterId,
    batchHash: answer.batchHash ?? sha256(batch),
    nonce: answer.nonce ?? Buffer.from(nonce, 'hex'),
    entryIndex: 7,
    nextSeq: answer.nextSeq ?? last + 1,
    lastHash: answer.lastHash === undefined ? sha256(batch) : answer.lastHash,
    unixS: answer.unixS ?? 1_795_000_000,
  });
  const reply = Buffer.from(out.bytes.subarray(0, out.at));
  const header = Buffer.from('a10105', 'hex');
  const covered = { bytes: Buffer.alloc(700), at: 0 };
  wire.encodeMacStructure(covered, header, reply);
  const tag = hmac(answer.key ?? pairKey, covered.bytes.subarray(0, covered.at));
  const mac = { bytes: Buffer.alloc(700), at: 0 };
  wire.encodeMac0(mac, header, reply, tag);
  const body = Buffer.from(mac.bytes.subarray(0, mac.at));
  return answer.bend ? answer.bend(body) : body;
}

test('accepted: the link moves on, the next batch names this one', async (t) => {
  const { store, posted, reporter } = scene(30, [{}, {}]);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.is(posted[0].url, 'R/v1/batches');
  const first = posted[0].batch;
  t.deepEqual(store.link, { lastHash: sha256(first), nextSeq: 25, entryIndex: 7, ackedUnixS: 1_795_000_000 });
  t.is(store.outstanding, null);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  const second = wire.decodePayload(wire.decodeSign1(posted[1].batch).payload);
  t.deepEqual(second.previous, sha256(first));
  t.is(second.records[0].firstSeq, 25);
  t.is(await reporter.attempt(), OUTCOME.nothing);
});

test('silence: the same bytes again, by both addresses, with a fresh nonce, signed once', async (t) => {
  const { posted, reporter, state } = scene(3, ['silence', 'silence', 'silence', { kind: 1 }]);
  t.is(await reporter.attempt(), OUTCOME.silent);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.deepEqual(posted.map(({ url }) => url), ['R', 'L', 'R', 'L'].map((url) => `${url}/v1/batches`));
  for (const { batch } of posted) t.deepEqual(batch, posted[0].batch);
  t.is(new Set(posted.map(({ nonce }) => nonce)).size, 4);
  t.is(state.signatures, 1);
});

test('forged, replayed, misaddressed or cut replies change nothing', async (t) => {
  const wrong: Record<string, Answer> = {
    'another key': { key: Buffer.alloc(32, 1) },
    'another nonce': { nonce: Buffer.alloc(16, 0xee) },
    'another origin': { origin: 'ledger.example/commons' },
    'another batch': { batchHash: Buffer.alloc(32) },
    'untagged problem': { bend: () => Buffer.from('{"type":"about:blank","status":404}') },
    empty: { bend: () => Buffer.alloc(0) },
    'byte after': { bend: (body) => Buffer.concat([body, Buffer.of(0)]) },
  };
  for (const [name, answer] of Object.entries(wrong)) {
    const { store, reporter, state } = scene(3, [answer, answer]);
    t.is(await reporter.attempt(), OUTCOME.silent, name);
    t.is(store.link.nextSeq, 1, name);
    t.truthy(store.outstanding, name);
    t.is(state.steps, 0, name);
  }
});

test('a reply with any one bit wrong changes nothing', async (t) => {
  const { reporter, store } = scene(1, [{}]);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.is(store.link.nextSeq, 2);
  const sample = replyTo({}, '00'.repeat(16), (await batchOf(1)) as Buffer);
  for (let bit = 0; bit < sample.length * 8; bit++) {
    const flip = (body: Buffer) => {
      body[bit >> 3] ^= 1 << (bit & 7);
      return body;
    };
    const one = scene(1, [{ bend: flip }]);
    t.is(await one.reporter.attempt(), OUTCOME.silent, `bit ${bit}`);
    t.is(one.store.link.nextSeq, 1);
  }
});

async function batchOf(count: number): Promise<Buffer> {
  const { posted, reporter } = scene(count, [{}]);
  await reporter.attempt();
  return posted[0].batch;
}

test('not the continuation: built anew from what is wanted; gaps declared where nothing is', async (t) => {
  const lastHash = Buffer.alloc(32, 9);
  const { posted, reporter, store } = scene(30, [{ kind: 2, nextSeq: 10, lastHash }, {}]);
  t.is(await reporter.attempt(), OUTCOME.notNext);
  t.is(store.link.nextSeq, 10);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  const payload = wire.decodePayload(wire.decodeSign1(posted[1].batch).payload);
  t.is(payload.records[0].firstSeq, 10);
  t.deepEqual(payload.previous, lastHash);
});

test('gaps are declared, and no more of them than a batch may have', async (t) => {
  const few = scene(3, [{}], (i) => recordAt([5, 6, 9][i - 1]));
  few.store.link.nextSeq = 3;
  t.is(await few.reporter.attempt(), OUTCOME.accepted);
  t.deepEqual(payloadOf(few.posted[0].batch).gaps, [
    { firstSeq: 3, lastSeq: 4 },
    { firstSeq: 7, lastSeq: 8 },
  ]);
  const many = scene(24, [{}, {}], (i) => recordAt(2 * i));
  t.is(await many.reporter.attempt(), OUTCOME.accepted);
  t.is(await many.reporter.attempt(), OUTCOME.accepted);
  t.deepEqual(many.posted.map(({ batch }) => payloadOf(batch).gaps.length), [16, 8]);
  t.is(many.store.link.nextSeq, 49);
});

const payloadOf = (batch: Buffer) => wire.decodePayload(wire.decodeSign1(batch).payload);

test('records of any size go out, fewer at a time, and all of them', async (t) => {
  const most = 2 ** 51 - 1;
  // All that a hostile node, a noisy supply and a worn journal can make of one record.
  const wild = (i: number): IntervalRecord => {
    const record = wire.emptyRecord();
    for (const { name } of wire.FIELDS) record[name] = i % 2 === 0 ? most : i;
    record.firstSeq = record.lastSeq = 2 * i;
    return record;
  };
  const { posted, reporter } = scene(24, Array(24).fill({}), wild);
  const seen: number[] = [];
  while ((await reporter.attempt()) === OUTCOME.accepted) {
    const { records } = wire.decodePayload(wire.decodeSign1(posted.at(-1)!.batch).payload);
    seen.push(...records.map(({ lastSeq }) => lastSeq / 2));
  }
  t.deepEqual(seen, Array.from({ length: 24 }, (_, i) => i + 1));
});

test('a reply that no ledger could mean, tagged or not, changes nothing', async (t) => {
  for (const answer of [{ nextSeq: 2 ** 52 }, { nextSeq: 2 ** 31 }, { unixS: 2 ** 51 }, { unixS: 2 ** 32 }]) {
    const { store, reporter, state } = scene(3, [answer, answer]);
    t.is(await reporter.attempt(), OUTCOME.silent, JSON.stringify(answer));
    t.is(store.link.nextSeq, 1);
    t.is(state.steps, 0);
  }
});

test('invalid: dropped and signed anew; try later: kept', async (t) => {
  const { reporter, store, state } = scene(3, [{ kind: 4 }, { kind: 3 }, {}]);
  t.is(await reporter.attempt(), OUTCOME.tryLater);
  t.truthy(store.outstanding);
  t.is(await reporter.attempt(), OUTCOME.invalid);
  t.is(store.outstanding, null);
  t.is(store.link.nextSeq, 1);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.is(state.signatures, 2);
});

test('a batch names the next key, which is put in force by its acceptance alone', async (t) => {
  const next = { number: 2, publicKey: Buffer.alloc(52, 0x2b) };
  const named = (batch: Buffer) => wire.decodePayload(wire.decodeSign1(batch).payload).successor;
  for (const [kind, adopted] of [[0, [2]], [1, [2]], [2, []], [3, []], [4, []]] as const) {
    const { reporter, posted, state } = scene(3, [{ kind }]);
    state.next = next;
    await reporter.attempt();
    t.deepEqual(named(posted[0].batch), next.publicKey);
    const { records } = wire.decodePayload(wire.decodeSign1(posted[0].batch).payload);
    t.is(records.length, 1, 'it is public: no more than it must be');
    t.deepEqual(state.adopted, [...adopted], `kind ${kind}`);
  }
  const { reporter, posted, state, store } = scene(30, ['silence', 'silence', {}, {}]);
  state.next = next;
  t.is(await reporter.attempt(), OUTCOME.silent);
  t.is(store.outstanding?.names, 2);
  t.deepEqual(state.adopted, []);
  state.next = null;
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.deepEqual(posted[2].batch, posted[0].batch);
  t.deepEqual(state.adopted, [2]);
  t.is(await reporter.attempt(), OUTCOME.accepted);
  t.is(named(posted[3].batch), null);
  t.deepEqual(state.adopted, [2]);
});

test('waits double up to the batch period, less a random half', (t) => {
  const seconds = [1, 2, 3, 4, 9].map((failures) => backOffMs(failures, 300, 1) / 1000);
  t.deepEqual(seconds, [30, 60, 120, 240, 300]);
  t.is(backOffMs(1, 300, 0), 15_000);
});
