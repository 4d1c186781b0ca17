// The structure of a log, judged from its public files alone: the tree is grown from the entry
// bundles as the log's writer grows it, and every hash tile, and the root, must be what that gives.
// Reads no entry's meaning.

import { LedgerError } from '../errors.ts';
import type { Edge, Grown } from '../log/edge.ts';
import { grow, rootOf } from '../log/edge.ts';
import {
  decodeBundle, firstOfTile, parseTilePath, TILE_WIDTH, tilePath, tilesOf,
} from '../log/tiles.ts';
import type { TreeHead } from '../log/tree.ts';
import { equal } from '../log/tree.ts';
import type { Finding } from './report.ts';
import type { PublicFiles } from './source.ts';

/**
 * The entries of a log from those that `from` covers to its head's, or null if its bundles do not
 * hold them. Adds what does not hold; files that hold nothing but what `from` covers are not read
 * again.
 */
export async function auditTree(
  files: PublicFiles,
  { size, root }: TreeHead,
  { from, findings }: { from: Edge; findings: Finding[] },
): Promise<Uint8Array[] | null> {
  const entries = await readEntries(files, size, { from, findings });
  if (entries === null) return null;
  const grown = grow(from, entries);
  const grownRoot = rootOf(grown.edge);
  if (!equal(grownRoot, root)) {
    const [expected, got] = [root, grownRoot].map((hash) => Buffer.from(hash).toString('base64'));
    findings.push({ code: 'root', where: 'checkpoint', expected, got });
  }
  for (const { tile, bytes } of grown.tiles) {
    if (tile.level !== 'entries') await compareTile(files, tilePath(tile), { bytes, findings });
  }
  await auditNames(files, grown, findings);
  return entries;
}

async function readEntries(
  files: PublicFiles,
  size: number,
  { from, findings }: { from: Edge; findings: Finding[] },
): Promise<Uint8Array[] | null> {
  const entries: Uint8Array[] = [];
  const first = from.size - from.entries.length;
  // One by one, not by tilesOf: a checkpoint may claim more entries than any memory holds.
  for (let start = from.size === size ? size : first; start < size; start += TILE_WIDTH) {
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
  const again = entries.splice(0, entries.length === 0 ? 0 : from.entries.length);
  if (!again.every((entry, i) => equal(entry, from.entries[i]))) {
    const where = tilePath({ level: 'entries', index: first / TILE_WIDTH, width: TILE_WIDTH });
    findings.push({ code: 'tile-differs', where });
    return null;
  }
  return entries;
}

async function compareTile(
  files: PublicFiles,
  path: string,
  { bytes: expected, findings }: { bytes: Uint8Array; findings: Finding[] },
): Promise<void> {
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
  { edge: { size }, tiles }: Grown,
  findings: Finding[],
): Promise<void> {
  const present = new Map(tilesOf(size).map((tile) => [`${tile.level}/${tile.index}`, tile]));
  const fresh = new Map(tiles.map(({ tile, bytes }) => [`${tile.level}/${tile.index}`, bytes]));
  for (const path of (await files.list()) ?? []) {
    if (path === 'checkpoint' || path.startsWith('blob/')) continue;
    const tile = parseTilePath(path);
    const now = tile && present.get(`${tile.level}/${tile.index}`);
    if (tile === undefined || now === undefined || tile.width > now.width) {
      findings.push({ code: 'stray-file', where: path });
      continue;
    }
    const whole = fresh.get(`${tile.level}/${tile.index}`);
    if (tile.width === now.width || whole === undefined) continue;
    await compareTile(files, path, { bytes: firstOfTile(whole, tile), findings });
  }
}
