// From the path that a person named to a drive that may be erased. A block device must pass the
// rule of eligible.ts, twice: when the plan is shown and again as it is opened. A regular file must
// be new, or be known as kit's own work by the record (path, file system, inode) and by the mark in
// its boot partition. Everything else is refused before anything is changed.

import { constants, type BigIntStats } from 'node:fs';
import { lstat, open, readdir, readFile, readlink, realpath } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';

import type { BenchRecord } from '../bench/record.ts';
import { KitError } from '../errors.ts';
import { descendants, describeContents, judgeDrives, type BlockDevice } from './eligible.ts';
import { isMarked } from './esp.ts';
import type { FlashDeps, FlashJob, FlashPlan } from './job.ts';
import { openMedium, type Medium } from './medium.ts';

export interface Target {
  plan: FlashPlan;
  /** Takes the drive, if it still is what the plan says. */
  open(): Promise<Medium>;
}

type TargetDeps = Pick<FlashDeps, 'record' | 'listBlockDevices' | 'fileSizeBytes'>;

/** @throws KitError with a code that begins with `drive-`, or `file-not-ours` */
export async function judgeTarget(job: FlashJob, deps: TargetDeps): Promise<Target> {
  const path = await realPath(job.drive);
  const stats = await lstat(path, { bigint: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (stats?.isBlockDevice()) return blockTarget(job, path, deps);
  // The kernel's own files say that they are regular and empty; writing to one is an order.
  if (/^\/(proc|sys)\//.test(path)) throw notADrive(job.drive, "one of the kernel's own files");
  if (stats === undefined || stats.isFile()) return fileTarget(job, path, { stats, deps });
  throw notADrive(job.drive, stats.isDirectory() ? 'a folder' : 'something else');
}

/** Links are followed once, here; later a link in the path's place is refused. */
async function realPath(path: string): Promise<string> {
  const absolute = resolve(path);
  return realpath(absolute).catch(async (error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    const folder = await realpath(dirname(absolute)).catch((cause: unknown) => {
      throw new KitError({
        code: absolute.startsWith('/dev/') ? 'drive-vanished' : 'drive-no-folder',
        message: `${path} is not there, nor the folder that it would lie in`,
        expected: `a folder ${dirname(absolute)}`,
        got: 'nothing',
        hint: 'Check the path; drives are listed by `kit drives`.',
        exitCode: 2,
        cause,
      });
    });
    if (folder === '/dev' || folder.startsWith('/dev/')) throw vanished(path);
    return join(folder, basename(absolute));
  });
}

// Block devices.

async function blockTarget(job: FlashJob, path: string, deps: TargetDeps): Promise<Target> {
  const look = async () => findEligible(path, await deps.listBlockDevices());
  const device = await look();
  const { sizeBytes, model, serial } = device;
  const contents = describeContents(device);
  const plan: FlashPlan = {
    ...{ kit: job.kit.name, drive: path, kind: 'block' as const },
    ...{ sizeBytes, model, serial, contents },
  };
  return {
    plan,
    async open() {
      // While a person thought about the plan, another stick may have taken this one's name.
      refuseOther(path, device, await look());
      const medium = await openMedium(path, constants.O_EXCL);
      try {
        // What is open now stays what it is: it must be the one that was looked at.
        const now = await look();
        refuseOther(path, device, now);
        const { rdev } = await medium.file.stat({ bigint: true });
        if (nodeNumber(rdev) !== now.majorMinor) {
          throw changed(path, `device ${now.majorMinor}`, `device ${nodeNumber(rdev)}`);
        }
        return { ...medium, sizeBytes };
      } catch (error) {
        await medium.file.close();
        throw error;
      }
    },
  };
}

/** Two sticks of one make may share model, size, and even serial number; never the sequence. */
function refuseOther(path: string, planned: BlockDevice, now: BlockDevice): void {
  const words = (d: BlockDevice): string =>
    `${d.model} ${d.serial}, ${d.sizeBytes} bytes, disk ${d.diskSequence}, device ${d.majorMinor}`;
  if (words(planned) !== words(now)) throw changed(path, words(planned), words(now));
}

/** Linux's dev_t as makedev(3) packs it → `8:16`. */
function nodeNumber(rdev: bigint): string {
  const major = ((rdev >> 8n) & 0xfffn) | ((rdev >> 32n) & ~0xfffn);
  const minor = (rdev & 0xffn) | ((rdev >> 12n) & ~0xffn);
  return `${major}:${minor}`;
}

/** @throws KitError `drive-…` when the rule refuses it */
export function findEligible(path: string, devices: BlockDevice[]): BlockDevice {
  const verdicts = judgeDrives(devices);
  const verdict = verdicts.find(({ device }) => device.path === path);
  if (verdict === undefined) {
    const whole = devices.find((device) => descendants(device).some((part) => part.path === path));
    throw whole === undefined ? vanished(path) : notWhole(path, whole.path);
  }
  const [first] = verdict.refusals;
  if (first === undefined) return verdict.device;
  throw new KitError({
    code: `drive-${first.code}`,
    message: `${path} will not be erased`,
    expected: 'a USB drive or SD card that nothing uses',
    got: verdict.refusals.map(({ reason }) => reason).join('; '),
    hint: 'List the drives with `kit drives`.',
  });
}

// Regular files that stand for a drive.

async function fileTarget(
  job: FlashJob,
  path: string,
  { stats, deps }: { stats: BigIntStats | undefined; deps: TargetDeps },
): Promise<Target> {
  // Somebody may use it by its other name, where we would not see it.
  if (stats !== undefined && stats.nlink > 1n) throw notOurs(path, 'a file with another name too');
  // Somebody wants to keep it; of root the kernel would ask nothing.
  if (stats !== undefined && (stats.mode & 0o200n) === 0n) throw readOnly(path);
  const isNew = stats === undefined || stats.size === 0n;
  const madeFor = isNew ? undefined : await madeByKit(path, stats, deps.record);
  await refuseUsed(path);
  const plan: FlashPlan = {
    ...{ kit: job.kit.name, drive: path, kind: 'file' as const },
    ...{ sizeBytes: deps.fileSizeBytes, model: '', serial: '' },
    contents: madeFor === undefined ? '' : `the drive that kit made for ${madeFor}`,
  };
  const { O_CREAT, O_EXCL } = constants;
  return {
    plan,
    async open() {
      const medium = await openMedium(path, stats === undefined ? O_CREAT | O_EXCL : 0, 0o600);
      try {
        const now = await medium.file.stat({ bigint: true });
        if (!isSameFile(now, stats)) throw changed(path, 'the file of the plan', 'another one');
        // Two that looked at the same moment saw nobody; having opened it, they see each other.
        await refuseUsed(path, String(process.pid));
        await medium.file.chmod(0o600); // It will hold the node's private key.
        return { ...medium, sizeBytes: deps.fileSizeBytes };
      } catch (error) {
        await medium.file.close();
        throw error;
      }
    },
  };
}

/** @param before undefined: there was none */
function isSameFile(now: BigIntStats, before: BigIntStats | undefined): boolean {
  if (before === undefined) return now.isFile() && now.size === 0n;
  return now.dev === before.dev && now.ino === before.ino && now.size === before.size;
}

/** For which kit the record says that this very file was made. @throws KitError `file-not-ours` */
async function madeByKit(path: string, stats: BigIntStats, record: BenchRecord): Promise<string> {
  const rows = record
    .ofStep('flash')
    .filter(({ detail }) => detail['drive'] === path)
    .filter(({ detail }) => detail['fileId'] === fileId(stats));
  for (const row of rows.reverse()) {
    if (await hasMark(path, Number(row.detail['espOffsetBytes']))) return row.kit;
  }
  const why = rows.length === 0 ? 'that is not in bench.db' : 'whose content was replaced';
  throw notOurs(path, `a file ${why}`);
}

/** Names a file for the record: its file system and inode. */
export function fileId(stats: BigIntStats): string {
  return `${stats.dev}:${stats.ino}`;
}

async function hasMark(path: string, espOffsetBytes: number): Promise<boolean> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
  try {
    const { buffer } = await file.read(Buffer.alloc(512), 0, 512, espOffsetBytes);
    return isMarked(buffer);
  } finally {
    await file.close();
  }
}

/** A regular file has no O_EXCL: look who has it open, as far as this user may see. */
async function refuseUsed(path: string, besides?: string): Promise<void> {
  const user = (await findLoop(path)) ?? (await findHolder(path, besides));
  if (user === undefined) return;
  throw new KitError({
    code: 'drive-in-use',
    message: `${path} is in use`,
    expected: 'a file that no machine runs from',
    got: `open in ${user}`,
    hint: 'Stop that first.',
  });
}

async function findLoop(path: string): Promise<string | undefined> {
  const loops = (await readdir('/sys/block')).filter((name) => name.startsWith('loop'));
  for (const name of loops) {
    // A loop device without a file has no such entry.
    const backing = await readFile(`/sys/block/${name}/loop/backing_file`, 'utf8').catch(() => '');
    if (backing.trimEnd() === path) return `/dev/${name}`;
  }
  return undefined;
}

async function findHolder(path: string, besides = ''): Promise<string | undefined> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  for (const pid of processes.filter((name) => name !== besides)) {
    // Processes end while we look, and other users' are closed to us.
    const fds = await readdir(`/proc/${pid}/fd`).catch(() => []);
    const links = fds.map((fd) => readlink(`/proc/${pid}/fd/${fd}`).catch(() => ''));
    if (!(await Promise.all(links)).includes(path)) continue;
    const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => 'process');
    return `${name.trim()} (process ${pid})`;
  }
  return undefined;
}

function notADrive(named: string, got: string): KitError {
  return new KitError({
    code: 'drive-not-a-drive',
    message: `${named} is neither a drive nor a file that may stand for one`,
    expected: 'a removable drive such as /dev/sdb, or a regular file',
    got,
    hint: 'List the drives with `kit drives`.',
    exitCode: 2,
  });
}

function readOnly(path: string): KitError {
  return new KitError({
    code: 'drive-read-only',
    message: `${path} is read-only`,
    expected: 'a file that its owner may write',
    got: 'a mode without u+w',
    hint: `If it may go, say so: chmod u+w ${path}`,
  });
}

function notOurs(path: string, got: string): KitError {
  return new KitError({
    code: 'file-not-ours',
    message: `${path} was not made by kit, and will not be overwritten`,
    expected: 'a new file, or a drive that this campaign’s kit has made before',
    got,
    hint: 'Name another file, or remove this one yourself if you are sure.',
  });
}

function changed(path: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'drive-changed',
    message: `${path} is not the drive that it was a moment ago`,
    expected,
    got,
    hint: 'Look at `kit drives`, and start again.',
  });
}

function notWhole(path: string, whole: string): KitError {
  return new KitError({
    code: 'drive-not-whole',
    message: `${path} is a part of a drive`,
    expected: `the whole drive, ${whole}`,
    got: path,
    hint: `Name ${whole} if you mean to erase all of it.`,
    exitCode: 2,
  });
}

function vanished(path: string): KitError {
  return new KitError({
    code: 'drive-vanished',
    message: `${path} is not there`,
    expected: 'a drive that is plugged in',
    got: 'nothing',
    hint: 'List the drives with `kit drives`.',
  });
}
