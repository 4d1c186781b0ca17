// The log's one writer: appends entries, keeps bundles, tiles and the checkpoint in the public
// folder. Order of each append, every step durable before the next (durable.ts):
//
//   entry bundles and hash tiles, and what entries speak of → head in `lock` (compare-and-swap)
//   → public checkpoint
//
// Killed anywhere, the next start finds a head whose files are whole: it publishes that head's
// checkpoint again, and sweeps files beyond it, which no signed checkpoint ever covered. It refuses
// a folder that contradicts its head rather than guess. Never rewrites a full tile, never signs two
// trees of one size.

import { existsSync, readFileSync, rmSync } from 'node:fs';
import { mkdir, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { LedgerError } from '../errors.ts';
import { createTurns } from '../turns.ts';
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { OnStep } from './durable.ts';
import { allWritten, writeDurably } from './durable.ts';
import type { Edge } from './edge.ts';
import { EMPTY_EDGE, grow, rootOf } from './edge.ts';
import type { HeadStore } from './head.ts';
import { signingKey } from './ed25519.ts';
import {
  formatNote, formatVkey, openNote, parseNote, SIGNATURE_TYPE, signNote, verifierKey,
} from './note.ts';
import type { NoteSignature, VerifierKey } from './note.ts';
import { decodeBundle, decodeHashTile, nodesFromTiles, TILE_WIDTH, tilePath } from './tiles.ts';
import type { Tile } from './tiles.ts';
import type { Hash, ReadNode } from './tree.ts';
import { consistencyProof, equal, inclusionProof, leafHash } from './tree.ts';

export interface LogOptions {
  publicDir: string;
  temporaryDir: string;
  head: HeadStore;
  origin: string;
  /** Ed25519, 32 bytes. */
  seed: Uint8Array;
  onStep?: OnStep;
}

export interface Log {
  readonly vkey: string;
  /** Entries covered by the durable, public checkpoint. */
  size(): number;
  checkpoint(): Uint8Array;
  /**
   * Appends; resolves when a public checkpoint covering all of them is durable. One call at a time.
   * `meanwhile` makes durable what the entries speak of: it runs beside the tiles' syncs, and has
   * ended well before a checkpoint covers them. If it or anything rejects, nothing may be appended
   * until the log is opened again.
   */
  append(entries: readonly Uint8Array[], meanwhile?: () => Promise<void>): Promise<void>;
  /** Entries `start` to below `end`, of those below size(). */
  read(start: number, end: number): Uint8Array[];
  /** PATH of an entry under the present checkpoint. */
  prove(index: number): Hash[];
  /** PROOF from a tree of `oldSize` to the present checkpoint's. */
  proveGrowth(oldSize: number): Hash[];
  /**
   * Adds witnesses' verified cosignatures to the checkpoint whose text they cover, in place of those
   * keys' earlier ones; false if the log has grown meanwhile. Durable and public on return.
   */
  cosign(text: string, cosignatures: readonly NoteSignature[]): Promise<boolean>;
}

/** Opens the log, or begins an empty one; recovers what a killed writer left. */
export async function openLog(options: LogOptions): Promise<Log> {
  const { publicDir, temporaryDir, head, origin, seed, onStep } = options;
  const key = verifierKey(origin, SIGNATURE_TYPE.ed25519, signingKey(seed).publicKey);
  const write = (
    path: string, bytes: Uint8Array, meanwhile?: () => void | Promise<void>,
  ): Promise<void> =>
    writeDurably(join(publicDir, path), bytes, { temporaryDir, onStep, meanwhile });
  const sign = (size: number, root: Hash): Uint8Array =>
    formatNote(signNote(formatCheckpoint({ origin, size, root, extensions: [] }), origin, seed));
  await mkdir(publicDir, { recursive: true });
  await rm(temporaryDir, { recursive: true, force: true });
  await mkdir(temporaryDir, { recursive: true });

  let { edge, note } = await recover(options, key, sign, write);
  let usable = true;
  /** Both writers of the checkpoint take turns: a late cosignature never replaces a newer one. */
  const inTurn = createTurns();
  return {
    vkey: formatVkey(key),
    size: () => edge.size,
    checkpoint: () => note,
    append: (entries, meanwhile) => inTurn(async () => {
      if (!usable) throw new Error('an append failed before: the log must be opened again');
      usable = false;
      const grown = grow(edge, entries);
      // With the last one's sync, all are under way.
      await allWritten(grown.tiles.map(({ tile, bytes }, i) =>
        write(tilePath(tile), bytes, i === grown.tiles.length - 1 ? meanwhile : undefined)));
      const next = sign(grown.edge.size, rootOf(grown.edge));
      await write('checkpoint', next, async () => {
        head.swap(edge.size, { size: grown.edge.size, note: next });
        await onStep?.('swapped head');
      });
      [edge, note] = [grown.edge, next];
      usable = true;
      dropSupersededPartials(publicDir, grown.tiles);
    }),
    read: (start, end) => readEntries(publicDir, edge.size, start, end),
    prove: (index) => inclusionProof(index, edge.size, nodesOnDisk(publicDir, edge.size)),
    proveGrowth: (oldSize) =>
      consistencyProof(oldSize, edge.size, nodesOnDisk(publicDir, edge.size)),
    cosign: (text, cosignatures) => inTurn(async () => {
      const present = parseNote(note);
      if (!usable || present.text !== text) return false;
      const isReplaced = (line: NoteSignature): boolean =>
        cosignatures.some(({ name, keyId }) => name === line.name && keyId === line.keyId);
      const kept = present.signatures.filter((line) => !isReplaced(line));
      const cosigned = formatNote({ text, signatures: [...kept, ...cosignatures] });
      head.swap(edge.size, { size: edge.size, note: cosigned });
      note = cosigned;
      await onStep?.('cosigned head');
      await write('checkpoint', note);
      return true;
    }),
  };
}

async function recover(
  { publicDir, head }: LogOptions,
  key: VerifierKey,
  sign: (size: number, root: Hash) => Uint8Array,
  write: (path: string, bytes: Uint8Array) => Promise<void>,
): Promise<{ edge: Edge; note: Uint8Array }> {
  const kept = head.read();
  const path = join(publicDir, 'checkpoint');
  const published = existsSync(path) ? new Uint8Array(readFileSync(path)) : undefined;
  if (kept === undefined && published !== undefined) {
    // A log whose lock file was lost may have signed more than the public checkpoint shows.
    const hint = 'Restore the folder’s `lock` file with its public files.';
    throw new LedgerError({ code: 'head-lost', message: 'Ledger folder refused', got: path, hint });
  }
  if (kept === undefined) {
    const note = sign(0, rootOf(EMPTY_EDGE));
    head.swap(undefined, { size: 0, note });
    await write('checkpoint', note);
    return { edge: EMPTY_EDGE, note };
  }
  const verified = (note: Uint8Array): Checkpoint => parseCheckpoint(openNote(note, [key]).text);
  const { size, root } = verified(kept.note);
  const publishedSize = published === undefined ? 0 : verified(published).size;
  if (publishedSize > size) {
    const parts = { code: 'head-behind', message: 'Ledger folder refused' };
    const expected = `a public checkpoint of at most ${size} entries, as \`lock\` has it`;
    throw new LedgerError({ ...parts, expected, got: `one of ${publishedSize}` });
  }
  await sweepBeyond(publicDir, size);
  const edge = readEdge(publicDir, size);
  if (!equal(rootOf(edge), root)) {
    const parts = { code: 'log-damaged', message: 'Ledger folder refused' };
    const expected = 'tiles that hash to the signed root';
    throw new LedgerError({ ...parts, expected, got: 'others', hint: 'Restore a backup.' });
  }
  if (published === undefined || !equal(published, kept.note)) await write('checkpoint', kept.note);
  return { edge, note: kept.note };
}

function readEdge(publicDir: string, size: number): Edge {
  const levels: Hash[][] = [];
  for (let level = 0; TILE_WIDTH ** level <= size; level++) {
    const nodes = Math.floor(size / TILE_WIDTH ** level);
    const tile = { level, index: Math.floor(nodes / TILE_WIDTH), width: nodes % TILE_WIDTH };
    levels.push(tile.width === 0 ? [] : decodeHashTile(readTile(publicDir, tile), tile.width));
  }
  const start = Math.floor(size / TILE_WIDTH) * TILE_WIDTH;
  const entries = readEntries(publicDir, size, start, size);
  const matches = entries.every((entry, i) => equal(leafHash(entry), levels[0][i]));
  if (!matches) {
    const parts = { code: 'log-damaged', message: 'Ledger folder refused' };
    throw new LedgerError({ ...parts, expected: 'entries that hash to their tile', got: 'others' });
  }
  return { size, entries, levels };
}

function readEntries(dir: string, size: number, start: number, end: number): Uint8Array[] {
  const entries: Uint8Array[] = [];
  for (let index = Math.floor(start / TILE_WIDTH); index * TILE_WIDTH < end; index++) {
    const base = index * TILE_WIDTH;
    const tile: Tile = { level: 'entries', index, width: Math.min(TILE_WIDTH, size - base) };
    const bundle = decodeBundle(readTile(dir, tile), tile.width);
    entries.push(...bundle.slice(Math.max(0, start - base), end - base));
  }
  return entries;
}

function nodesOnDisk(dir: string, size: number): ReadNode {
  return nodesFromTiles(size, (level, index, width) =>
    decodeHashTile(readTile(dir, { level, index, width }), width));
}

function readTile(dir: string, tile: Tile): Uint8Array {
  return new Uint8Array(readFileSync(join(dir, tilePath(tile))));
}

/** Removes tiles and bundles beyond `size`: written by an append whose head was never swapped. */
async function sweepBeyond(dir: string, size: number): Promise<void> {
  const names = existsSync(join(dir, 'tile')) ? await readdir(join(dir, 'tile')) : [];
  for (const name of names) {
    const level = name === 'entries' ? 'entries' : Number(name);
    const nodes = Math.floor(size / TILE_WIDTH ** (level === 'entries' ? 0 : level));
    const width = nodes % TILE_WIDTH;
    for (let index = Math.floor(nodes / TILE_WIDTH); ; index++) {
      const full = join(dir, tilePath({ level, index, width: TILE_WIDTH }));
      const partials = existsSync(`${full}.p`) ? await readdir(`${full}.p`) : [];
      const isEdge = index === Math.floor(nodes / TILE_WIDTH);
      const beyond = partials.filter((partial) => !isEdge || Number(partial) > width);
      if (!isEdge && partials.length === 0 && !existsSync(full)) break;
      await rm(full, { force: true });
      for (const partial of beyond) await rm(join(`${full}.p`, partial));
      const isEmptied = beyond.length === partials.length;
      if (isEmptied) await rm(`${full}.p`, { recursive: true, force: true });
    }
  }
}

/** tlog-tiles § Partial Tiles: they may go once the full tile is there. */
function dropSupersededPartials(dir: string, tiles: { tile: Tile }[]): void {
  for (const { tile } of tiles.filter(({ tile: { width } }) => width === TILE_WIDTH)) {
    rmSync(`${join(dir, tilePath(tile))}.p`, { recursive: true, force: true });
  }
}
