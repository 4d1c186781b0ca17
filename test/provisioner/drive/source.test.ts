import { execFileSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, truncateSync } from 'node:fs';
import { writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';

import test, { type ExecutionContext } from 'ava';

import { decode, kindOf, type ImageKind } from '../../../provisioner/drive/decode.ts';
import { openImage } from '../../../provisioner/drive/image.ts';
import { openSource } from '../../../provisioner/drive/source.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { makeTinyImage, sha256, type TinyImage } from '../../helpers/tiny-image.ts';

const kinds: Record<ImageKind, (raw: Buffer) => Buffer> = {
  raw: (raw) => raw,
  zst: zstdCompressSync,
  gz: (raw) => gzipSync(raw, { level: 1 }),
  xz: (raw) => execFileSync('xz', ['-0', '-c'], { input: raw, maxBuffer: 1 << 30 }),
};

interface Scene {
  dir: string;
  tiny: TinyImage;
  /** Puts an image of this kind with its manifest there; `content` instead of the raw image. */
  put(kind: ImageKind, content?: Buffer): string;
}

const withScene = test.macro(
  async (t, body: (t: ExecutionContext, s: Scene) => Promise<void>) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-source-'));
    const tiny = makeTinyImage(dir);
    const put: Scene['put'] = (kind, content = tiny.raw) => {
      const packed = kinds[kind](content);
      const path = join(dir, `tiny-amd64.img${kind === 'raw' ? '' : `.${kind}`}`);
      writeFileSync(path, packed);
      const zstSha256 = kind === 'zst' ? sha256(packed) : tiny.manifest['zstSha256'];
      writeFileSync(join(dir, 'tiny-amd64.json'), JSON.stringify({ ...tiny.manifest, zstSha256 }));
      return path;
    };
    try {
      await body(t, { dir, tiny, put });
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

async function failureOf(path: string, folder: string): Promise<KitError> {
  const image = await openImage(path);
  const source = await openSource(image, folder);
  const error = await source.proven.then(() => undefined, (cause: unknown) => cause);
  // Whoever reads learns the same, sooner or later.
  const { offsetBytes } = image.manifest.ranges.at(-1)!;
  if (image.kind !== 'raw') {
    const read = source.read(new Uint8Array(4096), offsetBytes);
    await read.then(() => {}, (cause: unknown) => cause === error || Promise.reject(cause));
  }
  await source.close();
  if (error instanceof KitError) return error;
  throw error ?? new Error('expected a failure');
}

for (const kind of Object.keys(kinds) as ImageKind[]) {
  test(`${kind}: known by its first bytes, unpacked, proven, leaving no file`, withScene, async (t, s) => {
    const path = s.put(kind);
    t.is((await kindOf(path)).kind, kind);
    const files = readdirSync(s.dir);
    const source = await openSource(await openImage(path), s.dir);
    t.deepEqual(readdirSync(s.dir), files);
    // Two read at once, one from the end: each gets its bytes as soon as they are there.
    const reads = [...s.tiny.manifest.ranges].reverse().map(async ([at, size]) => {
      const into = Buffer.alloc(size);
      await source.read(into, at);
      t.true(into.equals(s.tiny.raw.subarray(at, at + size)), `range at ${at}`);
    });
    await Promise.all(reads);
    t.is((await source.proven).length, source.segments.length);
    await source.close();
  });

  test(`${kind}: cut, spoiled and inflated are told apart`, withScene, async (t, s) => {
    const bomb = Buffer.concat([s.tiny.raw, Buffer.alloc(64 << 20)]);
    const other = Buffer.from(s.tiny.raw);
    other[13 << 20] ^= 1;
    if (kind === 'raw') {
      t.is((await t.throwsAsync(openImage(s.put(kind, bomb)), { instanceOf: KitError })).code, 'image-oversize');
    } else t.is((await failureOf(s.put(kind, bomb), s.dir)).code, 'image-oversize');
    t.is((await failureOf(s.put(kind, other), s.dir)).code, 'image-wrong-hash');
    const cut = s.put(kind);
    truncateSync(cut, statSync(cut).size >> 1);
    const opening = openImage(cut).then(() => failureOf(cut, s.dir));
    const error = await opening.catch((cause: KitError) => cause);
    t.is(error.code, 'image-truncated');
    if (kind === 'raw' || kind === 'zst') return;
    // Bytes in the middle: the decoder's own check, or the ranges' hashes.
    const bytes = readFileSync(s.put(kind));
    bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 64);
    writeFileSync(cut, bytes);
    t.regex((await failureOf(cut, s.dir)).code, /^image-(damaged|wrong-hash)$/);
  });
}

test('an image that is shorter than its manifest says is cut', withScene, async (t, s) => {
  const error = await failureOf(s.put('gz', s.tiny.raw.subarray(0, 8 << 20)), s.dir);
  t.is(error.code, 'image-truncated');
});

test('a bomb costs no more than the manifest’s size', withScene, async (t, s) => {
  const bomb = s.put('gz', Buffer.concat([s.tiny.raw, Buffer.alloc(512 << 20)]));
  let seen = 0;
  for await (const chunk of decode(bomb, 'gz')) {
    seen += chunk.length;
    if (seen > s.tiny.raw.length) break;
  }
  t.true(seen <= s.tiny.raw.length + (1 << 20));
});

test('no room for unpacking is said before it begins', withScene, async (t, s) => {
  const path = s.put('zst');
  const image = await openImage(path);
  const [first] = image.manifest.ranges;
  const huge = { ...image.manifest, ranges: [{ ...first, sizeBytes: 2 ** 50 }] };
  const opening = openSource({ ...image, manifest: huge }, s.dir);
  t.is((await t.throwsAsync(opening, { instanceOf: KitError })).code, 'bench-full');
});
