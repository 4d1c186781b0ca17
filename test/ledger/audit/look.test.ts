// Audits in pieces: broken off anywhere and gone on with, of a log that grows meanwhile, they say what
// one look at all of it says, byte for byte; and they find what was tampered with between two pieces.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import { hash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { audit } from '../../../ledger/audit/audit.ts';
import type { KeptAudit } from '../../../ledger/audit/kept.ts';
import { keepAudit } from '../../../ledger/audit/kept.ts';
import type { AuditReport } from '../../../ledger/audit/report.ts';
import type { PublicFiles } from '../../../ledger/audit/source.ts';
import { folderFiles } from '../../../ledger/audit/source.ts';
import { encodeEntry } from '../../../ledger/entry.ts';
import { LedgerError } from '../../../ledger/errors.ts';
import { signingKey } from '../../../ledger/log/ed25519.ts';
import type { OnStep } from '../../../ledger/log/durable.ts';
import { formatLogPolicy, parsePolicy } from '../../../ledger/log/policy.ts';
import { signRequest } from '../../../ledger/owner.ts';
import { verifyHss } from '../../../ledger/verify/lms.ts';
import type { Wish } from '../../../ledger/verify/request.ts';
import {
  createLargeLog, inMemory, ORIGIN, publish, publishedAt,
} from '../../helpers/large-log.ts';
import type { Files } from '../../helpers/large-log.ts';
import {
  createClock, enrolMeter, openTestLedger, temporaryDir,
} from '../../helpers/ledger-folder.ts';
import { createMeter, digest } from '../../helpers/meter.ts';
import { TAMPERINGS } from '../../helpers/tamperings.ts';
import { chance } from '../ask/homes.ts';

const log = await createLargeLog(4, 160);
const whole = publish(log.entries.map(encodeEntry), log.blobs);
const SIZE = log.entries.length;
const policyBytes = Buffer.from(log.policy);
const policy = parsePolicy(policyBytes);
const scene = temporaryDir();
test.after.always(() => scene.remove());

/** HSS/LMS checks take most of an audit; the same question has the same answer. */
const answers = new Map<string, boolean>();
const verify: typeof verifyHss = (...parts) => {
  const name = parts.map((part) => hash('sha256', part)).join();
  const answer = answers.get(name) ?? verifyHss(...parts);
  answers.set(name, answer);
  return answer;
};

const CUT = new Error('the process ended here');

/** An audit that is kept at every bundle. */
function keptAt(path: string, onStep?: OnStep, policyOf: Uint8Array = policyBytes): KeptAudit {
  return { ...keepAudit(path, { policy: policyOf, nowMs: () => 0, onStep }), isDue: () => true };
}

const inOneGo = (files: PublicFiles): Promise<AuditReport> => audit(files, { policy, verify });
const goOn = (files: Files, path: string, onStep?: OnStep): Promise<AuditReport> =>
  audit(inMemory(files), { policy, verify, kept: keptAt(path, onStep) });

/** Ends the process at one of its steps, counted from 0; says whether there were as many. */
async function breakOff(files: Files, path: string, at: number): Promise<boolean> {
  let step = 0;
  const onStep = (): void => {
    if (step++ === at) throw CUT;
  };
  return await goOn(files, path, onStep).then(() => false, (error) => {
    if (error !== CUT) throw error;
    return true;
  });
}

async function same(t: ExecutionContext, report: AuditReport, files: Files): Promise<void> {
  t.is(JSON.stringify(report), JSON.stringify(await inOneGo(inMemory(files))));
}

test('broken off at every step of every write, it goes on to the same report', async (t) => {
  let at = 0;
  for (; await breakOff(whole, join(scene.dir, `step ${at}`), at); at++) {
    await same(t, await goOn(whole, join(scene.dir, `step ${at}`)), whole);
  }
  t.true(at > 12, `${at} steps`);
  t.deepEqual(readdirSync(scene.dir).filter((name) => /^\d+-\d+-step/.test(name)), []);
  t.log(`${at} steps`);
});

test('in pieces of a growing log, broken off at random: what one look at all of it says', async (t) => {
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const random = chance(seed);
  for (let round = 0; round < 12; round++) {
    const path = join(scene.dir, `round ${round}`);
    let size = 1 + Math.floor(random() * 200);
    for (; size < SIZE; size += 1 + Math.floor(random() * 250)) {
      const files = publishedAt(log, size);
      await breakOff(files, path, Math.floor(random() * 24));
      // A broken-off audit goes on with what the log has grown to, or ends first.
      if (random() < 0.5) await same(t, await goOn(files, path), files);
    }
    await same(t, await goOn(whole, path), whole);
  }
});

test('a connection that fails breaks an audit off, and is no finding of the log', async (t) => {
  const path = join(scene.dir, 'unreachable');
  const source = inMemory(whole);
  let reads = 0;
  const read = async (name: string): Promise<Uint8Array | null> => {
    if (++reads % 300 !== 0) return await source.read(name);
    throw new LedgerError({ code: 'unreachable', message: `Cannot read ${name}` });
  };
  const options = { policy, verify, kept: keptAt(path) };
  let report: AuditReport | undefined;
  let pieces = 0;
  for (; report === undefined; pieces++) {
    report = await audit({ ...source, read }, options).catch((error) => {
      t.is(error.code, 'unreachable');
      return undefined;
    });
  }
  t.true(pieces > 2, `${pieces} pieces`);
  await same(t, report, whole);
});

test('what was verified is not read again', async (t) => {
  const path = join(scene.dir, 'new alone');
  await goOn(publishedAt(log, 600), path);
  const read: string[] = [];
  // The log's last three entries ask of the past: all is looked at again for them.
  const grown = inMemory(publishedAt(log, SIZE - 3));
  const noting = { ...grown, read: (name: string) => (read.push(name), grown.read(name)) };
  const report = await audit(noting, { policy, verify, kept: keptAt(path) });
  t.true(report.ok);
  t.deepEqual(read.filter((name) => name.startsWith('tile/')).sort(), [
    'tile/0/002.p/133', 'tile/1/000.p/2', 'tile/entries/002.p/133',
  ].filter((name) => read.includes(name)));
  t.true(read.filter((name) => name.startsWith('blob/')).length < 60, `${read.length} files`);
});

/**
 * Files of what was verified before, broken since: the log that a checkpoint stands for is what it
 * was, and nobody looks at them again until an audit begins anew.
 */
const NOT_LOOKED_AT = new Set([
  'an entry bundle is gone', 'an entry bundle is cut', 'an entry bundle is longer',
  'a hash within an entry is another', 'a tile of leaf hashes is another',
  'a tile of leaf hashes is gone', 'a tile of leaf hashes is cut', 'an upper tile is another',
  'a due batch is gone', 'a byte of a disclosed batch is another',
  'a batch that names a key is gone', 'an owner’s request is gone',
]);

for (const [when, size] of [['after all was verified', SIZE], ['half-way', 400]] as const) {
  for (const { name, finding, apply } of TAMPERINGS) {
    test(`${when}: ${name}`, async (t) => {
      const path = join(scene.dir, `${when} ${name}`);
      const before = await goOn(size === SIZE ? whole : publishedAt(log, size), path);
      t.true(before.ok);
      const { ok, findings } = await goOn(apply(log, whole), path);
      if (ok && when === 'after all was verified') {
        t.true(NOT_LOOKED_AT.has(name));
        return;
      }
      t.false(ok);
      const codes = new Set([finding, 'fork', 'rollback']);
      t.true(findings.some(({ code }) => codes.has(code)), JSON.stringify(findings.slice(0, 3)));
    });
  }
}

test('two histories are told from then on, an old checkpoint once; both leave evidence', async (t) => {
  const path = join(scene.dir, 'suspicion');
  t.true((await goOn(publishedAt(log, 500), path)).ok);
  const old = await goOn(publishedAt(log, 300), path);
  t.is(old.findings[0].code, 'rollback');
  const evidence = readFileSync(old.findings[0].got!.split(': ')[1], 'utf8');
  t.regex(evidence, /^ledger.test\/commons\n500\n[^]*\nledger.test\/commons\n300\n/);
  t.true((await goOn(publishedAt(log, 520), path)).ok, 'it may have been an old copy');
  const forked = log.entries.with(100, { ...log.entries[100], receivedMs: log.entries[101].receivedMs });
  const other = publish(forked.map(encodeEntry), log.blobs);
  t.is((await goOn(other, path)).findings[0].code, 'fork');
  const after = await goOn(whole, path);
  t.is(after.findings[0].code, 'fork', 'no later checkpoint makes that good');
  t.is(readdirSync(scene.dir).filter((name) => name.startsWith('suspicion.')).length, 2);
});

test('a ledger’s own: due later, disclosed late, erased, published otherwise', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const clock = createClock();
  const ledger = await openTestLedger(dir, { clock });
  t.teardown(() => ledger.close());
  const [owner, meter] = [signingKey(digest('owner')), createMeter('alice')];
  const change = (terms: Map<number, unknown>): void => void terms.set(10, owner.publicKey);
  await enrolMeter(ledger, meter, { publish: 3, change });
  let number = 0;
  const ask = (wish: Wish) => ledger.grant(
    signRequest({ origin: ORIGIN, meterId: meter.id, number: number++, wish }, owner));
  const text = Buffer.from(formatLogPolicy(ledger.log().vkey));
  const own = parsePolicy(text);
  const files = folderFiles(ledger.store.publicDir);
  const onWeb = { ...files, list: async () => null };
  const look = async (what: string): Promise<void> => {
    for (const [name, source] of [['folder', files], ['web', onWeb]] as const) {
      const kept = keptAt(join(dir, `audit of ${name}`), undefined, text);
      const report = await audit(source, { policy: own, verify, kept });
      t.true(report.ok, JSON.stringify(report.findings));
      t.deepEqual(report, await audit(source, { policy: own, verify }), `${what}, ${name}`);
    }
  };
  const beganMs = clock.atMs;
  const report = async (hours: number): Promise<void> => {
    await ledger.submitBatch(meter.batch(meter.records(2)));
    clock.atMs += hours * 3_600_000;
  };
  for (let i = 0; i < 4; i++) {
    await report(9);
    await look(`batch ${i}`);
  }
  await ask({ what: 'disclose', span: { fromMs: beganMs, toMs: clock.atMs } });
  await look('disclosed');
  for (let i = 0; i < 4; i++) await report(9);
  await look('a day on');
  await ask({ what: 'erase', span: { fromMs: beganMs, toMs: beganMs + 86_400_000 } });
  await look('erased');
  await ask({ what: 'publish', publish: 1 });
  await report(9);
  await look('each batch');
  await ask({ what: 'publish', publish: 2 });
  for (let i = 0; i < 3; i++) {
    await report(0.4);
    await look(`hourly ${i}`);
  }
});

test('a log that failed is looked at whole again, and passes once it is put right', async (t) => {
  const path = join(scene.dir, 'put right');
  const [broken] = [...whole.keys()].filter((name) => name.startsWith('blob/')).slice(-1);
  const without = new Map(whole);
  without.delete(broken);
  t.false((await goOn(without, path)).ok);
  t.false((await goOn(without, path)).ok);
  t.true((await goOn(whole, path)).ok);
});

test('a head that the policy refuses is not kept', async (t) => {
  const path = join(scene.dir, 'refused');
  const { apply } = TAMPERINGS.find(({ name }) => name === 'the checkpoint is another key’s')!;
  t.false((await goOn(apply(log, whole), path)).ok);
  t.false(existsSync(path));
});

test('a file of another kind is refused, and stays', async (t) => {
  const path = join(scene.dir, 'a shopping list');
  writeFileSync(path, 'bread\n');
  await t.throwsAsync(goOn(whole, path), { code: 'state-damaged' });
  t.is(readFileSync(path, 'utf8'), 'bread\n');
});
