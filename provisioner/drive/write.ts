// Writes one image with one kit's identity to one open drive, and proves it. The order is what
// makes a half-written drive harmless:
//
//   1  zero the old first and last MiB, but for a page that tells the progress; flush: nothing boots
//   2  marks across the capacity, looked at once: the drive is as large as it says
//   3  the image's body, saving the progress; the ESP with the identity; flush
//   4  read everything back, and the marks again
//   5  the end's copy of the GPT, the first MiB but its first page; flush, read back
//   6  the first page; flush, read back: only now it boots
//
// Stopped anywhere before 6, it does not boot, and the next run goes on from the saved progress.

import { createHash } from 'node:crypto';

import type { RandomSource } from '../campaign/identity.ts';
import { KitError } from '../errors.ts';
import { cutBlocks, sumBytes } from './blocks.ts';
import { writeBlocks, writeBlocksSaving } from './block-writer.ts';
import { createCapacityProof, type CapacityProof } from './capacity.ts';
import type { Clock } from './clock.ts';
import { closeDrive } from './closing.ts';
import { blankEdges, saveProgress } from './edges.ts';
import { createEsp, isKitEsp, markedPage, type Esp } from './esp.ts';
import type { FlashProgress } from './job.ts';
import { pageBytes, type Extent, type MappedRange } from './manifest.ts';
import { alignedMemory, flush, laneMemory, readPages, writePages, type Medium } from './medium.ts';
import { decodeProgress, progressAtBytes } from './progress-page.ts';
import { readBack } from './read-back.ts';
import { edgeBytes } from './segments.ts';
import type { ImageSource } from './source.ts';

export interface WriteJob {
  source: ImageSource;
  medium: Medium;
  kind: 'block' | 'file';
  /** The /kit/ folder: see identity-files.ts. */
  identity: Map<string, string>;
  clock: Clock;
  random: RandomSource;
  /** How often the progress is saved. */
  saveEveryMs: number;
  onProgress: (progress: Omit<FlashProgress, 'kit'>) => void;
  signal?: AbortSignal;
}

export interface WriteOutcome {
  /** Of the image's body: what an interrupted run had left on the drive. */
  resumedAtBytes: number;
  writtenBytes: number;
  verifiedBytes: number;
  writeSeconds: number;
  verifySeconds: number;
}

/** @throws KitError of the image, the ESP or the drive; the drive then does not boot */
export async function writeDrive(job: WriteJob): Promise<WriteOutcome> {
  const draft = await lookAtDrive(job);
  const esp = await createEsp(job.source.image.manifest.esp);
  // Put together while the body is written; whatever goes wrong is met when it is needed.
  const espReady = fillEsp(job, draft, esp);
  espReady.catch(() => {});
  try {
    const startedMs = job.clock.nowMs();
    await prepare(job, draft);
    await writeBody(job, draft);
    const espProof = await writeEsp(job, draft, { esp, ready: espReady });
    await flushAll(job, draft);
    const writtenMs = job.clock.nowMs();
    const proofs = await proofsOf(job, espProof);
    await proveAll(job, draft, proofs);
    draft.closing = true;
    const closedBytes = await closeDrive(job.medium, job.source);
    return {
      resumedAtBytes: draft.resumedAtBytes,
      writtenBytes: draft.writtenBytes + closedBytes,
      verifiedBytes: sumBytes(proofs) + closedBytes,
      writeSeconds: seconds(writtenMs - startedMs),
      verifySeconds: seconds(job.clock.nowMs() - writtenMs),
    };
  } catch (error) {
    // If even that fails, the first failure says why.
    await leaveDead(job, draft, error).catch(() => {});
    throw error;
  } finally {
    await espReady.catch(() => {});
    await esp.close();
  }
}

/** What is known of the drive while it is written. */
interface Draft {
  /** The image's body before this offset is on the drive for sure, and the drive's page says so. */
  durableBytes: number;
  /** This far it was handed to the drive. */
  handedBytes: number;
  resumedAtBytes: number;
  /** All that is mapped of the body. */
  bodyBytes: number;
  /** Some kit's identity is in the ESP that lies there: all of it must go. */
  hadKitEsp: boolean;
  writtenBytes: number;
  /** From here on the edges may hold something that boots. */
  closing: boolean;
  capacity: CapacityProof | undefined;
}

/** Changes nothing. */
async function lookAtDrive(job: WriteJob): Promise<Draft> {
  const { source, medium, kind, random } = job;
  const { manifest } = source.image;
  const body = bodyOf(source);
  const draft: Draft = {
    ...{ durableBytes: 0, resumedAtBytes: 0, bodyBytes: sumBytes(body), hadKitEsp: false },
    ...{ handedBytes: 0, writtenBytes: 0, closing: false, capacity: undefined },
  };
  if (kind === 'block') draft.capacity = createCapacityProof(medium, manifest, random(32));
  // A file of another size is begun anew.
  if (kind === 'file' && (await medium.file.stat()).size !== medium.sizeBytes) return draft;
  const page = laneMemory(medium, 0, pageBytes);
  await readPages(medium, page, manifest.esp.offsetBytes);
  draft.hadKitEsp = isKitEsp(page);
  await readPages(medium, page, progressAtBytes);
  const found = decodeProgress(page);
  if (found === undefined || found.rawSha256 !== manifest.rawSha256) return draft;
  if (found.driveSizeBytes !== medium.sizeBytes) return draft;
  draft.durableBytes = found.durableBytes;
  draft.resumedAtBytes = draft.bodyBytes - sumBytes(extentsFrom(body, found.durableBytes));
  return draft;
}

function bodyOf({ segments }: ImageSource): Extent[] {
  return segments.filter(({ place }) => place === 'body');
}

function extentsFrom(extents: Extent[], fromBytes: number): Extent[] {
  return extents.flatMap(({ offsetBytes, sizeBytes }) => {
    const from = Math.max(offsetBytes, fromBytes);
    const left = offsetBytes + sizeBytes - from;
    return left <= 0 ? [] : [{ offsetBytes: from, sizeBytes: left }];
  });
}

async function prepare(job: WriteJob, draft: Draft): Promise<void> {
  const { medium, kind } = job;
  tell(job, draft, { phase: 'prepare', doneBytes: 0, totalBytes: 0 });
  const progress = progressOf(job, draft);
  if (kind === 'file' && draft.resumedAtBytes === 0) {
    await emptyFile(job);
    draft.hadKitEsp = false;
  }
  await blankEdges(medium, progress);
  await draft.capacity?.begin(progress);
}

async function emptyFile({ medium, source }: WriteJob): Promise<void> {
  // The mark first, then the size: killed between the two, the file is still known as ours.
  await medium.file.truncate(0);
  const page = markedPage(laneMemory(medium, 0, pageBytes));
  await writePages(medium, page, source.image.manifest.esp.offsetBytes);
  await medium.file.truncate(medium.sizeBytes);
  medium.zeroed = true;
}

function progressOf({ medium, source }: WriteJob, { durableBytes }: Draft) {
  const { rawSha256 } = source.image.manifest;
  return { driveSizeBytes: medium.sizeBytes, durableBytes, rawSha256 };
}

async function writeBody(job: WriteJob, draft: Draft): Promise<void> {
  const { source, medium, clock, saveEveryMs, signal } = job;
  const page = alignedMemory(pageBytes);
  const count = counter(job, draft, { phase: 'write', totalBytes: draft.bodyBytes });
  count(draft.resumedAtBytes);
  const extents = extentsFrom(bodyOf(source), draft.durableBytes);
  const write = { medium, extents, read: source.read, onBytes: count, signal };
  await writeBlocksSaving(write, {
    ...{ clock, everyMs: saveEveryMs },
    async save(untilBytes) {
      draft.durableBytes = untilBytes;
      await saveProgress(medium, page, progressOf(job, draft));
    },
  });
  draft.handedBytes = source.image.manifest.sizeBytes;
  draft.writtenBytes += sumBytes(extents);
}

const espPieceBytes = 256 << 10;

/** @returns what of the partition the drive must get */
async function fillEsp({ source, identity }: WriteJob, draft: Draft, esp: Esp): Promise<Extent> {
  const { offsetBytes, sizeBytes } = source.image.manifest.esp;
  const mapped = source.segments.filter(({ place }) => place === 'esp');
  // Small, as the lanes' memory is at work with the body.
  const memory = Buffer.alloc(espPieceBytes);
  for (const part of mapped) {
    for (let done = 0; done < part.sizeBytes; done += espPieceBytes) {
      const bytes = memory.subarray(0, Math.min(espPieceBytes, part.sizeBytes - done));
      await source.read(bytes, part.offsetBytes + done);
      await esp.put(bytes, part.offsetBytes + done - offsetBytes);
    }
  }
  await esp.inject(identity);
  return { offsetBytes, sizeBytes: draft.hadKitEsp ? sizeBytes : await esp.usedBytes() };
}

async function writeEsp(
  { medium, signal }: WriteJob,
  draft: Draft,
  { esp, ready }: { esp: Esp; ready: Promise<Extent> },
): Promise<MappedRange> {
  const extent = await ready;
  const read = (into: Uint8Array, atBytes: number) => esp.read(into, atBytes - extent.offsetBytes);
  const hash = createHash('sha256');
  for (const { offsetBytes, sizeBytes } of cutBlocks([extent])) {
    const bytes = laneMemory(medium, 0, sizeBytes);
    await read(bytes, offsetBytes);
    hash.update(bytes);
  }
  await writeBlocks({ medium, extents: [extent], read, onBytes: () => {}, signal });
  draft.writtenBytes += extent.sizeBytes;
  return { ...extent, sha256: hash.digest('hex') };
}

async function flushAll(job: WriteJob, draft: Draft): Promise<void> {
  tell(job, draft, { phase: 'flush', doneBytes: 0, totalBytes: 0 });
  await makeDurable(job, draft);
}

async function makeDurable(job: WriteJob, draft: Draft): Promise<void> {
  await flush(job.medium);
  draft.durableBytes = draft.handedBytes;
  await saveProgress(job.medium, laneMemory(job.medium, 0, pageBytes), progressOf(job, draft));
}

/** What the drive must hold before it may boot; waits until the image itself is proven. */
async function proofsOf({ source, medium }: WriteJob, esp: MappedRange): Promise<MappedRange[]> {
  const hashes = await source.proven;
  const proofs = source.segments.map((segment, index) => ({ ...segment, sha256: hashes[index] }));
  const body = proofs.filter(({ place }) => place === 'body');
  const blankFrom = Math.max(source.image.manifest.sizeBytes, medium.sizeBytes - edgeBytes);
  const blank = { offsetBytes: blankFrom, sizeBytes: medium.sizeBytes - blankFrom };
  if (blank.sizeBytes === 0) return [esp, ...body];
  const zeros = laneMemory(medium, 0, blank.sizeBytes).fill(0);
  const sha256 = createHash('sha256').update(zeros).digest('hex');
  return [esp, ...body, { ...blank, sha256 }];
}

async function proveAll(job: WriteJob, draft: Draft, proofs: MappedRange[]): Promise<void> {
  const { medium, signal } = job;
  await draft.capacity?.end();
  const onBytes = counter(job, draft, { phase: 'verify', totalBytes: sumBytes(proofs) });
  await readBack(medium, proofs, { onBytes, signal, explain: draft.capacity?.explains });
}

/** What is on the drive cannot be what is wanted: the next run must not build upon it. */
const worthless = /^(drive-differs|drive-smaller-than-it-says|image-.*)$/;

/** An unproven drive must not boot; what was saved of it stays if it may be true. */
async function leaveDead(job: WriteJob, draft: Draft, error: unknown): Promise<void> {
  const isWorthless = error instanceof KitError && worthless.test(error.code);
  if (!isWorthless && !draft.closing) {
    // The edges are blank; what is still to be saved is the body, once all of it was handed over.
    if (draft.handedBytes > draft.durableBytes) await makeDurable(job, draft);
    return;
  }
  await blankEdges(job.medium, isWorthless ? undefined : progressOf(job, draft));
}

type Told = Pick<FlashProgress, 'phase' | 'doneBytes' | 'totalBytes'>;

function tell({ onProgress }: WriteJob, { resumedAtBytes }: Draft, told: Told): void {
  onProgress({ ...told, resumedAtBytes });
}

/** Tells of progress about a hundred times. */
function counter(job: WriteJob, draft: Draft, about: Pick<Told, 'phase' | 'totalBytes'>) {
  const { totalBytes } = about;
  let doneBytes = 0;
  let toldBytes = 0;
  return (sizeBytes: number): void => {
    doneBytes += sizeBytes;
    if (doneBytes - toldBytes < totalBytes / 100 && doneBytes < totalBytes) return;
    toldBytes = doneBytes;
    tell(job, draft, { ...about, doneBytes });
  };
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
