// Tiles against the examples of c2sp.org/tlog-tiles, and their bytes as equations.

import test from 'ava';
import fc from 'fast-check';
import {
  decodeBundle, decodeHashTile, encodeBundle, encodeHashTile, nodesFromTiles, parseTilePath, tilePath,
  tilesOf, tilesSince,
} from '../../../ledger/log/tiles.ts';
import type { Tile } from '../../../ledger/log/tiles.ts';
import { leafHash, nodeHash, treeRoot } from '../../../ledger/log/tree.ts';
import type { Hash, ReadNode } from '../../../ledger/log/tree.ts';

test('paths as the specification and Go’s tests write them', (t) => {
  t.is(tilePath({ level: 0, index: 1_234_067, width: 256 }), 'tile/0/x001/x234/067');
  t.is(tilePath({ level: 'entries', index: 0, width: 5 }), 'tile/entries/000.p/5');
  t.is(tilePath({ level: 5, index: 123_456_078, width: 2 }), 'tile/5/x123/x456/078.p/2');
  t.is(tilePath({ level: 1, index: 3_057_500, width: 256 }), 'tile/1/x003/x057/500');
  const bad = [
    'tile/5/123/456/078', 'tile/-1/000', 'tile/64/000', 'tile/00/000', 'tile/0/000.p/0',
    'tile/0/000.p/256', 'tile/0/000.p/05', 'tile/0/x000/001', 'tile/0/00', 'tile/data/000',
    'tile/0/000/', '/tile/0/000', 'tile/0/../000',
  ];
  for (const path of bad) t.is(parseTilePath(path), undefined, path);
});

test('paths and tiles are inverse', (t) => {
  const tile = fc.record({
    level: fc.oneof(fc.constant('entries' as const), fc.integer({ min: 0, max: 63 })),
    index: fc.integer({ min: 0, max: 10 ** 15 }),
    width: fc.integer({ min: 1, max: 256 }),
  });
  fc.assert(fc.property(tile, (one) => {
    t.deepEqual(parseTilePath(tilePath(one)), one);
  }));
});

test('a tree of 70,000 has the tiles that the specification counts', (t) => {
  const tiles = tilesOf(70_000).filter(({ level }) => level !== 'entries');
  const count = (level: number, isFull: boolean): Tile[] =>
    tiles.filter((tile) => tile.level === level && (tile.width === 256) === isFull);
  t.is(count(0, true).length, 273);
  t.deepEqual(count(0, false).map(({ width }) => width), [112]);
  t.is(count(1, true).length, 1);
  t.deepEqual(count(1, false).map(({ width }) => width), [17]);
  t.deepEqual(count(2, false).map(({ width }) => width), [1]);
  const ofFull = tilesOf(256).map(({ level, width }) => [level, width]);
  t.deepEqual(ofFull, [['entries', 256], [0, 256], [1, 1]]);
});

test('growing by steps writes every tile of the end', (t) => {
  const sizes = fc.array(fc.integer({ min: 0, max: 1_000 }), { maxLength: 8 });
  fc.assert(fc.property(sizes, (steps) => {
    const written = new Set<string>();
    let size = 0;
    for (const step of steps) {
      for (const tile of tilesSince(size, size + step)) written.add(tilePath(tile));
      size += step;
    }
    for (const tile of tilesOf(size)) t.true(written.has(tilePath(tile)), tilePath(tile));
  }));
});

test('a tree read from its tiles has the root of its leaves', (t) => {
  const leaves = Array.from({ length: 700 }, (_, i) => leafHash(new TextEncoder().encode(`${i}`)));
  const memo = new Map<string, Hash>();
  const read: ReadNode = (level, index) => {
    if (level === 0) return leaves[index];
    const key = `${level}/${index}`;
    const hash = memo.get(key)
      ?? nodeHash(read(level - 1, 2 * index), read(level - 1, 2 * index + 1));
    memo.set(key, hash);
    return hash;
  };
  for (const size of [1, 2, 255, 256, 257, 511, 512, 700]) {
    const fromTiles = nodesFromTiles(size, (level, index, width) => {
      const tile = { level, index, width };
      return decodeHashTile(encodeHashTile(tile, read), width);
    });
    t.deepEqual(treeRoot(size, fromTiles), treeRoot(size, read));
  }
});

test('bundles keep their entries, and nothing else', (t) => {
  const entries = fc.array(fc.uint8Array({ maxLength: 600 }), { minLength: 1, maxLength: 20 });
  fc.assert(fc.property(entries, (list) => {
    const bytes = encodeBundle(list);
    t.deepEqual(decodeBundle(bytes, list.length), list);
    t.throws(() => decodeBundle(bytes.slice(0, -1), list.length), { code: 'malformed-tile' });
    t.throws(() => decodeBundle(Uint8Array.of(...bytes, 0), list.length), { code: 'malformed-tile' });
  }));
  t.throws(() => encodeBundle([new Uint8Array(65_536)]), { code: 'malformed-tile' });
});
