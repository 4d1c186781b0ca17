// Whether a published image is what its lock makes: builds it once more from that lock and compares
// all bytes of the raw images. Where they differ, names the first file that does. Changes nothing.

import { mkdir, mkdtemp, open, rm, truncate } from 'node:fs/promises';
import { createReadStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { KitError } from '../errors.ts';
import type { Output } from '../terminal.ts';
import { buildImage, type BuildImageOptions } from './build.ts';
import { firstDifference, type TreeDifference } from './compare-trees.ts';
import { type Extent, MIB } from './layout.ts';
import { sha256Of } from './package-cache.ts';
import { imagePaths, readPublished } from './publish.ts';
import { requireTools, run } from './run.ts';

export interface Verified {
  image: string;
  rawSha256: string;
  seconds: number;
}

/**
 * @param options `outDir`: where the published image lies
 * @throws KitError `image-differs`, naming the first file; `image-wrong-hash`, `image-missing`;
 *   those of {@link buildImage}
 */
export async function verifyImage(
  options: Omit<BuildImageOptions, 'lockFile' | 'frozen' | 'keepRootTar' | 'treeAnew'>,
  event: Output['event'] = () => {},
): Promise<Verified> {
  const startMs = performance.now();
  const { name, arch = 'amd64' } = options;
  const outDir = resolve(options.outDir);
  const paths = imagePaths(outDir, { name, arch });
  const published = await readPublished(paths);
  const zstSha256 = await sha256Of(paths.image);
  if (zstSha256 !== published.zstSha256) throw wrongHash(paths.image, published, zstSha256);
  const workDir = await mkdtemp(join(outDir, `.${name}-${arch}.verify-`));
  try {
    // Of the packages: a tree that the first build left in the cache would only be found to be itself.
    const anew = { outDir: workDir, lockFile: paths.lock, treeAnew: true };
    const again = await buildImage({ ...options, ...anew }, event);
    event({ type: 'image', image: name, text: 'comparing' });
    const raw = join(workDir, 'published.raw');
    const rebuilt = join(workDir, 'rebuilt.raw');
    await Promise.all([unpack(paths.image, raw), unpack(again.image, rebuilt)]);
    const where = await compareRaw(rebuilt, raw, { ...published, workDir });
    if (where !== undefined) throw differs(paths.image, where);
    const seconds = Math.round((performance.now() - startMs) / 100) / 10;
    return { image: paths.image, rawSha256: again.rawSha256, seconds };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Decompresses, leaving holes where there are only zeros. */
async function unpack(image: string, target: string): Promise<void> {
  await using file = await open(target, 'wx');
  let at = 0;
  const sink = new Writable({
    write(chunk: Buffer, _encoding, done) {
      const here = at;
      at += chunk.length;
      if (chunk.every((byte) => byte === 0)) done();
      else file.write(chunk, 0, chunk.length, here).then(() => done(), done);
    },
  });
  await pipeline(createReadStream(image), createZstdDecompress({ chunkSize: 64 * 1024 }), sink);
  await truncate(target, at);
}

interface Compared {
  esp: Extent;
  root: Extent;
  workDir: string;
}

/** In words, where the first difference is; undefined when there is none. */
async function compareRaw(
  wanted: string,
  found: string,
  { esp, root, workDir }: Compared,
): Promise<string | undefined> {
  if ((await sha256Of(wanted)) === (await sha256Of(found))) return undefined;
  await requireTools(['debugfs', 'mcopy']);
  const trees = async (part: string, take: (raw: string, dir: string) => Promise<unknown>) => {
    const dirs = ['wanted', 'found'].map((side) => join(workDir, `${part}-${side}`));
    for (const [index, raw] of [wanted, found].entries()) {
      await mkdir(dirs[index]);
      await take(raw, dirs[index]);
    }
    return firstDifference(dirs[0], dirs[1]);
  };
  const inEsp = await trees('esp', (raw, dir) =>
    run(['mcopy', '-s', '-p', '-m', '-i', `${raw}@@${esp.offsetBytes}`, '::*', dir]),
  );
  if (inEsp !== undefined) return `boot partition: ${words(inEsp)}`;
  const inRoot = await trees('root', (raw, dir) =>
    run(['debugfs', '-R', `rdump / ${dir}`, `${raw}?offset=${root.offsetBytes}`]),
  );
  if (inRoot !== undefined) return `root file system: ${words(inRoot)}`;
  const atBytes = await firstByte(wanted, found);
  return `byte ${atBytes}, in ${placeOf(atBytes, { esp, root })}`;
}

function words({ path, what }: TreeDifference): string {
  return `/${path} (${what})`;
}

async function firstByte(wanted: string, found: string): Promise<number> {
  await using a = await open(wanted, 'r');
  await using b = await open(found, 'r');
  const [left, right] = [Buffer.alloc(MIB), Buffer.alloc(MIB)];
  for (let at = 0; ; at += MIB) {
    const [x, y] = await Promise.all([a.read(left, 0, MIB, at), b.read(right, 0, MIB, at)]);
    const length = Math.min(x.bytesRead, y.bytesRead);
    for (let index = 0; index < length; index += 1) {
      if (left[index] !== right[index]) return at + index;
    }
    if (length < MIB) return at + length;
  }
}

function placeOf(atBytes: number, { esp, root }: { esp: Extent; root: Extent }): string {
  const within = ({ offsetBytes, sizeBytes }: Extent) =>
    atBytes >= offsetBytes && atBytes < offsetBytes + sizeBytes;
  if (within(esp)) return 'the boot partition, outside of its files';
  if (within(root)) return 'the root file system, outside of its files';
  return atBytes < MIB ? 'the partition table or boot sector' : 'the boot loader or between partitions';
}

function wrongHash(image: string, published: { zstSha256: string }, got: string): KitError {
  return new KitError({
    code: 'image-wrong-hash',
    message: `${image} is not the one that its manifest describes`,
    expected: `SHA-256 ${published.zstSha256}`,
    got,
    hint: 'Copy the image and its manifest again, then verify it.',
  });
}

function differs(image: string, where: string): KitError {
  return new KitError({
    code: 'image-differs',
    message: `${image} is not what its lock makes`,
    expected: 'the same bytes as the image that was built just now from the same lock',
    got: `the first difference: ${where}`,
    hint: 'Was it built from another checkout, or changed afterwards? Do not ship it.',
  });
}
