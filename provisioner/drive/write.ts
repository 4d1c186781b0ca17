// Writes one image with one kit's identity to one open drive, and proves it. The order is what
// makes a half-written drive harmless:
//
//   1  zero the old first and last MiB, flush        from here on, nothing boots
//   2  the image's body, the ESP with the identity, flush
//   3  the closing parts: the end's copy of the GPT, the first MiB but its first page, flush
//   4  the first page, flush                         from here on, it boots
//   5  read everything back; zero the edges again if anything differs

import { createHash } from 'node:crypto';

import { createEsp, markedPage, type Esp } from './esp.ts';
import { streamSegments, type Image } from './image.ts';
import { pageBytes, type Extent, type MappedRange } from './manifest.ts';
import { alignedMemory, blank, blockBytes, flush, writePages, type Medium } from './medium.ts';
import { createPageWriter } from './page-writer.ts';
import { readBack } from './read-back.ts';
import { cutSegments, edgeBytes, type Segment } from './segments.ts';
import type { FlashProgress } from './job.ts';

export interface WriteJob {
  image: Image;
  medium: Medium;
  kind: 'block' | 'file';
  /** The /kit/ folder: see identity-files.ts. */
  identity: Map<string, string>;
  onProgress: (progress: Omit<FlashProgress, 'kit'>) => void;
  signal?: AbortSignal;
}

export interface WriteOutcome {
  writtenBytes: number;
  verifiedBytes: number;
  writeSeconds: number;
  verifySeconds: number;
}

/** @throws KitError of the image, the ESP or the drive; the drive then does not boot */
export async function writeDrive(job: WriteJob): Promise<WriteOutcome> {
  const { image, medium } = job;
  const startedMs = performance.now();
  const esp = await createEsp(image.manifest.esp);
  try {
    job.onProgress({ phase: 'prepare', doneBytes: 0, totalBytes: 0 });
    await clearDrive(job);
    const proofs = await writeAll(job, esp);
    const writtenMs = performance.now();
    const verifiedBytes = await proveAll(job, proofs);
    return {
      writtenBytes: verifiedBytes,
      verifiedBytes,
      writeSeconds: seconds(writtenMs - startedMs),
      verifySeconds: seconds(performance.now() - writtenMs),
    };
  } catch (error) {
    // An unproven drive must not boot. If it cannot even be cleared, the first failure says why.
    await blankEdges(medium).catch(() => {});
    throw error;
  } finally {
    await esp.close();
  }
}

async function clearDrive({ kind, medium, image }: WriteJob): Promise<void> {
  if (kind === 'file') {
    // The mark first, then the size: killed between the two, the file is still known as ours.
    await medium.file.truncate(0);
    const page = markedPage(alignedMemory(pageBytes));
    await writePages(medium, page, image.manifest.esp.offsetBytes);
    await medium.file.truncate(medium.sizeBytes);
    medium.zeroed = true;
    await flush(medium);
  } else {
    await blankEdges(medium);
  }
}

async function blankEdges(medium: Medium): Promise<void> {
  await blank(medium, 0, edgeBytes);
  await blank(medium, medium.sizeBytes - edgeBytes, medium.sizeBytes);
  await flush(medium);
}

/** @returns the proof of every extent that was written */
async function writeAll(job: WriteJob, esp: Esp): Promise<MappedRange[]> {
  const { image, medium } = job;
  const segments = cutSegments(image.manifest);
  const closing = closingBuffers(image, segments);
  const count = counter(job, 'write', sumBytes(segments.filter(({ place }) => place === 'body')));
  const writer = createPageWriter(medium);
  const hashes = await streamSegments(image, segments, {
    signal: job.signal,
    async sink({ place }, piece, atBytes) {
      if (place === 'esp') return esp.put(piece, atBytes - image.manifest.esp.offsetBytes);
      if (place === 'closing') return closing.put(piece, atBytes);
      await writer.append(piece, atBytes);
      count(piece.length);
    },
  });
  await esp.inject(job.identity);
  const espProof = await writeEsp(job, esp, writer.append);
  await writer.finish();
  job.onProgress({ phase: 'flush', doneBytes: 0, totalBytes: 0 });
  await flush(medium);
  await closing.write(medium);
  const proofs = segments.map((segment, index) => ({ ...segment, sha256: hashes[index] }));
  const body = proofs.filter(({ place }) => place === 'body');
  return [...closing.proofs(), ...body, espProof];
}

/** The whole partition, so that nothing of an older drive shows through between its files. */
async function writeEsp(
  { image, signal }: WriteJob,
  esp: Esp,
  append: (bytes: Uint8Array, atBytes: number) => Promise<void>,
): Promise<MappedRange> {
  const { offsetBytes, sizeBytes } = image.manifest.esp;
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(blockBytes);
  for (let at = 0; at < sizeBytes; at += blockBytes) {
    signal?.throwIfAborted();
    const bytes = buffer.subarray(0, Math.min(blockBytes, sizeBytes - at));
    await esp.read(bytes, at);
    hash.update(bytes);
    await append(bytes, offsetBytes + at);
  }
  return { offsetBytes, sizeBytes, sha256: hash.digest('hex') };
}

interface ClosingBuffers {
  put(piece: Uint8Array, atBytes: number): void;
  write(medium: Medium): Promise<void>;
  proofs(): MappedRange[];
}

/** The image's first MiB, and its last if anything is mapped there, held until the end. */
function closingBuffers({ manifest }: Image, segments: Segment[]): ClosingBuffers {
  const tailAt = Math.max(edgeBytes, manifest.sizeBytes - edgeBytes);
  const hasTail = segments.some((s) => s.place === 'closing' && s.offsetBytes >= tailAt);
  const head = { atBytes: 0, bytes: alignedMemory(edgeBytes) };
  const tail = { atBytes: tailAt, bytes: alignedMemory(manifest.sizeBytes - tailAt) };
  const edges = hasTail ? [head, tail] : [head];
  return {
    put(piece, atBytes) {
      const edge = atBytes < edgeBytes ? head : tail;
      edge.bytes.set(piece, atBytes - edge.atBytes);
    },
    async write(medium) {
      if (hasTail) await writePages(medium, tail.bytes, tail.atBytes);
      await writePages(medium, head.bytes.subarray(pageBytes), pageBytes);
      await flush(medium);
      await writePages(medium, head.bytes.subarray(0, pageBytes), 0);
      await flush(medium);
    },
    proofs: () =>
      edges.map(({ atBytes, bytes }) => ({
        offsetBytes: atBytes,
        sizeBytes: bytes.length,
        sha256: createHash('sha256').update(bytes).digest('hex'),
      })),
  };
}

async function proveAll(job: WriteJob, proofs: MappedRange[]): Promise<number> {
  const totalBytes = sumBytes(proofs);
  const onBytes = counter(job, 'verify', totalBytes);
  await readBack(job.medium, proofs, { onBytes, signal: job.signal });
  return totalBytes;
}

/** Tells of progress about a hundred times. */
function counter(job: WriteJob, phase: 'write' | 'verify', totalBytes: number) {
  let doneBytes = 0;
  let toldBytes = 0;
  return (sizeBytes: number): void => {
    doneBytes += sizeBytes;
    if (doneBytes - toldBytes < totalBytes / 100 && doneBytes < totalBytes) return;
    toldBytes = doneBytes;
    job.onProgress({ phase, doneBytes, totalBytes });
  };
}

function sumBytes(extents: Extent[]): number {
  return extents.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
}

function seconds(ms: number): number {
  return Math.round(ms) / 1000;
}
