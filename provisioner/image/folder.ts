// An image's folder: `image.toml` beside `root/`, a tree shaped like the root file system.
// This file owns the meaning of image.toml. It reads; it never builds.

import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseToml } from 'smol-toml';
import * as v from 'valibot';
import { KitError } from '../errors.ts';

/** Debian's names for the machines that an image can be made for. */
export type Arch = 'amd64';

const packageName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9+.-]+$/, 'a Debian package name'));
const httpUrl = v.pipe(v.string(), v.url(), v.regex(/^https?:\/\//, 'an http or https address'));
// Patterns of dpkg --path-exclude; they become dpkg options, so no spaces or quotes.
const pathPattern = v.pipe(v.string(), v.regex(/^\/[A-Za-z0-9_.*/-]+$/, 'a path with * in it'));

const imageSchema = v.strictObject({
  description: v.pipe(v.string(), v.nonEmpty()),
  release: v.pipe(v.string(), v.regex(/^[a-z]+$/, 'a Debian code name')),
  architectures: v.pipe(v.array(v.picklist(['amd64'])), v.minLength(1)),
  mirror: httpUrl,
  security_mirror: httpUrl,
  // FAT32 needs 65,525 clusters: 33 MiB with the smallest ones (fatgen103, "FAT type").
  esp_mib: v.pipe(v.number(), v.integer(), v.minValue(34), v.maxValue(1024)),
  root_spare_mib: v.pipe(v.number(), v.integer(), v.minValue(32), v.maxValue(16384)),
  consoles: v.pipe(v.array(v.pipe(v.string(), v.regex(/^tty[A-Za-z0-9,]+$/))), v.minLength(1)),
  packages: v.pipe(v.array(packageName), v.minLength(1)),
  exclude_paths: v.optional(v.array(pathPattern), []),
  include_paths: v.optional(v.array(pathPattern), []),
  packages_for: v.optional(v.record(v.picklist(['amd64']), v.array(packageName)), {}),
});

export type ImageSettings = v.InferOutput<typeof imageSchema>;

export interface ImageFolder {
  name: string;
  arch: Arch;
  settings: ImageSettings;
  /** All that is asked of Debian for this architecture, sorted. */
  packages: string[];
  /** The overlay tree. */
  rootDir: string;
  /** What an earlier build was made of, if anybody kept it. */
  lockFile: string;
}

/** Where the images stand in this repository. */
export const imagesDir = fileURLToPath(new URL('../../images', import.meta.url));

/** Reads an image's folder; every fault in it is the reader's to see, with its place. */
export async function readImageFolder(
  name: string,
  arch: string,
  dir: string = imagesDir,
): Promise<ImageFolder> {
  const file = join(dir, name, 'image.toml');
  const settings = parseImageToml(await readToml(name, dir, file), file);
  const known: readonly string[] = settings.architectures;
  if (!known.includes(arch)) {
    throw new KitError({
      code: 'image-arch-unknown',
      message: `image ${name} is not made for ${arch}`,
      expected: known.join(', '),
      got: arch,
      hint: 'Name one of these with --arch, or add it to the image.toml.',
      exitCode: 2,
    });
  }
  const chosen = arch as Arch;
  const packages = [...settings.packages, ...(settings.packages_for[chosen] ?? [])];
  return {
    name,
    arch: chosen,
    settings,
    packages: [...new Set(packages)].sort(),
    rootDir: join(dir, name, 'root'),
    lockFile: join(dir, name, 'packages.lock'),
  };
}

async function readToml(name: string, dir: string, file: string): Promise<string> {
  const plainName = /^[a-z0-9][a-z0-9-]*$/.test(name);
  try {
    if (plainName) return await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
  }
  const known = (await readdir(dir, { withFileTypes: true }))
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name);
  throw new KitError({
    code: 'image-unknown',
    message: 'no image of that name',
    expected: known.sort().join(', ') || 'a folder with an image.toml',
    got: name,
    hint: 'Check the spelling: an image is a folder of images/.',
    exitCode: 2,
  });
}

/** Checks the text of an image.toml. */
export function parseImageToml(text: string, file: string): ImageSettings {
  let document: unknown;
  try {
    document = parseToml(text);
  } catch (error) {
    throw malformed(file, (error as Error).message, error);
  }
  const result = v.safeParse(imageSchema, document);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw malformed(file, `${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`);
}

function malformed(file: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'image-toml-malformed',
    message: `${file} is not a description of an image`,
    expected: 'the keys that images/snac/image.toml shows',
    got,
    hint: 'Mend that key.',
    exitCode: 2,
    cause,
  });
}
