// What an audit keeps: it comes back as it was, or is refused by a code of its own.

import test from 'ava';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { knowNothing } from '../../../ledger/audit/entries.ts';
import { keepAudit } from '../../../ledger/audit/kept.ts';
import type { KeptAudit, Memory } from '../../../ledger/audit/kept.ts';
import { EMPTY_EDGE } from '../../../ledger/log/edge.ts';
import { temporaryDir } from '../../helpers/ledger-folder.ts';

const scene = temporaryDir();
test.after.always(() => scene.remove());
const path = join(scene.dir, 'kept');
const ORIGIN = 'ledger.test/commons';
const MEMORY: Memory = {
  known: { size: 7, root: new Uint8Array(32).fill(1), note: new TextEncoder().encode('a note') },
  fork: { code: 'fork', where: 'checkpoint' },
  progress: {
    edge: EMPTY_EDGE,
    entries: { known: knowNothing(new Map([[3, 'erased']])), months: new Uint8Array(3).fill(9) },
  },
};
const kept = (policy: string | undefined, at = path): KeptAudit =>
  keepAudit(at, { policy: policy === undefined ? undefined : Buffer.from(policy), nowMs: () => 0 });

test.before(() => kept('policy').write(ORIGIN, MEMORY));

test('it comes back as it was; where there is no file there is nothing', async (t) => {
  t.deepEqual(await kept('policy').read(ORIGIN), MEMORY);
  const nothing = { known: null, fork: null, progress: null };
  t.deepEqual(await kept('policy', `${path} of nobody`).read(ORIGIN), nothing);
});

test('another log’s and another policy’s are refused', async (t) => {
  await t.throwsAsync(kept('policy').read('ledger.test/other'), { code: 'state-foreign' });
  await t.throwsAsync(kept('another policy').read(ORIGIN), { code: 'state-foreign' });
  await t.throwsAsync(kept(undefined).read(ORIGIN), { code: 'state-foreign' });
});

test('every byte counts, and every cut', async (t) => {
  const whole = readFileSync(path);
  const at = join(scene.dir, 'changed');
  const refused = async (bytes: Uint8Array, what: string): Promise<void> => {
    writeFileSync(at, bytes);
    const error = await t.throwsAsync(kept('policy', at).read(ORIGIN), undefined, what);
    t.regex((error as { code?: string }).code ?? '', /^state-(damaged|version)$/, what);
  };
  for (const i of whole.keys()) await refused(whole.with(i, whole[i] ^ 1), `byte ${i}`);
  for (const i of whole.keys()) await refused(whole.subarray(0, i), `cut at ${i}`);
  await refused(Buffer.concat([whole, Buffer.of(0)]), 'longer');
});

test('another format is said to be one', async (t) => {
  const at = join(scene.dir, 'older');
  const text = readFileSync(path).toString('latin1').replace(/audit \S+/, 'audit 0.1');
  writeFileSync(at, text, 'latin1');
  await t.throwsAsync(kept('policy', at).read(ORIGIN), { code: 'state-version' });
});

test('a write is worth it after five seconds, or twenty times what the last one took', async (t) => {
  let nowMs = 0;
  let stepMs = 0;
  const onStep = (step: string): void => void (step.startsWith('durable') && (nowMs += stepMs));
  const at = join(scene.dir, 'paced');
  const paced = keepAudit(at, { policy: undefined, nowMs: () => nowMs, onStep });
  t.false(paced.isDue());
  nowMs = 5_000;
  t.true(paced.isDue());
  stepMs = 1_000;
  await paced.write(ORIGIN, MEMORY);
  nowMs += 19_999;
  t.false(paced.isDue());
  nowMs += 1;
  t.true(paced.isDue());
});
