// The right edge of a log's tree: all that growing it needs, a tile's width a level at most. The
// writer grows the tree and keeps the files; an auditor grows it as the writer should have, and
// compares them. Pure.

import type { Tile } from './tiles.ts';
import { encodeBundle, encodeHashTile, nodesFromTiles, TILE_WIDTH, tilesSince } from './tiles.ts';
import type { Hash, ReadNode } from './tree.ts';
import { leafHash, nodeHash, treeRoot } from './tree.ts';

export interface Edge {
  size: number;
  /** Entries of the last, partial bundle. */
  entries: readonly Uint8Array[];
  /** For each tile level, the hashes of its last, partial tile. */
  levels: readonly Hash[][];
}

export const EMPTY_EDGE: Edge = { size: 0, entries: [], levels: [] };

export interface Grown {
  edge: Edge;
  /** The files that are new, or wider than before. */
  tiles: { tile: Tile; bytes: Uint8Array }[];
}

/** The edge after `entries`, and the files that it needs. */
export function grow(edge: Edge, entries: readonly Uint8Array[]): Grown {
  const size = edge.size + entries.length;
  const bundles = [...edge.entries, ...entries];
  const levels: Hash[][] = [[...(edge.levels[0] ?? []), ...entries.map(leafHash)]];
  for (let level = 0; levels[level].length >= TILE_WIDTH; level++) {
    const up = [...(edge.levels[level + 1] ?? [])];
    for (let i = 0; i + TILE_WIDTH <= levels[level].length; i += TILE_WIDTH) {
      up.push(fullTileHash(levels[level].slice(i, i + TILE_WIDTH)));
    }
    levels.push(up);
  }
  for (let level = levels.length; level < edge.levels.length; level++) {
    levels.push(edge.levels[level]);
  }
  // Node `i` of a level stands in `levels` at i − the first node of the edge's own tile.
  const first = (level: number): number =>
    Math.floor(Math.floor(edge.size / TILE_WIDTH ** level) / TILE_WIDTH) * TILE_WIDTH;
  const read: ReadNode = (level, i) => levels[level / 8][i - first(level / 8)];
  const tiles = tilesSince(edge.size, size).map((tile) => {
    if (tile.level !== 'entries') return { tile, bytes: encodeHashTile(tile, read) };
    const start = tile.index * TILE_WIDTH - first(0);
    return { tile, bytes: encodeBundle(bundles.slice(start, start + tile.width)) };
  });
  const last = <T>(list: T[]): T[] => list.slice(Math.floor(list.length / TILE_WIDTH) * TILE_WIDTH);
  return { edge: { size, entries: last(bundles), levels: levels.map(last) }, tiles };
}

function fullTileHash(hashes: Hash[]): Hash {
  let row = hashes;
  while (row.length > 1) {
    row = row.flatMap((left, i) => (i % 2 === 0 ? [nodeHash(left, row[i + 1])] : []));
  }
  return row[0];
}

export function rootOf({ size, levels }: Edge): Hash {
  return treeRoot(size, nodesFromTiles(size, (level) => levels[level]));
}
