// A cut at every byte. A meter lives until its memory is full and merging; then every write that it
// makes is kept, with what it knew as it began to write. Afterwards each write is torn after each of
// its bytes, the meter's memory is opened as after a start, and the whole of it is held against that
// knowledge. What is opened writes its boot counter and, if the cut fell into a change of keys, those.
import { createHash } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ADDRESS } from '../../../provisioner/virtual/meter.ts';
import type { Meter } from '../../../firmware/meter.ts';
import type { Running } from '../../../firmware/interval.ts';
import { openWorld, START_MS, type World } from './world.ts';

const { openMeter, resumeCounters } = await import('../../../firmware/meter.ts');
const { RING_START } = await import('../../../firmware/journal.ts');
const { readPairing } = await import('../../../firmware/settings.ts');

/** What a cut at any byte of any write may cost. */
const MOST_LOST_MS = 2_000;

/** A write to the FRAM, and what must be true however much of it was kept. */
export interface Write {
  address: number;
  data: Buffer;
  /** Energy two seconds before, and at that moment; time with power two seconds before. */
  leastMicroWh: number;
  mostMicroWh: number;
  leastS: number;
  keyNumber: number;
  nextSignature: number;
  nextSeq: number;
  lastSeq: number;
  outstanding: string | null;
}

export interface Recording {
  /** The memory before the first write. */
  image: Buffer;
  writes: Write[];
}

export interface Cuts {
  cuts: number;
  writes: number;
  merges: number;
  problems: string[];
}

/** Lets the world's meter live from `fromMs` on for `seconds`, keeping its writes. */
export async function record(world: World, fromMs: number, seconds: number): Promise<Recording> {
  await world.timeline.run(fromMs);
  const image = Buffer.from(world.cells);
  const writes: Write[] = [];
  world.onFramWrite = (address, data) => {
    const { meter } = world;
    if (meter === null) throw new Error('a meter that is being recorded must be there');
    const agoMs = world.timeline.nowMs() - MOST_LOST_MS;
    const { journal, ring } = meter;
    writes.push({
      address, data: Buffer.from(data),
      leastMicroWh: world.truthMicroWhAt(agoMs), mostMicroWh: world.truthMicroWh(),
      leastS: Math.floor((world.poweredSoFarMs() - MOST_LOST_MS) / 1000),
      keyNumber: journal.keys.key?.number ?? 0, nextSignature: journal.keys.nextSignature,
      nextSeq: journal.link.nextSeq, lastSeq: ring.lastSeq,
      outstanding: journal.outstanding?.hash.toString('hex') ?? null,
    });
  };
  await world.timeline.run(fromMs + seconds * 1000);
  world.onFramWrite = () => {};
  return { image, writes };
}

/** Tears every write after each of its bytes; `stride` tears only after every so many bytes. */
export async function tearAll(
  world: World, { image, writes }: Recording, stride = 1,
): Promise<Cuts> {
  const found: Cuts = { cuts: 0, writes: writes.length, merges: 0, problems: [] };
  const memory = Buffer.from(image);
  const scratch = Buffer.alloc(image.length);
  for (const write of writes) {
    // Nothing else begins by taking a page's header away.
    if (write.address >= RING_START && write.data.length === 16 && !write.data.some(Boolean)) {
      found.merges++;
    }
    for (let kept = 0; kept <= write.data.length; kept++) {
      if ((found.cuts + kept) % stride !== 0 && kept > 0) continue;
      memory.copy(scratch);
      write.data.copy(scratch, write.address, 0, kept);
      found.cuts++;
      const wrong = await audit(world, scratch, write);
      if (wrong !== null && found.problems.length < 20) {
        found.problems.push(`${kept} of ${write.data.length} bytes at ${write.address}: ${wrong}`);
      }
    }
    write.data.copy(memory, write.address);
  }
  return found;
}

/** Null if the memory, opened, is what it must be. */
async function audit(world: World, cells: Buffer, write: Write): Promise<string | null> {
  let meter: Meter;
  try {
    meter = await openMeter(world.edgeOf({ over: false }), { transfer: transferOf(cells) });
    const pairing = await readPairing(async (key) => world.setting(key));
    await resumeCounters(meter, pairing!);
  } catch (error) {
    return (error as Error).message;
  }
  const { journal, ring, unsaved } = meter;
  const { energyMicroWh } = meter.running.record;
  const most = write.mostMicroWh + write.mostMicroWh / 10_000;
  if (energyMicroWh < write.leastMicroWh - write.leastMicroWh / 10_000 || energyMicroWh > most) {
    return `energy ${energyMicroWh}, expected ${write.leastMicroWh} to ${write.mostMicroWh}`;
  }
  const countedS = countedOf(meter.running);
  if (countedS < write.leastS) return `${countedS} s counted, expected ${write.leastS}`;
  const { key, nextSignature } = journal.keys;
  const number = key?.number ?? 0;
  const again = number === write.keyNumber && nextSignature < write.nextSignature;
  if (number < write.keyNumber || again) return `key ${number}, signature ${nextSignature} again`;
  if (journal.link.nextSeq < write.nextSeq) return `the ledger’s word of ${write.nextSeq} is lost`;
  const last = unsaved.at(-1)?.lastSeq ?? ring.lastSeq;
  if (last < write.lastSeq) return `records end at ${last}, expected ${write.lastSeq}`;
  return await auditBatch(meter) ?? await auditRecords(meter, write);
}

function countedOf({ record: { upS, downS, unknownS } }: Running): number {
  return upS + downS + unknownS;
}

/** The batch that waits is the one that was kept, whole. */
async function auditBatch(meter: Meter): Promise<string | null> {
  const { outstanding } = meter.journal;
  if (outstanding === null) return null;
  const isWhole = (batch: Buffer[]): boolean =>
    createHash('sha256').update(Buffer.concat(batch)).digest().equals(outstanding.hash);
  const batch = await meter.journal.readBatch(isWhole);
  return batch === null ? 'the batch that waits is not whole' : null;
}

/** All that waits is there, without a hole: looked at where the write was a record's. */
async function auditRecords(meter: Meter, write: Write): Promise<string | null> {
  const { journal, ring, unsaved } = meter;
  if (write.address < RING_START) return null;
  let next = journal.link.nextSeq;
  for (const record of [...(await ring.readFrom(next, 5_000)), ...unsaved]) {
    if (record.firstSeq !== next) return `record ${record.firstSeq} follows ${next - 1}`;
    next = record.lastSeq + 1;
  }
  return next > write.lastSeq ? null : `records end before ${next}, expected ${write.lastSeq}`;
}

/**
 * Where opening may write (docs/journal.md): header and signing, proof, key, successor and its growth.
 */
const OPENED = [[0x0000, 0x0080], [0x01c0, 0x01c8], [0x0400, 0x0500], [0x05c0, 0x0700]];

/** The memory alone. */
function transferOf(cells: Buffer) {
  return (chip: number, bytes: Buffer, count: number): Promise<Buffer> => {
    if (chip !== ADDRESS.fram) throw new Error(`who asks for ${chip}?`);
    const address = bytes.readUInt16BE(0);
    const end = address + bytes.length - 2;
    if (end > address && !OPENED.some(([from, to]) => address >= from && end <= to)) {
      return Promise.reject(new Error(`opening writes at ${address}`));
    }
    bytes.copy(cells, address, 2);
    return Promise.resolve(Buffer.from(cells.subarray(address, address + count)));
  };
}

const HOUR_MS = 3_600_000;
const FIRST_MS = HOUR_MS / 4;

/** A ledger out of reach, until the memory is full and merges; records every five seconds do that. */
export async function recordFull(world: World, seconds: number): Promise<Recording> {
  world.powerOn();
  world.timeline.at(START_MS + FIRST_MS, () => {
    world.lines.wan = 'no route';
  });
  return await record(world, START_MS + 3 * HOUR_MS, seconds);
}

/** A ledger that takes every batch: signatures, batches, replies, records that are let go. */
export async function recordReporting(world: World, seconds: number): Promise<Recording> {
  world.powerOn();
  return await record(world, START_MS + FIRST_MS, seconds);
}

/** Both, with a record every five seconds and a batch a minute. */
export async function cutEverywhere(
  { seed, seconds, stride }: { seed: number; seconds: number; stride: number },
): Promise<{ full: Cuts; reporting: Cuts }> {
  const cutIn = async (record: typeof recordFull): Promise<Cuts> => {
    const dir = mkdtempSync(join(tmpdir(), 'meter-cuts-'));
    try {
      const world = await openWorld({ seed, dir, intervalS: 5, batchS: 60 });
      const recording = await record(world, seconds);
      await world.commons.close();
      return await tearAll(world, recording, stride);
    } finally {
      rmSync(dir, { recursive: true });
    }
  };
  return { full: await cutIn(recordFull), reporting: await cutIn(recordReporting) };
}
