// Puts the raw image together in one sparse file: partitions, boot loaders, ESP, root file system.
// Every tool works on the file at an offset; nothing is mounted.

import { open, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { allocatedBlocks, type BlockRange, mergeRanges } from './blockmap.ts';
import { gatherBootFiles, startsOnRaspi } from './boot-files.ts';
import type { ImageFolder } from './folder.ts';
import { biosModules, bootSector, coreImage, grubFolder } from './grub.ts';
import {
  BLOCK,
  type Extent,
  type Identifiers,
  type Layout,
  MIB,
  planLayout,
  rootSizeFor,
  SECTOR,
  sfdiskScript,
} from './layout.ts';
import { hasBios } from './loader.ts';
import { hybridMbr } from './raspi.ts';
import type { Tools } from './tools.ts';

export interface Assembly {
  layout: Layout;
  /** The blocks that must reach a drive. */
  mapped: BlockRange[];
}

export interface AssemblyJob {
  folder: ImageFolder;
  ids: Identifiers;
  tools: Tools;
  rootTar: string;
  /** An empty folder of this job's own. */
  workDir: string;
  /** The image's file, made here. */
  raw: string;
}

/** Makes the raw image. */
export async function assemble(job: AssemblyJob): Promise<Assembly> {
  const { settings } = job.folder;
  const layout = planLayout({
    espSizeBytes: settings.esp_mib * MIB,
    rootSizeBytes: rootSizeFor((await stat(job.rootTar)).size, settings.root_spare_mib * MIB),
    bios: hasBios[job.folder.arch],
  });
  await writeFile(job.raw, '');
  await truncate(job.raw, layout.sizeBytes);
  const script = sfdiskScript(layout, job.ids, job.folder.arch);
  await job.tools.run('sbin/sfdisk', ['--quiet', job.raw], script);
  if (layout.biosBoot) await writeBiosLoader(job, layout.biosBoot);
  if (startsOnRaspi(job.folder)) await writeHybridMbr(job.raw, layout.esp);
  await writeEsp(job, layout.esp);
  const rootBlocks = await writeRoot(job, layout.root);
  const espLastBlock = await lastUsedBlock(job.raw, layout.esp);
  return { layout, mapped: mappedBlocks(layout, espLastBlock, rootBlocks) };
}

async function writeBiosLoader({ tools, workDir, raw }: AssemblyJob, biosBoot: Extent) {
  const core = join(workDir, 'core.img');
  await tools.run('bin/grub-mkimage', [
    '--format=i386-pc',
    `--directory=${tools.file('usr/lib/grub/i386-pc')}`,
    // The second partition of whatever drive the BIOS has started from.
    `--prefix=(,gpt2)${grubFolder}`,
    `--output=${core}`,
    ...biosModules,
  ]);
  const coreBytes = await readFile(core);
  if (coreBytes.length > biosBoot.sizeBytes) {
    throw new RangeError(`GRUB's core image of ${coreBytes.length} bytes outgrew its partition`);
  }
  const coreSector = biosBoot.offsetBytes / SECTOR;
  const boot = bootSector(await readFile(tools.file('usr/lib/grub/i386-pc/boot.img')), coreSector);
  const image = coreImage(coreBytes, coreSector);
  await using file = await open(raw, 'r+');
  await file.write(boot, 0, boot.length, 0);
  await file.write(image, 0, image.length, biosBoot.offsetBytes);
}

async function writeEsp(job: AssemblyJob, esp: Extent): Promise<void> {
  const { ids, tools, raw } = job;
  const offsetSectors = String(esp.offsetBytes / SECTOR);
  // FAT32 has 65,525 clusters or more (fatgen103, "FAT type"): small ones on a small partition.
  const clusterSectors = esp.sizeBytes >= 256 * MIB ? '4' : '1';
  const formatting = ['--invariant', '-F', '32', '-S', '512', '-s', clusterSectors];
  await tools.run('sbin/mkfs.fat', [
    ...[...formatting, '-n', 'KIT-ESP'],
    ...['-i', ids.espVolume, '-h', offsetSectors, '--offset', offsetSectors],
    raw,
    String(esp.sizeBytes / 1024),
  ]);
  const drive = `${raw}@@${esp.offsetBytes}`;
  const files = await gatherBootFiles(job);
  for (const folder of foldersOf(files.map(([to]) => to))) {
    await tools.run('bin/mtools', ['-c', 'mmd', '-i', drive, `::${folder}`]);
  }
  for (const [to, from] of files) {
    await tools.run('bin/mtools', ['-c', 'mcopy', '-i', drive, from, `::${to}`]);
  }
}

/** Every folder above these paths, the outer ones first. */
function foldersOf(paths: readonly string[]): string[] {
  const above = (path: string): string[] => {
    const folder = dirname(path);
    return folder === '.' ? [] : [...above(folder), folder];
  };
  return [...new Set(paths.flatMap(above))];
}

/** A Raspberry Pi's firmware looks for the boot partition in the MBR. */
async function writeHybridMbr(raw: string, esp: Extent): Promise<void> {
  await using file = await open(raw, 'r+');
  const { buffer } = await file.read(Buffer.alloc(SECTOR), 0, SECTOR, 0);
  await file.write(hybridMbr(buffer, esp), 0, SECTOR, 0);
}

/**
 * Makes the root file system in a file of its own (dumpe2fs takes no offset), then copies what is
 * allocated into its place. Returns its allocated blocks.
 */
async function writeRoot({ ids, tools, rootTar, workDir, raw }: AssemblyJob, root: Extent) {
  const ext4 = join(workDir, 'root.ext4');
  await tools.run('sbin/mke2fs', [
    ...['-q', '-t', 'ext4', '-b', String(BLOCK), '-L', 'kit-root', '-U', ids.rootFs, '-m', '1'],
    // Inode tables are written whole: nothing of an earlier image shows through on the drive.
    ...['-E', `hash_seed=${ids.rootFs},lazy_itable_init=0,lazy_journal_init=0`],
    ...['-J', 'size=16', '-d', rootTar],
    ext4,
    `${root.sizeBytes / 1024}k`,
  ]);
  const listing = await tools.run('sbin/dumpe2fs', [ext4]);
  const blocks = allocatedBlocks(listing, root.sizeBytes / BLOCK);
  await copyBlocks(ext4, raw, blocks, root.offsetBytes);
  await rm(ext4);
  return blocks;
}

const COPY_BLOCKS = 1024;

async function copyBlocks(
  from: string,
  to: string,
  ranges: readonly BlockRange[],
  offsetBytes: number,
): Promise<void> {
  await using source = await open(from, 'r');
  await using target = await open(to, 'r+');
  const buffer = Buffer.alloc(COPY_BLOCKS * BLOCK);
  for (const [first, last] of ranges) {
    for (let block = first; block <= last; block += COPY_BLOCKS) {
      const length = Math.min(COPY_BLOCKS, last - block + 1) * BLOCK;
      const { bytesRead } = await source.read(buffer, 0, length, block * BLOCK);
      if (bytesRead !== length) throw new Error(`${from} ends in block ${block}`);
      await target.write(buffer, 0, length, offsetBytes + block * BLOCK);
    }
  }
}

function mappedBlocks(
  layout: Layout,
  espLastBlock: number,
  rootBlocks: readonly BlockRange[],
): BlockRange[] {
  const { root } = layout;
  const rootStart = root.offsetBytes / BLOCK;
  const endBlock = layout.sizeBytes / BLOCK;
  return mergeRanges([
    // Tables and boot loader; then the ESP up to its last used cluster (FATs come first).
    [0, espLastBlock],
    ...rootBlocks.map(([first, last]): BlockRange => [rootStart + first, rootStart + last]),
    // The GPT's copy takes the last 33 sectors.
    [endBlock - Math.ceil((33 * SECTOR) / BLOCK), endBlock - 1],
  ]);
}

/** The last block of the extent that is not all zeros. */
async function lastUsedBlock(raw: string, extent: Extent): Promise<number> {
  await using file = await open(raw, 'r');
  const bytes = Buffer.alloc(extent.sizeBytes);
  await file.read(bytes, 0, bytes.length, extent.offsetBytes);
  let block = extent.sizeBytes / BLOCK - 1;
  const zeros = Buffer.alloc(BLOCK);
  while (block > 0 && bytes.subarray(block * BLOCK, (block + 1) * BLOCK).equals(zeros)) block -= 1;
  return extent.offsetBytes / BLOCK + block;
}
