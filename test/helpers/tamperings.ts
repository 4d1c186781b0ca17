// The ways in which a log may be tampered with, each with the finding that an audit owes.

import { encode, rfc8949EncodeOptions } from 'cborg';
import type { IntervalRecord } from '../../firmware/wire.ts';
import type { Entry, EntryOf, WishEntry } from '../../ledger/entry.ts';
import { encodeEntry, isBatch } from '../../ledger/entry.ts';
import { formatCheckpoint } from '../../ledger/log/checkpoint.ts';
import { signingKey } from '../../ledger/log/ed25519.ts';
import { formatNote, parseNote, signNote } from '../../ledger/log/note.ts';
import { signRequest } from '../../ledger/owner.ts';
import { parseBatch } from '../../ledger/verify/batch.ts';
import { verifyEnrolment } from '../../ledger/verify/enrolment.ts';
import type { Wish } from '../../ledger/verify/request.ts';
import { VOLUNTEER } from './ledger-folder.ts';
import { createMeter, createVolunteer, digest, START_S } from './meter.ts';
import type { BatchOptions, TestMeter } from './meter.ts';
import { blobPath, DAY_MS, INTERVAL_S, ORIGIN, publish, SEED, wishEntry } from './large-log.ts';
import type { Files, LargeLog } from './large-log.ts';
import { retirementBytes } from './retirement.ts';

export interface Tampering {
  name: string;
  /** The finding's code. */
  finding: string;
  apply(log: LargeLog, files: Files): Files;
}

/** By somebody who can change files, and has not the log's key. */
const OF_FILES: Tampering[] = [
  file('the checkpoint is gone', 'file-missing', without('checkpoint')),
  file('the checkpoint’s signature is another', 'bad-signature',
    edited('checkpoint', (bytes) => {
      const { text, signatures: [line] } = parseNote(bytes);
      return formatNote({ text, signatures: [{ ...line, signature: flipped(line.signature, 9) }] });
    })),
  file('the checkpoint’s size is lowered', 'bad-signature',
    edited('checkpoint', (bytes) => replaced(bytes, /\n(\d+)\d\n/, '\n$1\n'))),
  file('the checkpoint is another key’s', 'unknown-signers',
    edited('checkpoint', (bytes) => formatNote(
      signNote(`${Buffer.from(bytes).toString().split('\n\n')[0]}\n`, ORIGIN, digest('mallory'))))),
  file('the checkpoint is cut', 'malformed-note',
    edited('checkpoint', (bytes) => bytes.slice(0, -1))),
  file('an entry bundle is gone', 'file-missing', without('tile/entries/001')),
  file('an entry bundle is cut', 'malformed-tile',
    edited('tile/entries/001', (bytes) => bytes.slice(0, -1))),
  file('an entry bundle is longer', 'malformed-tile',
    edited('tile/entries/001', (bytes) => Uint8Array.of(...bytes, 0))),
  file('a hash within an entry is another', 'root',
    edited('tile/entries/001', (bytes) => flipped(bytes, bytes.length - 1))),
  file('a tile of leaf hashes is another', 'tile-differs',
    edited('tile/0/001', (bytes) => flipped(bytes, 99))),
  file('a tile of leaf hashes is gone', 'file-missing', without('tile/0/001')),
  file('a tile of leaf hashes is cut', 'tile-differs',
    edited('tile/0/001', (bytes) => bytes.slice(0, -32))),
  file('an upper tile is another', 'tile-differs', (files) => {
    const path = [...files.keys()].find((name) => name.startsWith('tile/1/'))!;
    return edited(path, (bytes) => flipped(bytes, 0))(files);
  }),
  file('a tile that no tree of this size has', 'stray-file', added('tile/5/000')),
  file('a file that no log has', 'stray-file', added('index.html')),
  file('a blob under a name that is not its hash', 'stray-file', added(`blob/${'0'.repeat(64)}`)),
  {
    name: 'a due batch is gone',
    finding: 'blob-missing',
    apply: (log, files) => without(blobPath(disclosed(log).batchHash))(files),
  },
  {
    name: 'a byte of a disclosed batch is another',
    finding: 'blob-differs',
    apply: (log, files) => edited(blobPath(disclosed(log).batchHash), (bytes) =>
      flipped(bytes, 60))(files),
  },
];

/** By whoever holds the log's key: every hash and signature of the log is right. */
const OF_ENTRIES: Tampering[] = [
  forged('a batch before a disclosed one is dropped', 'link', (list, log) =>
    list.toSpliced(beforeDisclosed(log), 1)),
  forged('a batch is entered twice', 'sequence', (list, log) =>
    list.toSpliced(list.indexOf(disclosed(log)), 0, disclosed(log))),
  forged('two batches of a meter change places', 'sequence', (list, log) => {
    const [a, b] = [beforeDisclosed(log), list.indexOf(disclosed(log))];
    const timed = (at: number, from: number): Entry =>
      ({ ...list[from], receivedMs: list[at].receivedMs });
    return list.with(a, timed(a, b)).with(b, timed(b, a));
  }),
  forged('a batch is given to another meter', 'batch', (list, log) =>
    change(list, disclosed(log), { meterId: otherMeter(log) })),
  forged('a batch is given to a meter that nobody enrolled', 'batch', (list, log) =>
    change(list, disclosed(log), { meterId: digest('nobody').slice(0, 8) })),
  forged('a batch claims a number more than it has', 'sequence', (list, log) =>
    change(list, disclosed(log), { lastSeq: disclosed(log).lastSeq + 1 })),
  forged('a batch stands for another', 'blob-missing', (list, log) =>
    change(list, disclosed(log), { batchHash: digest('x') })),
  forged('a batch before a disclosed one is exchanged', 'link', (list, log) =>
    list.with(beforeDisclosed(log),
      { ...list[beforeDisclosed(log)], batchHash: digest('y') } as Entry)),
  forged('an entry is dated before the one ahead', 'order', (list, log) =>
    change(list, disclosed(log), { receivedMs: 1 })),
  forged('everything is dated ten days early', 'time', (list) =>
    list.map((entry) => ({ ...entry, receivedMs: entry.receivedMs - 864_000_000 }))),
  forged('the volunteer is not admitted', 'enrolment', (list) => list.slice(1)),
  forged('the volunteer is admitted twice', 'admitted-twice', (list) => [list[0], ...list]),
  forged('a volunteer is exchanged', 'enrolment', (list) =>
    list.with(0, { ...list[0], key: digest('mallory') } as Entry)),
  forged('a kit is enrolled twice', 'enrolled-twice', (list) => list.toSpliced(1, 0, list[1])),
  forged('a kit is enrolled under another id', 'enrolment', (list) =>
    list.with(1, { ...list[1], meterId: digest('x').slice(0, 8) } as Entry)),
  forged('a kit’s enrolment is dropped', 'batch', (list) => list.toSpliced(1, 1)),
  forged('a kit’s enrolment is withheld', 'blob-missing', (list) =>
    list.with(1, { ...list[1], enrolmentHash: digest('x') } as Entry)),
  forged('a key is revoked without evidence', 'blob-missing', (list, log) =>
    [...list, revocation(log, [digest('x'), digest('y')])]),
  forged('a key is revoked by two honest batches', 'revocation', (list, log) =>
    [...list, revocation(log, honestPair(log))]),
  forged('a key is revoked twice', 'revocation', (list, log) =>
    [...list, revocation(log, honestPair(log)), revocation(log, honestPair(log))]),
  forged('a batch follows its key’s revocation', 'after-revocation', (list, log) => {
    const { receivedMs } = disclosed(log);
    const early = { ...revocation(log, honestPair(log)), receivedMs };
    return list.toSpliced(list.indexOf(disclosed(log)), 0, early);
  }),
  {
    name: 'a forged reading under a hash of its own',
    finding: 'signature',
    apply(log) {
      const bytes = log.blobs.get(blobPath(disclosed(log).batchHash))!;
      // The last byte is the signature's: the batch still reads as one.
      const lie = flipped(bytes, bytes.length - 1);
      const blobs = new Map(log.blobs).set(blobPath(digest(lie)), lie);
      const list = change(log.entries, disclosed(log), { batchHash: digest(lie) });
      return publish(list.map(encodeEntry), blobs);
    },
  },
  leaf('an entry is not in its one encoding', 'malformed-entry', (bytes) =>
    Uint8Array.of(0xbf, ...bytes.slice(1), 0xff)),
  leaf('an entry is of a type that nobody knows', 'malformed-entry', () =>
    encode(new Map([[1, 999], [2, START_S * 1000]]), rfc8949EncodeOptions)),
  leaf('an entry is empty', 'malformed-entry', () => new Uint8Array(0)),
  {
    name: 'the log calls itself by another name',
    finding: 'wrong-origin',
    apply: (log) => publish(log.entries.map(encodeEntry), log.blobs, 'ledger.test/other'),
  },
  {
    name: 'the checkpoint claims more entries than there are',
    finding: 'file-missing',
    apply(log, files) {
      const parts = { origin: ORIGIN, root: digest('x'), extensions: [] };
      const text = formatCheckpoint({ ...parts, size: log.entries.length + 300 });
      return new Map(files).set('checkpoint', formatNote(signNote(text, ORIGIN, SEED)));
    },
  },
];

/** By whoever holds the log's key, and a meter's former one. */
const OF_SUCCESSIONS: Tampering[] = [
  {
    name: 'a batch that names a key is gone',
    finding: 'blob-missing',
    apply: (log, files) => without(blobPath(succession(log).batchHash))(files),
  },
  forged('a batch that names a key is dropped', 'signature', (list, log) =>
    list.toSpliced(list.indexOf(succession(log)), 1)),
  forged('a batch that names a key is entered like any other', 'successor', (list, log) => {
    const { successor: _, ...received } = succession(log);
    return list.with(list.indexOf(succession(log)), { ...received, type: 'batch-received' });
  }),
  forged('a batch that names no key is entered like one that does', 'successor', (list, log) =>
    list.with(list.indexOf(disclosed(log)),
      { ...disclosed(log), type: 'key-succeeded', successor: strangersKey() })),
  forged('a batch names another key than its entry', 'successor', (list, log) =>
    list.with(list.indexOf(succession(log)), { ...succession(log), successor: strangersKey() })),
  signed('a former key goes on signing', 'signature', (meter, parts) => meter.batch(...parts)),
  signed('a former key names another next key', 'signature', (meter, [records, options]) =>
    meter.batch(records, { ...options, successor: strangersKey() })),
  signed('a meter names another meter’s key', 'successor', (meter, [records, options], log) => {
    meter.grow();
    meter.adopt();
    const successor = otherKey(log, succession(log).meterId);
    return meter.batch(records, { ...options, successor });
  }),
  signed('a meter names its own former key', 'successor', (meter, [records, options]) => {
    meter.grow();
    meter.adopt();
    return meter.batch(records, { ...options, successor: meter.publicKey });
  }),
  forged('a key is revoked for one index of two keys', 'revocation', (list, log) => {
    const { meterId } = succession(log);
    const shown = list.filter(isBatch).filter((entry) =>
      Buffer.compare(entry.meterId, meterId) === 0 && log.blobs.has(blobPath(entry.batchHash)));
    // The first key's index 0 signed the enrolment; the second's, the first batch of its own.
    const evidence: [Uint8Array, Uint8Array] = [shown[0].batchHash, shown[2].batchHash];
    return [...list, { type: 'key-revoked', receivedMs: list.at(-1)!.receivedMs, meterId, evidence }];
  }),
];

/** By whoever holds the log's key, and would hide or show what the owner did not ask for. */
const OF_REQUESTS: Tampering[] = [
  {
    name: 'an owner’s request is gone',
    finding: 'blob-missing',
    apply: (log, files) => without(blobPath(wishOf(log, 'batches-erased').requestHash!))(files),
  },
  forged('batches are erased at a request for something else', 'request', (list, log) => {
    const { requestHash } = wishOf(log, 'publication-changed');
    return list.with(list.indexOf(wishOf(log, 'batches-erased')),
      { ...wishOf(log, 'batches-erased'), requestHash });
  }),
  forged('more is erased than was asked for', 'request', (list, log) => {
    const erasure = wishOf(log, 'batches-erased');
    const span = { ...erasure.span, toMs: erasure.span.toMs + DAY_MS };
    return list.with(list.indexOf(erasure), { ...erasure, span });
  }),
  forged('another meter’s batches are erased', 'request', (list, log) => {
    const erasure = wishOf(log, 'batches-erased');
    return list.with(list.indexOf(erasure), { ...erasure, meterId: disclosed(log).meterId });
  }),
  forged('another publication is entered than was asked for', 'request', (list, log) => {
    const change = wishOf(log, 'publication-changed');
    return list.with(list.indexOf(change), { ...change, publish: 0 });
  }),
  forged('an old request is granted again', 'request', (list, log) =>
    [...list, wishOf(log, 'publication-changed')]),
  forged('a request for a meter that nobody enrolled', 'request', (list, log) =>
    list.with(list.indexOf(wishOf(log, 'batches-erased')),
      { ...wishOf(log, 'batches-erased'), meterId: digest('nobody').slice(0, 8) })),
  {
    name: 'a request is signed by another key than the owner’s',
    finding: 'request',
    apply(log) {
      const { meterId, receivedMs } = wishOf(log, 'publication-changed');
      const wish: Wish = { what: 'publish', publish: 0 };
      const asking = { origin: ORIGIN, meterId, number: 9, wish };
      const bytes = signRequest(asking, signingKey(digest('mallory')));
      const entry = wishEntry(asking, digest(bytes), receivedMs);
      const blobs = new Map(log.blobs).set(blobPath(digest(bytes)), bytes);
      return publish([...log.entries, entry].map(encodeEntry), blobs);
    },
  },
  forged('what was disclosed late is absent', 'blob-missing', (list, log) => {
    const disclosure = wishOf(log, 'batches-disclosed');
    const span = { ...disclosure.span, fromMs: disclosure.span.fromMs - DAY_MS };
    return list.with(list.indexOf(disclosure), { ...disclosure, span });
  }),
  forged('what the log calls erased is public still', 'not-erased', (list, log) => {
    const { meterId, receivedMs } = disclosed(log);
    const span = { fromMs: receivedMs, toMs: receivedMs + 1 };
    const last = list.at(-1)!.receivedMs;
    return [...list, { type: 'batches-erased', receivedMs: last, meterId, requestHash: null, span }];
  }),
];

/** By whoever holds the log's key, and would silence a meter, or a volunteer. */
const OF_RETIREMENTS: Tampering[] = [
  retired('a meter is retired by another than its volunteer', 'retirement', (log) => {
    const { meterId } = disclosed(log);
    return { meterId, bytes: retirementBytes(createVolunteer('mallory'), meterId) };
  }),
  retired('another meter is retired than the paper says', 'retirement', (log) => ({
    meterId: disclosed(log).meterId,
    bytes: retirementBytes(VOLUNTEER, wishOf(log, 'publication-changed').meterId),
  })),
  retired('a retirement that was meant for another ledger', 'bad-retirement', (log) => {
    const { meterId } = disclosed(log);
    return { meterId, bytes: retirementBytes(VOLUNTEER, meterId, { origin: 'other.test/log' }) };
  }),
  retired('a meter is retired twice', 'retirement', (log) => {
    const { meterId } = disclosed(log);
    return { meterId, bytes: retirementBytes(VOLUNTEER, meterId), times: 2 };
  }),
  retired('a batch is entered of a retired meter', 'after-retirement', (log) => {
    const { meterId } = disclosed(log);
    const before = log.entries.indexOf(disclosed(log));
    return { meterId, bytes: retirementBytes(VOLUNTEER, meterId), before };
  }),
];

export const TAMPERINGS: readonly Tampering[] =
  [...OF_FILES, ...OF_ENTRIES, ...OF_SUCCESSIONS, ...OF_REQUESTS, ...OF_RETIREMENTS];

/** An entry that retires a meter by those bytes: at the log's end, or before an entry. */
function retired(
  name: string,
  finding: string,
  make: (log: LargeLog) => {
    meterId: Uint8Array;
    bytes: Uint8Array;
    before?: number;
    times?: number;
  },
): Tampering {
  return {
    name,
    finding,
    apply(log) {
      const { meterId, bytes, before = log.entries.length, times = 1 } = make(log);
      const { receivedMs } = log.entries[before - 1];
      const entry: Entry = {
        type: 'meter-retired', receivedMs, meterId, retirementHash: digest(bytes),
      };
      const entries = log.entries.toSpliced(before, 0, ...Array<Entry>(times).fill(entry));
      const blobs = new Map(log.blobs).set(blobPath(digest(bytes)), bytes);
      return publish(entries.map(encodeEntry), blobs);
    },
  };
}

function wishOf<T extends WishEntry['type']>({ entries }: LargeLog, type: T): EntryOf<T> {
  return entries.find((entry): entry is EntryOf<T> => entry.type === type)!;
}

/** A batch more at the log's end, of the meter that has a second key, signed as `sign` likes. */
function signed(
  name: string,
  finding: string,
  sign: (
    meter: TestMeter,
    parts: [records: IntervalRecord[], options: BatchOptions],
    log: LargeLog,
  ) => Uint8Array,
): Tampering {
  const apply = (log: LargeLog): Files => {
    const { meterId } = succession(log);
    const meter = createMeter('home 0', { intervalS: INTERVAL_S });
    const last = log.entries.filter(isBatch).findLast((entry) =>
      Buffer.compare(entry.meterId, meterId) === 0)!;
    meter.records(last.lastSeq);
    const records = meter.records(1);
    const bytes = sign(meter, [records, { previous: last.batchHash, q: 31 }], log);
    const receivedMs = records[0].unixS * 1000;
    const [{ firstSeq, lastSeq }] = records;
    const received = { receivedMs, meterId, firstSeq, lastSeq, batchHash: digest(bytes) };
    const { payload: { successor } } = parseBatch(bytes);
    const entry: Entry = successor === null
      ? { type: 'batch-received', ...received }
      : { type: 'key-succeeded', ...received, successor };
    const blobs = new Map(log.blobs).set(blobPath(digest(bytes)), bytes);
    return publish([...log.entries, entry].map(encodeEntry), blobs);
  };
  return { name, finding, apply };
}

function succession({ entries }: LargeLog): EntryOf<'key-succeeded'> {
  return entries.find((entry) => entry.type === 'key-succeeded')!;
}

function strangersKey(): Uint8Array {
  return createMeter('stranger').publicKey;
}

/** The enrolled key of a meter that is not `meterId`. */
function otherKey({ entries, blobs }: LargeLog, meterId: Uint8Array): Uint8Array {
  const other = entries.find((entry): entry is EntryOf<'kit-enrolled'> =>
    entry.type === 'kit-enrolled' && Buffer.compare(entry.meterId, meterId) !== 0)!;
  return verifyEnrolment(blobs.get(blobPath(other.enrolmentHash))!, ORIGIN, () => true).meterKey;
}

function file(name: string, finding: string, apply: (files: Files) => Files): Tampering {
  return { name, finding, apply: (_, files) => apply(files) };
}

function forged(
  name: string,
  finding: string,
  edit: (list: Entry[], log: LargeLog) => Entry[],
): Tampering {
  const apply = (log: LargeLog): Files =>
    publish(edit(log.entries, log).map(encodeEntry), log.blobs);
  return { name, finding, apply };
}

/** Puts other bytes in the place of the last entry's. */
function leaf(name: string, finding: string, edit: (bytes: Uint8Array) => Uint8Array): Tampering {
  const apply = ({ entries, blobs }: LargeLog): Files => {
    const leaves = entries.map(encodeEntry);
    return publish(leaves.with(-1, edit(leaves.at(-1)!)), blobs);
  };
  return { name, finding, apply };
}

function edited(path: string, edit: (bytes: Uint8Array) => Uint8Array): (files: Files) => Files {
  return (files) => {
    const bytes = files.get(path);
    if (bytes === undefined) throw new Error(`the log has no ${path}`);
    return new Map(files).set(path, edit(bytes));
  };
}

function without(path: string): (files: Files) => Files {
  return (files) => {
    const left = new Map(files);
    if (!left.delete(path)) throw new Error(`the log has no ${path}`);
    return left;
  };
}

function added(path: string): (files: Files) => Files {
  return (files) => new Map(files).set(path, new Uint8Array(32));
}

/** A disclosed batch from the middle of the log. */
function disclosed({ entries, blobs }: LargeLog): EntryOf<'batch-received'> {
  const middle = Math.floor(entries.length / 3);
  return entries.find((entry, i): entry is EntryOf<'batch-received'> =>
    i > middle && entry.type === 'batch-received' && blobs.has(blobPath(entry.batchHash)))!;
}

/** Where the same meter's batch before it stands. */
function beforeDisclosed(log: LargeLog): number {
  const { meterId, lastSeq } = disclosed(log);
  return log.entries.findIndex((entry) => entry.type === 'batch-received' &&
    Buffer.compare(entry.meterId, meterId) === 0 && entry.lastSeq === lastSeq - 1);
}

function otherMeter(log: LargeLog): Uint8Array {
  const { meterId } = disclosed(log);
  const other = log.entries.find((entry) => entry.type === 'kit-enrolled' &&
    Buffer.compare(entry.meterId, meterId) !== 0) as EntryOf<'kit-enrolled'>;
  return other.meterId;
}

/** Two disclosed batches of the same meter, each signed by a one-time key of its own. */
function honestPair(log: LargeLog): [Uint8Array, Uint8Array] {
  const { meterId } = disclosed(log);
  const hashes = log.entries.flatMap((entry) =>
    entry.type === 'batch-received' && Buffer.compare(entry.meterId, meterId) === 0 &&
    log.blobs.has(blobPath(entry.batchHash)) ? [entry.batchHash] : []);
  return [hashes[0], hashes[1]];
}

function revocation(log: LargeLog, evidence: [Uint8Array, Uint8Array]): Entry {
  const { receivedMs } = log.entries.at(-1)!;
  return { type: 'key-revoked', receivedMs, meterId: disclosed(log).meterId, evidence };
}

function change(list: Entry[], one: Entry, parts: Partial<EntryOf<'batch-received'>>): Entry[] {
  return list.with(list.indexOf(one), { ...one, ...parts } as Entry);
}

function flipped(bytes: Uint8Array, at: number): Uint8Array {
  return bytes.with(at, bytes[at] ^ 1) as Uint8Array;
}

function replaced(bytes: Uint8Array, pattern: RegExp, by: string): Uint8Array {
  return Buffer.from(Buffer.from(bytes).toString().replace(pattern, by));
}
