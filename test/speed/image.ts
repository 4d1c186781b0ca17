// The image that drives are measured with: the size, the holes and the compressibility of a Debian
// node's, of seeded bytes, so that a run needs neither a mirror nor a build. Compressed, hashed
// and mapped by the image builder's own code.

import { execFileSync } from 'node:child_process';
import { createCipheriv } from 'node:crypto';
import { open, truncate, writeFile, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';

import { bmapXml, mergeRanges, type BlockRange } from '../../provisioner/image/blockmap.ts';
import { compress } from '../../provisioner/image/compress.ts';
import { BLOCK, MIB, type Extent } from '../../provisioner/image/layout.ts';
import { fillSeeded } from '../helpers/tiny-image.ts';

/** How much there is to write, and in how many pieces. */
export interface Shape {
  sizeBytes: number;
  rootMappedBytes: number;
  rootRanges: number;
}

/** A Debian node's. */
const debian: Shape = { sizeBytes: 835 * MIB, rootMappedBytes: 424 * MIB, rootRanges: 400 };
const esp = { offsetBytes: 2 * MIB, sizeBytes: 64 * MIB };
/** shim and GRUB, as large as Debian's. */
const bootFiles = { BOOTX64: 950_272, mmx64: 856_064, grubx64: 2_650_112 };

export interface SpeedImage {
  raw: string;
  zst: string;
  bmap: string;
  sizeBytes: number;
  mappedBytes: number;
  zstSizeBytes: number;
  ranges: number;
  espOffsetBytes: number;
}

/** Makes it in `folder`; takes some ten seconds. */
export async function makeSpeedImage(folder: string, shape = debian): Promise<SpeedImage> {
  const { sizeBytes } = shape;
  const root = { offsetBytes: 66 * MIB, sizeBytes: sizeBytes - 67 * MIB };
  const raw = join(folder, 'speed-amd64.img');
  const zst = `${raw}.zst`;
  await writeFile(raw, '');
  await truncate(raw, sizeBytes);
  run('sfdisk', ['-q', raw], gptScript(root));
  const text = wordPool();
  await using file = await open(raw, 'r+');
  await fill(file, { offsetBytes: MIB, sizeBytes: 100 * 1024 }, text);
  const espLast = await writeEsp(file, raw);
  const mappedRoot = scatter(root.sizeBytes / BLOCK, shape);
  const rootStart = root.offsetBytes / BLOCK;
  for (const [first, last] of mappedRoot) {
    const offsetBytes = (rootStart + first) * BLOCK;
    await fill(file, { offsetBytes, sizeBytes: (last - first + 1) * BLOCK }, text);
  }
  const mapped = mergeRanges([
    [0, espLast],
    ...mappedRoot.map(([first, last]): BlockRange => [rootStart + first, rootStart + last]),
    [sizeBytes / BLOCK - 5, sizeBytes / BLOCK - 1],
  ]);
  const made = await compress({ raw, sizeBytes, mapped, target: zst });
  const bmap = join(folder, 'speed-amd64.bmap');
  await writeFile(bmap, bmapXml(sizeBytes, made.ranges));
  const { rawSha256, zstSha256, zstSizeBytes } = made;
  const manifest = {
    ...{ format: 1, name: 'speed', arch: 'amd64', release: 'trixie', sizeBytes, esp, root },
    ...{ rawSha256, zstSha256, createdFrom: {} },
    ranges: made.ranges.map((range) => [range.firstByte, range.lengthBytes, range.sha256]),
  };
  await writeFile(join(folder, 'speed-amd64.json'), JSON.stringify(manifest));
  const mappedBytes = made.ranges.reduce((sum, range) => sum + range.lengthBytes, 0);
  return {
    ...{ raw, zst, bmap, sizeBytes, mappedBytes, zstSizeBytes },
    ...{ ranges: made.ranges.length, espOffsetBytes: esp.offsetBytes },
  };
}

/** As provisioner/image/layout.ts lays it out. */
const gptScript = (root: Extent) => `label: gpt
label-id: 11111111-2222-8333-8444-555555555555
unit: sectors
first-lba: 34
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=4096, size=${esp.sizeBytes / 512}, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=${root.offsetBytes / 512}, size=${root.sizeBytes / 512}, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
`;

/** FAT32 with the boot loaders. @returns the last block that is not all zeros */
async function writeEsp(file: FileHandle, raw: string): Promise<number> {
  const drive = `${raw}@@${esp.offsetBytes}`;
  const shape = ['-F', '-c', '1', '-T', String(esp.sizeBytes / 512), '-h', '16', '-s', '63'];
  run('mformat', ['-i', drive, ...shape, '-N', '12345678', '::']);
  run('mmd', ['-i', drive, '::/EFI', '::/EFI/BOOT']);
  for (const [name, size] of Object.entries(bootFiles)) {
    const bytes = Buffer.alloc(size);
    fillSeeded(bytes, size);
    run('mcopy', ['-i', drive, '-', `::/EFI/BOOT/${name}.EFI`], bytes);
  }
  const bytes = Buffer.alloc(esp.sizeBytes);
  await file.read(bytes, 0, bytes.length, esp.offsetBytes);
  const zeros = Buffer.alloc(BLOCK);
  let last = esp.sizeBytes / BLOCK - 1;
  while (bytes.subarray(last * BLOCK, (last + 1) * BLOCK).equals(zeros)) last--;
  return esp.offsetBytes / BLOCK + last;
}

/** What is mapped of `blocks` blocks, in a few large and many small ranges, with gaps like them. */
function scatter(blocks: number, { rootMappedBytes, rootRanges }: Shape): BlockRange[] {
  const random = numbers(7);
  const mapped = rootMappedBytes / BLOCK;
  const sizes = split(mapped, rootRanges, random);
  const gaps = split(blocks - mapped, rootRanges, random);
  let next = 0;
  return sizes.map((size, at) => {
    const first = next;
    next += size + gaps[at];
    return [first, first + size - 1];
  });
}

/** `total` as `count` whole numbers of one or more; squares of logarithms spread them wide. */
function split(total: number, count: number, random: () => number): number[] {
  const weights = Array.from({ length: count }, () => Math.log(1 - random()) ** 2);
  const sum = weights.reduce((a, b) => a + b);
  const parts = weights.map((weight) => 1 + Math.floor((weight / sum) * (total - count)));
  parts[0] += total - parts.reduce((a, b) => a + b);
  return parts;
}

const pieceBytes = 64 * 1024;
/** The share that does not compress (modules, pictures), so that zstd -3 halves the whole. */
const denseShare = 0.3;
const keystream = createCipheriv('aes-128-ctr', Buffer.alloc(16, 'speed'), Buffer.alloc(16));
const choose = numbers(11);

/** Dense pieces and pieces of words; a piece of words comes again only beyond zstd's window. */
async function fill(file: FileHandle, extent: Extent, text: Buffer): Promise<void> {
  for (let done = 0; done < extent.sizeBytes; done += pieceBytes) {
    const length = Math.min(pieceBytes, extent.sizeBytes - done);
    const dense = choose() < denseShare;
    const bytes = dense ? keystream.update(Buffer.alloc(length)) : nextWords(text, length);
    await file.write(bytes, 0, length, extent.offsetBytes + done);
  }
}

let wordsAt = 0;

function nextWords(text: Buffer, length: number): Buffer {
  if (wordsAt + length > text.length) wordsAt = 0;
  const piece = text.subarray(wordsAt, wordsAt + length);
  wordsAt += length;
  return piece;
}

/** 16 MiB of words, the common ones more often (Zipf). */
function wordPool(): Buffer {
  const random = numbers(3);
  const letters = 'etaoinsrhldcumfpgwybvkxjqz';
  const word = () =>
    Array.from(
      { length: 2 + Math.floor(random() * 9) },
      () => letters[Math.floor(random() ** 2 * letters.length)],
    );
  const words = Array.from({ length: 8192 }, () => Buffer.from(`${word().join('')} `));
  const pool = Buffer.alloc(16 * MIB);
  for (let at = 0; at < pool.length; ) {
    const chosen = words[Math.floor(words.length ** random()) - 1];
    at += chosen.copy(pool, at);
  }
  return pool;
}

/** Seeded numbers from 0 to below 1. */
function numbers(seed: number): () => number {
  const bytes = Buffer.alloc(1 << 20);
  fillSeeded(bytes, seed);
  let at = 0;
  return () => {
    at = (at + 4) % bytes.length;
    return bytes.readUInt32LE(at) / 2 ** 32;
  };
}

function run(tool: string, args: string[], input?: string | Buffer): void {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  execFileSync(tool, args, { input, env, stdio: ['pipe', 'ignore', 'pipe'] });
}
