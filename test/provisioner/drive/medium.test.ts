import type { FileHandle } from 'node:fs/promises';

import test from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { alignedMemory, flush } from '../../../provisioner/drive/medium.ts';
import { readPages, writePages, type Medium } from '../../../provisioner/drive/medium.ts';
import { blockBytes, laneCount } from '../../../provisioner/drive/blocks.ts';
import { fillSeeded } from '../../helpers/tiny-image.ts';

/** A drive whose every transfer ends in this way. */
function failing(code: string, path = '/dev/null'): Medium {
  const fail = async () => {
    throw Object.assign(new Error(code), { code });
  };
  const file = { write: fail, read: fail, datasync: fail } as unknown as FileHandle;
  return mediumOf(file, path, 1 << 20);
}

function mediumOf(file: FileHandle, path: string, sizeBytes: number): Medium {
  const traffic = { asked: 0, answered: 0 };
  const memory = alignedMemory(laneCount * blockBytes);
  return { path, file, sizeBytes, direct: true, zeroed: false, traffic, memory };
}

const ends: [errno: string, path: string, code: string][] = [
  ['ENOSPC', '/dev/null', 'drive-full'],
  ['EDQUOT', '/dev/null', 'drive-full'],
  ['ENODEV', '/dev/null', 'drive-vanished'],
  ['ENXIO', '/dev/null', 'drive-vanished'],
  ['EIO', '/dev/sdzz', 'drive-vanished'],
  ['EIO', '/dev/null', 'drive-failing'],
];

for (const [errno, path, code] of ends) {
  test(`${errno} from ${path} is told as ${code}`, async (t) => {
    const medium = failing(errno, path);
    const pages = alignedMemory(4096);
    for (const act of [writePages(medium, pages, 0), readPages(medium, pages, 0), flush(medium)]) {
      t.is((await t.throwsAsync(act, { instanceOf: KitError })).code, code);
    }
  });
}

test('a write that a full drive takes in part, which the kernel calls EIO, is told as drive-full', async (t) => {
  const roomBytes = 5 * 4096;
  const fullAt = (errno: string): FileHandle =>
    ({
      async write(_from: Uint8Array, _at: number, size: number, position: number) {
        if (position + size <= roomBytes) return { bytesWritten: size };
        throw Object.assign(new Error('x'), { code: size > 4096 ? 'EIO' : errno });
      },
    }) as unknown as FileHandle;
  for (const [errno, code] of [
    ['ENOSPC', 'drive-full'],
    ['EIO', 'drive-failing'],
  ] as const) {
    const medium = mediumOf(fullAt(errno), '/dev/null', 1 << 20);
    await writePages(medium, alignedMemory(4 * 4096), 4096);
    const straddling = writePages(medium, alignedMemory(8 * 4096), 0);
    t.is((await t.throwsAsync(straddling, { instanceOf: KitError })).code, code);
  }
});

test('a drive that takes and gives only a little at a time is heard out', async (t) => {
  const bytes = Buffer.alloc(8192);
  const file = {
    async write(from: Uint8Array, _at: number, size: number, position: number) {
      const bytesWritten = Math.min(size, 1000);
      bytes.set(from.subarray(0, bytesWritten), position);
      return { bytesWritten };
    },
    async read(into: Uint8Array, _at: number, size: number, position: number) {
      const bytesRead = Math.min(size, 700, bytes.length - position);
      into.set(bytes.subarray(position, position + bytesRead));
      return { bytesRead };
    },
  } as unknown as FileHandle;
  const medium = mediumOf(file, '/dev/null', 8192);
  const written = alignedMemory(8192);
  fillSeeded(written, 3);
  await writePages(medium, written, 0);
  const found = alignedMemory(8192);
  await readPages(medium, found, 0);
  t.deepEqual(found, written);
  const beyond = readPages(medium, found, 4096);
  t.is((await t.throwsAsync(beyond, { instanceOf: KitError })).code, 'drive-failing');
});
