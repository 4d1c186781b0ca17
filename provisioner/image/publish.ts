// What stands in the folder of a built image, and how it gets there. This file owns the names and
// the manifest, NAME-ARCH.json, by which flashing knows an image:
//
//   {format: 1, name, arch, release, sizeBytes (raw), rawSha256, zstSha256,
//    esp: {offsetBytes, sizeBytes}, root: {offsetBytes, sizeBytes},
//    ranges: [[firstByte, lengthBytes, sha256]…] (what must be written; whole pages of 4 KiB),
//    createdFrom: {mirror: {SUITE: sha256 of InRelease}, sourceDateEpoch, rootTree: sha256}}

import { open, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { bmapXml } from './blockmap.ts';
import type { Compressed } from './compress.ts';
import type { ImageFolder } from './folder.ts';
import type { Layout } from './layout.ts';
import { formatLock, type RoledPackage } from './package-list.ts';
import { spdxDocument } from './spdx.ts';
import { linkOrCopy } from './tree-cache.ts';

export interface ImagePaths {
  image: string;
  bmap: string;
  sha256: string;
  sbom: string;
  lock: string;
  manifest: string;
  /** The root file system's tree, if it was asked for. */
  rootTar?: string;
}

export interface ImageContents {
  folder: ImageFolder;
  layout: Layout;
  bytes: Compressed;
  packages: readonly RoledPackage[];
  createdFrom: { mirror: Record<string, string>; sourceDateEpoch: number; rootTree: string };
  rootTar?: string;
}

/** The names of an image's files. */
export function imagePaths(dir: string, image: { name: string; arch: string }): ImagePaths {
  const stem = join(dir, `${image.name}-${image.arch}`);
  return {
    image: `${stem}.img.zst`,
    bmap: `${stem}.bmap`,
    sha256: `${stem}.sha256`,
    sbom: `${stem}.spdx.json`,
    lock: join(dir, 'packages.lock'),
    manifest: `${stem}.json`,
  };
}

/**
 * Writes what belongs to the compressed image at `made.image` beside it, and moves all to
 * `outDir`. The old manifest goes first and the new one comes last: whoever finds a manifest finds
 * its image.
 */
export async function publish(
  contents: ImageContents,
  made: ImagePaths,
  outDir: string,
): Promise<ImagePaths> {
  const { folder, layout, bytes, packages, createdFrom } = contents;
  const { name, arch } = folder;
  const { release } = folder.settings;
  const { rawSha256, ranges } = bytes;
  const spdx = { name, arch, release, rawSha256, createdS: createdFrom.sourceDateEpoch };
  await writeFlushed(made.bmap, bmapXml(layout.sizeBytes, ranges));
  await writeFlushed(made.sha256, `${bytes.zstSha256}  ${basename(made.image)}\n`);
  await writeFlushed(made.sbom, spdxDocument(spdx, packages));
  await writeFlushed(made.lock, formatLock(packages));
  await writeFlushed(made.manifest, manifestText(contents));

  const final = imagePaths(outDir, folder);
  await rm(final.manifest, { force: true });
  for (const key of ['image', 'bmap', 'sha256', 'sbom', 'lock'] as const) {
    await rename(made[key], final[key]);
  }
  if (contents.rootTar !== undefined) {
    final.rootTar = join(outDir, `${name}-${arch}.root.tar`);
    await rm(final.rootTar, { force: true });
    await linkOrCopy(contents.rootTar, final.rootTar);
  }
  await flushFolder(outDir);
  await rename(made.manifest, final.manifest);
  await flushFolder(outDir);
  return final;
}

function manifestText({ folder, layout, bytes, createdFrom }: ImageContents): string {
  const manifest = {
    format: 1,
    name: folder.name,
    arch: folder.arch,
    release: folder.settings.release,
    sizeBytes: layout.sizeBytes,
    rawSha256: bytes.rawSha256,
    zstSha256: bytes.zstSha256,
    esp: layout.esp,
    root: layout.root,
    ranges: bytes.ranges.map((r) => [r.firstByte, r.lengthBytes, r.sha256]),
    createdFrom,
  };
  return `${JSON.stringify(manifest)}\n`;
}

async function writeFlushed(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flush: true });
}

async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
