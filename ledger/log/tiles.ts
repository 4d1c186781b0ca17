// Tiles and entry bundles, by https://c2sp.org/tlog-tiles: paths, sizes, and the bytes within.
//
//   tile/<L>/<N>[.p/<W>]        W hashes of 32 bytes: MTH of the perfect subtrees of 256^L leaves
//   tile/entries/<N>[.p/<W>]    W times: u16 length, big-endian, then the entry
//
// Pure: says which files a tree has and what they hold; the writer keeps them, the audit reads
// them.

import { LedgerError } from '../errors.ts';
import type { Hash, ReadNode } from './tree.ts';
import { HASH_BYTES, nodeHash } from './tree.ts';

/** Hashes in a full tile, entries in a full bundle. */
export const TILE_WIDTH = 256;
const TILE_HEIGHT = 8;
/** The u16 before each entry. */
export const MAX_ENTRY_BYTES = 65_535;

export interface Tile {
  level: number | 'entries';
  index: number;
  /** 1 to 256; below 256 the tile is partial. */
  width: number;
}

/** `tile/0/x001/234.p/5` and the like. */
export function tilePath({ level, index, width }: Tile): string {
  const groups = String(index).padStart(Math.ceil(String(index).length / 3) * 3, '0').match(/.../g);
  const last = groups!.pop();
  const path = [`tile/${level}`, ...groups!.map((group) => `x${group}`), last].join('/');
  return width === TILE_WIDTH ? path : `${path}.p/${width}`;
}

/** The tile of a path, or undefined if the path is not one that {@link tilePath} gives. */
export function parseTilePath(path: string): Tile | undefined {
  const match = /^tile\/(entries|\d{1,2})\/((?:x\d{3}\/){0,5}\d{3})(?:\.p\/(\d{1,3}))?$/.exec(path);
  if (!match) return undefined;
  const level = match[1] === 'entries' ? 'entries' : Number(match[1]);
  const index = Number(match[2].replaceAll(/[x/]/g, ''));
  const width = match[3] === undefined ? TILE_WIDTH : Number(match[3]);
  const tile: Tile = { level, index, width };
  const inRange = width >= 1 && (match[3] === undefined || width < TILE_WIDTH);
  if (!inRange || (level !== 'entries' && level > 63)) return undefined;
  return tilePath(tile) === path ? tile : undefined;
}

/** Every tile and bundle of a tree of `size`, partial ones at their present width. */
export function tilesOf(size: number): Tile[] {
  return [...tilesSince(0, size)];
}

/** The tiles and bundles of a tree of `size` that a tree of `oldSize` had not, or had narrower. */
export function tilesSince(oldSize: number, size: number): Tile[] {
  const tiles: Tile[] = [];
  const levels: [Tile['level'], number][] = [['entries', 0]];
  for (let level = 0; TILE_WIDTH ** level <= size; level++) levels.push([level, level]);
  for (const [name, level] of levels) {
    const [before, now] = [oldSize, size].map((leaves) => Math.floor(leaves / TILE_WIDTH ** level));
    if (now === before) continue;
    for (let index = Math.floor(before / TILE_WIDTH); index * TILE_WIDTH < now; index++) {
      tiles.push({ level: name, index, width: Math.min(TILE_WIDTH, now - index * TILE_WIDTH) });
    }
  }
  return tiles;
}

/** The bytes of a hash tile, its hashes read from the tree. */
export function encodeHashTile({ level, index, width }: Tile, read: ReadNode): Uint8Array {
  if (level === 'entries') throw new TypeError('an entry bundle holds entries');
  const bytes = new Uint8Array(width * HASH_BYTES);
  for (let i = 0; i < width; i++) {
    bytes.set(read(level * TILE_HEIGHT, index * TILE_WIDTH + i), i * HASH_BYTES);
  }
  return bytes;
}

/** The hashes of a tile. Throws LedgerError `malformed-tile` unless it is `width` hashes long. */
export function decodeHashTile(bytes: Uint8Array, width: number): Hash[] {
  if (bytes.length !== width * HASH_BYTES) {
    throw malformed(`${width * HASH_BYTES} bytes`, `${bytes.length}`);
  }
  const at = (i: number): Hash => bytes.slice(i * HASH_BYTES, (i + 1) * HASH_BYTES);
  return Array.from({ length: width }, (_, i) => at(i));
}

/** The bytes of an entry bundle. */
export function encodeBundle(entries: readonly Uint8Array[]): Uint8Array {
  const parts: Uint8Array[] = [];
  for (const entry of entries) {
    if (entry.length > MAX_ENTRY_BYTES) throw malformed('an entry below 64 KiB', `${entry.length}`);
    parts.push(Uint8Array.of(entry.length >> 8, entry.length & 255), entry);
  }
  return new Uint8Array(Buffer.concat(parts));
}

/** The entries of a bundle of exactly `width`. Throws LedgerError `malformed-tile`. */
export function decodeBundle(bytes: Uint8Array, width: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  for (let i = 0; i < width; i++) {
    if (at + 2 > bytes.length) throw malformed(`${width} entries`, `${i}`);
    const end = at + 2 + bytes[at] * 256 + bytes[at + 1];
    if (end > bytes.length) throw malformed(`${end} bytes`, `${bytes.length}`);
    entries.push(bytes.slice(at + 2, end));
    at = end;
  }
  if (at !== bytes.length) throw malformed('no bytes after the last entry', `${bytes.length - at}`);
  return entries;
}

/** A tile or bundle at an earlier width, of its bytes at a later one. */
export function firstOfTile(full: Uint8Array, { level, width }: Tile): Uint8Array {
  if (level !== 'entries') return full.slice(0, width * HASH_BYTES);
  let end = 0;
  for (let i = 0; i < width && end + 2 <= full.length; i++) {
    end += 2 + full[end] * 256 + full[end + 1];
  }
  return full.slice(0, end);
}

/**
 * A tree's nodes, read from its tiles: `readTile` gives the hashes of tile (level, index) at the
 * width that a tree of `size` has there.
 */
export function nodesFromTiles(
  size: number,
  readTile: (level: number, index: number, width: number) => readonly Hash[],
): ReadNode {
  return (level, index) => {
    const tileLevel = Math.floor(level / TILE_HEIGHT);
    const within = 2 ** (level % TILE_HEIGHT);
    const first = index * within;
    const tile = Math.floor(first / TILE_WIDTH);
    const nodes = Math.floor(size / TILE_WIDTH ** tileLevel);
    const width = Math.min(TILE_WIDTH, nodes - tile * TILE_WIDTH);
    let hashes = readTile(tileLevel, tile, width).slice(first % TILE_WIDTH).slice(0, within);
    while (hashes.length > 1) {
      hashes = hashes.flatMap((left, i) => (i % 2 === 0 ? [nodeHash(left, hashes[i + 1])] : []));
    }
    return hashes[0];
  };
}

function malformed(expected: string, got: string): LedgerError {
  return new LedgerError({ code: 'malformed-tile', message: 'Tile refused', expected, got });
}
