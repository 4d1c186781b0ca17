// The root file system of an image, made of its lock's packages by mmdebstrap, as a tar archive with
// sorted names. Nothing is mounted on the machine and no loop device is used; no mirror is asked.

import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageFolder } from './folder.ts';
import { type Lock, requireInstalled } from './lock.ts';
import { type Archives, sha256Of } from './package-cache.ts';
import { readStanzas, serveRepository } from './repository.ts';
import { run } from './run.ts';

/** What decides a tree's bytes. */
export interface Recipe {
  release: string;
  arch: string;
  /** What is asked for; the lock says what it is made of. */
  packages: readonly string[];
  dpkgOptions: readonly string[];
  hooks: readonly string[];
  lock: Lock;
}

export interface TreeJob {
  recipe: Recipe;
  /** Of the lock's root packages. */
  archives: Archives;
  /** Goes in after the essential packages and before the others. */
  overlayTar: Uint8Array;
  /** An empty folder of this job's own. */
  workDir: string;
  onLine: (line: string) => void;
  signal?: AbortSignal;
}

export interface Tree {
  tar: string;
  /** Stanzas of its packages. */
  packages: string;
  /** Of the archive. */
  sha256: string;
}

/** A build that dies is thrown away: waiting for the disk after each file would gain nothing. */
const unsafeIo = 'force-unsafe-io';
const installedFile = '/commons-kit-packages';

/** The recipe of an image's root file system. */
export function rootRecipe({ settings, arch, packages }: ImageFolder, lock: Lock): Recipe {
  const root = lock.packages.filter(({ role }) => role === 'root');
  return {
    release: settings.release,
    arch,
    packages,
    dpkgOptions: [
      unsafeIo,
      ...settings.exclude_paths.map((pattern) => `path-exclude=${pattern}`),
      ...settings.include_paths.map((pattern) => `path-include=${pattern}`),
    ],
    hooks: [
      `sed -i '/^${unsafeIo}$/d' "$1"/etc/dpkg/dpkg.cfg.d/99mmdebstrap`,
      // The presets in the tree are the one place that says which units run.
      'chroot "$1" systemctl preset-all',
      // Host keys come from the bench; where the packages came from is no business of the node.
      'rm -f "$1"/etc/ssh/ssh_host_*_key "$1"/etc/ssh/ssh_host_*_key.pub',
      'rm -f "$1"/etc/apt/sources.list "$1"/etc/apt/apt.conf.d/99mmdebstrap',
      // What differs from build to build and is made again where it is needed.
      'rm -rf "$1"/var/lib/systemd/random-seed "$1"/var/cache/debconf/*-old',
      'find "$1"/var/log -type f -delete',
      'rm -f "$1"/var/cache/apt/*.bin',
      ...settings.remove_paths.map((pattern) => `rm -rf "$1"${pattern}`),
      // Names by hash of certificates that were removed.
      'chroot "$1" find /etc/ssl/certs -xtype l -delete',
      `chroot "$1" dpkg-query -W -f '\${Package} \${Version} \${Architecture}\\n' ` +
        `> "$1"${installedFile}`,
    ],
    lock: { ...lock, packages: root },
  };
}

/** Makes a tree. @throws KitError `lock-differs`, `tool-failed` */
export async function makeTree(job: TreeJob): Promise<Tree> {
  const { recipe, workDir } = job;
  const [tar, packages] = ['tree.tar', 'packages'].map((name) => join(workDir, name));
  const stanzas = await readStanzas(job.archives);
  await writeFile(packages, stanzas);
  await writeFile(join(workDir, 'overlay.tar'), job.overlayTar);
  const repository = await serveRepository(recipe, stanzas, job.archives);
  try {
    await bootstrap(job, repository.uri, tar);
  } finally {
    await repository.close();
  }
  const installed = await readFile(join(workDir, installedFile), 'utf8');
  requireInstalled(recipe.lock, installed.trimEnd().split('\n').map(readInstalled));
  return { tar, packages, sha256: await sha256Of(tar) };
}

function readInstalled(line: string): { name: string; version: string; arch: string } {
  const [name, version, arch] = line.split(' ');
  return { name, version, arch };
}

/**
 * Root's mmdebstrap mounts /proc, /sys and /dev in the tree. In namespaces of its own, mounts and
 * processes go with it, however it ends; under unshare it makes such namespaces itself.
 */
const rootNamespaces = [
  ...['unshare', '--mount', '--pid', '--uts', '--fork', '--kill-child', '--mount-proc'],
  // Packages write the machine's name into what they make; here it is nobody's.
  ...['sh', '-c', 'hostname commons-kit && exec "$@"', 'sh'],
];

async function bootstrap(job: TreeJob, uri: string, tar: string): Promise<void> {
  const { recipe, workDir, onLine: onErrorLine, signal } = job;
  const asRoot = process.getuid?.() === 0;
  const argv = [
    ...(asRoot ? rootNamespaces : []),
    'mmdebstrap',
    `--mode=${asRoot ? 'root' : 'unshare'}`,
    '--variant=minbase',
    `--architectures=${recipe.arch}`,
    '--format=tar',
    // A proxy is for what lies beyond this machine.
    '--aptopt=Acquire::http::Proxy::127.0.0.1 "DIRECT"',
    // mmdebstrap turns apt's sandbox off where its folder is closed to others, and apt then leaves
    // its own folders in the tree to another owner: never on, the bytes are the same everywhere.
    '--aptopt=APT::Sandbox::User "root"',
    ...recipe.dpkgOptions.map((option) => `--dpkgopt=${option}`),
    `--include=${recipe.packages.join(',')}`,
    ...hookOptions(recipe, workDir),
    recipe.release,
    tar,
    `deb [trusted=yes] ${uri} ${recipe.release} main`,
  ];
  const env: Record<string, string> = {
    SOURCE_DATE_EPOCH: String(recipe.lock.epochS),
    // In a user's namespace systemctl cannot see that it is in a chroot, and what restarts a service
    // when it is set up, as YunoHost does, would fail there (systemd's docs/ENVIRONMENT.md).
    SYSTEMD_OFFLINE: '1',
  };
  // Under unshare the tree belongs to a user who cannot enter a private home folder.
  if (asRoot) env.TMPDIR = workDir;
  // A user's tree stands in /tmp: only mmdebstrap can remove it, so it is asked to.
  const endWith = asRoot ? 'SIGKILL' : 'SIGTERM';
  await run(argv, { name: 'mmdebstrap', env, onErrorLine, signal, endWith });
}

/** What an image's tree answers to packages that would ask: debconf-set-selections(1). */
const presetAnswers =
  'file=/usr/lib/commons-kit/debconf-selections; ' +
  'if [ -e "$1$file" ]; then chroot "$1" debconf-set-selections "$file"; fi';

function hookOptions({ hooks }: Recipe, workDir: string): string[] {
  const quoted = (path: string) => `'${path.replaceAll("'", `'\\''`)}'`;
  return [
    // Under unshare mmdebstrap makes these namespaces itself, and only its hooks are inside.
    ...(process.getuid?.() === 0 ? [] : ['--setup-hook=hostname commons-kit']),
    `--essential-hook=tar-in ${quoted(join(workDir, 'overlay.tar'))} /`,
    `--essential-hook=${presetAnswers}`,
    ...hooks.map((hook) => `--customize-hook=${hook}`),
    `--customize-hook=copy-out ${installedFile} ${quoted(workDir)}`,
    `--customize-hook=rm "$1"${installedFile}`,
  ];
}
