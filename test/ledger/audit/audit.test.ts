// The audit: passes what the ledger makes, and fails for every byte that is changed in it. Kinds of
// tampering that keep all hashes right (by someone who holds the log's key) are tried as well.

import test from 'ava';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { audit } from '../../../ledger/audit/audit.ts';
import type { AuditReport } from '../../../ledger/audit/report.ts';
import type { PublicFiles } from '../../../ledger/audit/source.ts';
import { folderFiles } from '../../../ledger/audit/source.ts';
import type { Entry } from '../../../ledger/entry.ts';
import { decodeEntry, encodeEntry } from '../../../ledger/entry.ts';
import { formatCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { formatNote, signNote } from '../../../ledger/log/note.ts';
import { formatLogPolicy, parsePolicy } from '../../../ledger/log/policy.ts';
import { encodeBundle, encodeHashTile, tilePath, tilesOf } from '../../../ledger/log/tiles.ts';
import { leafHash, nodeHash, sha256, treeRoot } from '../../../ledger/log/tree.ts';
import type { ReadNode } from '../../../ledger/log/tree.ts';
import { verifyHss } from '../../../ledger/verify/lms.ts';
import {
  createClock, enrolMeter, openTestLedger, temporaryDir, VOLUNTEER,
} from '../../helpers/ledger-folder.ts';
import { createMeter, createVolunteer, digest } from '../../helpers/meter.ts';
import { priceBytes } from '../../helpers/price.ts';

type Files = Map<string, Uint8Array>;

const scene = temporaryDir();
const files: Files = new Map();
let policyText = '';
let logSeed = new Uint8Array();
const meter = createMeter('alice');

test.before(async () => {
  const clock = createClock();
  const ledger = await openTestLedger(scene.dir, { clock });
  await enrolMeter(ledger, meter, { publish: 3 });
  await ledger.submitBatch(meter.batch(meter.records(3)));
  await ledger.submitBatch(meter.batch(meter.records(2)));
  clock.atMs += 86_400_000;
  const gaps = [meter.skip(2)];
  await ledger.submitBatch(meter.batch(meter.records(2), { gaps }));
  clock.atMs += 86_400_000;
  await ledger.submitBatch(meter.batch(meter.records(1)));
  policyText = formatLogPolicy(ledger.log().vkey);
  logSeed = new Uint8Array(ledger.store.keys.logSeed);
  await ledger.close();
  const root = join(scene.dir, 'public');
  for (const entry of readdirSync(root, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (entry.isFile()) files.set(relative(root, path), new Uint8Array(readFileSync(path)));
  }
});
test.after.always(() => scene.remove());

function inMemory(changed: Files): PublicFiles {
  return {
    read: async (path) => changed.get(path) ?? null,
    list: async () => [...changed.keys()],
  };
}

/** HSS/LMS checks take most of an audit; the same question has the same answer. */
const answers = new Map<string, boolean>();
function remembering(...parts: [Uint8Array, Uint8Array, Uint8Array]): boolean {
  const key = Buffer.from(sha256(Buffer.concat(parts))).toString('base64');
  const known = answers.get(key) ?? verifyHss(...parts);
  answers.set(key, known);
  return known;
}

async function run(changed: Files, policy = policyText): Promise<AuditReport> {
  const parsed = parsePolicy(Buffer.from(policy, 'latin1'));
  return audit(inMemory(changed), { policy: parsed, verify: remembering });
}

const altered = (path: string, bytes: Uint8Array | null): Files => {
  const changed = new Map(files);
  if (bytes === null) changed.delete(path);
  else changed.set(path, bytes);
  return changed;
};

test('what the ledger made passes, and is told', async (t) => {
  const report = await run(files);
  t.deepEqual(report.findings, []);
  t.true(report.ok);
  t.deepEqual(report.blobs, { disclosed: 3, withheld: 2, erased: 0, missing: 0, unreferenced: 0 });
  const [node] = report.nodes;
  t.is(node.meter, meter.idHex);
  t.deepEqual(node.gaps, [{ firstSeq: 6, lastSeq: 7 }]);
  t.is(node.silences.length, 2);
  t.is(node.shown!.seq, 9);
  t.is(node.shown!.upS, 7 * 900);
  t.is(node.shown!.kWh, node.shown!.energyMicroWh / 1e9);
});

test('without a policy it is consistent, and nobody’s', async (t) => {
  const report = await audit(inMemory(files), { verify: remembering });
  t.deepEqual(report.findings, []);
  t.false(report.ok);
  t.false(report.vouched);
});

test('every byte of every file counts', async (t) => {
  // Seven thousand audits, on a machine that may be busy.
  t.timeout(300_000);
  let audits = 0;
  for (const [path, bytes] of files) {
    for (let at = 0; at < bytes.length; at++) {
      const bit = 1 << (at % 8);
      const { ok } = await run(altered(path, bytes.map((byte, i) => (i === at ? byte ^ bit : byte))));
      if (ok) t.fail(`${path}, byte ${at}`);
      audits++;
    }
    for (const cut of [bytes.slice(0, -1), Uint8Array.of(...bytes, 0), Uint8Array.of(...bytes, 10)]) {
      t.false((await run(altered(path, cut))).ok, `${path} cut or longer`);
    }
  }
  t.log(`${audits} bytes of ${files.size} files`);
});

test('every byte of the policy counts', async (t) => {
  for (let at = 0; at < policyText.length; at++) {
    const changed = Buffer.from(policyText, 'latin1');
    changed[at] ^= 1 << (at % 8);
    const ok = await run(files, changed.toString('latin1')).then((report) => report.ok, () => false);
    t.false(ok, `policy byte ${at}`);
  }
});

test('files that are gone, and files that should not be there', async (t) => {
  const current = new Set(tilesOf(6).map(tilePath));
  for (const path of files.keys()) {
    const isOld = path.startsWith('tile/') && !current.has(path);
    t.is((await run(altered(path, null))).ok, isOld, `without ${path}`);
  }
  const strays = [
    'tile/0/000', 'tile/0/000.p/7', 'tile/0/001.p/1', 'tile/1/000.p/1', 'tile/entries/000.p/07',
    'tile/0/000.p/2~', 'blob/0000', `blob/${'0'.repeat(64)}`, 'checkpoint.bak', 'index.html',
  ];
  for (const path of strays) {
    const report = await run(altered(path, new Uint8Array(32)));
    t.deepEqual(report.findings.map(({ code }) => code), ['stray-file'], path);
  }
  const crashed = digest('a batch that never came to be an entry');
  const name = `blob/${Buffer.from(digest(crashed)).toString('hex')}`;
  t.is((await run(altered(name, crashed))).blobs.unreferenced, 1);
  t.true((await run(altered(name, crashed))).ok);
});

test('a due batch that is absent is missing, by name', async (t) => {
  const entry = entries()[3] as Entry & { type: 'batch-received' };
  const path = `blob/${Buffer.from(entry.batchHash).toString('hex')}`;
  const report = await run(altered(path, null));
  t.deepEqual(report.nodes[0].missing, [3]);
  t.deepEqual(report.blobs, { disclosed: 2, withheld: 2, erased: 0, missing: 1, unreferenced: 0 });
  t.deepEqual(report.findings.map(({ code, where }) => `${code} ${where}`), ['blob-missing entry 3']);
});

function entries(): Entry[] {
  const bundle = files.get('tile/entries/000.p/6')!;
  const list: Entry[] = [];
  for (let at = 0; at < bundle.length;) {
    const end = at + 2 + bundle[at] * 256 + bundle[at + 1];
    list.push(decodeEntry(bundle.slice(at + 2, end)));
    at = end;
  }
  return list;
}

/** The same log with other entries, its tree and checkpoint made anew by whoever holds its key. */
function resigned(change: (list: Entry[]) => Entry[]): Files {
  const list = change(entries()).map(encodeEntry);
  const leaves = list.map(leafHash);
  const read: ReadNode = (level, i) => level === 0
    ? leaves[i]
    : nodeHash(read(level - 1, 2 * i), read(level - 1, 2 * i + 1));
  const size = list.length;
  const forged: Files = new Map([...files].filter(([path]) => path.startsWith('blob/')));
  for (const tile of tilesOf(size)) {
    const bytes = tile.level === 'entries' ? encodeBundle(list) : encodeHashTile(tile, read);
    forged.set(tilePath(tile), bytes);
  }
  const origin = 'ledger.test/commons';
  const text = formatCheckpoint({ origin, size, root: treeRoot(size, read), extensions: [] });
  forged.set('checkpoint', formatNote(signNote(text, origin, logSeed)));
  return forged;
}

const at = <T>(list: T[], index: number, change: (one: T) => T): T[] =>
  list.map((one, i) => (i === index ? change(one) : one));
const other = createMeter('bob').id;

/** Entries in scene: 0 volunteer, 1 kit, 2 to 5 batches (3 and 4 disclosed). */
const FORGERIES: [string, string, (list: Entry[]) => Entry[]][] = [
  ['no volunteer', 'enrolment', (list) => list.slice(1)],
  ['volunteer admitted after the kit', 'enrolment',
    ([v, k, ...rest]) => [k, { ...v, receivedMs: k.receivedMs }, ...rest]],
  ['volunteer twice', 'admitted-twice', ([v, ...rest]) => [v, v, ...rest]],
  ['kit twice', 'enrolled-twice', ([v, k, ...rest]) => [v, k, k, ...rest]],
  ['kit under another id', 'enrolment',
    (list) => at(list, 1, (e) => ({ ...e, meterId: other } as Entry))],
  ['enrolment withheld', 'blob-missing',
    (list) => at(list, 1, (e) => ({ ...e, enrolmentHash: digest('x') } as Entry))],
  ['batch before the kit', 'batch',
    ([v, k, b, ...rest]) => [v, b, { ...k, receivedMs: b.receivedMs }, ...rest]],
  ['batch of another meter', 'batch',
    (list) => at(list, 3, (e) => ({ ...e, meterId: other } as Entry))],
  ['batch dropped', 'link', (list) => list.filter((_, i) => i !== 2)],
  ['batches swapped', 'sequence',
    ([v, k, a, b, ...rest]) => [v, k, { ...b, receivedMs: a.receivedMs }, a, ...rest]],
  ['sequence understated', 'sequence',
    (list) => at(list, 3, (e) => ({ ...e, lastSeq: 4 } as Entry))],
  ['batch twice', 'sequence', (list) => [...list.slice(0, 4), ...list.slice(3)]],
  ['time runs back', 'order', (list) => at(list, 3, (e) => ({ ...e, receivedMs: 1 }))],
  ['time understated', 'time-ahead',
    (list) => list.map((e) => ({ ...e, receivedMs: e.receivedMs - 864_000_000 }))],
  ['revoked without evidence', 'blob-missing',
    (list) => [...list, revocation(list, digest('x'), digest('y'))]],
  ['revoked by two batches', 'revocation',
    (list) => [...list, revocation(list, hashOf(list[3]), hashOf(list[4]))]],
  ['batch after revocation', 'after-revocation', (list) => {
    const early = { ...revocation(list, digest('x'), digest('y')), receivedMs: list[4].receivedMs };
    return [...list.slice(0, 5), early, list[5]];
  }],
];

function revocation(list: Entry[], one: Uint8Array, two: Uint8Array): Entry {
  const { receivedMs } = list.at(-1)!;
  return { type: 'key-revoked', receivedMs, meterId: meter.id, evidence: [one, two] };
}

function hashOf(entry: Entry): Uint8Array {
  return (entry as Entry & { type: 'batch-received' }).batchHash;
}

for (const [what, code, change] of FORGERIES) {
  test(`a forged log under the right key: ${what}`, async (t) => {
    const report = await run(resigned(change));
    t.true(report.findings.some((finding) => finding.code === code), JSON.stringify(report.findings));
    t.false(report.ok);
  });
}

/** Prices by whoever holds the log's key, put behind all other entries. */
const PRICES: [string, string | null, Uint8Array[]][] = [
  ['one that the ledger would take', null, [priceBytes(VOLUNTEER)]],
  ['a stranger’s', 'price', [priceBytes(createVolunteer('mallory'))]],
  ['another ledger’s', 'bad-price', [priceBytes(VOLUNTEER, { origin: 'ledger.test/other' })]],
  ['one from within a closed month', 'month-closed', [priceBytes(VOLUNTEER, { validFrom: '2025-12-31' })]],
  ['one in another currency', 'price-currency', [priceBytes(VOLUNTEER), priceBytes(VOLUNTEER, { currency: 'CHF' })]],
  ['one twice', 'price', [priceBytes(VOLUNTEER), priceBytes(VOLUNTEER)]],
  ['one in other bytes', 'malformed-price', [Uint8Array.of(...priceBytes(VOLUNTEER), 0)]],
  ['one without its blob', 'blob-missing', [new Uint8Array(0)]],
];

for (const [what, code, prices] of PRICES) {
  test(`a price in a forged log: ${what}`, async (t) => {
    const forged = resigned((list) => [...list, ...prices.map((bytes): Entry => (
      { type: 'price-set', receivedMs: list.at(-1)!.receivedMs, priceHash: digest(bytes) }
    ))]);
    for (const bytes of prices.filter(({ length }) => length > 0)) {
      forged.set(`blob/${Buffer.from(digest(bytes)).toString('hex')}`, bytes);
    }
    const report = await run(forged);
    t.deepEqual(report.findings.map((finding) => finding.code), code === null ? [] : [code]);
    t.is(report.entries.prices, prices.length);
    // What does not hold has no say in what anything costs.
    t.is(report.months!.prices.length, code === null || prices.length === 2 ? 1 : 0);
  });
}

// So the forgeries above fail for what they say.
test('a log made anew from the same entries passes', async (t) => {
  t.deepEqual((await run(resigned((list) => list))).findings, []);
});

test('a checkpoint of more entries than there are costs the auditor nothing', async (t) => {
  const origin = 'ledger.test/commons';
  for (const size of [7, 1e10, 2 ** 53 - 1]) {
    const text = formatCheckpoint({ origin, size, root: digest('x'), extensions: [] });
    const checkpoint = formatNote(signNote(text, origin, logSeed));
    const { findings, ok } = await run(altered('checkpoint', checkpoint));
    t.false(ok);
    t.is(findings[0].code, 'file-missing', `${size}`);
  }
});

test('another log’s key is not this one’s', async (t) => {
  const forged = resigned((list) => list);
  const text = new TextDecoder().decode(forged.get('checkpoint')!).split('\n\n')[0];
  forged.set('checkpoint', formatNote(signNote(`${text}\n`, 'ledger.test/commons', digest('mallory'))));
  t.deepEqual((await run(forged)).findings.map(({ code }) => code), ['unknown-signers']);
});

test('a log that changes while it is looked at is looked at again, not blamed', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const other = createMeter('bob');
  await enrolMeter(ledger, other, { publish: 1 });
  for (let i = 0; i < 3; i++) await ledger.submitBatch(other.batch());
  const policy = parsePolicy(Buffer.from(formatLogPolicy(ledger.log().vkey)));
  const folder = folderFiles(ledger.store.publicDir);
  const erase = (): Promise<unknown> => ledger.erase(other.id, { fromMs: 0, toMs: 9e15 });
  const fill = (): Promise<unknown> => Promise.all(
    Array.from({ length: 256 }, (_, i) => ledger.admit(digest(`${i}`))));
  for (const change of [erase, fill]) {
    let isChanged = false;
    const report = await audit({
      ...folder,
      async read(path) {
        if (path.startsWith('tile/') && !isChanged) {
          isChanged = true;
          await change();
        }
        return folder.read(path);
      },
    }, { policy });
    t.deepEqual(report.findings, []);
    t.is(report.size, ledger.log().size());
  }
  // One that never stands still is told as it was seen the last time.
  let count = 0;
  const moving = await audit({
    ...folder,
    async read(path) {
      if (path === 'checkpoint') await ledger.admit(digest(`moving ${count++}`));
      return path.startsWith('tile/0/') ? null : folder.read(path);
    },
  }, { policy });
  t.true(moving.findings.some(({ code }) => code === 'file-missing'));
  t.is(count, 3);
  await ledger.close();
  remove();
});
