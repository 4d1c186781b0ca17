// The boot partition (ESP, FAT) of one drive, put together in memory: the image's bytes, then the
// kit's identity by mtools. It lives in a file without a name, so that the node's private key is
// never on the bench's disk where there is /dev/shm, and gone when we are.

import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { access, mkdtemp, open, rm, symlink, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { KitError, systemWords } from '../errors.ts';
import { headBytes, usedBytes } from './fat.ts';
import { pageBytes, type Extent } from './manifest.ts';
import { runTool } from './tool.ts';

export interface Esp {
  /** `atBytes` counts from the partition's start. */
  put(bytes: Uint8Array, atBytes: number): Promise<void>;
  /** Adds /kit/ with these files, and marks the partition as written by kit. Once. */
  inject(files: Map<string, string>): Promise<void>;
  read(into: Uint8Array, atBytes: number): Promise<void>;
  /** From its start to the last cluster in use, up to the next page: what a drive must get. */
  usedBytes(): Promise<number>;
  close(): Promise<void>;
}

export async function createEsp(extent: Extent): Promise<Esp> {
  const file = await openNameless(extent.sizeBytes);
  return {
    put: (bytes, atBytes) => putAll(file, bytes, atBytes),
    async inject(files) {
      await injectFiles(file, files);
      await markBootSectors(file);
    },
    read: (into, atBytes) => readAll(file, into, atBytes),
    async usedBytes() {
      const bootSector = Buffer.alloc(512);
      await readAll(file, bootSector, 0);
      const head = Buffer.alloc(Math.min(headBytes(bootSector), extent.sizeBytes));
      await readAll(file, head, 0);
      const used = Math.ceil(usedBytes(head) / pageBytes) * pageBytes;
      return Math.min(used, extent.sizeBytes);
    },
    close: () => file.close(),
  };
}

/** Where there is one that is never on a disk. */
async function memoryFolder(): Promise<string> {
  const shm = '/dev/shm';
  return access(shm, constants.W_OK).then(
    () => shm,
    () => tmpdir(),
  );
}

async function openNameless(sizeBytes: number): Promise<FileHandle> {
  const path = join(await memoryFolder(), `kit-esp-${randomUUID()}`);
  const file = await open(path, 'wx+', 0o600);
  await rm(path);
  await file.truncate(sizeBytes);
  return file;
}

/** A full /dev/shm takes a part and says nothing: a short write must not pass for a whole one. */
async function putAll(file: FileHandle, bytes: Uint8Array, atBytes: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    const rest = bytes.subarray(done);
    const { bytesWritten } = await file
      .write(rest, 0, rest.length, atBytes + done)
      .catch((cause: NodeJS.ErrnoException) => {
        throw noRoom(cause);
      });
    done += bytesWritten;
  }
}

async function readAll(file: FileHandle, into: Uint8Array, atBytes: number): Promise<void> {
  const { bytesRead } = await file.read(into, 0, into.length, atBytes);
  if (bytesRead !== into.length) throw new RangeError(`expected ${into.length} bytes`);
}

/** Descriptor 3 of each tool: see runTool. */
const image = '/proc/self/fd/3';

async function injectFiles(file: FileHandle, files: Map<string, string>): Promise<void> {
  try {
    await runTool('mmd', ['-i', image, '::/kit'], { fds: [file.fd] });
    await copyIn(file, files);
  } catch (cause) {
    if (cause instanceof KitError && cause.code === 'tool-failed') throw unwritable(cause);
    throw cause;
  }
  // All in one go, in the order in which they were put there.
  const found = await runTool('mcopy', ['-i', image, '::/kit/*', '-'], { fds: [file.fd] });
  if (found.toString('utf8') !== [...files.values()].join('')) {
    throw unwritable('/kit reads back otherwise than it was written');
  }
}

/**
 * All by one mcopy, since starting a program costs more than copying a file. It takes names from
 * where it reads: from links to nameless files, so that no private key ever has a name.
 */
async function copyIn(file: FileHandle, files: Map<string, string>): Promise<void> {
  const folder = await mkdtemp(join(await memoryFolder(), 'kit-names-'));
  const contents: FileHandle[] = [];
  try {
    const links: string[] = [];
    for (const [name, text] of files) {
      const content = await openNameless(0);
      contents.push(content);
      await putAll(content, Buffer.from(text), 0);
      const link = join(folder, name);
      // The image is descriptor 3; the contents follow it.
      await symlink(`/proc/self/fd/${3 + contents.length}`, link);
      links.push(link);
    }
    const fds = [file.fd, ...contents.map(({ fd }) => fd)];
    await runTool('mcopy', ['-i', image, ...links, '::/kit/'], { fds });
  } finally {
    for (const content of contents) await content.close();
    await rm(folder, { recursive: true });
  }
}

/**
 * FAT's boot sector: jump (3), OEM name (8), …; "Microsoft FAT Specification" § 3.1: the name is
 * for people, no driver minds it. FAT32 keeps a copy, whose sector number stands at 50.
 */
const oemNameAt = 3;
export const oemName = 'KITDRIVE';

async function markBootSectors(file: FileHandle): Promise<void> {
  const sector = Buffer.alloc(512);
  await file.read(sector, 0, sector.length, 0);
  await file.write(oemName, oemNameAt);
  const isFat32 = sector.toString('latin1', 82, 87) === 'FAT32';
  const copyAt = sector.readUInt16LE(50) * sector.readUInt16LE(11);
  if (isFat32 && copyAt !== 0) await file.write(oemName, copyAt + oemNameAt);
}

/** Whether these bytes are the start of an ESP that kit filled, for whichever kit. */
export function isKitEsp(bootSector: Uint8Array): boolean {
  return isMarked(bootSector) && bootSector[510] === 0x55 && bootSector[511] === 0xaa;
}

/** Whether these bytes, the start of an ESP, were written by kit. */
export function isMarked(bootSector: Uint8Array): boolean {
  const name = bootSector.subarray(oemNameAt, oemNameAt + oemName.length);
  return Buffer.from(name).toString('latin1') === oemName;
}

/** A page that is no file system, with the mark: it stands there while a drive is half written. */
export function markedPage(page: Uint8Array): Uint8Array {
  page.fill(0);
  page.set(Buffer.from(oemName, 'latin1'), oemNameAt);
  return page;
}

function noRoom(cause: NodeJS.ErrnoException): KitError {
  return new KitError({
    code: 'bench-full',
    message: 'The boot partition could not be put together on this machine',
    expected: 'some 20 MB free in /dev/shm for each drive',
    got: systemWords(cause),
    hint: 'Flash fewer drives at once, or make room there.',
    cause,
  });
}

function unwritable(reason: KitError | string): KitError {
  const cause = typeof reason === 'string' ? undefined : reason;
  return new KitError({
    code: 'esp-unwritable',
    message: 'The kit’s identity could not be put into the image’s boot partition',
    expected: 'a FAT file system with some room and without a folder /kit',
    got: typeof reason === 'string' ? reason : reason.got,
    hint: 'Make the image again with `kit image build`.',
    cause,
  });
}
