import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { constants } from 'node:fs';
import { join } from 'node:path';
import type { FileHandle } from 'node:fs/promises';

import test from 'ava';
import fc from 'fast-check';

import { KitError } from '../../../provisioner/errors.ts';
import { alignedMemory, flush, openMedium } from '../../../provisioner/drive/medium.ts';
import { readPages, writePages, type Medium } from '../../../provisioner/drive/medium.ts';
import { createPageWriter } from '../../../provisioner/drive/page-writer.ts';
import { fillSeeded } from '../../helpers/tiny-image.ts';

/** A drive whose every transfer ends in this way. */
function failing(code: string, path = '/dev/null'): Medium {
  const fail = async () => {
    throw Object.assign(new Error(code), { code });
  };
  const file = { write: fail, read: fail, datasync: fail } as unknown as FileHandle;
  return { path, file, sizeBytes: 1 << 20, direct: true, zeroed: false };
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
  const medium: Medium = { path: '/dev/null', file, sizeBytes: 8192, direct: true, zeroed: false };
  const written = alignedMemory(8192);
  fillSeeded(written, 3);
  await writePages(medium, written, 0);
  const found = alignedMemory(8192);
  await readPages(medium, found, 0);
  t.deepEqual(found, written);
  const beyond = readPages(medium, found, 4096);
  t.is((await t.throwsAsync(beyond, { instanceOf: KitError })).code, 'drive-failing');
});

test('pieces of any size arrive where they belong', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'kit-medium-'));
  const path = join(dir, 'drive.img');
  const runs = fc.array(fc.array(fc.integer({ min: 1, max: 70_000 }), { minLength: 1 }), {
    ...{ minLength: 1, maxLength: 6 },
  });
  await fc.assert(
    fc.asyncProperty(runs, fc.boolean(), async (pieces, zeroed) => {
      const opened = await openMedium(path, constants.O_CREAT | constants.O_TRUNC, 0o600);
      const writer = createPageWriter({ ...opened, zeroed });
      const wanted = Buffer.alloc(8 << 20);
      let at = 0;
      for (const run of pieces) {
        for (const [index, size] of fillUp(run).entries()) {
          const piece = wanted.subarray(at, at + size);
          if (index % 3 > 0) fillSeeded(piece, at + 1); // Others stay zeros.
          await writer.append(piece, at);
          at += size;
        }
        at += 4096;
      }
      await writer.finish();
      await opened.file.truncate(wanted.length);
      await opened.file.close();
      t.true(readFileSync(path).equals(wanted));
    }),
    { numRuns: 25 },
  );
  rmSync(dir, { recursive: true });
});

/** The run made to end on a page border. */
function fillUp(run: number[]): number[] {
  const total = run.reduce((sum, size) => sum + size, 0);
  return [...run, 4096 - (total % 4096)];
}

test('the first failure of a write under way is met at the latest at the end', async (t) => {
  const writer = createPageWriter(failing('EIO'));
  await writer.append(Buffer.alloc(4096, 1), 0);
  const error = await t.throwsAsync(writer.finish(), { instanceOf: KitError });
  t.is(error.code, 'drive-failing');
});
