// Inclusion in a log that is served as tiles, https://c2sp.org/tlog-tiles: the root that follows
// from an entry and the tiles beside its way up (RFC 6962 § 2.1). If it is the root of a signed
// checkpoint, the entry is in the log. Written apart from the ledger, whose word it checks. Pure:
// whoever calls brings the tiles.

import { createHash } from 'node:crypto';

const tileHeight = 8;
const tileWidth = 256;
const hashBytes = 32;

/** A tile's bytes, by its path below the log's address: `tile/0/x001/234.p/5`. */
export type ReadTile = (path: string) => Promise<Buffer>;

export interface Place {
  index: number;
  sizeEntries: number;
}

/** The entry at a place, from its bundle: each behind two bytes of length. */
export async function readEntry({ index, sizeEntries }: Place, read: ReadTile): Promise<Buffer> {
  const tile = Math.floor(index / tileWidth);
  const bundle = await read(tilePath('entries', tile, sizeEntries));
  let at = 0;
  for (let skip = index % tileWidth; ; skip -= 1) {
    if (at + 2 > bundle.length) break;
    const end = at + 2 + bundle.readUInt16BE(at);
    if (skip === 0 && end <= bundle.length) return bundle.subarray(at + 2, end);
    at = end;
  }
  throw new Error(`the log’s bundle ${tile} ends before entry ${index}`);
}

/** The root of a tree in which `entry` stands at `index`, all else as the tiles have it. */
export async function rootWith(entry: Buffer, place: Place, read: ReadTile): Promise<Buffer> {
  const { index, sizeEntries } = place;
  const tiles = new Map<string, Promise<Buffer>>();
  const node = async (level: number, at: number): Promise<Buffer> => {
    const tileLevel = Math.floor(level / tileHeight);
    const width = 2 ** (level % tileHeight);
    const first = at * width;
    const nodes = Math.floor(sizeEntries / tileWidth ** tileLevel);
    const path = tilePath(String(tileLevel), Math.floor(first / tileWidth), nodes);
    if (!tiles.has(path)) tiles.set(path, read(path));
    const from = (first % tileWidth) * hashBytes;
    const hashes = (await tiles.get(path)!).subarray(from, from + width * hashBytes);
    if (hashes.length < width * hashBytes) throw new Error(`the log’s ${path} is too short`);
    return fold(hashes);
  };
  /** Of the leaves `from` up to `to`. */
  const across = async (from: number, to: number): Promise<Buffer> => {
    const count = to - from;
    const isOurs = from <= index && index < to;
    if (count === 1 && isOurs) return leafHash(entry);
    const level = Math.log2(count);
    if (Number.isInteger(level) && !isOurs) return node(level, from / count);
    const split = from + 2 ** (Math.ceil(level) - 1);
    return nodeHash(await across(from, split), await across(split, to));
  };
  if (index >= sizeEntries) throw new Error(`the log has ${sizeEntries} entries, none at ${index}`);
  return across(0, sizeEntries);
}

/** § Merkle Tree: the index in groups of three digits, all but the last with an x. */
function tilePath(level: string, index: number, nodes: number): string {
  const digits = String(index);
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.../g)!;
  const name = groups.map((group, at) => (at < groups.length - 1 ? `x${group}` : group)).join('/');
  const width = Math.min(tileWidth, nodes - index * tileWidth);
  return `tile/${level}/${name}${width < tileWidth ? `.p/${width}` : ''}`;
}

function fold(hashes: Buffer): Buffer {
  if (hashes.length === hashBytes) return hashes;
  const half = hashes.length / 2;
  return nodeHash(fold(hashes.subarray(0, half)), fold(hashes.subarray(half)));
}

function leafHash(entry: Buffer): Buffer {
  return createHash('sha256').update(Uint8Array.of(0)).update(entry).digest();
}

function nodeHash(left: Buffer, right: Buffer): Buffer {
  return createHash('sha256').update(Uint8Array.of(1)).update(left).update(right).digest();
}
