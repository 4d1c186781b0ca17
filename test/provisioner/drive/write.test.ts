// The writer on drives in memory: what it leaves behind wherever it is stopped, how it goes on, and
// which drives it does not believe.

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { realClock } from '../../../provisioner/drive/clock.ts';
import { isMarked } from '../../../provisioner/drive/esp.ts';
import { openImage } from '../../../provisioner/drive/image.ts';
import { decodeProgress, progressAtBytes } from '../../../provisioner/drive/progress-page.ts';
import { openSource, type ImageSource } from '../../../provisioner/drive/source.ts';
import { writeDrive, type WriteJob } from '../../../provisioner/drive/write.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { seededRandom } from '../../helpers/bench.ts';
import { memoryDrive, type MemoryDrive } from '../../helpers/memory-drive.ts';
import { fillSeeded, makeTinyImage, tinyImage, type TinyImage } from '../../helpers/tiny-image.ts';

const mib = 1 << 20;
const page = 4096;
const driveBytes = 24 * mib + 3 * 512;

interface Scene {
  image: TinyImage;
  source: ImageSource;
  /** Writes; saves the progress at every opportunity. */
  write(drive: MemoryDrive, more?: Partial<WriteJob>): ReturnType<typeof writeDrive>;
}

const withScene = test.macro(
  async (t, body: (t: ExecutionContext, scene: Scene) => Promise<void>) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-write-'));
    const image = makeTinyImage(dir);
    const source = await openSource(await openImage(image.path), dir);
    const write: Scene['write'] = (drive, more = {}) =>
      writeDrive({
        ...{ source, medium: drive.medium, kind: 'block', clock: realClock, saveEveryMs: 0 },
        ...{ identity: new Map([['hostname', 'alice\n']]), random: seededRandom('marks') },
        onProgress: () => {},
        ...more,
      });
    try {
      await body(t, { image, source, write });
    } finally {
      await source.close();
      rmSync(dir, { recursive: true });
    }
  },
);

/** A drive that somebody has used before. */
function usedDrive(options: Partial<Parameters<typeof memoryDrive>[0]> = {}): MemoryDrive {
  const drive = memoryDrive({ sizeBytes: driveBytes, ...options });
  drive.put(old.subarray(0, options.realBytes), 0);
  return drive;
}

const old = Buffer.alloc(driveBytes);
fillSeeded(old, 77);

async function failure(work: Promise<unknown>): Promise<KitError> {
  return work.then(
    () => Promise.reject(new Error('expected a failure')),
    (error: unknown) => (error instanceof KitError ? error : Promise.reject(error)),
  );
}

/** All that the image maps is there; the partition with the identity starts with kit's mark. */
function assertWhole(t: ExecutionContext, drive: MemoryDrive, { raw, manifest }: TinyImage): void {
  const { offsetBytes, sizeBytes } = tinyImage.esp;
  const espEnd = offsetBytes + sizeBytes;
  for (const [at, size] of manifest.ranges) {
    if (at + size > offsetBytes && at < espEnd) continue;
    t.true(drive.bytes(at, size).equals(raw.subarray(at, at + size)), `range at ${at}`);
  }
  t.true(drive.bytes(0, page).equals(raw.subarray(0, page)));
  t.true(isMarked(drive.bytes(offsetBytes, 512)));
  t.true(drive.bytes(driveBytes - mib, mib).equals(Buffer.alloc(mib)), 'the end is blank');
}

function progressOn(drive: MemoryDrive): number | undefined {
  return decodeProgress(drive.bytes(progressAtBytes, page))?.durableBytes;
}

function assertDead(t: ExecutionContext, drive: MemoryDrive): void {
  t.true(drive.bytes(0, page).equals(Buffer.alloc(page)), 'no boot sector, no GPT');
}

test('a drive gets what is mapped and no more, and its first page at the very end', withScene, async (t, s) => {
  const drive = usedDrive();
  const before = drive.bytes(0, driveBytes);
  const outcome = await s.write(drive);
  assertWhole(t, drive, s.image);
  t.is(outcome.resumedAtBytes, 0);
  const writes = drive.transfers.filter(({ kind }) => kind === 'write');
  t.is(writes.at(-1)!.atBytes, 0);
  t.is(writes.filter(({ atBytes }) => atBytes === 0).length, 2, 'blanked once, written once');
  const hole = 10 * mib;
  t.true(drive.bytes(hole, 64 * 1024).equals(before.subarray(hole, hole + 64 * 1024)));
  // The boot partition has 4 MiB and some 110 KB in use.
  const esp = writes.filter(({ atBytes }) => atBytes >= 2 * mib && atBytes < 6 * mib);
  t.true(esp.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) < mib);
  t.true(outcome.writtenBytes < 8 * mib);
});

test('another kit’s identity does not outlive it, though it be in free clusters', withScene, async (t, s) => {
  const drive = usedDrive();
  const long = new Map([
    ['secret', `KEY OF ALICE${'a'.repeat(100_000)}`],
    ['secret2', 'SECOND KEY OF ALICE'],
  ]);
  await s.write(drive, { identity: long });
  t.true(drive.bytes(0, driveBytes).includes('SECOND KEY OF ALICE'));
  await s.write(drive, { identity: new Map([['hostname', 'bob\n']]) });
  t.false(drive.bytes(0, driveBytes).includes('KEY OF ALICE'));
  assertWhole(t, drive, s.image);
});

test('stopped at any transfer it does not boot, goes on, and ends the same', withScene, async (t, s) => {
  const whole = usedDrive();
  await s.write(whole);
  const count = whole.transfers.length;
  let resumed = 0;
  for (let at = 0; at < count; at += 4) {
    let asked = 0;
    const drive = usedDrive({
      before: () => {
        if (asked++ === at) throw Object.assign(new Error('pulled'), { code: 'EIO' });
        if (asked > at) throw Object.assign(new Error('gone'), { code: 'ENODEV' });
      },
    });
    const started = drive.bytes(0, page);
    const error = await s.write(drive).catch((cause: unknown) => cause);
    // How often the progress is saved hangs on timing: there may be fewer transfers this time.
    t.is(error instanceof KitError, asked > at);
    // Before anything was written, it is as it was.
    if (drive.bytes(0, page).equals(started)) t.is(progressOn(drive), undefined);
    else if (drive.bytes(510, 2).readUInt16BE() === 0x55aa) assertWhole(t, drive, s.image);
    else assertDead(t, drive);
    drive.before = () => {};
    const { resumedAtBytes } = await s.write(drive);
    if (resumedAtBytes > 0) resumed++;
    assertWhole(t, drive, s.image);
  }
  t.true(resumed > count / 10, `${resumed} of ${count / 4} went on where they were`);
});

test('a person who stops it loses nothing that was written', withScene, async (t, s) => {
  const drive = usedDrive();
  const stop = new AbortController();
  const stopping: Partial<WriteJob> = {
    saveEveryMs: Infinity,
    signal: stop.signal,
    onProgress: ({ phase, doneBytes }) => phase === 'write' && doneBytes > 3 * mib && stop.abort(),
  };
  await t.throwsAsync(s.write(drive, stopping), { name: 'AbortError' });
  assertDead(t, drive);
  const { resumedAtBytes, writtenBytes } = await s.write(drive);
  t.true(resumedAtBytes > 3 * mib, String(resumedAtBytes));
  t.true(writtenBytes < 4 * mib, String(writtenBytes));
  assertWhole(t, drive, s.image);
});

test('progress with another image is no progress', withScene, async (t, s) => {
  const drive = usedDrive();
  drive.before = ({ kind, atBytes }) => {
    if (kind === 'write' && atBytes === 13 * mib) throw Object.assign(new Error(), { code: 'EIO' });
  };
  await failure(s.write(drive));
  t.true(progressOn(drive)! > 0);
  drive.before = () => {};
  const dir = mkdtempSync(join(tmpdir(), 'kit-write-'));
  const other = makeTinyImage(dir, 5);
  const source = await openSource(await openImage(other.path), dir);
  t.is((await s.write(drive, { source })).resumedAtBytes, 0);
  assertWhole(t, drive, other);
  await source.close();
  rmSync(dir, { recursive: true });
});

test('what was spoiled in between is found in the end, and the next run begins anew', withScene, async (t, s) => {
  const drive = usedDrive();
  drive.before = ({ kind, atBytes }) => {
    if (kind === 'write' && atBytes === 13 * mib) throw Object.assign(new Error(), { code: 'EIO' });
  };
  await failure(s.write(drive));
  drive.before = () => {};
  drive.put(Buffer.alloc(512, 1), 7 * mib);
  t.is((await failure(s.write(drive))).code, 'drive-differs');
  assertDead(t, drive);
  t.is(progressOn(drive), undefined);
  t.is((await s.write(drive)).resumedAtBytes, 0);
  assertWhole(t, drive, s.image);
});

test('a drive that spoils its first MiB at the very end does not boot', withScene, async (t, s) => {
  const drive = usedDrive();
  let firstPage = 0;
  drive.before = ({ kind, atBytes, sizeBytes }) => {
    if (kind === 'write' && atBytes === 0 && sizeBytes === page) firstPage++;
    if (kind === 'flush' && firstPage > 0) drive.put(Buffer.alloc(512, 9), 0);
  };
  t.is((await failure(s.write(drive))).code, 'drive-differs');
  t.is(firstPage, 1);
  drive.before = () => {};
  t.not(drive.bytes(510, 2).toString('hex'), '55aa');
});

for (const beyond of ['wraps', 'drops'] as const) {
  test(`a drive that ${beyond} what goes beyond its real size is found out`, withScene, async (t, s) => {
    const sizes = [16, 17, 20, 22, 23].map((n) => n * mib);
    for (const realBytes of [...sizes, 23.5 * mib, 24 * mib - 9 * page, 24 * mib - page]) {
      const drive = usedDrive({ realBytes, beyond });
      const error = await failure(s.write(drive));
      t.is(error.code, 'drive-smaller-than-it-says', String(realBytes));
      const told = Number(/at most (\d+)/.exec(error.got!)![1]);
      t.true(told >= realBytes && told < driveBytes, `${told} for ${realBytes}`);
      t.not(drive.bytes(510, 2).toString('hex'), '55aa');
    }
  });
}

test('also when the write resumes, and the marks come after the image', withScene, async (t, s) => {
  for (const realBytes of [16, 20, 23].map((n) => n * mib)) {
    const honest = usedDrive({ realBytes: driveBytes });
    honest.before = ({ kind, atBytes }) => {
      if (kind === 'write' && atBytes === 13 * mib) throw Object.assign(new Error(), { code: 'EIO' });
    };
    await failure(s.write(honest));
    const fake = memoryDrive({ sizeBytes: driveBytes, realBytes, beyond: 'wraps' });
    fake.put(honest.bytes(0, realBytes), 0);
    const error = await failure(s.write(fake));
    t.is(error.code, 'drive-smaller-than-it-says', String(realBytes));
  }
});

test('while one drive hangs, another is written', withScene, async (t, s) => {
  const held = Promise.withResolvers<void>();
  const hanging = usedDrive({ before: ({ atBytes }) => (atBytes > 8 * mib ? held.promise : undefined) });
  let isDone = false;
  const waiting = s.write(hanging).then(() => (isDone = true));
  const other = usedDrive();
  await s.write(other);
  assertWhole(t, other, s.image);
  t.false(isDone);
  held.resolve();
  await waiting;
  assertWhole(t, hanging, s.image);
});
