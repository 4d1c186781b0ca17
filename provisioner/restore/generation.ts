// From the path that a person named to a backup that was read through: every archive is there, as
// long as it was, and of the sum that it had. Reads only. It never chooses an older generation by
// itself: what is lost by that is a person's to decide.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readdir, readFile, stat } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';

import { KitError, systemWords } from '../errors.ts';
import { readKitJson, type KitJson, type Part } from './kit-json.ts';

export interface Generation {
  /** A time in UTC: `20261126T033000Z`. */
  name: string;
  folder: string;
  backup: KitJson;
}

const namePattern = /^\d{8}T\d{6}Z$/;
/** Some keys and sums: a few KB, with ACME's some tens. */
const maxKitJsonBytes = 1 << 20;

/**
 * The latest generation at `path`: its own folder, one that holds several, a second drive
 * (COMMONS-BACKUP), or the file system of the node's old drive.
 * @throws KitError `backup-missing`, `backup-older`, `backup-newer`, `backup-damaged`,
 *   `backup-torn`, `backup-unreadable`
 */
export async function openGeneration(path: string): Promise<Generation> {
  const { folder, others } = await findGeneration(resolve(path));
  try {
    const backup = readKitJson(await readKitFile(folder), join(folder, 'kit.json'));
    for (const part of backup.parts) await provePart(folder, part);
    return { name: basename(folder), folder, backup };
  } catch (error) {
    throw withOthers(error, others);
  }
}

async function findGeneration(path: string): Promise<{ folder: string; others: string[] }> {
  const isOne = namePattern.test(basename(path)) && (await isFolder(path));
  if (isOne) return { folder: path, others: [] };
  const stores = ['', 'commons-kit', 'var/backups/commons-kit'].map((below) => join(path, below));
  for (const store of stores) {
    const entries = await readdir(store).catch(absent(store, []));
    const names = entries.filter((entry) => namePattern.test(entry)).sort();
    const latest = names.pop();
    if (latest === undefined) continue;
    return { folder: join(store, latest), others: names.reverse().map((one) => join(store, one)) };
  }
  throw new KitError({
    code: 'backup-missing',
    message: `There is no backup at ${path}`,
    expected: `folders such as 20261126T033000Z, in it or in ${stores.slice(1).join(' or ')}`,
    got: (await isFolder(path)) ? 'a folder without one' : 'no such folder',
    hint: 'Mount the backup drive (its label is COMMONS-BACKUP), and name where.',
    exitCode: 2,
  });
}

async function isFolder(path: string): Promise<boolean> {
  return (await stat(path).catch(absent(path, undefined)))?.isDirectory() ?? false;
}

/** Of a path that is not there, or no folder, `otherwise`; the rest is said. */
function absent<T>(path: string, otherwise: T): (error: NodeJS.ErrnoException) => T {
  return (error) => {
    if (error.code === 'ENOENT' || error.code === 'ENOTDIR') return otherwise;
    throw unreadable(path, error);
  };
}

async function readKitFile(folder: string): Promise<Buffer> {
  const file = join(folder, 'kit.json');
  const found = await stat(file).catch(absent(file, undefined));
  if (found === undefined) throw withoutIdentity(folder);
  // A pipe would be waited for; no file of ours is that long.
  const isLikely = found.isFile() && found.size <= maxKitJsonBytes;
  if (!isLikely) throw torn(file, `a file below ${maxKitJsonBytes} bytes`, `${found.size} bytes`);
  return readFile(file).catch((error: NodeJS.ErrnoException) => {
    throw unreadable(file, error);
  });
}

async function provePart(folder: string, { name, bytes, sha256 }: Part): Promise<void> {
  const file = join(folder, name);
  const found = await stat(file).catch(absent(file, undefined));
  if (found === undefined) throw torn(file, `${bytes} bytes`, 'no such file');
  if (!found.isFile()) throw torn(file, `a file of ${bytes} bytes`, 'something else');
  if (found.size !== bytes) throw torn(file, `${bytes} bytes`, `${found.size} bytes`);
  const digest = createHash('sha256');
  try {
    for await (const chunk of createReadStream(file)) digest.update(chunk);
  } catch (error) {
    throw unreadable(file, error as NodeJS.ErrnoException);
  }
  const sum = digest.digest('hex');
  if (sum !== sha256) throw wrongSum(file, sha256, sum);
}

/** The same error, and what else there is: chosen by a person who knows what it costs. */
function withOthers(error: unknown, others: string[]): unknown {
  if (!(error instanceof KitError) || others.length === 0) return error;
  const { code, message, expected, got, exitCode, cause } = error;
  const hint = `To go back to an earlier one, name it: --from ${others[0]}`;
  return new KitError({
    ...{ code, message, hint, exitCode, cause },
    ...(expected !== undefined && { expected }),
    ...(got !== undefined && { got }),
  });
}

function withoutIdentity(folder: string): KitError {
  return new KitError({
    code: 'backup-older',
    message: `${folder} was made by an older kit`,
    expected: 'a kit.json beside the archives',
    got: 'none: its posts are there, what makes a drive this home is not',
    hint: 'docs/restore.md says how to put the posts back by hand.',
  });
}

function torn(file: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'backup-torn',
    message: `${file} is not whole`,
    expected,
    got,
    hint: 'Take another copy of the backup: the drive was full, or taken out too early.',
  });
}

function wrongSum(file: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'backup-damaged',
    message: `${file} is damaged`,
    expected: `SHA-256 ${expected}`,
    got: `SHA-256 ${got}`,
    hint: 'Take another copy of the backup: this drive loses what it was told.',
  });
}

function unreadable(path: string, cause: NodeJS.ErrnoException): KitError {
  return new KitError({
    code: 'backup-unreadable',
    message: `${path} could not be read`,
    expected: 'a backup that may be read: it is root’s alone',
    got: systemWords(cause),
    hint: 'Run kit as root. An error of the drive itself (EIO): copy off what can be read.',
    cause,
  });
}
