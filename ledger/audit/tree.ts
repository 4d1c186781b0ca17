// The structure of a log, judged from its public files alone: the tree is grown again from the
// entry bundles, and every hash tile, and the root, must be what it gives. Reads no entry's
// meaning.

import { LedgerError } from '../errors.ts';
import {
  decodeBundle, encodeBundle, encodeHashTile, nodesFromTiles, parseTilePath, TILE_WIDTH, tilePath,
  tilesOf,
} from '../log/tiles.ts';
import type { Tile } from '../log/tiles.ts';
import type { Hash } from '../log/tree.ts';
import { equal, leafHash, nodeHash, treeRoot } from '../log/tree.ts';
import type { Finding } from './report.ts';
import type { PublicFiles } from './source.ts';

/**
 * The entries of a log of `size`, or null if its bundles do not hold them. Adds what does not hold.
 */
export async function auditTree(
  files: PublicFiles,
  { size, root }: { size: number; root: Hash },
  findings: Finding[],
): Promise<Uint8Array[] | null> {
  const entries = await readEntries(files, size, findings);
  if (entries === null) return null;
  const levels = growLevels(entries);
  const tiles = tilesOf(size);
  const read = nodesFromTiles(size, (level, index, width) =>
    levels[level].slice(index * TILE_WIDTH, index * TILE_WIDTH + width));
  const grown = treeRoot(size, read);
  if (!equal(grown, root)) {
    const [expected, got] = [root, grown].map((hash) => Buffer.from(hash).toString('base64'));
    findings.push({ code: 'root', where: 'checkpoint', expected, got });
  }
  const bytesOf = (tile: Tile): Uint8Array => {
    const start = tile.index * TILE_WIDTH;
    if (tile.level === 'entries') return encodeBundle(entries.slice(start, start + tile.width));
    const nodes = levels[tile.level];
    return encodeHashTile(tile, (_, index) => nodes[index]);
  };
  for (const tile of tiles) {
    if (tile.level !== 'entries') await compareTile(files, tile, bytesOf(tile), findings);
  }
  await auditNames(files, size, bytesOf, findings);
  return entries;
}

async function readEntries(
  files: PublicFiles,
  size: number,
  findings: Finding[],
): Promise<Uint8Array[] | null> {
  const entries: Uint8Array[] = [];
  // One by one, not by tilesOf: a checkpoint may claim more entries than any memory holds.
  for (let start = 0; start < size; start += TILE_WIDTH) {
    const width = Math.min(TILE_WIDTH, size - start);
    const path = tilePath({ level: 'entries', index: start / TILE_WIDTH, width });
    const bytes = await files.read(path);
    if (bytes === null) {
      findings.push({ code: 'file-missing', where: path });
      return null;
    }
    try {
      for (const entry of decodeBundle(bytes, width)) entries.push(entry);
    } catch (error) {
      if (!(error instanceof LedgerError)) throw error;
      const { code, expected, got } = error;
      findings.push({ code, where: path, expected, got });
      return null;
    }
  }
  return entries;
}

/** For each tile level, all its nodes: level 0 the leaf hashes, above one for each full tile. */
function growLevels(entries: readonly Uint8Array[]): Hash[][] {
  const levels: Hash[][] = [entries.map(leafHash)];
  for (let level = 0; levels[level].length >= TILE_WIDTH; level++) {
    const up: Hash[] = [];
    for (let i = 0; i + TILE_WIDTH <= levels[level].length; i += TILE_WIDTH) {
      let row = levels[level].slice(i, i + TILE_WIDTH);
      while (row.length > 1) {
        row = row.flatMap((left, at) => (at % 2 === 0 ? [nodeHash(left, row[at + 1])] : []));
      }
      up.push(row[0]);
    }
    levels.push(up);
  }
  return levels;
}

async function compareTile(
  files: PublicFiles,
  tile: Tile,
  expected: Uint8Array,
  findings: Finding[],
): Promise<void> {
  const path = tilePath(tile);
  const bytes = await files.read(path);
  if (bytes === null) findings.push({ code: 'file-missing', where: path });
  else if (!equal(bytes, expected)) findings.push({ code: 'tile-differs', where: path });
}

/**
 * Where the files can be listed: each is one that the log has now, or an earlier partial tile of it
 * that says the same; nothing else lies among them.
 */
async function auditNames(
  files: PublicFiles,
  size: number,
  bytesOf: (tile: Tile) => Uint8Array,
  findings: Finding[],
): Promise<void> {
  const present = new Map(tilesOf(size).map((tile) => [`${tile.level}/${tile.index}`, tile]));
  for (const path of (await files.list()) ?? []) {
    if (path === 'checkpoint' || path.startsWith('blob/')) continue;
    const tile = parseTilePath(path);
    const now = tile && present.get(`${tile.level}/${tile.index}`);
    if (tile === undefined || now === undefined || tile.width > now.width) {
      findings.push({ code: 'stray-file', where: path });
    } else if (tile.width < now.width) {
      await compareTile(files, tile, bytesOf(tile), findings);
    }
  }
}
