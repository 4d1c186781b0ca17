import { createHash } from 'node:crypto';
import test from 'ava';
import fc from 'fast-check';
import {
  allocatedBlocks,
  type BlockRange,
  bmapXml,
  mergeRanges,
} from '../../../provisioner/image/blockmap.ts';

const blocksOf = (ranges: readonly BlockRange[]) =>
  new Set(ranges.flatMap(([a, b]) => Array.from({ length: b - a + 1 }, (_, i) => a + i)));

const range = fc
  .tuple(fc.nat(200), fc.nat(20))
  .map(([first, more]): BlockRange => [first, first + more]);

test('merged ranges hold the same blocks, in order, none touching the next', (t) => {
  fc.assert(
    fc.property(fc.array(range), (ranges) => {
      const merged = mergeRanges(ranges);
      t.deepEqual(
        [...blocksOf(merged)].sort((a, b) => a - b),
        [...blocksOf(ranges)].sort((a, b) => a - b),
      );
      merged.slice(1).forEach(([first], i) => t.true(first > merged[i][1] + 1));
    }),
  );
});

test('what dumpe2fs calls free is not mapped, and all else is', (t) => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(99)), (free) => {
      const inGroup = (first: number, last: number) =>
        mergeRanges(free.filter((b) => b >= first && b <= last).map((b): BlockRange => [b, b]))
          .map(([a, b]) => (a === b ? `${a}` : `${a}-${b}`))
          .join(', ');
      const text = [
        'Block count:              100',
        'Free blocks:              7',
        'Group 0: (Blocks 0-49) csum 0x10b2 [ITABLE_ZEROED]',
        `  Free blocks: ${inGroup(0, 49)}`,
        '  Free inodes: 12-16',
        'Group 1: (Blocks 50-99) csum 0x252a',
        `  Free blocks: ${inGroup(50, 99)}`,
        '  Free inodes: ',
      ].join('\n');
      const expected = Array.from({ length: 100 }, (_, b) => b).filter((b) => !free.includes(b));
      t.deepEqual([...blocksOf(allocatedBlocks(text, 100))], expected);
    }),
  );
});

test('a listing of another file system is refused', (t) => {
  t.throws(() => allocatedBlocks('Block count:              99\n', 100), { message: /99 blocks/ });
  t.throws(() => allocatedBlocks('', 100), { message: /no blocks/ });
});

test('the block map is what bmaptool checks: sums, counts, and its own checksum', (t) => {
  const ranges = [
    { firstByte: 0, lengthBytes: 8192, sha256: 'a'.repeat(64) },
    { firstByte: 40960, lengthBytes: 4096, sha256: 'b'.repeat(64) },
  ];
  const xml = bmapXml(65536, ranges);
  const text = (name: string) => new RegExp(`<${name}>([^<]*)</${name}>`).exec(xml)?.[1];
  t.is(text('ImageSize'), '65536');
  t.is(text('BlockSize'), '4096');
  t.is(text('BlocksCount'), '16');
  t.is(text('MappedBlocksCount'), '3');
  t.is(text('ChecksumType'), 'sha256');
  t.deepEqual(
    [...xml.matchAll(/<Range chksum="(\w+)">([^<]+)<\/Range>/g)].map(([, sum, at]) => [sum[0], at]),
    [['a', '0-1'], ['b', '10']],
  );
  const own = text('BmapFileChecksum') ?? '';
  const zeroed = xml.replace(own, '0'.repeat(64));
  t.is(own, createHash('sha256').update(zeroed).digest('hex'));
});
