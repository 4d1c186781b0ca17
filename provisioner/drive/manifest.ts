// NAME-ARCH.json, the manifest beside an image: its size, where its partitions lie, which ranges
// hold data, and the SHA-256 of each. This file owns reading and checking it; images/ and the image
// builder own what is in it.

import { readFile } from 'node:fs/promises';

import * as v from 'valibot';

import { KitError, systemWords } from '../errors.ts';

/** Drives and file systems are written in pages of this size; O_DIRECT asks for no more. */
export const pageBytes = 4096;

export interface Extent {
  offsetBytes: number;
  sizeBytes: number;
}

export interface MappedRange extends Extent {
  /** SHA-256 of the range's bytes, hex. */
  sha256: string;
}

export interface ImageManifest {
  name: string;
  arch: string;
  release: string;
  /** Of the raw image. */
  sizeBytes: number;
  rawSha256: string;
  zstSha256: string;
  esp: Extent;
  root: Extent;
  /** In order, apart from each other, on whole pages. */
  ranges: MappedRange[];
}

const aligned = v.pipe(
  v.number(),
  v.check((value) => Number.isSafeInteger(value) && value >= 0, 'a whole number of bytes'),
  v.check((value) => value % pageBytes === 0, `a multiple of ${pageBytes}`),
);
const sha256 = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/));
const extent = v.object({ offsetBytes: aligned, sizeBytes: aligned });

/** Keys that flashing does not use may come and go within format 1. */
const manifestSchema = v.object({
  format: v.literal(1),
  name: v.string(),
  arch: v.string(),
  release: v.string(),
  sizeBytes: aligned,
  rawSha256: sha256,
  zstSha256: sha256,
  esp: extent,
  root: extent,
  // A range costs a hash and a seek; a fragmented 64 GiB image has some ten thousands.
  ranges: v.pipe(v.array(v.tuple([aligned, aligned, sha256])), v.minLength(1), v.maxLength(1e6)),
});

/** `x/snac-amd64.img`, also with `.zst`, `.xz` or `.gz` → `x/snac-amd64.json` */
export function manifestPath(image: string): string {
  return `${image.replace(/\.img(\.(zst|xz|gz))?$/, '')}.json`;
}

/** @throws KitError `manifest-missing`, and those of {@link parseManifest} */
export async function readManifest(image: string): Promise<ImageManifest> {
  const path = manifestPath(image);
  const text = await readFile(path, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    throw new KitError({
      code: 'manifest-missing',
      message: `The image ${image} has no manifest`,
      expected: `a manifest at ${path}`,
      got: systemWords(cause),
      hint: 'Make the image with `kit image build`, and keep its files together.',
      cause,
    });
  });
  return parseManifest(text, path);
}

/** @throws KitError `manifest-invalid` */
export function parseManifest(text: string, path: string): ImageManifest {
  const outcome = v.safeParse(manifestSchema, parseJson(text, path));
  if (!outcome.success) {
    const [issue] = outcome.issues;
    throw invalid(path, `${v.getDotPath(issue) ?? 'manifest'}: ${issue.message}`);
  }
  const { ranges: tuples, format: _format, ...manifest } = outcome.output;
  const ranges = tuples.map(([offsetBytes, sizeBytes, hash]) => ({
    offsetBytes,
    sizeBytes,
    sha256: hash,
  }));
  checkLayout({ ...manifest, ranges }, path);
  return { ...manifest, ranges };
}

function parseJson(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw invalid(path, (cause as SyntaxError).message);
  }
}

/** What the writer relies on: ranges in order, apart, inside; partitions inside and apart. */
function checkLayout(manifest: ImageManifest, path: string): void {
  const { sizeBytes, esp, root, ranges } = manifest;
  let end = 0;
  for (const range of ranges) {
    if (range.offsetBytes < end) throw invalid(path, `range at ${range.offsetBytes} out of order`);
    if (range.sizeBytes === 0) throw invalid(path, `range at ${range.offsetBytes} is empty`);
    end = range.offsetBytes + range.sizeBytes;
  }
  if (end > sizeBytes) throw invalid(path, `a range ends at ${end}, after ${sizeBytes}`);
  for (const [name, part] of Object.entries({ esp, root })) {
    const partEnd = part.offsetBytes + part.sizeBytes;
    if (partEnd > sizeBytes) throw invalid(path, `${name} ends at ${partEnd}, after ${sizeBytes}`);
    if (part.sizeBytes === 0) throw invalid(path, `${name} is empty`);
    if (part.offsetBytes < 1 << 20) throw invalid(path, `${name} begins in the first MiB`);
  }
  const [first, second] = esp.offsetBytes < root.offsetBytes ? [esp, root] : [root, esp];
  if (first.offsetBytes + first.sizeBytes > second.offsetBytes) {
    throw invalid(path, 'esp and root overlap');
  }
}

function invalid(path: string, got: string): KitError {
  return new KitError({
    code: 'manifest-invalid',
    message: `${path} is not an image's manifest`,
    expected: 'a manifest of format 1, as `kit image build` writes it',
    got,
    hint: 'Make the image again with `kit image build`.',
  });
}
