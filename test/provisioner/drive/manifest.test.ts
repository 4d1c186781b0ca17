import test from 'ava';

import { manifestPath, parseManifest } from '../../../provisioner/drive/manifest.ts';
import { KitError } from '../../../provisioner/errors.ts';

const hash = 'ab'.repeat(32);
const mib = 1 << 20;
const good = {
  ...{ format: 1, name: 'snac', arch: 'amd64', release: 'trixie', sizeBytes: 16 * mib },
  ...{ rawSha256: hash, zstSha256: hash, createdFrom: { any: 'thing' } },
  esp: { offsetBytes: 2 * mib, sizeBytes: 4 * mib },
  root: { offsetBytes: 6 * mib, sizeBytes: 9 * mib },
  ranges: [[0, 4096, hash], [2 * mib, 8192, hash]],
};

test('a manifest is read', (t) => {
  const manifest = parseManifest(JSON.stringify(good), 'm.json');
  t.deepEqual(manifest.ranges[1], { offsetBytes: 2 * mib, sizeBytes: 8192, sha256: hash });
  t.is(manifestPath('a/snac-amd64.img.zst'), 'a/snac-amd64.json');
});

const wrong: Record<string, object> = {
  'another format': { format: 2 },
  'no ranges': { ranges: [] },
  'a range of nothing': { ranges: [[0, 0, hash]] },
  'ranges that overlap': { ranges: [[0, 8192, hash], [4096, 4096, hash]] },
  'ranges out of order': { ranges: [[8192, 4096, hash], [0, 4096, hash]] },
  'a range beyond the end': { ranges: [[16 * mib, 4096, hash]] },
  'a range off the pages': { ranges: [[512, 4096, hash]] },
  'a negative range': { ranges: [[-4096, 4096, hash]] },
  'a range without a hash': { ranges: [[0, 4096, 'abc']] },
  'an ESP beyond the end': { esp: { offsetBytes: 14 * mib, sizeBytes: 4 * mib } },
  'an ESP in the first MiB': { esp: { offsetBytes: 4096, sizeBytes: mib } },
  'an empty root': { root: { offsetBytes: 6 * mib, sizeBytes: 0 } },
  'partitions that overlap': { root: { offsetBytes: 5 * mib, sizeBytes: 9 * mib } },
  'no ESP': { esp: undefined },
  'a size that is no number': { sizeBytes: '16M' },
};

for (const [name, change] of Object.entries(wrong)) {
  test(`${name} is refused`, (t) => {
    const text = JSON.stringify({ ...good, ...change });
    const error = t.throws(() => parseManifest(text, 'm.json'), { instanceOf: KitError });
    t.is(error.code, 'manifest-invalid');
    t.truthy(error.got);
  });
}

test('a manifest that is no JSON is refused', (t) => {
  const error = t.throws(() => parseManifest('{', 'm.json'), { instanceOf: KitError });
  t.is(error.code, 'manifest-invalid');
});
