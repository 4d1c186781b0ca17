// Builds an image: its lock (asked of the mirrors, or given), the lock's archives, the root file
// system, the raw image, what is published. Everything is made in a folder of its own beside the
// outputs and then renamed, the manifest last: a build that is killed leaves the old image or none,
// and its folder goes at the next one.

import { appendFileSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { cacheFolder } from '../cache-folder.js';
import { KitError } from '../errors.ts';
import type { Output } from '../terminal.ts';
import { nodeKeyFile, nodeSourceFiles } from './apt-sources.ts';
import { assemble } from './assemble.ts';
import { startsOnRaspi } from './boot-files.ts';
import { compress } from './compress.ts';
import type { BilledPackage } from './cyclonedx.ts';
import { type Arch, type ImageFolder, readImageFolder } from './folder.ts';
import { fstab, type Identifiers, identifiersOf } from './layout.ts';
import { type Lock, parseLock, type Role } from './lock.ts';
import { readOverlay } from './overlay.ts';
import { type Archives, fetchArchives } from './package-cache.ts';
import { openWorkDir, requireMeans, requireSpace } from './preflight.ts';
import { type ImagePaths, imagePaths, publish } from './publish.ts';
import { extraCommandLine, raspiFstabLine } from './raspi.ts';
import { readStanzas } from './repository.ts';
import { locateLocked, type Resolution, resolveImage } from './resolve.ts';
import type { SshSigner } from './sshsig.ts';
import { parseStanzas } from './stanza.ts';
import { type TarEntry, writeTar } from './tar.ts';
import { openTools, requireBenchArch } from './tools.ts';
import { makeTree, rootRecipe, type Tree } from './tree.ts';
import { keepTree, takeTree, treeKey } from './tree-cache.ts';

export interface BuildImageOptions {
  /** A folder of images/. */
  name: string;
  arch?: string;
  /** Where the images' folders stand; default: this repository's images/. */
  imagesDir?: string;
  /** Where the image goes. */
  outDir: string;
  /** Packages and trees between builds; may be deleted at any moment. */
  cacheDir?: string;
  /** Also leave the root file system's tree beside the image, as a tar. */
  keepRootTar?: boolean;
  /** Make it of this packages.lock alone; no mirror is asked for what the cache has. */
  lockFile?: string;
  /** The same, of the lock in the image's folder. */
  frozen?: boolean;
  /** Make the root file system of its packages, whatever the cache has of an earlier build. */
  treeAnew?: boolean;
  /**
   * Who vouches for the image; without one its sums stay unsigned. Asked once the image is known and
   * the means are there: a key may have to be made.
   */
  signer?: () => Promise<SshSigner>;
  /** Ends the build. */
  signal?: AbortSignal;
}

export interface BuiltImage extends ImagePaths {
  name: string;
  arch: string;
  packages: number;
  /** Of the raw image, of its blocks that are written to a drive, and of the compressed file. */
  sizeBytes: number;
  mappedBytes: number;
  zstSizeBytes: number;
  rawSha256: string;
  seconds: number;
}

interface Build {
  folder: ImageFolder;
  ids: Identifiers;
  lock: Lock;
  /** Of all of the lock's packages. */
  archives: Archives;
  cacheDir: string;
  workDir: string;
  report: (text: string) => void;
  log: (line: string) => void;
  signal: AbortSignal | undefined;
}

/** Makes the image and says where it is. */
export async function buildImage(
  options: BuildImageOptions,
  event: Output['event'] = () => {},
): Promise<BuiltImage> {
  const startMs = performance.now();
  const folder = await readImageFolder(options.name, options.arch ?? 'amd64', options.imagesDir);
  const outDir = resolve(options.outDir);
  const workDir = await openWorkDir(outDir, `${folder.name}-${folder.arch}`);
  try {
    await requireMeans(folder.arch);
    const signer = await options.signer?.();
    const build = await prepare(folder, workDir, options, event);
    const root = await rootTree(build, options.treeAnew ?? false);
    const { keepRootTar } = options;
    const built = await buildFrom(build, root, { keepRootTar, outDir, signer });
    const seconds = Math.round((performance.now() - startMs) / 100) / 10;
    return { ...built, seconds };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** All that the build depends on besides the image's folder. */
async function prepare(
  folder: ImageFolder,
  workDir: string,
  options: BuildImageOptions,
  event: Output['event'],
): Promise<Build> {
  const benchArch = requireBenchArch();
  const { signal } = options;
  const log = logTo(imagePaths(workDir, folder).log);
  const report = (text: string) => {
    log(`== ${text}`);
    event({ type: 'image', image: folder.name, text });
  };
  const cacheDir = resolve(options.cacheDir ?? defaultCacheDir());
  const deps = { aptDir: join(cacheDir, 'apt'), benchArch, signal };
  const given = options.lockFile ?? (options.frozen ? folder.lockFile : undefined);
  const { lock, uris } = given
    ? { lock: await readLock(given, folder), uris: undefined }
    : await askMirrors(folder, { ...deps, report });
  const archives = await fetchArchives({
    ...{ cacheDir, packages: lock.packages, report, signal },
    locate: async (missing) => uris ?? locateLocked(folder, missing as Lock['packages'], deps),
  });
  await requireSpace(workDir, archives.values());
  const ids = identifiersOf({ ...folder, release: folder.settings.release });
  return { folder, ids, lock, archives, cacheDir, workDir, report, log, signal };
}

/** The lock that the mirrors' present state gives. */
export async function askMirrors(
  folder: ImageFolder,
  deps: { aptDir: string; benchArch: Arch; report: (text: string) => void; signal?: AbortSignal },
): Promise<Resolution> {
  deps.report(`asking the mirrors about Debian ${folder.settings.release}`);
  await mkdir(deps.aptDir, { recursive: true });
  return resolveImage(folder, deps);
}

/** @throws KitError `lock-missing`, `lock-malformed` */
export async function readLock(file: string, folder: ImageFolder): Promise<Lock> {
  const text = await readFile(file, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new KitError({
      code: 'lock-missing',
      message: `image ${folder.name} has no lock for ${folder.arch} to hold to`,
      expected: file,
      got: 'no such file',
      hint: `Make it: kit image update ${folder.name} --arch ${folder.arch}`,
      cause,
    });
  });
  return parseLock(text, file);
}

/** A build's log is for people: each line with the time since the start. */
function logTo(file: string): (line: string) => void {
  const startMs = performance.now();
  return (line) => {
    const seconds = ((performance.now() - startMs) / 1000).toFixed(1).padStart(7);
    appendFileSync(file, `${seconds}  ${line}\n`);
  };
}

export function defaultCacheDir(): string {
  return join(cacheFolder(), 'image');
}

/** The root file system from the cache, or made and kept there. */
async function rootTree(build: Build, anew: boolean): Promise<Tree> {
  const { folder, lock, cacheDir, report, log, signal } = build;
  const recipe = rootRecipe(folder, lock);
  const overlayTar = writeTar(await overlayOf(build), lock.epochS);
  const key = treeKey(recipe, overlayTar);
  const workDir = join(build.workDir, 'root');
  const cached = anew ? undefined : await takeTree(cacheDir, key, workDir);
  if (cached !== undefined) {
    report('root file system: as built before');
    return cached;
  }
  await mkdir(workDir);
  const onLine = (line: string): void => {
    log(line);
    if (/^I: (?!running|using)/.test(line)) report(`root file system: ${line.slice(3)}`);
  };
  const archives = archivesOf(build, ['root']);
  const tree = await makeTree({ recipe, archives, overlayTar, workDir, onLine, signal });
  await keepTree(cacheDir, key, tree);
  return tree;
}

/** The image's trees, and the files that follow from its description. */
async function overlayOf({ folder, ids }: Build): Promise<TarEntry[]> {
  const { repository } = folder.settings;
  const keys = repository.map(async (item): Promise<[string, Buffer]> => {
    return [nodeKeyFile(item).slice(1), await readFile(join(folder.dir, item.key))];
  });
  const texts = new Map([['etc/fstab', fstab(ids)], ...nodeSourceFiles(folder.settings)]);
  if (startsOnRaspi(folder)) {
    texts.set('etc/fstab', fstab(ids) + raspiFstabLine(ids));
    const extra = extraCommandLine({ rootFsUuid: ids.rootFs });
    texts.set('etc/default/raspi-extra-cmdline', extra);
  }
  const derived: [string, Buffer][] = [
    ...[...texts].map(([path, text]): [string, Buffer] => [path, Buffer.from(text)]),
    ...(await Promise.all(keys)),
  ];
  const entries = derived.map(([path, content]) => ({ path, mode: 0o644, content }));
  return [...(await readOverlay(folder.rootDirs)), ...entries];
}

function archivesOf({ lock, archives }: Build, roles: readonly Role[]): Archives {
  const hashes = lock.packages.filter(({ role }) => roles.includes(role)).map((p) => p.sha256);
  return new Map(hashes.map((sha256) => [sha256, archives.get(sha256) as string]));
}

interface Outcome {
  outDir: string;
  keepRootTar: boolean | undefined;
  signer: SshSigner | undefined;
}

async function buildFrom(
  build: Build,
  root: Tree,
  { outDir, keepRootTar, signer }: Outcome,
): Promise<Omit<BuiltImage, 'seconds'>> {
  const { folder, ids, lock, workDir, report, log, signal } = build;
  signal?.throwIfAborted();
  report('laying out the drive');
  const toolArchives = archivesOf(build, ['tool', 'boot']);
  const dir = join(workDir, 'toolbox');
  const tools = await openTools({ archives: toolArchives, dir, epochS: lock.epochS, log });
  const raw = join(workDir, 'raw.img');
  const job = { folder, ids, tools, rootTar: root.tar, workDir, raw };
  const { layout, mapped } = await assemble(job);
  signal?.throwIfAborted();
  report('compressing');
  const made = imagePaths(workDir, folder);
  const bytes = await compress({ raw, sizeBytes: layout.sizeBytes, mapped, target: made.image });
  signal?.throwIfAborted();
  const createdFrom = { sourceDateEpoch: lock.epochS, rootTree: root.sha256 };
  const packages = await describe(build, root);
  const rootTar = keepRootTar ? root.tar : undefined;
  const contents = { folder, layout, bytes, lock, packages, createdFrom };
  const paths = await publish({ ...contents, rootTar, signer }, made, outDir);
  const mappedBytes = bytes.ranges.reduce((sum, range) => sum + range.lengthBytes, 0);
  return {
    ...paths,
    name: folder.name,
    arch: folder.arch,
    packages: packages.length,
    sizeBytes: layout.sizeBytes,
    mappedBytes,
    zstSizeBytes: bytes.zstSizeBytes,
    rawSha256: bytes.rawSha256,
  };
}

/** All whose files are in the image. */
async function describe(build: Build, root: Tree): Promise<BilledPackage[]> {
  const stanzas = {
    root: await readFile(root.packages, 'utf8'),
    boot: await readStanzas(archivesOf(build, ['boot'])),
  };
  const vendors = new Map(build.lock.packages.map((item) => [item.sha256, item.repository]));
  return (['root', 'boot'] as const).flatMap((role) =>
    parseStanzas(stanzas[role]).map((item) => ({
      ...item,
      role,
      vendor: vendors.get(item.sha256),
    })),
  );
}
