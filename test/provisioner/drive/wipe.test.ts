// Wiping files that stand for drives: all of it zeros, and never the wrong one.

import { existsSync, readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { findKit, type Kit } from '../../../provisioner/campaign/campaign.ts';
import { planText } from '../../../provisioner/drive/confirm.ts';
import { flashKits } from '../../../provisioner/drive/flash.ts';
import { prepareWipe, wipeProgressTo, type WipeProgress } from '../../../provisioner/drive/wipe.ts';
import type { BlockDevice } from '../../../provisioner/drive/eligible.ts';
import { makeBench, type TestBench } from '../../helpers/bench.ts';
import { makeTinyImage } from '../../helpers/tiny-image.ts';

const mib = 1 << 20;
/** More than one piece of a proof, and a last one that is no whole block. */
const driveBytes = 65 * mib + 4096;

interface Scene extends TestBench {
  alice: Kit;
  bob: Kit;
  flash(kit: Kit, drive: string): Promise<unknown>;
  wipe(kit: Kit, drive: string, signal?: AbortSignal): ReturnType<typeof prepareWipe>;
  progress: WipeProgress[];
}

async function open(t: ExecutionContext): Promise<Scene> {
  const bench = await makeBench();
  t.teardown(bench.remove);
  const { campaign, secrets, record } = bench;
  const image = makeTinyImage(join(bench.dir, 'images')).path;
  const listBlockDevices = async (): Promise<BlockDevice[]> => [];
  const progress: WipeProgress[] = [];
  return {
    ...bench,
    ...{ alice: findKit(campaign, 'alice'), bob: findKit(campaign, 'bob'), progress },
    flash: (kit, drive) => flashKits([{ kit, drive }], {
      ...{ campaign, secrets, record, image, fileSizeBytes: driveBytes, listBlockDevices },
      ...{ confirm: async () => {}, onProgress: () => {} },
    }),
    wipe: (kit, drive, signal) => prepareWipe(kit, drive, {
      ...{ record, listBlockDevices, signal, onProgress: (told) => void progress.push(told) },
    }),
  };
}

test('a wiped drive’s file holds nothing, and may be flashed anew', async (t) => {
  const s = await open(t);
  const drive = join(s.dir, 'alice.img');
  await s.flash(s.alice, drive);
  const before = readFileSync(drive);
  const { plan, known, run } = await s.wipe(s.alice, drive);
  t.true(readFileSync(drive).equals(before), 'looking changes nothing');
  t.true(known);
  t.like(plan, { kit: 'alice', kind: 'file', sizeBytes: driveBytes, note: undefined });
  t.regex(planText([plan]), /ERASES the drive that kit made for alice/);
  const wiped = await run();
  t.like(wiped, { drive, sizeBytes: driveBytes });
  t.is(statSync(drive).size, 0);
  t.like(s.record.lastDone('alice', 'wipe')?.detail, { drive, sizeBytes: driveBytes });
  const phases = [...new Set(s.progress.map(({ phase }) => phase))];
  t.deepEqual(phases, ['wipe', 'flush', 'verify']);
  t.is(s.progress.at(-1)!.doneBytes, driveBytes, 'all of it was read back');
  await s.flash(s.bob, drive);
  t.is((await s.wipe(s.bob, drive)).known, true);
});

test('another kit’s drive is not wiped, whichever was there first', async (t) => {
  const s = await open(t);
  const drive = join(s.dir, 'some.img');
  await s.flash(s.alice, drive);
  await t.throwsAsync(s.wipe(s.bob, drive), { code: 'drive-of-another-kit' });
  await s.flash(s.bob, drive);
  const before = readFileSync(drive);
  await t.throwsAsync(s.wipe(s.alice, drive), { code: 'drive-of-another-kit' });
  t.true(readFileSync(drive).equals(before));
});

test('what is no drive of kit’s is refused as by flashing, and nothing is made', async (t) => {
  const s = await open(t);
  const drive = join(s.dir, 'none.img');
  await t.throwsAsync(s.wipe(s.alice, drive), { code: 'nothing-to-wipe' });
  t.false(existsSync(drive));
  writeFileSync(drive, '');
  await t.throwsAsync(s.wipe(s.alice, drive), { code: 'nothing-to-wipe' });
  writeFileSync(drive, 'a letter');
  await t.throwsAsync(s.wipe(s.alice, drive), { code: 'file-not-ours' });
  t.is(readFileSync(drive, 'utf8'), 'a letter');
  await t.throwsAsync(s.wipe(s.alice, s.dir), { code: 'drive-not-a-drive' });
  await t.throwsAsync(s.wipe(s.alice, '/dev/nothing-here'), { code: 'drive-vanished' });
});

test('a drive that changed while somebody thought is left alone', async (t) => {
  const s = await open(t);
  const drive = join(s.dir, 'alice.img');
  await s.flash(s.alice, drive);
  const { run } = await s.wipe(s.alice, drive);
  truncateSync(drive, driveBytes + 4096);
  const before = readFileSync(drive);
  await t.throwsAsync(run(), { code: 'drive-changed' });
  t.true(readFileSync(drive).equals(before));
  t.is(s.record.latest('alice', 'wipe')?.status, 'failed');
});

test('stopped, it says that the drive can still be read', async (t) => {
  const s = await open(t);
  const drive = join(s.dir, 'alice.img');
  await s.flash(s.alice, drive);
  const stop = new AbortController();
  const { run } = await s.wipe(s.alice, drive, stop.signal);
  stop.abort();
  await t.throwsAsync(run(), { code: 'wipe-failed' });
  t.is(statSync(drive).size, driveBytes);
});

test('progress is told by tenths', (t) => {
  const told: string[] = [];
  const event = ({ text }: { text: string }): void => void told.push(text);
  const tell = wipeProgressTo({ event });
  const about = { kit: 'alice', phase: 'wipe' as const, totalBytes: 100 };
  for (const doneBytes of [0, 1, 10, 19, 20]) tell({ ...about, doneBytes });
  t.deepEqual(told, [0, 10, 20].map((percent) => `alice: writing zeros ${percent} %`));
});
