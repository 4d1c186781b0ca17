import test from 'ava';
import fc from 'fast-check';

import type { ImageManifest } from '../../../provisioner/drive/manifest.ts';
import { cutSegments, edgeBytes } from '../../../provisioner/drive/segments.ts';

const page = 4096;
const sizeBytes = 8 << 20;
const esp = { offsetBytes: 2 << 20, sizeBytes: 2 << 20 };

/** Ranges from the set of mapped pages. */
const manifests = fc.uniqueArray(fc.nat(sizeBytes / page - 1), { minLength: 1 }).map((pages) => {
  const ranges: ImageManifest['ranges'] = [];
  for (const at of pages.sort((a, b) => a - b).map((n) => n * page)) {
    const last = ranges.at(-1);
    if (last && last.offsetBytes + last.sizeBytes === at) last.sizeBytes += page;
    else ranges.push({ offsetBytes: at, sizeBytes: page, sha256: '' });
  }
  const root = { offsetBytes: 4 << 20, sizeBytes: 3 << 20 };
  const rest = { name: 'x', arch: 'amd64', release: 'trixie', rawSha256: '', zstSha256: '' };
  return { ...rest, sizeBytes, esp, root, ranges };
});

test('segments are exactly the mapped ranges, each of one kind', (t) => {
  fc.assert(
    fc.property(manifests, (manifest) => {
      const segments = cutSegments(manifest);
      const joined: { offsetBytes: number; sizeBytes: number }[] = [];
      for (const { range, offsetBytes, sizeBytes: size } of segments) {
        joined[range] ??= { offsetBytes, sizeBytes: 0 };
        t.is(offsetBytes, joined[range].offsetBytes + joined[range].sizeBytes);
        joined[range].sizeBytes += size;
      }
      t.deepEqual(joined, manifest.ranges.map(({ sha256: _, ...extent }) => extent));
      for (const { offsetBytes, sizeBytes: size, place } of segments) {
        const end = offsetBytes + size;
        const inEsp = offsetBytes >= esp.offsetBytes && end <= esp.offsetBytes + esp.sizeBytes;
        const atEdge = end <= edgeBytes || offsetBytes >= sizeBytes - edgeBytes;
        t.is(place, inEsp ? 'esp' : atEdge ? 'closing' : 'body');
      }
    }),
  );
});
