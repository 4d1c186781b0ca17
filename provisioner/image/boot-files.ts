// What stands on an image's boot partition (ESP): the boot loaders, their menu, and, where the image
// has raspi-firmware, what a Raspberry Pi reads there. Gathers files; puts them nowhere.

import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { ImageFolder } from './folder.ts';
import { grubCfg } from './grub.ts';
import type { Identifiers } from './layout.ts';
import { efiFiles, menuPath } from './loader.ts';
import { cmdlineTxt, configTxt, raspiFirmwareFiles, raspiKernelFiles } from './raspi.ts';
import { run } from './run.ts';
import type { Tools } from './tools.ts';

export interface BootFilesJob {
  folder: ImageFolder;
  ids: Identifiers;
  tools: Tools;
  rootTar: string;
  /** A folder of the build's own. */
  workDir: string;
}

/** Path on the ESP to the file on this machine, sorted by the former. */
export async function gatherBootFiles(job: BootFilesJob): Promise<[to: string, from: string][]> {
  const { folder, ids, tools } = job;
  const dir = join(job.workDir, 'boot-files');
  await mkdir(dir, { recursive: true });
  const text = async (name: string, content: string): Promise<string> => {
    await writeFile(join(dir, name), content);
    return join(dir, name);
  };
  const rootFsUuid = ids.rootFs;
  const { consoles } = folder.settings;
  const menu = await text('grub.cfg', grubCfg({ rootFsUuid, consoles }));
  const loaders = Object.entries(efiFiles[folder.arch]);
  const files: [to: string, from: string][] = [
    ...loaders.map(([to, from]): [string, string] => [to, tools.file(from)]),
    [menuPath, menu],
  ];
  if (startsOnRaspi(folder)) {
    const version = await kernelVersion(job.rootTar);
    const wanted = { ...raspiFirmwareFiles, ...raspiKernelFiles(version) };
    await unpack(job.rootTar, Object.values(wanted), dir);
    files.push(
      ...Object.entries(wanted).map(([to, from]): [string, string] => [to, join(dir, from)]),
      ['config.txt', await text('config.txt', configTxt(version))],
      ['cmdline.txt', await text('cmdline.txt', cmdlineTxt({ rootFsUuid }))],
    );
  }
  return files.sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Whether the image is for Raspberry Pis too. */
export function startsOnRaspi({ packages }: ImageFolder): boolean {
  return packages.includes('raspi-firmware');
}

/** Of the one kernel that a new image has. */
async function kernelVersion(rootTar: string): Promise<string> {
  const names = await run(['tar', '-tf', rootTar, '--wildcards', './boot/vmlinuz-*']);
  const versions = names.trim().split('\n').map((name) => name.replace('./boot/vmlinuz-', ''));
  if (versions.length === 1 && versions[0] !== '') return versions[0];
  throw new Error(`the root file system has ${versions.length} kernels: ${versions.join(', ')}`);
}

async function unpack(rootTar: string, paths: readonly string[], dir: string): Promise<void> {
  const members = paths.map((path) => `./${path}`);
  await run(['tar', '-xf', rootTar, '-C', dir, '--no-same-owner', '--', ...members]);
}
