// An image's folder: `image.toml` beside `root/`, a tree shaped like the root file system. What
// images have in common stands in a base: a folder with `base.toml`, named by `extends`, whose keys
// and tree lie under those of the image. This file owns the meaning of both. It never builds.

import { access, readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse as parseToml } from 'smol-toml';
import * as v from 'valibot';
import { KitError } from '../errors.ts';

/** Debian's names for the machines that an image can be made for. */
export const arches = ['amd64', 'arm64'] as const;
export type Arch = (typeof arches)[number];

const folderName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9-]*$/, 'a name of a folder'));
const packageName = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9+.-]+$/, 'a Debian package name'));
const word = v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9./-]*$/, 'a word such as main'));
const httpUrl = v.pipe(v.string(), v.url(), v.regex(/^https?:\/\//, 'an http or https address'));
// Patterns of dpkg --path-exclude; they become dpkg options, so no spaces or quotes.
const pathPattern = v.pipe(v.string(), v.regex(/^\/[A-Za-z0-9_.*/-]+$/, 'a path with * in it'));
const mebibytes = (least: number, most: number) =>
  v.optional(v.pipe(v.number(), v.integer(), v.minValue(least), v.maxValue(most)));
const list = <T extends v.GenericSchema>(item: T) => v.optional(v.array(item), []);

const repository = v.strictObject({
  name: folderName,
  uri: httpUrl,
  suite: word,
  components: v.pipe(v.array(word), v.minLength(1)),
  // A file in the image's folder: ASCII armoured, as apt's Signed-By takes it.
  key: v.pipe(v.string(), v.regex(/^[a-z0-9][a-z0-9.-]*\.asc$/, 'a file NAME.asc of the folder')),
  // Where a person finds the key, for the error that says that it is missing.
  key_from: v.optional(httpUrl),
});

/** What may differ from machine to machine; lists add to what stands outside. */
const archEntries = {
  esp_mib: mebibytes(34, 1024), // FAT32's 65,525 clusters are 33 MiB (fatgen103, "FAT type").
  root_spare_mib: mebibytes(32, 16_384),
  components: list(word),
  consoles: list(v.pipe(v.string(), v.regex(/^tty[A-Za-z0-9,]+$/))),
  packages: list(packageName),
};

const layerSchema = v.strictObject({
  extends: v.optional(folderName),
  description: v.optional(v.pipe(v.string(), v.nonEmpty())),
  release: v.optional(v.pipe(v.string(), v.regex(/^[a-z]+$/, 'a Debian code name'))),
  mirror: v.optional(httpUrl),
  security_mirror: v.optional(httpUrl),
  ...archEntries,
  exclude_paths: list(pathPattern),
  include_paths: list(pathPattern),
  // What packages leave behind that differs from build to build, or must differ from kit to kit.
  remove_paths: list(pathPattern),
  repository: list(repository),
  arch: v.optional(v.record(v.picklist(arches), v.strictObject(archEntries)), {}),
});

type Layer = v.InferOutput<typeof layerSchema>;
export type Repository = v.InferOutput<typeof repository>;

/** All layers of an image for one architecture, joined. */
export interface ImageSettings {
  description: string;
  release: string;
  mirror: string;
  security_mirror: string;
  components: string[];
  esp_mib: number;
  root_spare_mib: number;
  consoles: string[];
  exclude_paths: string[];
  include_paths: string[];
  remove_paths: string[];
  repository: Repository[];
}

export interface ImageFolder {
  name: string;
  arch: Arch;
  settings: ImageSettings;
  /** All that is asked of Debian for this architecture, sorted. */
  packages: string[];
  /** The overlay trees, the undermost first. */
  rootDirs: string[];
  /** The image's own folder. */
  dir: string;
  /** What the image is to be made of, if anybody keeps it so. */
  lockFile: string;
}

/** Where the images stand in this repository. */
export const imagesDir = fileURLToPath(new URL('../../images', import.meta.url));

/**
 * Reads an image's folder; every fault in it is the reader's to see, with its place.
 * @throws KitError `image-unknown`, `image-arch-unknown`, `image-toml-malformed`
 */
export async function readImageFolder(
  name: string,
  arch: string,
  imagesAt: string = imagesDir,
): Promise<ImageFolder> {
  const layers = await readLayers(name, imagesAt);
  const own = layers.at(-1) as NamedLayer;
  const known: readonly string[] = Object.keys(own.layer.arch);
  if (!known.includes(arch)) throw archUnknown(name, arch, known);
  const chosen = arch as Arch;
  const flat = layers.flatMap(({ layer }) => [layer, layer.arch[chosen] ?? {}]);
  const dir = join(imagesAt, name);
  return {
    name,
    arch: chosen,
    settings: joinLayers(flat, own.file),
    packages: joined(flat, 'packages').sort(),
    rootDirs: await treesOf(layers.map(({ folder }) => join(folder, 'root'))),
    dir,
    lockFile: join(dir, `${arch}.packages.lock`),
  };
}

interface NamedLayer {
  layer: Layer;
  folder: string;
  file: string;
}

/** The image and what it stands on, the undermost first. */
async function readLayers(name: string, imagesAt: string): Promise<NamedLayer[]> {
  // A path is no name: nothing outside the images' folder is read.
  if (!/^[a-z0-9][a-z0-9-]*$/.test(name)) throw await unknown(name, imagesAt);
  const file = join(imagesAt, name, 'image.toml');
  const layers = [await readLayer(join(imagesAt, name), file, () => unknown(name, imagesAt))];
  for (let base = layers[0].layer.extends; base !== undefined; base = layers[0].layer.extends) {
    const above = layers[0].file;
    const folder = join(imagesAt, base);
    if (layers.some((layer) => layer.folder === folder)) {
      throw malformed(above, `extends: ${base} stands on itself`);
    }
    const missing = async () => malformed(above, `extends: there is no ${base}/base.toml`);
    layers.unshift(await readLayer(folder, join(folder, 'base.toml'), missing));
  }
  return layers;
}

async function readLayer(
  folder: string,
  file: string,
  missing: () => Promise<KitError>,
): Promise<NamedLayer> {
  const text = await readFile(file, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (text === undefined) throw await missing();
  return { layer: parseImageToml(text, file), folder, file };
}

/** Checks the text of an image.toml or base.toml. @throws KitError `image-toml-malformed` */
export function parseImageToml(text: string, file: string): Layer {
  let document: unknown;
  try {
    document = parseToml(text);
  } catch (error) {
    throw malformed(file, (error as Error).message, error);
  }
  const result = v.safeParse(layerSchema, document);
  if (result.success) return result.output;
  const [issue] = result.issues;
  throw malformed(file, `${v.getDotPath(issue) ?? 'the file'}: ${issue.message}`);
}

type Part = Partial<Layer>;

function joinLayers(parts: Part[], file: string): ImageSettings {
  const single = <K extends keyof Layer>(key: K): NonNullable<Layer[K]> => {
    const value = parts.findLast((part) => part[key] !== undefined)?.[key];
    if (value === undefined) throw malformed(file, `${key}: neither here nor in what it extends`);
    return value as NonNullable<Layer[K]>;
  };
  return {
    description: single('description'),
    release: single('release'),
    mirror: single('mirror'),
    security_mirror: single('security_mirror'),
    components: atLeastOne(joined(parts, 'components'), 'components', file),
    esp_mib: single('esp_mib'),
    root_spare_mib: single('root_spare_mib'),
    consoles: atLeastOne(joined(parts, 'consoles'), 'consoles', file),
    exclude_paths: joined(parts, 'exclude_paths'),
    include_paths: joined(parts, 'include_paths'),
    remove_paths: joined(parts, 'remove_paths'),
    repository: parts.flatMap((part) => part.repository ?? []),
  };
}

type ListKey = 'packages' | 'components' | 'consoles' | `${'exclude' | 'include' | 'remove'}_paths`;

function joined(parts: Part[], key: ListKey): string[] {
  return [...new Set(parts.flatMap((part) => part[key] ?? []))];
}

function atLeastOne(values: string[], key: string, file: string): string[] {
  if (values.length > 0) return values;
  throw malformed(file, `${key}: expected at least one, here or in what it extends`);
}

async function treesOf(dirs: string[]): Promise<string[]> {
  const there = await Promise.all(dirs.map((dir) => access(dir).then(() => true, () => false)));
  return dirs.filter((_, index) => there[index]);
}

async function unknown(name: string, imagesAt: string): Promise<KitError> {
  const folders = (await readdir(imagesAt, { withFileTypes: true })).filter((e) => e.isDirectory());
  const files = folders.map((entry) => join(imagesAt, entry.name, 'image.toml'));
  const there = await Promise.all(files.map((file) => access(file).then(() => true, () => false)));
  const known = folders.filter((_, index) => there[index]).map((entry) => entry.name);
  return new KitError({
    code: 'image-unknown',
    message: 'no image of that name',
    expected: known.sort().join(', ') || 'a folder with an image.toml',
    got: name,
    hint: 'Check the spelling: an image is a folder of images/.',
    exitCode: 2,
  });
}

function archUnknown(name: string, arch: string, known: readonly string[]): KitError {
  return new KitError({
    code: 'image-arch-unknown',
    message: `image ${name} is not made for ${arch}`,
    expected: known.join(', '),
    got: arch,
    hint: 'Name one of these with --arch, or add it to the image.toml.',
    exitCode: 2,
  });
}

function malformed(file: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'image-toml-malformed',
    message: `${file} is not a description of an image`,
    expected: 'the keys that images/node/base.toml and images/snac/image.toml show',
    got,
    hint: 'Mend that key.',
    exitCode: 2,
    cause,
  });
}
