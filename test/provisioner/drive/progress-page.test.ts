import test from 'ava';
import fc from 'fast-check';

import { decodeProgress, encodeProgress } from '../../../provisioner/drive/progress-page.ts';

const page = 4096;
const sizes = fc.nat({ max: 2 ** 31 }).map((n) => n * 512);
const progresses = fc.record({
  driveSizeBytes: sizes,
  durableBytes: sizes,
  rawSha256: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((b) => Buffer.from(b).toString('hex')),
});

test('a page tells what was written to it', (t) => {
  fc.assert(
    fc.property(progresses, (progress) => {
      // What stood there before does not matter.
      const bytes = new Uint8Array(page).fill(0xa5);
      t.deepEqual(decodeProgress(encodeProgress(bytes, progress)), progress);
    }),
  );
});

test('a page that was torn, spoiled, or never written tells nothing', (t) => {
  const other = { driveSizeBytes: 1, durableBytes: 2, rawSha256: 'cd'.repeat(32) };
  fc.assert(
    fc.property(progresses, fc.nat(page - 1), fc.integer({ min: 1, max: 7 }), (progress, at, cut) => {
      const spoiled = encodeProgress(new Uint8Array(page), progress);
      spoiled[at] ^= 1;
      t.is(decodeProgress(spoiled), undefined);
      // A write that stopped at a sector's border.
      const torn = encodeProgress(new Uint8Array(page), progress);
      torn.set(encodeProgress(new Uint8Array(page), other).subarray(cut * 512), cut * 512);
      t.is(decodeProgress(torn), undefined);
    }),
  );
  t.is(decodeProgress(new Uint8Array(page)), undefined);
});
