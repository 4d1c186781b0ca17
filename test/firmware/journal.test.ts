// The meter's memory under power cuts: a run's writes are replayed, cut at every single byte, and
// opened afresh each time. Nothing acknowledged may be lost or used twice.
import test, { type ExecutionContext } from 'ava';
import fc from 'fast-check';
import { createHash } from 'node:crypto';
import { crc32 as zlibCrc32 } from 'node:zlib';
import '../helpers/firmware.ts';
import { createFram } from '../../provisioner/virtual/fram.ts';
import { Memory } from '../helpers/memory.ts';
import type { Journal } from '../../firmware/journal.ts';
import type { Ring } from '../../firmware/ring.ts';
import type { IntervalRecord } from '../../firmware/wire.ts';

const { crc32 } = await import('../../firmware/cell.ts');
const { Fram } = await import('../../firmware/fram.ts');
const { openJournal } = await import('../../firmware/journal.ts');
const { openRing } = await import('../../firmware/ring.ts');
const { emptyRecord } = await import('../../firmware/wire.ts');

const SIZE = 32768;
const LARGE = 131072;
/** A ring so small that a short run wraps and merges. */
const PLACE = { start: 0x1800, pageBytes: 256, pages: 5 };
/** In a large memory, across its middle: pages begin below it and end above. */
const MIDDLE = { start: 0x10000 - 600, pageBytes: 256, pages: 5 };

/** A memory of 128 KB as its driver sees it, on the chip's model: two halves, packets of a bus. */
class LargeMemory extends Memory {
  private fram: InstanceType<typeof Fram>;

  constructor() {
    super(LARGE);
    // Looked up at each transfer: a test puts other bytes in place.
    const transfer = async (chip: number, packet: Buffer, count: number): Promise<Buffer> => {
      const model = createFram({ cells: this.bytes });
      model.powerOn(0);
      const half = chip === 0x50 ? model : model.upper!;
      if (packet.length > 2) {
        const address = (chip - 0x50) * 0x10000 + packet.readUInt16BE(0);
        this.writes.push({ address, bytes: Buffer.from(packet.subarray(2)) });
      }
      half.write(packet, 0);
      return Buffer.from(half.read(count, 0));
    };
    this.fram = new Fram({ bus: { transfer }, proofAt: 0x1c0, pause: async () => {}, wait: async () => {} });
    this.fram.sizeBytes = LARGE;
  }

  override read(address: number, length: number): Promise<Buffer> {
    return this.fram.read(address, length);
  }

  override readSure(address: number, first: Buffer): Promise<Buffer> {
    return this.fram.readSure(address, first);
  }

  override write(address: number, bytes: Buffer): Promise<void> {
    return this.fram.write(address, bytes);
  }
}

interface Durable {
  energy: number;
  lastSeq: number;
  nextSignature: number;
  nextSeq: number;
  batch: string | null;
  /** How many writes had been made when this became true. */
  writes: number;
}

async function open(memory: Memory): Promise<{ journal: Journal; ring: Ring }> {
  const journal = await openJournal(memory);
  const place = memory instanceof LargeMemory ? MIDDLE : PLACE;
  const ring = await openRing({ store: memory, pause: async () => {}, wait: async () => {} }, place);
  await journal.begin(memory.bytes.length);
  return { journal, ring };
}

function recordAt(seq: number): IntervalRecord {
  const record = emptyRecord();
  record.firstSeq = record.lastSeq = seq;
  record.bootId = 1;
  record.uptimeS = seq * 60;
  record.energyMicroWh = energyAt(seq);
  record.minMilliW = 3000 + (seq % 7);
  record.meanMilliW = 3500 + ((seq * 31) % 400);
  record.maxMilliW = 5000 + ((seq * 17) % 900);
  record.upS = seq * 60;
  record.wanInBytes = seq * seq * 1000;
  return record;
}

function energyAt(seq: number): number {
  return seq * 83_333 + ((seq * seq) % 50) * 100;
}

/** A meter's life in short: counters each second, records, batches, replies that accept. */
async function live(memory: Memory, seconds: number): Promise<Durable[]> {
  const { journal, ring } = await open(memory);
  await journal.keys.keepKey({ number: 1, height: 5, I: Buffer.alloc(16, 7), seed: Buffer.alloc(24, 9) });
  const states: Durable[] = [];
  const note = (energy: number) =>
    states.push({
      energy,
      lastSeq: ring.lastSeq,
      nextSignature: journal.keys.nextSignature,
      nextSeq: journal.link.nextSeq,
      batch: journal.outstanding ? journal.outstanding.hash.toString('hex') : null,
      writes: memory.writes.length,
    });
  for (let second = 1; second <= seconds; second++) {
    const running = { ...recordAt(second) };
    await journal.saveRunning({
      record: running, restNanoJ: 0, intervalMs: 0, intervalNanoJ: 0, restMs: 0,
      nodeInBytes: 0, nodeOutBytes: 0, nodeBoot: Buffer.alloc(16), day: 0, dayStartMicroWh: 0,
    });
    note(running.energyMicroWh);
    const accepted = {
      throughSeq: journal.link.nextSeq - 1,
      batchLastSeq: journal.outstanding ? journal.outstanding.lastSeq : 0,
    };
    await ring.append(recordAt(second), accepted);
    note(running.energyMicroWh);
    if (second % 9 === 0 && journal.outstanding === null) {
      await journal.keys.takeSignature(1);
      note(running.energyMicroWh);
      const batch = Buffer.alloc(40, second);
      const hash = createHash('sha256').update(batch).digest();
      const firstSeq = journal.link.nextSeq;
      await journal.keepBatch([batch.subarray(0, 7), batch.subarray(7)], { lengthBytes: 40, firstSeq, lastSeq: ring.lastSeq, hash, names: 0 });
      note(running.energyMicroWh);
    }
    // For a while the ledger is silent: the ring must merge.
    if (second % 9 === 5 && journal.outstanding !== null && (second < 20 || second > 120)) {
      const nextSeq = journal.outstanding.lastSeq + 1;
      const lastHash = journal.outstanding.hash;
      await journal.accept({ lastHash, nextSeq, entryIndex: second, ackedUnixS: second });
      note(running.energyMicroWh);
    }
  }
  return states;
}

test('cut at every byte: counters, records, signature indices and batches all hold', async (t) => {
  const cuts = await cutEverywhere(t, () => new Memory(SIZE), 150);
  t.true(cuts > 20_000, `${cuts} cuts`);
});

test('cut at every byte of a large memory, records across its middle', async (t) => {
  const cuts = await cutEverywhere(t, () => new LargeMemory(), 25);
  t.true(cuts > 3_000, `${cuts} cuts`);
});

async function cutEverywhere(t: ExecutionContext, make: () => Memory, seconds: number) {
  const memory = make();
  const states = await live(memory, seconds);
  let memoryNow = Buffer.alloc(memory.bytes.length, 0xa5);
  let state = -1;
  let cuts = 0;
  for (let index = 0; index < memory.writes.length; index++) {
    const { address, bytes } = memory.writes[index];
    while (state + 1 < states.length && states[state + 1].writes <= index) state++;
    if (state >= 0 && state + 1 < states.length)
      for (let cut = 0; cut < bytes.length; cut += bytes.length > 300 ? 7 : 1) {
        const torn = make();
        memoryNow.copy(torn.bytes);
        torn.bytes.set(bytes.subarray(0, cut), address);
        const problem = await audit(torn, states[state], states[state + 1]);
        if (problem) {
          t.fail(`write ${index}, cut at byte ${cut}: ${problem}`);
          return cuts;
        }
        cuts++;
      }
    memoryNow = Buffer.from(memoryNow);
    memoryNow.set(bytes, address);
  }
  t.log(`${cuts} cuts over ${memory.writes.length} writes`);
  return cuts;
}

/** What does not hold in `memory`, which was cut between the two states; null if all does. */
async function audit(memory: Memory, before: Durable, after: Durable): Promise<string | null> {
  const { journal, ring } = await open(memory);
  const energy = journal.running ? journal.running.record.energyMicroWh : -1;
  if (energy !== before.energy && energy !== after.energy) return `energy ${energy}`;
  if (journal.keys.nextSignature < before.nextSignature) return `signature ${journal.keys.nextSignature}`;
  if (journal.keys.nextSignature > after.nextSignature) return `signature ${journal.keys.nextSignature}`;
  const { nextSeq } = journal.link;
  if (nextSeq !== before.nextSeq && nextSeq !== after.nextSeq) return `next ${nextSeq}`;
  if (ring.lastSeq !== before.lastSeq && ring.lastSeq !== after.lastSeq) return `seq ${ring.lastSeq}`;
  const { outstanding } = journal;
  if (outstanding !== null) {
    const batch = Buffer.concat((await journal.readBatch(() => true))!);
    const hash = createHash('sha256').update(batch).digest();
    if (!hash.equals(outstanding.hash)) return 'batch torn';
    const known = [before.batch, after.batch].includes(hash.toString('hex'));
    if (!known) return 'batch unknown';
  } else if (before.batch !== null && before.batch === after.batch) return 'batch lost';
  return auditRecords(await ring.readFrom(nextSeq, 1000), nextSeq, ring.lastSeq);
}

/** Records must cover every sequence number that the ledger lacks, once, with true counters. */
function auditRecords(records: IntervalRecord[], nextSeq: number, lastSeq: number): string | null {
  let seq = nextSeq;
  for (const record of records) {
    if (record.firstSeq !== seq) return `gap: expected ${seq}, got ${record.firstSeq}`;
    if (record.energyMicroWh !== energyAt(record.lastSeq)) return `energy of ${record.lastSeq}`;
    if (record.wanInBytes !== record.lastSeq ** 2 * 1000) return `bytes of ${record.lastSeq}`;
    seq = record.lastSeq + 1;
  }
  return seq === lastSeq + 1 ? null : `ends at ${seq - 1}, not ${lastSeq}`;
}

test('after a cut the meter goes on: fresh index, next record', async (t) => {
  const memory = new Memory(SIZE);
  await live(memory, 40);
  const { journal, ring } = await open(memory);
  t.is(journal.bootId, 2);
  const used = journal.keys.nextSignature;
  t.is(await journal.keys.takeSignature(1), used);
  await ring.append(recordAt(41), { throughSeq: 0, batchLastSeq: 0 });
  const again = await open(memory);
  t.is(again.journal.keys.nextSignature, used + 1);
  t.is(again.ring.lastSeq, 41);
  await t.throwsAsync(again.ring.append(recordAt(41), { throughSeq: 0, batchLastSeq: 0 }), {
    message: /sequence/,
  });
});

test('a worn bit costs an index, and never gives one twice', async (t) => {
  const memory = new Memory(SIZE);
  const { journal } = await open(memory);
  await journal.keys.keepKey({ number: 1, height: 5, I: Buffer.alloc(16), seed: Buffer.alloc(24) });
  let used = -1;
  while (used < 4) used = await journal.keys.takeSignature(1);
  const sound = Buffer.from(memory.bytes);
  // The cell of the signing index: two slots of 32 bytes at 0x40, 16 of each written.
  for (let bit = 0; bit < 2 * 256; bit++) {
    memory.bytes = Buffer.from(sound);
    memory.bytes[0x40 + (bit >> 3)] ^= 1 << (bit & 7);
    const next = await (await open(memory)).journal.keys.takeSignature(1);
    t.true(next > used && next <= used + 2, `bit ${bit}: ${next}`);
  }
});

test('a key with its last index used signs no more', async (t) => {
  const { journal } = await open(new Memory(SIZE));
  await t.throwsAsync(journal.keys.takeSignature(1), { message: /signature-index: lost/ });
  await journal.keys.keepKey({ number: 1, height: 2, I: Buffer.alloc(16), seed: Buffer.alloc(24) });
  for (let q = 0; q < 4; q++) t.is(await journal.keys.takeSignature(1), q);
  await t.throwsAsync(journal.keys.takeSignature(1), { message: /used up/ });
});

test('nodes are kept for one key only, and next to those of the key before', async (t) => {
  const { journal: { keys } } = await open(new Memory(SIZE));
  const key = { number: 1, height: 10, I: Buffer.alloc(16, 1), seed: Buffer.alloc(24) };
  const next = { ...key, number: 2, I: Buffer.alloc(16, 2) };
  const third = { ...key, number: 3, I: Buffer.alloc(16, 3) };
  t.is(await keys.readNode(key, 3), null);
  for (let i = 0; i < 32; i++) {
    await keys.keepNode(key, i, Buffer.alloc(24, 0x40 + i));
    await keys.keepNode(next, i, Buffer.alloc(24, 0x80 + i));
  }
  for (let i = 0; i < 32; i++) {
    t.deepEqual(await keys.readNode(key, i), Buffer.alloc(24, 0x40 + i));
    t.deepEqual(await keys.readNode(next, i), Buffer.alloc(24, 0x80 + i));
    t.is(await keys.readNode(third, i), null);
  }
});

const HOLD = [
  { kB: 32, pages: 26, days: 10 },
  { kB: 128, pages: 122, days: 40 },
];

for (const { kB, pages, days } of HOLD) {
  test(`${kB} KB hold ${days} days at a quarter of an hour, and years in coarser records`, async (t) => {
    const memory = new Memory(kB * 1024);
    const parts = { store: memory, pause: async () => {}, wait: async () => {} };
    const ring = await openRing(parts, { start: 0x1800, pageBytes: 1024, pages });
    const none = { throughSeq: 0, batchLastSeq: 0 };
    let energy = 0;
    let wan = 0;
    let seed = 12345;
    const noise = (most: number) => {
      seed = (seed * 1103515245 + 12345) % 2147483648;
      return Math.floor((seed / 2147483648) * most);
    };
    let unmerged = 0;
    let last = emptyRecord();
    for (let seq = 1; seq <= 12_000; seq++) {
      energy += 1_250_000 + noise(120_000);
      wan += 2_000_000 + noise(3_000_000);
      last = {
        ...emptyRecord(), firstSeq: seq, lastSeq: seq, bootId: 1, uptimeS: seq * 900,
        unixS: 1_795_000_000 + seq * 900, timeState: 2, energyMicroWh: energy,
        minMilliW: 4000 + noise(400), meanMilliW: 5000 + noise(480), maxMilliW: 7000 + noise(4000),
        probesMade: seq * 30, probesAnswered: seq * 30, upS: seq * 900, wanInBytes: wan,
        wanOutBytes: wan, diskUsedBytes: 3e9 + noise(1e6), calibrationId: 1,
      };
      await ring.append(last, none);
      if (ring.merges === 0) unmerged = seq;
    }
    t.true(unmerged >= days * 96, `${unmerged} records before the first merge`);
    t.log(`${unmerged} records unmerged; 125 days in ${ring.merges} merges`);
    const again = await openRing(parts, { start: 0x1800, pageBytes: 1024, pages });
    const records = await again.readFrom(1, 10_000);
    let seq = 1;
    for (const record of records) {
      t.is(record.firstSeq, seq);
      seq = record.lastSeq + 1;
    }
    t.is(seq, 12_001);
    t.is(records[records.length - 1].energyMicroWh, energy);
    t.log(`${records.length} records remain`);
  });
}

test('CRC-32 is that of zlib', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(0xffffffff), (bytes, salt) => {
      const salted = Buffer.concat([Buffer.alloc(4), bytes]);
      salted.writeUInt32BE(salt);
      t.is(crc32(bytes, 0, bytes.length, salt), zlibCrc32(salted));
    }),
    { numRuns: 200 },
  );
});
