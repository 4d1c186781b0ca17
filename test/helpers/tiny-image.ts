// A real image of a few MiB: a GPT by sfdisk, a FAT boot partition by mtools, a root of seeded
// bytes with holes, compressed, with its manifest. Small enough to be made for each test.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdCompressSync } from 'node:zlib';

const mib = 1 << 20;
const page = 4096;

export const tinyImage = {
  sizeBytes: 16 * mib,
  esp: { offsetBytes: 2 * mib, sizeBytes: 4 * mib },
  root: { offsetBytes: 6 * mib, sizeBytes: 9 * mib },
};

export interface TinyImage {
  /** The .img.zst. */
  path: string;
  raw: Buffer;
  manifest: Record<string, unknown> & { ranges: [number, number, string][] };
}

const made = new Map<number, { raw: Buffer; zst: Buffer; manifest: TinyImage['manifest'] }>();

export function makeTinyImage(folder: string, seed = 1): TinyImage {
  mkdirSync(folder, { recursive: true });
  if (!made.has(seed)) made.set(seed, build(join(folder, 'raw.img'), seed));
  const { raw, zst, manifest } = made.get(seed)!;
  const path = join(folder, 'tiny-amd64.img.zst');
  writeFileSync(path, zst);
  writeFileSync(join(folder, 'tiny-amd64.json'), JSON.stringify(manifest));
  return { path, raw, manifest };
}

function build(path: string, seed: number) {
  const raw = makeRaw(path, seed);
  const zst = zstdCompressSync(raw);
  const ranges = mapRanges(raw);
  const manifest = {
    ...{ format: 1, name: 'tiny', arch: 'amd64', release: 'trixie', ...tinyImage },
    rawSha256: sha256(raw),
    zstSha256: sha256(zst),
    ranges,
    createdFrom: { seed },
  };
  return { raw, zst, manifest };
}

export function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function makeRaw(path: string, seed: number): Buffer {
  writeFileSync(path, '');
  truncateSync(path, tinyImage.sizeBytes);
  run('sfdisk', ['-q', path], gptScript);
  const esp = `${path}@@${tinyImage.esp.offsetBytes}`;
  const sectors = String(tinyImage.esp.sizeBytes / 512);
  run('mformat', ['-i', esp, '-T', sectors, '-h', '16', '-s', '63', '-N', '12345678', '::']);
  run('mmd', ['-i', esp, '::/EFI']);
  run('mcopy', ['-i', esp, '-', '::/EFI/BOOTX64.EFI'], Buffer.alloc(100_000, 'boot'));
  const raw = readFileSync(path);
  rmSync(path);
  // GRUB's core image in its own partition, then a root with data, zeros that count, and holes.
  fillSeeded(raw.subarray(mib, mib + 40_000), seed);
  fillSeeded(raw.subarray(6 * mib, 8 * mib + 3 * page), seed + 1);
  fillSeeded(raw.subarray(11 * mib, 14 * mib), seed + 2);
  return raw;
}

const gptScript = `label: gpt
label-id: 11111111-2222-8333-8444-555555555555
unit: sectors
first-lba: 34
start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649
start=4096, size=8192, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B
start=12288, size=18432, type=4F68BCE3-E8CD-4DB1-96E7-FBCAF984B709
`;

/** Every page that holds something, and two pages of zeros that are mapped all the same. */
function mapRanges(raw: Buffer): [number, number, string][] {
  const zeros = Buffer.alloc(page);
  const mapped = (at: number) =>
    !raw.subarray(at, at + page).equals(zeros) || (at >= 9 * mib && at < 9 * mib + 2 * page);
  const ranges: [number, number, string][] = [];
  for (let at = 0; at < raw.length; at += page) {
    if (!mapped(at)) continue;
    const last = ranges.at(-1);
    if (last !== undefined && last[0] + last[1] === at) last[1] += page;
    else ranges.push([at, page, '']);
  }
  return ranges.map(([at, size]) => [at, size, sha256(raw.subarray(at, at + size))]);
}

/** Bytes that do not compress: xorshift32 (Marsaglia 2003). */
export function fillSeeded(bytes: Uint8Array, seed: number): void {
  let state = seed * 2_654_435_761 || 1;
  for (let at = 0; at < bytes.length; at++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    bytes[at] = state;
  }
}

function run(tool: string, args: string[], input?: string | Buffer): void {
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/sbin:/sbin` };
  execFileSync(tool, args, { input, env, stdio: ['pipe', 'ignore', 'pipe'] });
}
