// The DeviceScript runtime for a chip: pinned in hardware/runtime.json by version and SHA-256,
// fetched once, kept, and held against its pin before each use, so that no network is needed
// afterwards and nothing that was kept is trusted. Owns no byte of it.

import { createHash } from 'node:crypto';
import { mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import * as v from 'valibot';
import { cacheFolder } from '../cache-folder.js';
import { replaceDurably } from '../campaign/durable.ts';
import { KitError } from '../errors.ts';
import type { Board } from './board.ts';
import type { Fetch } from './ledger-client.ts';

export const PINS_PATH = fileURLToPath(new URL('../../hardware/runtime.json', import.meta.url));

const imageSchema = v.strictObject({
  url: v.pipe(v.string(), v.url()),
  sha256: v.nullable(v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))),
});
const runtimeSchema = v.strictObject({
  version: v.string(),
  images: v.strictObject({ esp32c3: imageSchema, esp32s3: imageSchema }),
});
export type RuntimePins = v.InferOutput<typeof runtimeSchema>;

export interface Runtime {
  version: string;
  sha256: string;
  bytes: Uint8Array;
}

export interface RuntimeDeps {
  fetch: Fetch;
  cacheDir?: string;
  pinsPath?: string;
}

/** The runtime ends where program and settings begin; an answer beyond that is none. */
const MAX_IMAGE_BYTES = 0x1c0000;
const FETCH_LIMIT_MS = 120_000;

/** @throws KitError `runtime-unpinned`, `runtime-unreachable`, `runtime-differs` */
export async function openRuntime(arch: Board['arch'], deps: RuntimeDeps): Promise<Runtime> {
  const { version, images } = await readRuntimePins(deps.pinsPath);
  const { url, sha256 } = images[arch];
  if (sha256 === null) throw unpinned(arch, url);
  const path = join(deps.cacheDir ?? defaultCacheDir(), `${sha256}.bin`);
  const kept = await readFile(path).catch(ignoreAbsence);
  if (kept !== undefined && sha256Of(kept) === sha256) return { version, sha256, bytes: kept };
  const bytes = await download(url, deps.fetch);
  const got = sha256Of(bytes);
  if (got !== sha256) throw differs(url, sha256, got);
  await keep(path, bytes);
  return { version, sha256, bytes };
}

/**
 * Fetches the image of a chip and writes its SHA-256 into the pins: for whoever pins a version, once.
 * @throws KitError `runtime-unreachable`; `runtime-differs` when it is pinned already, to other bytes
 */
export async function pinRuntime(arch: Board['arch'], deps: RuntimeDeps): Promise<Runtime> {
  const path = deps.pinsPath ?? PINS_PATH;
  const pins = await readRuntimePins(path);
  const image = pins.images[arch];
  const bytes = await download(image.url, deps.fetch);
  const sha256 = sha256Of(bytes);
  if (image.sha256 !== null && image.sha256 !== sha256) {
    throw differs(image.url, image.sha256, sha256);
  }
  await keep(join(deps.cacheDir ?? defaultCacheDir(), `${sha256}.bin`), bytes);
  image.sha256 = sha256;
  await replaceDurably(path, `${JSON.stringify(pins, undefined, 2)}\n`);
  return { version: pins.version, sha256, bytes };
}

export async function readRuntimePins(path = PINS_PATH): Promise<RuntimePins> {
  return v.parse(runtimeSchema, JSON.parse(await readFile(path, 'utf8')));
}

async function download(url: string, fetch: Fetch): Promise<Uint8Array> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(FETCH_LIMIT_MS) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    const chunks: Uint8Array[] = [];
    let sizeBytes = 0;
    for await (const chunk of response.body!) {
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes > MAX_IMAGE_BYTES) throw new Error(`more than ${MAX_IMAGE_BYTES} bytes`);
    }
    return new Uint8Array(Buffer.concat(chunks));
  } catch (cause) {
    const { message, cause: deeper } = cause as Error;
    throw new KitError({
      code: 'runtime-unreachable',
      message: 'The DeviceScript runtime could not be fetched',
      ...{ expected: `an image at ${url}`, cause },
      got: deeper instanceof Error ? deeper.message : message,
      hint: 'Go online once; afterwards it is kept, and no network is needed.',
    });
  }
}

async function keep(path: string, bytes: Uint8Array): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true });
  await replaceDurably(path, bytes);
}

function defaultCacheDir(): string {
  return join(cacheFolder(), 'runtime');
}

function sha256Of(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}

function unpinned(arch: string, url: string): KitError {
  return new KitError({
    code: 'runtime-unpinned',
    message: `The runtime for ${arch} is not pinned yet`,
    expected: 'its SHA-256 in hardware/runtime.json',
    got: 'null',
    hint: `Pin it, online: kit meter runtime ${arch}; two people should find the same sum of ${url}`,
  });
}

function differs(url: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'runtime-differs',
    message: `What lies at ${url} is not the runtime that was pinned`,
    expected: `SHA-256 ${expected}`,
    got,
    hint: 'Do not use it; ask the project which of the two is right.',
  });
}
