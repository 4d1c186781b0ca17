// A drive that is open: a block device, or a regular file standing for one. Reads and writes whole
// pages past the kernel's cache (O_DIRECT), so that what is read back comes from the drive and a
// slow drive does not fill the memory; where the file system cannot do that (tmpfs), through the
// cache. Knows nothing of images.

import { constants } from 'node:fs';
import { access, open, type FileHandle } from 'node:fs/promises';

import { KitError } from '../errors.ts';
import { blockBytes, laneCount } from './blocks.ts';
import { pageBytes } from './manifest.ts';

export interface Medium {
  path: string;
  file: FileHandle;
  sizeBytes: number;
  /** Whether reads are sure to come from the drive itself. */
  direct: boolean;
  /** Whether all that was not written reads as zeros: then zeros need no writing. */
  zeroed: boolean;
  /** What it was asked for and what it has answered: from it one sees that a drive hangs. */
  traffic: { asked: number; answered: number };
  /** Aligned, a block for each lane; one job at a time uses it. All the memory that a drive gets. */
  memory: Uint8Array;
}

// TypeScript knows WebAssembly only together with the whole DOM.
declare const WebAssembly: {
  Memory: new (pages: { initial: number; maximum: number }) => { buffer: ArrayBuffer };
};

/** Memory on page borders, as O_DIRECT wants: WebAssembly's is the one kind that Node offers. */
export function alignedMemory(sizeBytes: number): Uint8Array {
  const wasmPages = Math.ceil(sizeBytes / 65_536);
  const memory = new WebAssembly.Memory({ initial: wasmPages, maximum: wasmPages });
  return new Uint8Array(memory.buffer, 0, sizeBytes);
}

/**
 * @param flags besides O_RDWR: O_EXCL for a block device refuses one that is mounted or held
 * @throws KitError `drive-in-use`, `drive-read-only`, `drive-not-permitted`, `drive-vanished`
 */
export async function openMedium(path: string, flags: number, mode?: number): Promise<Medium> {
  const { O_RDWR, O_CREAT, O_EXCL, O_DIRECT, O_NOFOLLOW } = constants;
  const openWith = (extra: number) => open(path, O_RDWR | O_NOFOLLOW | flags | extra, mode);
  let direct = true;
  const file = await openWith(O_DIRECT)
    .catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EINVAL') throw error;
      direct = false;
      // A failed O_DIRECT may have made the file already: then O_EXCL would refuse our own. On a
      // block device, which is not made, O_EXCL is what refuses a mounted one: it stays.
      const again = (flags & O_CREAT) === 0 ? flags : flags & ~O_EXCL;
      return open(path, O_RDWR | O_NOFOLLOW | again, mode);
    })
    .catch((error: unknown) => {
      throw openingError(path, error as NodeJS.ErrnoException);
    });
  const traffic = { asked: 0, answered: 0 };
  const memory = alignedMemory(laneCount * blockBytes);
  return { path, file, sizeBytes: 0, direct, zeroed: false, traffic, memory };
}

/** The first `sizeBytes` of a lane's block. */
export function laneMemory({ memory }: Medium, lane: number, sizeBytes: number): Uint8Array {
  return memory.subarray(lane * blockBytes, lane * blockBytes + sizeBytes);
}

/** Writes whole pages from aligned memory. */
export async function writePages(
  medium: Medium,
  bytes: Uint8Array,
  atBytes: number,
): Promise<void> {
  // Of a write that a full drive takes in part, the kernel says EIO, and ENOSPC only of one that it
  // takes nothing of: after EIO, page by page tells a full drive from a failing one.
  let mostBytes = bytes.length;
  for (let done = 0; done < bytes.length; ) {
    const part = bytes.subarray(done, done + mostBytes);
    const write = async () => {
      try {
        return (await medium.file.write(part, 0, part.length, atBytes + done)).bytesWritten;
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EIO' || part.length <= pageBytes) throw error;
        mostBytes = pageBytes;
        return 0;
      }
    };
    done += await transfer(medium, write);
  }
}

/** Fills `into`, aligned and of whole pages, from `atBytes` on. */
export async function readPages(medium: Medium, into: Uint8Array, atBytes: number): Promise<void> {
  const { file } = medium;
  for (let done = 0; done < into.length; ) {
    const rest = into.subarray(done);
    const read = async () => refuseEnd(await file.read(rest, 0, rest.length, atBytes + done));
    done += (await transfer(medium, read)).bytesRead;
  }
}

function refuseEnd<T extends { bytesRead: number }>(outcome: T): T {
  if (outcome.bytesRead > 0) return outcome;
  throw Object.assign(new Error('it ends too early'), { code: 'EIO' });
}

/** Returns when all that was written is on the drive. */
export async function flush(medium: Medium): Promise<void> {
  await transfer(medium, () => medium.file.datasync());
}

async function transfer<T>(medium: Medium, act: () => Promise<T>): Promise<T> {
  medium.traffic.asked++;
  try {
    return await act();
  } catch (error) {
    throw await transferError(medium, error as NodeJS.ErrnoException);
  } finally {
    medium.traffic.answered++;
  }
}

const asRoot = 'Run kit with sudo, and --identity ~/.config/commons-kit/volunteer.key.';

function openingError(path: string, error: NodeJS.ErrnoException): unknown {
  const known: Record<string, [code: string, expected: string, hint: string]> = {
    EBUSY: ['drive-in-use', 'a drive that nothing uses', 'Unmount what is on it, then try again.'],
    EROFS: ['drive-read-only', 'a drive that can be written', 'Unlock the card’s write switch.'],
    EACCES: ['drive-not-permitted', 'permission to write it', asRoot],
    EPERM: ['drive-not-permitted', 'permission to write it', asRoot],
    ENOENT: ['drive-vanished', 'the drive still there', 'Plug it in again, and look it up anew.'],
    ENXIO: ['drive-vanished', 'the drive still there', 'Plug it in again, and look it up anew.'],
    ENOMEDIUM: ['drive-no-medium', 'a card in the reader', 'Put the card in.'],
    ELOOP: ['drive-changed', 'a path that is no link', 'Name the drive itself.'],
    EEXIST: ['drive-changed', 'a file that is new', 'Somebody made it just now: look at it.'],
  };
  const parts = known[error.code ?? ''];
  if (parts === undefined) return error;
  const [code, expected, hint] = parts;
  const message = `${path} could not be opened`;
  return new KitError({ code, message, expected, got: error.code, hint, cause: error });
}

async function transferError(medium: Medium, error: NodeJS.ErrnoException): Promise<KitError> {
  const { path } = medium;
  const there = await access(path).then(
    () => true,
    () => false,
  );
  const parts = { got: error.code ?? error.message, cause: error };
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') {
    return new KitError({
      code: 'drive-full',
      message: `${path} is full`,
      expected: 'room for the image',
      hint: 'Free some space where the file lies, or take a larger drive.',
      ...parts,
    });
  }
  if (!there || ['ENODEV', 'ENXIO', 'ENOMEDIUM'].includes(error.code ?? '')) {
    return new KitError({
      code: 'drive-vanished',
      message: `${path} went away while it was used`,
      expected: 'a drive that stays plugged in',
      hint: 'Plug it in again and flash it again: it goes on where it was, and does not boot until then.',
      ...parts,
    });
  }
  return new KitError({
    code: 'drive-failing',
    message: `${path} could not be read or written`,
    expected: 'a sound drive',
    hint: 'Try another port or reader; if it happens again, throw the drive away.',
    ...parts,
  });
}
