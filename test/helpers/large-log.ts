// A log of any number of batches, as its public files: real keys and signatures for what is
// disclosed (the last batch of each day), hashes alone for what is withheld.

import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { decode } from 'cborg';
import type { PublicFiles } from '../../ledger/audit/source.ts';
import type { BatchEntry, Entry } from '../../ledger/entry.ts';
import { encodeEntry, isBatch, isWish } from '../../ledger/entry.ts';
import { formatCheckpoint } from '../../ledger/log/checkpoint.ts';
import { signingKey } from '../../ledger/log/ed25519.ts';
import {
  formatNote, formatVkey, SIGNATURE_TYPE, signNote, verifierKey,
} from '../../ledger/log/note.ts';
import { formatLogPolicy } from '../../ledger/log/policy.ts';
import { encodeBundle, encodeHashTile, tilePath, tilesOf } from '../../ledger/log/tiles.ts';
import { leafHash, nodeHash, treeRoot } from '../../ledger/log/tree.ts';
import type { Hash, ReadNode } from '../../ledger/log/tree.ts';
import { closesBucket, PUBLISH } from '../../ledger/publish.ts';
import type { Asking } from '../../ledger/owner.ts';
import { signRequest } from '../../ledger/owner.ts';
import type { Wish } from '../../ledger/verify/request.ts';
import { VOLUNTEER } from './ledger-folder.ts';
import { createMeter, digest, enrolmentBody, START_S } from './meter.ts';

export type Files = Map<string, Uint8Array>;

export const ORIGIN = 'ledger.test/commons';
/** Of the log's key. */
export const SEED = digest('large log');
export const INTERVAL_S = 1_800;
const PER_DAY = 86_400 / INTERVAL_S;

export interface LargeLog {
  entries: Entry[];
  blobs: Files;
  /** What stood among the blobs until it was erased. */
  erased: Files;
  policy: string;
}

/** The owner of the last meter. */
const OWNER = signingKey(digest('owner'));
export const DAY_MS = 86_400_000;

/**
 * At most 30 days: a test meter's key signs 31 batches, one a day. The first meter's first disclosed
 * batch names its next key; at the end the last meter's owner asks three things, the first of them
 * to have the first day erased.
 */
export async function createLargeLog(meters: number, batchesEach: number): Promise<LargeLog> {
  if (batchesEach > 30 * PER_DAY) throw new RangeError('a key of 32 signatures lasts 30 days');
  const blobs: Files = new Map();
  const keep = (bytes: Uint8Array): Uint8Array => {
    blobs.set(blobPath(digest(bytes)), bytes);
    return digest(bytes);
  };
  const startMs = (START_S - INTERVAL_S) * 1000;
  const key = VOLUNTEER.publicKey;
  const entries: Entry[] = [{ type: 'volunteer-admitted', receivedMs: startMs, key }];
  const ageRecipient = await identityToRecipient(await generateX25519Identity());
  const homes = [];
  for (let i = 0; i < meters; i++) {
    const meter = createMeter(`home ${i}`, { intervalS: INTERVAL_S });
    const change = (terms: Map<number, unknown>): void => {
      if (i === meters - 1) terms.set(10, OWNER.publicKey);
    };
    const terms = { origin: ORIGIN, ageRecipient, publish: 3, intervalS: INTERVAL_S, change };
    const [enrolment] = decode(await enrolmentBody(meter, VOLUNTEER, terms)) as [Uint8Array];
    const enrolmentHash = keep(new Uint8Array(enrolment));
    entries.push({ type: 'kit-enrolled', receivedMs: startMs, meterId: meter.id, enrolmentHash });
    homes.push({ meter, previous: null as Uint8Array | null });
  }
  for (let turn = 0; turn < batchesEach; turn++) {
    const isDue = turn % PER_DAY === PER_DAY - 1 && turn + 1 < batchesEach;
    for (const [i, home] of homes.entries()) {
      const { meter, previous } = home;
      const [record] = meter.records(1);
      const receivedMs = record.unixS * 1000 + i;
      const { firstSeq, lastSeq } = record;
      const successor = isDue && i === 0 && turn < PER_DAY ? meter.grow() : null;
      const batchHash = isDue
        ? keep(meter.batch([record], { previous, successor }))
        : digest(`withheld ${meter.idHex} ${firstSeq}`);
      home.previous = batchHash;
      const received = { receivedMs, meterId: meter.id, firstSeq, lastSeq, batchHash };
      if (successor === null) entries.push({ type: 'batch-received', ...received });
      else entries.push({ type: 'key-succeeded', ...received, successor });
      if (successor !== null) meter.adopt();
    }
  }
  const { id: meterId } = homes.at(-1)!.meter;
  const receivedMs = entries.at(-1)!.receivedMs;
  const day = { fromMs: startMs, toMs: startMs + DAY_MS + meters };
  const wishes: Wish[] = [
    { what: 'erase', span: day },
    { what: 'publish', publish: 2 },
    { what: 'disclose', span: { fromMs: receivedMs - meters, toMs: receivedMs - meters + 1 } },
  ];
  for (const [number, wish] of wishes.entries()) {
    const asking = { origin: ORIGIN, meterId, number, wish };
    entries.push(wishEntry(asking, keep(signRequest(asking, OWNER)), receivedMs));
  }
  const erased: Files = new Map();
  for (const entry of entries.filter(isBatch)) {
    const isInDay = entry.receivedMs >= day.fromMs && entry.receivedMs < day.toMs;
    const isLast = Buffer.compare(entry.meterId, meterId) === 0;
    const path = blobPath(entry.batchHash);
    if (!isInDay || !isLast || !blobs.has(path)) continue;
    erased.set(path, blobs.get(path)!);
    blobs.delete(path);
  }
  const vkey = formatVkey(
    verifierKey(ORIGIN, SIGNATURE_TYPE.ed25519, signingKey(SEED).publicKey));
  return { entries, blobs, erased, policy: formatLogPolicy(vkey) };
}

/** The public files as they were when the log had its first `size` entries. */
export function publishedAt({ entries, blobs, erased }: LargeLog, size: number): Files {
  const before = entries.slice(0, size);
  const shown: Files = new Map();
  const last = new Map<string, BatchEntry>();
  const show = (hash: Uint8Array): void => {
    const bytes = blobs.get(blobPath(hash)) ?? (isErased ? undefined : erased.get(blobPath(hash)));
    if (bytes !== undefined) shown.set(blobPath(hash), bytes);
  };
  const isErased = before.some(({ type }) => type === 'batches-erased');
  const dated = ({ receivedMs }: Entry) => ({ index: 0, receivedMs, publish: PUBLISH.day });
  for (const entry of before) {
    if (entry.type === 'kit-enrolled') show(entry.enrolmentHash);
    if (isWish(entry)) show(entry.requestHash!);
    if (!isBatch(entry)) continue;
    const meter = Buffer.from(entry.meterId).toString('hex');
    const previous = last.get(meter);
    if (previous !== undefined && closesBucket(dated(previous), dated(entry))) show(previous.batchHash);
    if (entry.type === 'key-succeeded') show(entry.batchHash);
    last.set(meter, entry);
  }
  return publish(before.map(encodeEntry), shown);
}

export function wishEntry(
  { meterId, wish }: Asking,
  requestHash: Uint8Array,
  receivedMs: number,
): Entry {
  const parts = { receivedMs, meterId, requestHash };
  if (wish.what === 'publish') return { type: 'publication-changed', ...parts, publish: wish.publish };
  const { span } = wish;
  return { type: wish.what === 'erase' ? 'batches-erased' : 'batches-disclosed', ...parts, span };
}

/** The public files of a log that holds these leaves, signed by its key. */
export function publish(leaves: readonly Uint8Array[], blobs: Files, origin = ORIGIN): Files {
  const rows: Hash[][] = [leaves.map(leafHash)];
  for (let row = rows[0]; row.length > 1; rows.push(row)) {
    const below = row;
    row = Array.from({ length: Math.floor(below.length / 2) }, (_, i) =>
      nodeHash(below[2 * i], below[2 * i + 1]));
  }
  const read: ReadNode = (level, i) => rows[level][i];
  const files: Files = new Map(blobs);
  const size = leaves.length;
  for (const tile of tilesOf(size)) {
    const start = tile.index * 256;
    const bytes = tile.level === 'entries'
      ? encodeBundle(leaves.slice(start, start + tile.width))
      : encodeHashTile(tile, read);
    files.set(tilePath(tile), bytes);
  }
  const text = formatCheckpoint({ origin, size, root: treeRoot(size, read), extensions: [] });
  return files.set('checkpoint', formatNote(signNote(text, ORIGIN, SEED)));
}

export function inMemory(files: Files): PublicFiles {
  return { read: async (path) => files.get(path) ?? null, list: async () => [...files.keys()] };
}

export function blobPath(hash: Uint8Array): string {
  return `blob/${Buffer.from(hash).toString('hex')}`;
}
