// File trees made of Debian packages by mmdebstrap, as tar archives with sorted names: the root
// file system of an image, and the tools that assemble it, taken from the same release so that
// every bench works with the same ones. Nothing is mounted and no loop device is used.
//
// Whom it trusts: Debian's signature on the mirror's index, and nothing else. Cached archives are
// held against that index afterwards, before anything made of them is kept.

import { createHash } from 'node:crypto';
import { copyFile, mkdir, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { KitError } from '../errors.ts';
import type { ImageFolder } from './folder.ts';
import { aptOptions, type Suite } from './mirror.ts';
import { type Package, parseStanzas, unvouched } from './package-list.ts';
import { run } from './run.ts';

export const keyring = '/usr/share/keyrings/debian-archive-keyring.gpg';

/** What decides a tree's bytes, apart from the state of the mirror. */
export interface Recipe {
  variant: 'minbase' | 'extract';
  release: string;
  arch: string;
  packages: readonly string[];
  dpkgOptions: readonly string[];
  hooks: readonly string[];
  epochS: number;
}

export interface TreeJob {
  recipe: Recipe;
  suites: readonly Suite[];
  /** An empty folder of this job's own. */
  workDir: string;
  /** Where package archives are kept between builds. */
  packageCacheDir?: string;
  /** An archive that goes in after the essential packages and before the others. */
  overlayTar?: Uint8Array;
  onLine?: (line: string) => void;
  signal?: AbortSignal;
}

const stanzaFile = '/commons-kit-packages';
const archives = '/var/cache/apt/archives';

/** A build that dies is thrown away: waiting for the disk after each file would gain nothing. */
const unsafeIo = 'force-unsafe-io';

/** The recipe of an image's root file system. */
export function rootRecipe(folder: ImageFolder, epochS: number): Recipe {
  const { settings } = folder;
  return {
    variant: 'minbase',
    release: settings.release,
    arch: folder.arch,
    packages: folder.packages,
    dpkgOptions: [
      unsafeIo,
      ...settings.exclude_paths.map((pattern) => `path-exclude=${pattern}`),
      ...settings.include_paths.map((pattern) => `path-include=${pattern}`),
    ],
    hooks: [
      `sed -i '/^${unsafeIo}$/d' "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap`,
      // The presets in the tree are the one place that says which units run.
      'chroot "$1" systemctl preset-all',
      // Host keys come from the bench; the mirror of this machine is no business of the node.
      'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
      'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/apt.conf.d/99mmdebstrap',
      // The cache's folder came in with its owner and mode.
      `chown 0:0 "$1"${archives} && chmod 755 "$1"${archives}`,
      // What differs from build to build and is made again where it is needed.
      'rm -rf "$1"/var/lib/systemd/random-seed "$1"/var/cache/debconf/*-old',
      'find "$1"/var/log -type f -delete',
      showPackages('$(chroot "$1" dpkg-query -W -f "\\${binary:Package}=\\${Version} ")'),
    ],
    epochS,
  };
}

/** Packages whose files end up on the ESP. */
const bootPackages = ['grub-efi-amd64-signed', 'grub-pc-bin', 'shim-signed'];

/** The recipe of the tools; they are unpacked, never installed, and run in place. */
export function toolsRecipe(folder: ImageFolder, epochS: number): Recipe {
  const tools = ['dosfstools', 'e2fsprogs', 'fdisk', 'grub-common', 'libarchive13t64', 'mtools'];
  return {
    variant: 'extract',
    release: folder.settings.release,
    arch: folder.arch,
    packages: [...tools, ...bootPackages].sort(),
    dpkgOptions: [],
    hooks: [showPackages(bootPackages.join(' '))],
    epochS,
  };
}

function showPackages(names: string): string {
  return (
    `APT_CONFIG="$MMDEBSTRAP_APT_CONFIG" apt-cache --no-all-versions show ${names} ` +
    `> "$1"${stanzaFile}`
  );
}

export interface Tree {
  tar: string;
  packages: string;
}

/** Makes a tree. @throws KitError `keyring-too-old`, `package-cache-corrupt`, `tool-failed` */
export async function makeTree(job: TreeJob): Promise<Tree> {
  const { workDir, packageCacheDir: cache } = job;
  const tree = { tar: join(workDir, 'tree.tar'), packages: join(workDir, stanzaFile.slice(1)) };
  await mkdir(join(workDir, 'archives'), { recursive: true });
  if (cache !== undefined) await mkdir(cache, { recursive: true });
  if (job.overlayTar) await writeFile(join(workDir, 'overlay.tar'), job.overlayTar);
  await bootstrap(job, tree.tar);
  if (cache !== undefined) {
    await checkAndKeepArchives(parseStanzas(await readFile(tree.packages, 'utf8')), workDir, cache);
  }
  return tree;
}

/**
 * Root's mmdebstrap mounts /proc, /sys and /dev in the tree. In namespaces of its own, mounts and
 * processes go with it, however it ends; under unshare it makes such namespaces itself.
 */
const rootNamespaces = ['unshare', '--mount', '--pid', '--fork', '--kill-child', '--mount-proc'];

async function bootstrap(job: TreeJob, tar: string): Promise<void> {
  const { recipe, suites, workDir } = job;
  const asRoot = process.getuid?.() === 0;
  const argv = [
    ...(asRoot ? rootNamespaces : []),
    'mmdebstrap',
    `--mode=${asRoot ? 'root' : 'unshare'}`,
    `--variant=${recipe.variant}`,
    `--architectures=${recipe.arch}`,
    '--format=tar',
    '--skip=download/empty,essential/unlink',
    ...(await aptOptions()).map((option) => `--aptopt=${option}`),
    ...recipe.dpkgOptions.map((option) => `--dpkgopt=${option}`),
    `--include=${recipe.packages.join(',')}`,
    ...hookOptions(job),
    recipe.release,
    tar,
    ...suites.map(({ uri, name }) => `deb [signed-by=${keyring}] ${uri} ${name} main`),
  ];
  const env: Record<string, string> = { SOURCE_DATE_EPOCH: String(recipe.epochS) };
  // Under unshare the tree belongs to a user who cannot enter a private home folder.
  if (asRoot) env.TMPDIR = workDir;
  // A user's tree stands in /tmp: only mmdebstrap can remove it, so it is asked to.
  const endWith = asRoot ? 'SIGKILL' : 'SIGTERM';
  try {
    const { onLine: onErrorLine, signal } = job;
    await run(argv, { name: 'mmdebstrap', env, onErrorLine, signal, endWith });
  } catch (error) {
    if (!(error instanceof KitError) || !error.got?.includes('NO_PUBKEY')) throw error;
    throw new KitError({
      code: 'keyring-too-old',
      message: `this machine does not know the keys that sign Debian ${recipe.release}`,
      expected: `${keyring} with the keys of ${recipe.release}`,
      got: error.got,
      hint: 'Run: apt-get install --only-upgrade debian-archive-keyring',
      cause: error,
    });
  }
}

function hookOptions({ recipe, workDir, packageCacheDir: cache, overlayTar }: TreeJob): string[] {
  const quoted = (path: string) => `'${path.replaceAll("'", `'\\''`)}'`;
  const work = quoted(workDir);
  // A tree that is only unpacked never comes to the later stage.
  const last = recipe.variant === 'extract' ? '--extract-hook' : '--customize-hook';
  return [
    ...(cache === undefined
      ? []
      : [
          `--setup-hook=mkdir -p "$1"${archives}`,
          `--setup-hook=sync-in ${quoted(cache)} ${archives}`,
        ]),
    ...(overlayTar ? [`--essential-hook=tar-in ${quoted(join(workDir, 'overlay.tar'))} /`] : []),
    ...(cache === undefined
      ? []
      : [`${last}=sync-out ${archives} ${quoted(join(workDir, 'archives'))}`]),
    ...recipe.hooks.map((hook) => `${last}=${hook}`),
    `${last}=copy-out ${stanzaFile} ${work}`,
    `${last}=rm "$1"${stanzaFile}`,
  ];
}

/**
 * apt trusts a cached archive of the right name and size. Here the bytes are checked, and only
 * then kept; a wrong one is thrown out of the cache together with the tree that it went into.
 */
async function checkAndKeepArchives(
  packages: readonly Package[],
  workDir: string,
  cache: string,
): Promise<void> {
  const dir = join(workDir, 'archives');
  const names = (await readdir(dir)).filter((name) => name.endsWith('.deb'));
  const hashes = new Map<string, string>();
  for (const name of names) {
    const bytes = await readFile(join(dir, name));
    hashes.set(name, createHash('sha256').update(bytes).digest('hex'));
  }
  const wrong = unvouched(packages, new Set(hashes.values()));
  const vouched = new Set(packages.map(({ sha256 }) => sha256));
  if (wrong.length > 0) {
    const strangers = names.filter((name) => !vouched.has(hashes.get(name) ?? ''));
    await Promise.all(strangers.map((name) => rm(join(cache, name), { force: true })));
    throw new KitError({
      code: 'package-cache-corrupt',
      message: `package archives in ${cache} were not what Debian signed; they are removed`,
      expected: wrong.map(({ name, sha256 }) => `${name} ${sha256}`).join(', '),
      hint: 'Build again: they are downloaded anew.',
    });
  }
  const kept = new Set(await readdir(cache));
  for (const name of names.filter((candidate) => !kept.has(candidate))) {
    if (!vouched.has(hashes.get(name) ?? '')) continue;
    const part = join(cache, `.${name}.${process.pid}`);
    await copyFile(join(dir, name), part);
    await rename(part, join(cache, name));
  }
}
