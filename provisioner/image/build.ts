// Builds an image: packages to trees, trees to a raw image, the raw image to what is published.
// Everything is made in a folder of its own beside the outputs and then renamed, the manifest
// last: a build that is killed leaves the old image or none, and its folder goes at the next one.

import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readFile, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Output } from '../terminal.ts';
import { nodeSourceFiles } from './apt-sources.ts';
import { assemble } from './assemble.ts';
import { compress } from './compress.ts';
import { type ImageFolder, readImageFolder } from './folder.ts';
import { fstab, type Identifiers, identifiersOf } from './layout.ts';
import { chooseSuites, readSuiteState, type Suite, type SuiteState } from './mirror.ts';
import { readOverlay } from './overlay.ts';
import { parseStanzas, type RoledPackage, type Role } from './package-list.ts';
import { openWorkDir, requireLocked, requireMeans } from './preflight.ts';
import { type ImagePaths, imagePaths, publish } from './publish.ts';
import { writeTar } from './tar.ts';
import { openTools } from './tools.ts';
import { makeTree, type Recipe, rootRecipe, toolsRecipe, type Tree } from './tree.ts';
import { keepTree, takeTree, treeKey } from './tree-cache.ts';

export interface BuildImageOptions {
  /** A folder of images/. */
  name: string;
  arch?: string;
  /** Where the image goes. */
  outDir: string;
  /** Packages and trees between builds; may be deleted at any moment. */
  cacheDir?: string;
  /** Also leave the root file system's tree beside the image, as a tar. */
  keepRootTar?: boolean;
  /** Refuse any package that is not, version and bytes, in the image folder's packages.lock. */
  frozen?: boolean;
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
  suites: Suite[];
  states: SuiteState[];
  /** The time that every file of the image has: when the mirror last changed. */
  epochS: number;
  cacheDir: string;
  workDir: string;
  report: (text: string) => void;
  signal: AbortSignal | undefined;
}

/** Makes the image and says where it is. */
export async function buildImage(
  options: BuildImageOptions,
  event: Output['event'] = () => {},
): Promise<BuiltImage> {
  const startMs = performance.now();
  const folder = await readImageFolder(options.name, options.arch ?? 'amd64');
  const outDir = resolve(options.outDir);
  const workDir = await openWorkDir(outDir, `${folder.name}-${folder.arch}`);
  try {
    const build = await prepare(folder, workDir, options, event);
    const overlay = await overlayTar(build);
    const root = await treeOf(build, 'root', rootRecipe(folder, build.epochS), overlay);
    const tools = await treeOf(build, 'tools', toolsRecipe(folder, build.epochS));
    const packages = [...(await packagesOf(root, 'root')), ...(await packagesOf(tools, 'boot'))];
    if (options.frozen) await requireLocked(folder, packages);
    const rootTar = options.keepRootTar ? root.tar : undefined;
    const built = await buildFrom(build, { root, tools, packages, rootTar }, outDir);
    const seconds = Math.round((performance.now() - startMs) / 100) / 10;
    return { ...built, seconds };
  } finally {
    await rm(workDir, { recursive: true, force: true });
  }
}

/** Preflight, and all that the build depends on besides the image's folder. */
async function prepare(
  folder: ImageFolder,
  workDir: string,
  { cacheDir, signal }: BuildImageOptions,
  event: Output['event'],
): Promise<Build> {
  await requireMeans(workDir);
  const report = (text: string) => event({ type: 'image', image: folder.name, text });
  report(`asking the mirror about Debian ${folder.settings.release}`);
  const suites = await chooseSuites(folder.settings);
  const states = await Promise.all(suites.map((suite) => readSuiteState(suite, workDir)));
  return {
    folder,
    ids: identifiersOf({ ...folder, release: folder.settings.release }),
    suites,
    states,
    epochS: Math.max(...states.map(({ dateS }) => dateS)),
    cacheDir: resolve(cacheDir ?? defaultCacheDir()),
    workDir,
    report,
    signal,
  };
}

/** The user's cache folder, XDG Base Directory Specification § 3. */
export function defaultCacheDir(): string {
  const { XDG_CACHE_HOME } = process.env;
  const base = XDG_CACHE_HOME?.startsWith('/') ? XDG_CACHE_HOME : join(homedir(), '.cache');
  return join(base, 'commons-kit', 'image');
}

async function overlayTar({ folder, ids, epochS }: Build): Promise<Uint8Array> {
  const texts = new Map([['etc/fstab', fstab(ids)], ...nodeSourceFiles(folder.settings)]);
  const derived = [...texts].map(([path, text]) => ({
    ...{ path, mode: 0o644, content: Buffer.from(text) },
  }));
  return writeTar([...(await readOverlay(folder.rootDirs)), ...derived], epochS);
}

/** A tree from the cache, or made and kept there. */
async function treeOf(
  build: Build,
  name: 'root' | 'tools',
  recipe: Recipe,
  overlay?: Uint8Array,
): Promise<Tree> {
  const { cacheDir, report } = build;
  const workDir = join(build.workDir, name);
  const key = treeKey(recipe, build.states, overlay);
  const cached = await takeTree(cacheDir, key, workDir);
  if (cached !== undefined) {
    report(`${name}: as built before`);
    return cached;
  }
  const tree = await makeTree({
    recipe,
    suites: build.suites,
    workDir,
    packageCacheDir: name === 'root' ? join(cacheDir, 'packages') : undefined,
    overlayTar: overlay,
    onLine: (line) => /^I: (?!running|using)/.test(line) && report(`${name}: ${line.slice(3)}`),
    signal: build.signal,
  });
  await keepTree(cacheDir, key, tree);
  return tree;
}

interface Parts {
  root: Tree;
  tools: Tree;
  packages: RoledPackage[];
  rootTar: string | undefined;
}

async function buildFrom(
  build: Build,
  { root, tools: toolsTree, packages, rootTar }: Parts,
  outDir: string,
): Promise<Omit<BuiltImage, 'seconds'>> {
  const { folder, ids, workDir, report, signal } = build;
  signal?.throwIfAborted();
  report('laying out the drive');
  const tools = await openTools(toolsTree.tar, join(workDir, 'toolbox'), build.epochS);
  const raw = join(workDir, 'raw.img');
  const job = { folder, ids, tools, rootTar: root.tar, workDir, raw };
  const { layout, mapped } = await assemble(job);
  signal?.throwIfAborted();
  report('compressing');
  const made = imagePaths(workDir, folder);
  const target = made.image;
  const bytes = await compress({ raw, sizeBytes: layout.sizeBytes, mapped, target });
  signal?.throwIfAborted();
  const createdFrom = {
    mirror: Object.fromEntries(build.states.map((s) => [s.suite, s.inReleaseSha256])),
    sourceDateEpoch: build.epochS,
    rootTree: await sha256Of(root.tar),
  };
  const contents = { folder, layout, bytes, packages, createdFrom, rootTar };
  const paths = await publish(contents, made, outDir);
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

async function packagesOf(tree: Tree, role: Role): Promise<RoledPackage[]> {
  const packages = parseStanzas(await readFile(tree.packages, 'utf8'));
  return packages.map((item) => ({ ...item, role }));
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return hash.digest('hex');
}
