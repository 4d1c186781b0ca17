// Builds a DeviceScript program with the pinned compiler: the meter's firmware, or a program of a
// test. The compiler fills the folder that it works in, so it works in a copy. The same sources
// give the same bytes wherever they lie; the bytes are kept by the sources' hash.

import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { replaceDurably } from '../campaign/durable.ts';
import { cacheFolder } from '../cache-folder.js';
import { KitError } from '../errors.ts';

export interface Firmware {
  bytecode: Uint8Array;
  /** SHA-256 of the bytecode: what a meter claims, and its enrolment binds. */
  hash: Uint8Array;
  /** Whether it was kept from an earlier build. */
  kept: boolean;
}

export interface BuildOptions {
  /** The project folder; its `main.ts` is the program. By default `firmware/`. */
  folder?: string;
  /** Where built programs are kept. */
  cacheDir?: string;
}

const FIRMWARE = fileURLToPath(new URL('../../firmware', import.meta.url));
const COMPILER = createRequire(import.meta.url).resolve('@devicescript/cli/package.json');
const CONFIGURATION = 'devsconfig.json';
const OUTPUT = join('.devicescript', 'bin', 'bytecode.devs');
/** Ten times what it takes on a slow machine. */
const COMPILER_LIMIT_MS = 120_000;

/** @throws KitError `firmware-invalid`, with the compiler's words */
export async function buildFirmware(options: BuildOptions = {}): Promise<Firmware> {
  const { folder = FIRMWARE, cacheDir = join(cacheFolder(), 'firmware') } = options;
  const sources = await readSources(folder);
  const path = join(cacheDir, `${await hashSources(folder, sources)}.devs`);
  const kept = await readFile(path).catch(ignoreAbsence);
  if (kept !== undefined) return describe(kept, true);
  const bytecode = await compileCopy(folder, sources);
  await mkdir(cacheDir, { recursive: true });
  await replaceDurably(path, bytecode);
  return describe(bytecode, false);
}

function describe(bytecode: Buffer, kept: boolean): Firmware {
  const hash = createHash('sha256').update(bytecode).digest();
  return { bytecode: new Uint8Array(bytecode), hash: new Uint8Array(hash), kept };
}

/** The names of all files that the program may consist of, in an order that does not vary. */
async function readSources(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch((cause: unknown) => {
    throw noProgram(folder, 'no such folder', cause);
  });
  const sources = names.filter((name) => name.endsWith('.ts') || name === CONFIGURATION).sort();
  if (!sources.includes('main.ts')) throw noProgram(folder, sources.join(', ') || 'nothing');
  return sources;
}

/** The compiler counts as a source. */
async function hashSources(folder: string, sources: string[]): Promise<string> {
  const { version } = JSON.parse(await readFile(COMPILER, 'utf8')) as { version: string };
  const hash = createHash('sha256').update(`devicescript ${version}\n`);
  for (const name of sources) {
    const bytes = await readFile(join(folder, name));
    hash.update(`${name} ${bytes.length}\n`).update(bytes);
  }
  return hash.digest('hex');
}

async function compileCopy(folder: string, sources: string[]): Promise<Buffer> {
  const copy = await mkdtemp(join(tmpdir(), 'kit-firmware-'));
  try {
    for (const name of sources) await cp(join(folder, name), join(copy, name));
    const compiler = join(dirname(COMPILER), 'devicescript');
    await promisify(execFile)(process.execPath, [compiler, 'build', 'main.ts'], {
      cwd: copy,
      timeout: COMPILER_LIMIT_MS,
      env: { ...process.env, NO_COLOR: '1', FORCE_COLOR: '0' },
    });
    return await readFile(join(copy, OUTPUT));
  } catch (cause) {
    throw new KitError({
      code: 'firmware-invalid',
      message: `The program in ${folder} does not compile`,
      expected: 'what the DeviceScript compiler takes',
      got: compilerWords(cause),
      hint: 'Mend what it names.',
      cause,
    });
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
}

function compilerWords(cause: unknown): string {
  const { stdout = '', stderr = '' } = cause as { stdout?: string; stderr?: string };
  return `${stdout}${stderr}`.trim() || String(cause);
}

function noProgram(folder: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'firmware-missing',
    message: `There is no program in ${folder}`,
    ...{ expected: 'main.ts', got, cause },
    hint: 'Fetch the repository again: it belongs there.',
  });
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error;
  return undefined;
}
