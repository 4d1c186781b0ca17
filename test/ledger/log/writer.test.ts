// The writer under kill -9 at every step of its writing, a torn disk, a full disk, and a second
// writer. After each, the whole folder is audited, and the same log goes on: nothing acknowledged
// is lost, nothing is there twice.

import test from 'ava';
import { execFile } from 'node:child_process';
import { cpSync, existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { nextIndex } from '../../../ledger/ask/project.ts';
import { cosign } from '../../../ledger/log/cosignature.ts';
import { parseNote } from '../../../ledger/log/note.ts';
import { leafHash } from '../../../ledger/log/tree.ts';
import { formatProof, verifyProof } from '../../../ledger/log/proof.ts';
import { doomedBatches } from '../../helpers/doomed-ledger.ts';
import {
  auditLedger, enrolMeter, openTestLedger, policyOf, temporaryDir,
} from '../../helpers/ledger-folder.ts';
import { digest } from '../../helpers/meter.ts';

const DOOMED = fileURLToPath(new URL('../../helpers/doomed-ledger.ts', import.meta.url));
const { meter, batches } = doomedBatches();
const base = temporaryDir();
/** The same, one batch later. */
const grown = temporaryDir();
/** Entries before the doom: the next batch fills the first tile. */
const BASE_SIZE = 255;

test.before(async () => {
  const ledger = await openTestLedger(base.dir);
  await enrolMeter(ledger, meter);
  await ledger.submitBatch(batches[0]);
  const others = Array.from({ length: BASE_SIZE - 3 }, (_, i) => digest(`volunteer ${i}`));
  await Promise.all(others.map((key) => ledger.admit(key)));
  await ledger.close();
  cpSync(base.dir, grown.dir, { recursive: true });
  const later = await openTestLedger(grown.dir);
  await later.submitBatch(batches[1]);
  await later.close();
});
test.after.always(() => {
  base.remove();
  grown.remove();
});

test('a cosignature for a checkpoint that the log has outgrown is not put under the new one', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  await ledger.admit(digest('one'));
  const { text } = parseNote(ledger.log().checkpoint());
  const witness = { name: 'witness.example', seed: digest('witness'), timeS: 1 };
  const line = cosign(text, witness);
  await ledger.admit(digest('two'));
  const newer = ledger.log().checkpoint();
  t.false(await ledger.log().cosign(text, [line]));
  t.deepEqual(ledger.log().checkpoint(), newer);
  t.deepEqual(new Uint8Array(readFileSync(join(ledger.store.publicDir, 'checkpoint'))), newer);
  const { text: present } = parseNote(newer);
  t.true(await ledger.log().cosign(present, [cosign(present, witness)]));
  t.is(parseNote(ledger.log().checkpoint()).signatures.length, 2);
  await ledger.close();
  remove();
});

test('killed at every step, the log goes on whole', async (t) => {
  // Every step of the first batch's way; the pool after it takes the same way: every sixth there.
  const steps = Array.from({ length: 100 }, (_, i) => i + 1).filter((i) => i <= 21 || i % 6 === 0);
  let survived = 0;
  const worker = async (): Promise<void> => {
    for (let step = steps.shift(); step !== undefined && survived === 0; step = steps.shift()) {
      if (await liveThrough(t, step)) survived = step;
    }
  };
  await Promise.all([worker(), worker()]);
  t.log(`alive with ${survived} steps`);
  t.true(survived > 30 && survived < 100);
});

/** One death and what follows; true if the process had no such step. */
async function liveThrough(t: import('ava').ExecutionContext, step: number): Promise<boolean> {
  const { dir, remove } = temporaryDir();
  cpSync(base.dir, dir, { recursive: true });
  const said = await run(dir, step);
  const acked = said.filter((line) => line !== 'done').map(Number);
  const ledger = await openTestLedger(dir, { onProblem: (error) => t.fail(String(error)) });
  const before = await auditLedger(ledger);
  t.deepEqual(before.findings, [], `killed at step ${step}`);
  t.true(ledger.log().size() >= BASE_SIZE + acked.length, `acked ${acked}, step ${step}`);
  for (const [i, batch] of batches.slice(1).entries()) {
    const { decision, index } = await ledger.submitBatch(batch);
    t.is(index, BASE_SIZE + i);
    if (acked.includes(index)) t.is(decision.kind, 'repeated', `acked ${index}, step ${step}`);
  }
  const after = await auditLedger(ledger);
  t.deepEqual(after.findings, [], `after step ${step}`);
  t.is(after.size, BASE_SIZE + 3);
  t.is(after.entries.batches, 4);
  t.is(nextIndex(ledger.store.ledgerDb), after.size);
  await ledger.close();
  remove();
  return said.includes('done');
}

function run(dir: string, step: number): Promise<string[]> {
  return new Promise((resolve, reject) => {
    execFile(process.execPath, [DOOMED, dir, String(step)], (error, stdout, stderr) => {
      if (error !== null && error.signal !== 'SIGKILL') reject(new Error(stderr));
      else resolve(stdout.split('\n').filter((line) => line !== ''));
    });
  });
}

test('a full disk refuses politely, and the log goes on when there is room', async (t) => {
  let failedSteps = 0;
  for (let step = 1; step === failedSteps + 1; step++) {
    const { dir, remove } = temporaryDir();
    cpSync(base.dir, dir, { recursive: true });
    let stepsLeft = step;
    const onStep = (): void => {
      if (--stepsLeft === 0) throw Object.assign(new Error('no space left'), { code: 'ENOSPC' });
    };
    const problems: unknown[] = [];
    const onProblem = (error: unknown): void => void problems.push(error);
    const ledger = await openTestLedger(dir, { onStep, onProblem });
    const refused = await ledger.submitBatch(batches[1]).then(() => false, () => true);
    t.is(problems.length, refused ? 1 : 0);
    if (refused) failedSteps++;
    // The same process goes on, and takes the batch again: once, wherever the first try ended.
    const { index } = await ledger.submitBatch(batches[1]);
    t.is(index, BASE_SIZE);
    const report = await auditLedger(ledger);
    t.deepEqual(report.findings, [], `full at step ${step}`);
    t.is(report.size, BASE_SIZE + 1);
    await ledger.close();
    remove();
  }
  t.true(failedSteps > 10);
});

test('only one process writes a folder', async (t) => {
  const { dir, remove } = temporaryDir();
  const ledger = await openTestLedger(dir);
  const error = await t.throwsAsync(openTestLedger(dir), { code: 'ledger-in-use' });
  t.regex(JSON.stringify(error), new RegExp(`process ${process.pid}`));
  await ledger.close();
  await (await openTestLedger(dir)).close();
  remove();
});

test('a folder that contradicts its own head is refused, not repaired', async (t) => {
  const refuses = async (code: string, spoil: (dir: string) => void): Promise<void> => {
    const { dir, remove } = temporaryDir();
    cpSync(base.dir, dir, { recursive: true });
    spoil(dir);
    await t.throwsAsync(openTestLedger(dir), { code }, code);
    remove();
  };
  const spoilFile = (name: string) => (dir: string): void => {
    const path = join(dir, 'public', name);
    writeFileSync(path, readFileSync(path).map((byte, i) => (i === 40 ? byte ^ 1 : byte)));
  };
  await refuses('log-damaged', spoilFile(`tile/0/000.p/${BASE_SIZE}`));
  await refuses('log-damaged', spoilFile(`tile/entries/000.p/${BASE_SIZE}`));
  await refuses('head-lost', (dir) => rmSync(join(dir, 'lock')));
  // An older lock file beside a newer public folder: it would sign a second history.
  await refuses('head-behind', (dir) => {
    rmSync(join(dir, 'public'), { recursive: true });
    cpSync(join(grown.dir, 'public'), join(dir, 'public'), { recursive: true });
  });
});

test('a proof from the writer’s tiles verifies offline', async (t) => {
  const { dir, remove } = temporaryDir();
  cpSync(base.dir, dir, { recursive: true });
  const ledger = await openTestLedger(dir);
  for (const batch of batches.slice(1)) await ledger.submitBatch(batch);
  const log = ledger.log();
  for (const index of [0, 1, 254, 255, 256, 257]) {
    const [entry] = log.read(index, index + 1);
    const proof = { extra: undefined, index, path: log.prove(index), checkpoint: log.checkpoint() };
    const verified = verifyProof(formatProof(proof), leafHash(entry), policyOf(ledger));
    t.is(verified.size, BASE_SIZE + 3);
  }
  t.false(existsSync(join(dir, 'public/tile/0/000.p')), 'partial tiles go when the full one is there');
  await ledger.close();
  remove();
});
