import { createHash } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import test from 'ava';
import { compress } from '../../../provisioner/image/compress.ts';

const sha256 = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest('hex');

test('mapped blocks arrive, unmapped ones are zeros, and every digest holds', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'kit-compress-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const raw = join(dir, 'raw');
  const bytes = Buffer.alloc(40 * 4096, 'not mapped, so never to be seen ');
  await writeFile(raw, bytes);
  const target = join(dir, 'image.zst');
  const mapped = [[0, 1], [7, 7], [30, 39]] as const;
  const made = await compress({ raw, sizeBytes: bytes.length, mapped, target });

  const expected = Buffer.alloc(bytes.length);
  for (const [first, last] of mapped) {
    bytes.copy(expected, first * 4096, first * 4096, (last + 1) * 4096);
  }
  const compressed = await readFile(target);
  t.deepEqual(zstdDecompressSync(compressed), expected);
  t.is(made.zstSha256, sha256(compressed));
  t.is(made.zstSizeBytes, compressed.length);
  t.is(made.rawSha256, sha256(expected));
  t.deepEqual(
    made.ranges,
    mapped.map(([first, last]) => ({
      firstByte: first * 4096,
      lengthBytes: (last - first + 1) * 4096,
      sha256: sha256(expected.subarray(first * 4096, (last + 1) * 4096)),
    })),
  );
});

test('an image that is shorter than its map is refused', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'kit-compress-'));
  t.teardown(() => rm(dir, { recursive: true }));
  const raw = join(dir, 'raw');
  await writeFile(raw, Buffer.alloc(4096));
  const job = { raw, sizeBytes: 8192, mapped: [[0, 1]] as const, target: join(dir, 'zst') };
  await t.throwsAsync(compress(job), { message: /ends at byte 4096/ });
});
