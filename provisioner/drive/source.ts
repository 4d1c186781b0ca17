// An image as many drives read it at once, each at its own pace. A compressed image is unpacked
// once, into a nameless sparse file that holds the mapped ranges at their places; each range is
// proven against the manifest on its way there. Readers wait only for bytes that are not unpacked
// yet. A raw image is read where it lies. What is in memory is the kernel's cache, not ours.

import { createHash, randomUUID } from 'node:crypto';
import { mkdir, open, rm, statfs, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { KitError } from '../errors.ts';
import { blockBytes, cutBlocks, sumBytes } from './blocks.ts';
import { decode, DecodeError, type PackedKind } from './decode.ts';
import { cutShort, proveFile, wrongImage, type Image } from './image.ts';
import type { ImageManifest } from './manifest.ts';
import { cutSegments, type Segment } from './segments.ts';

export interface ImageSource {
  image: Image;
  /** In order; together the manifest's mapped ranges. */
  segments: Segment[];
  /**
   * Fills `into` from byte `atBytes` of the raw image, as soon as that is unpacked; within one
   * segment. What it gives may still turn out wrong: nothing may boot before `proven`.
   * @throws KitError those of `proven`
   */
  read(into: Uint8Array, atBytes: number): Promise<void>;
  /**
   * Nothing may be erased before it: the .img.zst is the file that the manifest vouches for, or the
   * content of another kind is what the manifest says.
   * @throws KitError those of `proven`
   */
  vouched: Promise<void>;
  /**
   * The SHA-256 of each segment, when every mapped range was what the manifest says.
   * @throws KitError `image-wrong-hash`, `image-truncated`, `image-damaged`, `image-oversize`,
   *   `bench-full`, `tool-missing`
   */
  proven: Promise<string[]>;
  /** Stops unpacking and gives the room back. */
  close(): Promise<void>;
}

/**
 * Starts to unpack and to prove.
 * @param folder for the nameless file @throws KitError `bench-full`
 */
export async function openSource(image: Image, folder: string): Promise<ImageSource> {
  const segments = cutSegments(image.manifest);
  const { kind } = image;
  const inPlace = kind === 'raw';
  const file = inPlace ? await open(image.path, 'r') : await openSpool(folder, image.manifest);
  const stop = new AbortController();
  const hashes = new SegmentHashes(image, segments);
  const front = createFront();
  const { signal } = stop;
  const work = inPlace
    ? proveInPlace(file, { segments, hashes, signal })
    : unpack(file, kind, { image, segments, hashes, front, signal });
  if (inPlace) front.finish();
  const proven = work.then(
    () => {
      front.finish();
      return hashes.done;
    },
    (cause: unknown) => {
      const error = wordsFor(image, cause);
      front.fail(error);
      throw error;
    },
  );
  const vouched = kind === 'zst' ? proveFile(image, signal) : proven.then(() => {});
  // Whoever needs a proof awaits it; nobody may have come so far.
  for (const proof of [vouched, proven]) proof.catch(() => {});
  return {
    ...{ image, segments, vouched, proven },
    async read(into, atBytes) {
      await front.reached(atBytes + into.length);
      await readAll(file, into, atBytes);
    },
    async close() {
      stop.abort();
      await Promise.allSettled([work, vouched]);
      await file.close();
    },
  };
}

async function openSpool(folder: string, manifest: ImageManifest): Promise<FileHandle> {
  await mkdir(folder, { recursive: true });
  const neededBytes = sumBytes(manifest.ranges);
  const { bavail, bsize } = await statfs(folder);
  if (bavail * bsize < neededBytes) throw noRoom(`${bavail * bsize} bytes`, neededBytes, folder);
  const path = join(folder, `.unpacked-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await rm(path); // Gone when we are, however we end.
  return file;
}

interface Unpacking {
  image: Image;
  segments: Segment[];
  hashes: SegmentHashes;
  front: Front;
  signal: AbortSignal;
}

async function unpack(spool: FileHandle, kind: PackedKind, job: Unpacking): Promise<void> {
  const { image, segments, hashes, front } = job;
  const { sizeBytes } = image.manifest;
  let atBytes = 0;
  let current = 0;
  for await (const chunk of decode(image.path, kind, job.signal)) {
    const end = atBytes + chunk.length;
    if (end > sizeBytes) throw wrongImage(image, oversize(sizeBytes));
    for (; current < segments.length && segments[current].offsetBytes < end; current++) {
      const segment = segments[current];
      const segmentEnd = segment.offsetBytes + segment.sizeBytes;
      const from = Math.max(segment.offsetBytes, atBytes);
      const piece = chunk.subarray(from - atBytes, Math.min(segmentEnd, end) - atBytes);
      hashes.update(current, piece);
      await writeAll(spool, piece, from);
      if (segmentEnd > end) break;
      hashes.finish(current);
    }
    atBytes = end;
    front.advance(end);
  }
  if (atBytes === sizeBytes) return;
  const got = `${atBytes} bytes`;
  throw wrongImage(image, { code: 'image-truncated', expected: `${sizeBytes} bytes within`, got });
}

function oversize(sizeBytes: number) {
  const got = 'more: it was not unpacked any further';
  return { code: 'image-oversize' as const, expected: `${sizeBytes} bytes within`, got };
}

async function proveInPlace(
  file: FileHandle,
  { segments, hashes, signal }: Pick<Unpacking, 'segments' | 'hashes' | 'signal'>,
): Promise<void> {
  const memory = Buffer.alloc(blockBytes);
  for (const [index, segment] of segments.entries()) {
    for (const { offsetBytes, sizeBytes } of cutBlocks([segment])) {
      signal.throwIfAborted();
      const piece = memory.subarray(0, sizeBytes);
      await readAll(file, piece, offsetBytes);
      hashes.update(index, piece);
    }
    hashes.finish(index);
  }
}

/** Two hashes run over the same bytes: of the range, for the manifest, and of each part of it. */
class SegmentHashes {
  readonly done: string[] = [];
  readonly #image: Image;
  readonly #segments: Segment[];
  #range = createHash('sha256');
  #part = createHash('sha256');

  constructor(image: Image, segments: Segment[]) {
    this.#image = image;
    this.#segments = segments;
  }

  update(index: number, piece: Uint8Array): void {
    this.#range.update(piece);
    if (!this.#isWhole(index)) this.#part.update(piece);
  }

  /** @throws KitError `image-wrong-hash` after a range's last segment */
  finish(index: number): void {
    const { range } = this.#segments[index];
    const wanted = this.#image.manifest.ranges[range];
    this.done.push(this.#isWhole(index) ? wanted.sha256 : this.#part.digest('hex'));
    this.#part = createHash('sha256');
    if (this.#segments[index + 1]?.range === range) return;
    const found = this.#range.digest('hex');
    this.#range = createHash('sha256');
    if (found === wanted.sha256) return;
    const expected = `${wanted.sha256} for the range at byte ${wanted.offsetBytes}`;
    throw wrongImage(this.#image, { code: 'image-wrong-hash', expected, got: found });
  }

  /** Most segments are a whole range: its hash serves both. */
  #isWhole(index: number): boolean {
    const { range, sizeBytes } = this.#segments[index];
    return this.#image.manifest.ranges[range].sizeBytes === sizeBytes;
  }
}

/** How far unpacking has come, and who waits for how much. */
interface Front {
  reached(untilBytes: number): Promise<void>;
  advance(toBytes: number): void;
  finish(): void;
  fail(error: unknown): void;
}

function createFront(): Front {
  let atBytes = 0;
  let failure: { error: unknown } | undefined;
  let waiting: { untilBytes: number; resolve(): void; reject(error: unknown): void }[] = [];
  const advance = (toBytes: number): void => {
    atBytes = toBytes;
    const [ready, later] = [[], []] as (typeof waiting)[];
    for (const one of waiting) (one.untilBytes <= atBytes ? ready : later).push(one);
    waiting = later;
    for (const { resolve } of ready) resolve();
  };
  return {
    async reached(untilBytes) {
      if (untilBytes <= atBytes) return;
      if (failure !== undefined) throw failure.error;
      const { promise, resolve, reject } = Promise.withResolvers<void>();
      waiting.push({ untilBytes, resolve, reject });
      await promise;
    },
    advance,
    finish: () => advance(Infinity),
    fail(error) {
      failure = { error };
      for (const { reject } of waiting) reject(error);
      waiting = [];
    },
  };
}

async function readAll(file: FileHandle, into: Uint8Array, atBytes: number): Promise<void> {
  for (let done = 0; done < into.length; ) {
    const rest = into.subarray(done);
    const { bytesRead } = await file.read(rest, 0, rest.length, atBytes + done);
    if (bytesRead === 0) throw new DecodeError('truncated', 'the file became shorter');
    done += bytesRead;
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array, atBytes: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const rest = bytes.subarray(done);
    const { bytesWritten } = await file.write(rest, 0, rest.length, atBytes + done);
    done += bytesWritten;
  }
}

function wordsFor(image: Image, error: unknown): unknown {
  const { code } = (error ?? {}) as NodeJS.ErrnoException;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return noRoom(code, sumBytes(image.manifest.ranges), 'the cache folder');
  }
  if (!(error instanceof DecodeError)) return error;
  if (error.reason === 'truncated') return wrongImage(image, cutShort(image.kind));
  const expected = `a sound ${image.kind} file`;
  return wrongImage(image, { code: 'image-damaged', expected, got: error.message });
}

function noRoom(got: string, neededBytes: number, folder: string): KitError {
  return new KitError({
    code: 'bench-full',
    message: `The image could not be unpacked in ${folder}`,
    expected: `${neededBytes} bytes free`,
    got,
    hint: 'Make room there, or name a folder on another disk with XDG_CACHE_HOME.',
  });
}
