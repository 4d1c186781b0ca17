// An image file as it is before any drive is touched: its manifest, its kind, and the proof that
// can be had quickly. Unpacking it is source.ts's. Writes nothing.

import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';

import { KitError, systemWords } from '../errors.ts';
import { decode, DecodeError, kindOf, type ImageKind } from './decode.ts';
import { readManifest, type ImageManifest } from './manifest.ts';

export interface Image {
  /** NAME-ARCH.img, or .img.zst, .img.xz, .img.gz. */
  path: string;
  kind: ImageKind;
  manifest: ImageManifest;
}

/**
 * Reads the manifest and the image's first bytes: quick, and proves nothing yet.
 * @throws KitError `image-missing`, `image-unknown-kind`, `manifest-missing`, `manifest-invalid`; of
 *   a raw image `image-truncated`, `image-oversize`
 */
export async function openImage(path: string): Promise<Image> {
  const { kind, head } = await kindOf(path).catch((cause: NodeJS.ErrnoException) => {
    throw missing(path, cause);
  });
  const manifest = await readManifest(path);
  if (kind === undefined) throw unknownKind(path, head);
  const image = { path, kind, manifest };
  if (kind === 'raw') await refuseOtherSize(image);
  return image;
}

/** @throws KitError `image-wrong-arch`: such a drive would not start */
export function refuseOtherArch({ path, manifest }: Image, arch: string): void {
  if (manifest.arch === arch) return;
  throw new KitError({
    code: 'image-wrong-arch',
    message: `The image ${path} is for other machines than the campaign's`,
    expected: arch,
    got: manifest.arch,
    hint: `Build one with \`kit image build ${manifest.name} --arch ${arch}\`.`,
  });
}

async function refuseOtherSize(image: Image): Promise<void> {
  const { size } = await stat(image.path);
  const { sizeBytes } = image.manifest;
  if (size === sizeBytes) return;
  const code = size < sizeBytes ? 'image-truncated' : 'image-oversize';
  throw wrongImage(image, { code, expected: `${sizeBytes} bytes`, got: `${size} bytes` });
}

/**
 * Reads a whole .img.zst, for which the manifest vouches as the file that it is.
 * @throws KitError `image-truncated`, `image-wrong-hash`
 */
export async function proveFile(image: Image, signal: AbortSignal): Promise<void> {
  const wanted = image.manifest.zstSha256;
  const found = await hashFile(image.path, signal);
  if (found === wanted) return;
  // A file cut short is the commonest wrong one, and needs another cure than a wrong one.
  if (await isCutShort(image)) throw wrongImage(image, cutShort(image.kind));
  throw wrongImage(image, { code: 'image-wrong-hash', expected: `SHA-256 ${wanted}`, got: found });
}

/** Through one buffer: a stream would leave hundreds of megabytes behind for the collector. */
async function hashFile(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1 << 20);
  const file = await open(path, 'r');
  try {
    for (;;) {
      signal.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}

async function isCutShort({ path, manifest }: Image): Promise<boolean> {
  let sizeBytes = 0;
  try {
    for await (const chunk of decode(path, 'zst')) {
      sizeBytes += chunk.length;
      if (sizeBytes > manifest.sizeBytes) break; // Whatever it is, it is not cut.
    }
    return false;
  } catch (error) {
    return error instanceof DecodeError && error.reason === 'truncated';
  }
}

export interface Wrong {
  code: 'image-truncated' | 'image-wrong-hash' | 'image-damaged' | 'image-oversize';
  expected: string;
  got: string;
}

export function cutShort(kind: ImageKind): Wrong {
  return { code: 'image-truncated', expected: `a whole ${kind} file`, got: 'it ends too early' };
}

/** What an image is that is not what its manifest says. */
export function wrongImage({ path }: Pick<Image, 'path'>, wrong: Wrong): KitError {
  return new KitError({
    message: `The image ${path} is not the one that its manifest describes`,
    hint: 'Copy the image and its manifest again, or make both with `kit image build`.',
    ...wrong,
  });
}

function missing(path: string, cause: NodeJS.ErrnoException): KitError {
  return new KitError({
    code: 'image-missing',
    message: 'The image could not be read',
    expected: `an image at ${path}`,
    got: systemWords(cause),
    hint: 'Make it with `kit image build`, or name it with --image FILE or --images DIR.',
    cause,
  });
}

function unknownKind(path: string, head: string): KitError {
  return new KitError({
    code: 'image-unknown-kind',
    message: `${path} is not an image of a drive`,
    expected: 'a raw image, or one compressed with zstd, xz or gzip',
    got: head === '' ? 'an empty file' : `a file that begins ${head}`,
    hint: 'Copy the image again, or make it with `kit image build`.',
  });
}
