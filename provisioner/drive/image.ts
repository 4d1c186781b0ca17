// An image as it is read: NAME-ARCH.img.zst with its manifest. Opening it proves the file before
// any drive is touched; streaming it gives the raw bytes once, in order, each mapped range proven
// against the manifest as it passes. Writes nothing.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { createZstdDecompress } from 'node:zlib';

import { KitError } from '../errors.ts';
import { readManifest, type ImageManifest } from './manifest.ts';
import type { Segment } from './segments.ts';

export interface Image {
  /** The .img.zst. */
  path: string;
  manifest: ImageManifest;
}

/** RFC 8878 § 3.1.1: the four bytes that begin a Zstandard frame. */
const zstdMagic = '28b52ffd';
const chunkBytes = 1 << 20;

/**
 * Reads the manifest and the whole compressed file once.
 * @throws KitError `image-missing`, `image-not-zst`, `image-truncated`, `image-wrong-hash`,
 *   `manifest-missing`, `manifest-invalid`
 */
export async function openImage(path: string): Promise<Image> {
  const head = await readHead(path);
  const manifest = await readManifest(path);
  const image = { path, manifest };
  if (head !== zstdMagic) {
    throw broken(image, 'image-not-zst', 'a file compressed with zstd', `it begins ${head}`);
  }
  const found = await hashFile(path);
  if (found !== manifest.zstSha256) throw await wrongFile(image, found);
  return image;
}

async function readHead(path: string): Promise<string> {
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.subarray(0, bytesRead).toString('hex');
    } finally {
      await file.close();
    }
  } catch (cause) {
    throw new KitError({
      code: 'image-missing',
      message: 'The image could not be read',
      expected: `an image at ${path}`,
      got: (cause as NodeJS.ErrnoException).code,
      hint: 'Make it with `kit image build`, or name it with --image FILE or --images DIR.',
      cause,
    });
  }
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path, { highWaterMark: chunkBytes })) {
    hash.update(chunk);
  }
  return hash.digest('hex');
}

/** A file cut short is the commonest wrong one, and needs another cure than a wrong one. */
async function wrongFile(image: Image, found: string): Promise<KitError> {
  const cut = await isCutShort(image.path);
  const { zstSha256 } = image.manifest;
  if (cut) return broken(image, 'image-truncated', 'a whole zstd file', 'it ends too early');
  return broken(image, 'image-wrong-hash', `SHA-256 ${zstSha256}`, found);
}

async function isCutShort(path: string): Promise<boolean> {
  try {
    for await (const _chunk of decompress(path));
    return false;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'Z_BUF_ERROR';
  }
}

/** The raw image, in chunks that are valid for as long as they are held. */
async function* decompress(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const file = createReadStream(path, { highWaterMark: chunkBytes, signal });
  const zstd = createZstdDecompress({ chunkSize: chunkBytes });
  file.on('error', (error) => zstd.destroy(error));
  file.pipe(zstd);
  try {
    yield* zstd as AsyncIterable<Buffer>;
  } finally {
    file.destroy();
    zstd.destroy();
  }
}

/** Takes a piece of a segment; `atBytes` is its place in the image. */
export type SegmentSink = (segment: Segment, piece: Buffer, atBytes: number) => Promise<void>;

/**
 * Hands every segment's bytes to `sink`, in order. When this returns, each mapped range was what
 * the manifest says; when it throws, what was handed out may be wrong.
 * @param segments of this image's manifest
 * @returns the SHA-256 of each segment
 * @throws KitError `image-wrong-hash`, `image-truncated`, `image-damaged`
 */
export async function streamSegments(
  image: Image,
  segments: Segment[],
  options: { sink: SegmentSink; signal?: AbortSignal },
): Promise<string[]> {
  const hashes = new SegmentHashes(image, segments);
  let atBytes = 0;
  let current = 0;
  try {
    for await (const chunk of decompress(image.path, options.signal)) {
      const end = atBytes + chunk.length;
      for (; current < segments.length && segments[current].offsetBytes < end; current++) {
        const segment = segments[current];
        const segmentEnd = segment.offsetBytes + segment.sizeBytes;
        const from = Math.max(segment.offsetBytes, atBytes);
        const piece = chunk.subarray(from - atBytes, Math.min(segmentEnd, end) - atBytes);
        hashes.update(current, piece);
        await options.sink(segment, piece, from);
        if (segmentEnd > end) break;
        hashes.finish(current);
      }
      atBytes = end;
      if (atBytes > image.manifest.sizeBytes) break;
    }
  } catch (error) {
    throw readingError(image, error);
  }
  checkSize(image, atBytes);
  return hashes.done;
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

  update(index: number, piece: Buffer): void {
    this.#range.update(piece);
    if (!this.#isWhole(index)) this.#part.update(piece);
  }

  finish(index: number): void {
    const { range } = this.#segments[index];
    const wanted = this.#image.manifest.ranges[range];
    this.done.push(this.#isWhole(index) ? wanted.sha256 : this.#part.digest('hex'));
    this.#part = createHash('sha256');
    if (this.#segments[index + 1]?.range === range) return;
    const found = this.#range.digest('hex');
    this.#range = createHash('sha256');
    if (found === wanted.sha256) return;
    const place = `the range at byte ${wanted.offsetBytes}`;
    throw broken(this.#image, 'image-wrong-hash', `${wanted.sha256} for ${place}`, found);
  }

  /** Most segments are a whole range: its hash serves both. */
  #isWhole(index: number): boolean {
    const { range, sizeBytes } = this.#segments[index];
    return this.#image.manifest.ranges[range].sizeBytes === sizeBytes;
  }
}

function checkSize(image: Image, foundBytes: number): void {
  const { sizeBytes } = image.manifest;
  if (foundBytes === sizeBytes) return;
  const code = foundBytes < sizeBytes ? 'image-truncated' : 'image-wrong-hash';
  throw broken(image, code, `${sizeBytes} bytes within`, `${foundBytes} or more`);
}

/** Only zlib's words are about the image; whatever the sink threw passes as it is. */
function readingError(image: Image, error: unknown): unknown {
  const code = String((error as NodeJS.ErrnoException).code);
  if (error instanceof KitError) return error;
  if (code === 'Z_BUF_ERROR') {
    return broken(image, 'image-truncated', 'a whole zstd file', 'it ends too early');
  }
  if (!/^(ZSTD|Z)_/.test(code)) return error;
  return broken(image, 'image-damaged', 'a sound zstd file', (error as Error).message);
}

function broken(image: Image, code: string, expected: string, got: string): KitError {
  return new KitError({
    code,
    message: `The image ${image.path} is not the one that its manifest describes`,
    expected,
    got,
    hint: 'Copy the image and its manifest again, or make both with `kit image build`.',
  });
}
