// Which bytes of an image must reach the drive, and the block map (bmap 2.0, as bmaptool reads
// it) that says so. Pure.
//
// What must be written is decided by the file systems' own bookkeeping, never by where the
// image's file happens to be sparse: an allocated block of zeros is content (the ext4 journal
// above all: stale blocks of an earlier image could be replayed after a power cut).

import { createHash } from 'node:crypto';
import { BLOCK } from './layout.ts';

/** Blocks first..last, both included. */
export type BlockRange = readonly [first: number, last: number];

export interface HashedRange {
  firstByte: number;
  lengthBytes: number;
  sha256: string;
}

/** The allocated blocks of an ext4 file system of `blockCount` blocks, as dumpe2fs tells them. */
export function allocatedBlocks(dumpe2fs: string, blockCount: number): BlockRange[] {
  const told = /^Block count:\s+(\d+)$/m.exec(dumpe2fs);
  if (told === null || Number(told[1]) !== blockCount) {
    throw new Error(`dumpe2fs tells of ${told?.[1] ?? 'no'} blocks, not of ${blockCount}`);
  }
  const free = [...dumpe2fs.matchAll(/^ {2}Free blocks: (.*)$/gm)]
    .flatMap(([, list]) => list.split(', ').filter((item) => item !== ''))
    .map((item): BlockRange => {
      const [first, last = first] = item.split('-').map(Number);
      return [first, last];
    });
  return complement(free, blockCount);
}

/** All blocks below `blockCount` that are in none of the ranges, which ascend. */
function complement(ranges: readonly BlockRange[], blockCount: number): BlockRange[] {
  const gaps: BlockRange[] = [];
  let next = 0;
  for (const [first, last] of ranges) {
    if (first > next) gaps.push([next, first - 1]);
    next = last + 1;
  }
  if (next < blockCount) gaps.push([next, blockCount - 1]);
  return gaps;
}

/** Sorted, with touching and overlapping ranges made one. */
export function mergeRanges(ranges: readonly BlockRange[]): BlockRange[] {
  const merged: [number, number][] = [];
  for (const [first, last] of [...ranges].sort((a, b) => a[0] - b[0])) {
    const previous = merged.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else merged.push([first, last]);
  }
  return merged;
}

/** The block map's XML, its own checksum filled in. */
export function bmapXml(imageSizeBytes: number, ranges: readonly HashedRange[]): string {
  const mapped = ranges.reduce((sum, range) => sum + Math.ceil(range.lengthBytes / BLOCK), 0);
  const unsigned = [
    '<?xml version="1.0" ?>',
    '<bmap version="2.0">',
    `  <ImageSize>${imageSizeBytes}</ImageSize>`,
    `  <BlockSize>${BLOCK}</BlockSize>`,
    `  <BlocksCount>${Math.ceil(imageSizeBytes / BLOCK)}</BlocksCount>`,
    `  <MappedBlocksCount>${mapped}</MappedBlocksCount>`,
    '  <ChecksumType>sha256</ChecksumType>',
    `  <BmapFileChecksum>${'0'.repeat(64)}</BmapFileChecksum>`,
    '  <BlockMap>',
    ...ranges.map(rangeElement),
    '  </BlockMap>',
    '</bmap>',
    '',
  ].join('\n');
  // The checksum is that of the file with zeros in the checksum's place.
  const checksum = createHash('sha256').update(unsigned).digest('hex');
  return unsigned.replace('0'.repeat(64), checksum);
}

function rangeElement({ firstByte, lengthBytes, sha256 }: HashedRange): string {
  const first = firstByte / BLOCK;
  const last = first + Math.ceil(lengthBytes / BLOCK) - 1;
  const blocks = first === last ? `${first}` : `${first}-${last}`;
  return `    <Range chksum="${sha256}">${blocks}</Range>`;
}
