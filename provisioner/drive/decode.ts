// The raw bytes of an image file, whatever it is compressed with: told by the file's first bytes,
// never by its name. Bounds what a hostile file may cost: the caller stops reading when it has had
// as much as the manifest promises, and the decoders' memory is limited. Knows nothing of drives.

import { spawn } from 'node:child_process';
import { open } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { createGunzip, createZstdDecompress } from 'node:zlib';

import { KitError } from '../errors.ts';

export type PackedKind = 'zst' | 'xz' | 'gz';
export type ImageKind = 'raw' | PackedKind;

const chunkBytes = 256 << 10;

/**
 * Magic numbers: RFC 8878 § 3.1.1 (a Zstandard frame), the .xz format § 2.1.1.1, RFC 1952 § 2.3.1.
 * A raw image begins with a sector whose last two bytes are a boot record's (UEFI 2.10 § 5.2.1).
 */
const magics: [kind: ImageKind, atBytes: number, hex: string][] = [
  ['zst', 0, '28b52ffd'],
  ['xz', 0, 'fd377a585a00'],
  ['gz', 0, '1f8b'],
  ['raw', 510, '55aa'],
];
const headBytes = 512;

/** The file's kind, or how it begins if it is no image. */
export async function kindOf(path: string): Promise<{ kind?: ImageKind; head: string }> {
  const file = await open(path, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(headBytes), 0, headBytes, 0);
    const hexAt = (at: number, size: number): string =>
      buffer.subarray(at, Math.min(at + size, bytesRead)).toString('hex');
    const found = magics.find(([, at, hex]) => hexAt(at, hex.length / 2) === hex);
    return { kind: found?.[0], head: hexAt(0, 8) };
  } finally {
    await file.close();
  }
}

/** A decoder's own word that the file is wrong: cut short, or damaged. */
export class DecodeError extends Error {
  readonly reason: 'truncated' | 'damaged';

  constructor(reason: 'truncated' | 'damaged', cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
    this.name = 'DecodeError';
    this.reason = reason;
  }
}

/**
 * The raw image in order, in chunks that are valid until the next is asked for. Whoever stops
 * listening ends the decoder.
 * @throws DecodeError; KitError `tool-missing` where the machine has no xz
 */
export async function* decode(
  path: string,
  kind: PackedKind,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const chunks = kind === 'xz' ? throughXz(path, signal) : throughZlib(path, kind, signal);
  for await (const chunk of chunks) {
    yield chunk;
    release(chunk);
  }
}

/** Gives memory back at once: left to the collector, some 70 MB of it would pile up. */
function release({ buffer, byteOffset, byteLength }: Buffer): void {
  // The decoder goes on filling a buffer of which this was only the beginning; small ones are shared.
  if (byteOffset + byteLength < buffer.byteLength || buffer.byteLength <= Buffer.poolSize) return;
  (buffer as ArrayBuffer).transfer(0);
}

async function* throughZlib(
  path: string,
  kind: 'zst' | 'gz',
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  const options = { chunkSize: chunkBytes };
  const decoder = kind === 'zst' ? createZstdDecompress(options) : createGunzip(options);
  // What goes wrong with feeding ends the decoder, and is met there.
  const feeding = feed(path, decoder, signal).catch((error: Error) => decoder.destroy(error));
  try {
    yield* decoder as AsyncIterable<Buffer>;
  } catch (error) {
    const code = String((error as NodeJS.ErrnoException).code);
    if (!/^(ZSTD|Z)_/.test(code)) throw error; // Reading failed, not decoding.
    throw new DecodeError(code === 'Z_BUF_ERROR' ? 'truncated' : 'damaged', error);
  } finally {
    decoder.destroy();
    await feeding;
  }
}

/** Through one buffer, which is free again when the decoder has taken it. */
async function feed(path: string, decoder: Writable, signal?: AbortSignal): Promise<void> {
  const buffer = Buffer.alloc(chunkBytes);
  const closed = new Promise<void>((resolve) => decoder.once('close', resolve));
  const file = await open(path, 'r');
  try {
    while (!decoder.destroyed) {
      signal?.throwIfAborted();
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return void decoder.end();
      const { promise, resolve } = Promise.withResolvers<void>();
      // Its failure is the decoder's, which tells it to whoever listens.
      decoder.write(buffer.subarray(0, bytesRead), () => resolve());
      await Promise.race([promise, closed]);
    }
  } finally {
    await file.close();
  }
}

/** Of a .xz made with -9; one that asks for more was not made for a bench (xz(1), "Memory usage"). */
const xzMemory = '--memlimit-decompress=128MiB';

/** By xz-utils' own program: a process of its own, whose memory and crashes are not ours. */
async function* throughXz(path: string, signal?: AbortSignal): AsyncGenerator<Buffer> {
  const xz = spawn('xz', ['--decompress', '--stdout', '--quiet', xzMemory], {
    stdio: ['pipe', 'pipe', 'pipe'],
    env: { PATH: process.env['PATH'] ?? '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
  });
  const ended = Promise.withResolvers<number | null>();
  let words = '';
  xz.on('error', (cause) => ended.reject(xzMissing(cause)));
  xz.on('close', ended.resolve);
  ended.promise.catch(() => {}); // Met below, after the output has ended.
  xz.stderr.on('data', (bytes: Buffer) => (words += bytes.toString('utf8').slice(0, 1000)));
  xz.stdin.on('error', () => {}); // It ended before it had read everything: its status says why.
  const feeding = feed(path, xz.stdin, signal).catch((error: Error) => xz.stdout.destroy(error));
  try {
    yield* xz.stdout as AsyncIterable<Buffer>;
    if ((await ended.promise) === 0) return;
    throw new DecodeError(/end of input/.test(words) ? 'truncated' : 'damaged', words.trim());
  } finally {
    xz.kill('SIGKILL');
    xz.stdin.destroy();
    await feeding;
  }
}

function xzMissing(cause: Error): KitError {
  return new KitError({
    code: 'tool-missing',
    message: 'xz could not be started',
    expected: "xz of Debian's xz-utils",
    got: cause.message,
    hint: 'apt-get install xz-utils',
    cause,
  });
}
