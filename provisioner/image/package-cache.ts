// The archives of packages, kept between builds in `packages/` of the cache folder and brought there
// once. Every archive is held against the SHA-256 of its lock before each use: nothing in the
// folder is trusted, and all of it may be deleted at any moment.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readdir, rename, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { KitError } from '../errors.ts';
import { run } from './run.ts';
import { archiveName, type Package } from './stanza.ts';

/** Path of each archive, by its SHA-256. */
export type Archives = Map<string, string>;

export interface FetchJob {
  cacheDir: string;
  packages: readonly Package[];
  /** Asked for what the cache lacks: where it lies, by SHA-256. */
  locate: (missing: Package[]) => Promise<Map<string, string>>;
  report: (text: string) => void;
  signal?: AbortSignal;
}

/**
 * @returns every package's archive, its bytes proven
 * @throws KitError `package-gone` when no mirror has one any more, `package-differs`
 */
export async function fetchArchives(job: FetchJob): Promise<Archives> {
  const dir = await openPackages(job.cacheDir);
  const have = await sound(dir, job.packages);
  const missing = job.packages.filter(({ sha256 }) => !have.has(sha256));
  if (missing.length === 0) return have;
  const uris = await job.locate(missing);
  const gone = missing.filter(({ sha256 }) => !uris.has(sha256));
  if (gone.length > 0) throw packageGone(gone, dir);
  job.report(`fetching ${missing.length} packages`);
  await download(dir, missing, { uris, signal: job.signal });
  const fetched = await sound(dir, missing);
  const wrong = missing.filter(({ sha256 }) => !fetched.has(sha256));
  if (wrong.length > 0) throw packageDiffers(wrong);
  return new Map([...have, ...fetched]);
}

async function openPackages(cacheDir: string): Promise<string> {
  const dir = join(cacheDir, 'packages');
  await mkdir(dir, { recursive: true });
  return dir;
}

/** Those of the archives that are there and are what the lock says; others are removed. */
async function sound(dir: string, packages: readonly Package[]): Promise<Archives> {
  const there = new Set(await readdir(dir));
  const archives: Archives = new Map();
  for (const item of packages) {
    const name = archiveName(item);
    if (!there.has(name)) continue;
    const path = join(dir, name);
    if ((await sha256Of(path)) === item.sha256) archives.set(item.sha256, path);
    else await rm(path, { force: true });
  }
  return archives;
}

export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}

/** By apt's own helper, so that this machine's proxies and credentials hold. */
async function download(
  dir: string,
  packages: readonly Package[],
  { uris, signal }: { uris: Map<string, string>; signal: AbortSignal | undefined },
): Promise<void> {
  const part = join(dir, `.part-${process.pid}`);
  await rm(part, { recursive: true, force: true });
  await mkdir(part);
  try {
    const words = packages.flatMap((item) => [
      ...[uris.get(item.sha256) ?? '', join(part, archiveName(item))],
      `SHA256:${item.sha256}`,
    ]);
    const argv = ['/usr/lib/apt/apt-helper', '-o', 'APT::Sandbox::User=root', 'download-file'];
    await run([...argv, ...words], { name: 'apt-helper', signal });
    for (const name of await readdir(part)) await rename(join(part, name), join(dir, name));
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** Copies a lock's archives to one tar file, to be built from where no mirror is. */
export async function exportArchives(archives: Archives, target: string): Promise<void> {
  const names = [...archives.values()].map((path) => path.slice(path.lastIndexOf('/') + 1)).sort();
  const [first = ''] = archives.values();
  const dir = first.slice(0, first.lastIndexOf('/'));
  const part = `${resolve(target)}.part`;
  await run(['tar', '-cf', part, '-C', dir, '--owner=0', '--group=0', '--mode=644', '--', ...names]);
  await rename(part, target);
}

/**
 * Takes archives out of such a file into the cache. What they are is proven when they are used.
 * @returns how many @throws KitError `packages-missing` where the file holds none
 */
export async function importArchives(cacheDir: string, source: string): Promise<number> {
  const dir = await openPackages(cacheDir);
  const part = join(dir, `.import-${process.pid}`);
  await rm(part, { recursive: true, force: true });
  await mkdir(part);
  try {
    // Plain names of archives only: nothing of the file lands elsewhere.
    const words = ['-xf', resolve(source), '-C', part, '--no-same-owner', '--wildcards', '*.deb'];
    await run(['tar', ...words]).catch((error: unknown) => {
      const isTars = error instanceof KitError && error.code === 'tool-failed';
      throw isTars ? noPackages(source, error.got) : error;
    });
    const names = (await readdir(part)).filter((name) => /^[a-z0-9][^/]*\.deb$/.test(name));
    if (names.length === 0) throw noPackages(source);
    for (const name of names) await rename(join(part, name), join(dir, name));
    return names.length;
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

function noPackages(file: string, got = 'no *.deb in it'): KitError {
  return new KitError({
    code: 'packages-missing',
    message: `${file} holds no packages`,
    expected: 'a file that `kit image export` made',
    got,
    hint: 'Name the file that was exported.',
    exitCode: 2,
  });
}

function packageGone(gone: readonly Package[], dir: string): KitError {
  const names = gone.slice(0, 5).map(({ name, version }) => `${name} ${version}`);
  return new KitError({
    code: 'package-gone',
    message: `${gone.length} packages of the lock are neither in the cache nor at a mirror`,
    expected: `${names.join(', ')}${gone.length > 5 ? ' …' : ''} in ${dir}`,
    got: 'mirrors drop what was superseded',
    hint: 'Import an export of the packages (`kit image import FILE`), or renew the lock.',
  });
}

function packageDiffers(wrong: readonly Package[]): KitError {
  return new KitError({
    code: 'package-differs',
    message: 'a mirror gave other bytes than the lock holds',
    expected: wrong.map(({ name, sha256 }) => `${name} ${sha256}`).join(', '),
    got: 'archives with other digests; they are removed',
    hint: 'Try again; if it stays so, the lock or the mirror is wrong: look at `kit image update`.',
  });
}
