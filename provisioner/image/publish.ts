// What stands in the folder of a built image, and how it gets there. This file owns the names and
// the manifest, NAME-ARCH.json, by which flashing knows an image:
//
//   {format: 1, name, arch, release, sizeBytes (raw), rawSha256, zstSha256,
//    esp: {offsetBytes, sizeBytes}, root: {offsetBytes, sizeBytes},
//    ranges: [[firstByte, lengthBytes, sha256]…] (what must be written; whole pages of 4 KiB),
//    createdFrom: {sourceDateEpoch, rootTree: sha256}}

import { open, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import * as v from 'valibot';
import { KitError } from '../errors.ts';
import { bmapXml } from './blockmap.ts';
import type { Compressed } from './compress.ts';
import type { ImageFolder } from './folder.ts';
import type { Layout } from './layout.ts';
import { type BilledPackage, cycloneDxDocument } from './cyclonedx.ts';
import { formatLock, type Lock } from './lock.ts';
import { sha256Of } from './package-cache.ts';
import { type SshSigner, signMessage } from './sshsig.ts';
import { toolsRelease } from './tools.ts';
import { linkOrCopy } from './tree-cache.ts';

export interface ImagePaths {
  image: string;
  bmap: string;
  /** Sums of all the others, for `sha256sum -c`; and an SSH signature of them. */
  sha256: string;
  signature: string;
  sbom: string;
  lock: string;
  /** What the build's tools said; the only one that differs from build to build. */
  log: string;
  manifest: string;
  /** The root file system's tree, if it was asked for. */
  rootTar?: string;
}

export interface ImageContents {
  folder: ImageFolder;
  layout: Layout;
  bytes: Compressed;
  lock: Lock;
  /** Those whose files are in the image. */
  packages: readonly BilledPackage[];
  createdFrom: { sourceDateEpoch: number; rootTree: string };
  rootTar?: string;
  /** Who vouches for the image; without one its sums stay unsigned. */
  signer?: SshSigner;
}

/** The names of an image's files. */
export function imagePaths(dir: string, image: { name: string; arch: string }): ImagePaths {
  const stem = join(dir, `${image.name}-${image.arch}`);
  return {
    image: `${stem}.img.zst`,
    bmap: `${stem}.bmap`,
    sha256: `${stem}.sha256`,
    signature: `${stem}.sha256.sig`,
    sbom: `${stem}.cdx.json`,
    lock: `${stem}.packages.lock`,
    log: `${stem}.log`,
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
  const releases = { root: release, boot: toolsRelease };
  const bill = { name, arch, releases, rawSha256, createdS: createdFrom.sourceDateEpoch };
  await writeFlushed(made.bmap, bmapXml(layout.sizeBytes, ranges));
  await writeFlushed(made.sbom, cycloneDxDocument(bill, packages));
  await writeFlushed(made.lock, formatLock(contents.lock));
  await writeFlushed(made.manifest, manifestText(contents));
  await writeSums(made, contents.signer);

  const final = imagePaths(outDir, folder);
  await rm(final.manifest, { force: true });
  await rm(final.signature, { force: true });
  for (const key of [...summed, 'sha256'] as const) {
    if (key !== 'manifest') await rename(made[key], final[key]);
  }
  if (contents.signer) await rename(made.signature, final.signature);
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

/** What the sums vouch for. */
const summed = ['image', 'bmap', 'sbom', 'lock', 'log', 'manifest'] as const;

async function writeSums(made: ImagePaths, signer: SshSigner | undefined): Promise<void> {
  const lines = summed.map(async (key) => `${await sha256Of(made[key])}  ${basename(made[key])}\n`);
  const sums = (await Promise.all(lines)).join('');
  await writeFlushed(made.sha256, sums);
  if (signer) await writeFlushed(made.signature, signMessage(Buffer.from(sums), signer));
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

const publishedSchema = v.object({
  format: v.literal(1),
  rawSha256: v.string(),
  zstSha256: v.string(),
  esp: v.object({ offsetBytes: v.number(), sizeBytes: v.number() }),
  root: v.object({ offsetBytes: v.number(), sizeBytes: v.number() }),
});

/** What a published image says of itself. @throws KitError `image-missing`, `manifest-invalid` */
export async function readPublished(
  paths: ImagePaths,
): Promise<v.InferOutput<typeof publishedSchema>> {
  const text = await readFile(paths.manifest, 'utf8').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw new KitError({
      code: 'image-missing',
      message: 'there is no such image',
      expected: paths.manifest,
      got: 'no such file',
      hint: 'Name the folder where it lies with --out DIR.',
      cause,
    });
  });
  try {
    return v.parse(publishedSchema, JSON.parse(text));
  } catch (cause) {
    throw new KitError({
      code: 'manifest-invalid',
      message: `${paths.manifest} is not an image's manifest`,
      expected: 'a manifest of format 1, as `kit image build` writes it',
      got: (cause as Error).message,
      hint: 'Copy the image with all its files again.',
      cause,
    });
  }
}

async function writeFlushed(path: string, text: string): Promise<void> {
  await writeFile(path, text, { flush: true });
}

async function flushFolder(path: string): Promise<void> {
  await using folder = await open(path, 'r');
  await folder.sync();
}
