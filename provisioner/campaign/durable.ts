// Writing a file so that it is wholly there or not at all, also after a power cut: the bytes are
// flushed under another name, the name is moved, and the folder that holds the name is flushed.
// Owns no format. Never follows a link at the target and never leaves a file readable by others
// for a moment: the mode is set as the file is made.

import { randomUUID } from 'node:crypto';
import { link, open, rename, rm, type FileHandle } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Replaces `path`, or makes it. */
export async function replaceDurably(path: string, bytes: Uint8Array | string, mode = 0o644) {
  await throughTemporary(path, bytes, mode, async (temporary) => {
    await rename(temporary, path);
  });
}

/**
 * Makes `path` unless it is there.
 * @returns whether this call made it; `false` when somebody else had, whose file is left as it is
 */
export async function createDurably(path: string, bytes: Uint8Array | string, mode = 0o644) {
  let made = true;
  await throughTemporary(path, bytes, mode, async (temporary) => {
    // rename() would replace another process's file; link() refuses.
    await link(temporary, path).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error;
      made = false;
    });
  });
  return made;
}

/**
 * Overwrites a file, flushes it, and removes its name; does nothing where there is none. What a
 * drive or a file system keeps elsewhere (journals, snapshots, worn blocks) is out of its reach.
 */
export async function eraseDurably(path: string): Promise<void> {
  const file = await open(path, 'r+').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
    return undefined;
  });
  if (file === undefined) return;
  try {
    const { size } = await file.stat();
    await file.write(Buffer.alloc(size), 0, size, 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await rm(path, { force: true });
  await flushFolder(dirname(path));
}

async function throughTemporary(
  path: string,
  bytes: Uint8Array | string,
  mode: number,
  publish: (temporary: string) => Promise<void>,
): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomUUID()}.new`);
  const file = await open(temporary, 'wx', mode).catch((error: NodeJS.ErrnoException) => {
    // By the name that somebody asked for: nobody has heard of the other one.
    throw Object.assign(error, { path });
  });
  try {
    await writeFlushed(file, bytes);
    await publish(temporary);
  } finally {
    await rm(temporary, { force: true });
  }
  await flushFolder(folder);
}

async function writeFlushed(file: FileHandle, bytes: Uint8Array | string): Promise<void> {
  try {
    await file.writeFile(bytes);
    await file.sync();
  } finally {
    await file.close();
  }
}

async function flushFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}
