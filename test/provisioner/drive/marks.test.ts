import test from 'ava';
import fc from 'fast-check';

import type { Extent } from '../../../provisioner/drive/manifest.ts';
import { decodeMark, encodeMark, maxMarks, placeMarks } from '../../../provisioner/drive/marks.ts';

const page = 4096;
const mib = 1 << 20;
const head = mib;

/** What is written and compared of an image: as Debian's lie, a dense start and long runs. */
const images = fc
  .record({
    start: fc.integer({ min: 256, max: 2048 }),
    runs: fc.array(fc.tuple(fc.integer({ min: 1, max: 64 }), fc.integer({ min: 1, max: 8192 })), {
      ...{ minLength: 1, maxLength: 8 },
    }),
  })
  .map(({ start, runs }) => {
    const ranges: Extent[] = [{ offsetBytes: 0, sizeBytes: start * page }];
    for (const [gap, length] of runs) {
      const { offsetBytes, sizeBytes } = ranges.at(-1)!;
      const at = offsetBytes + sizeBytes + gap * page;
      ranges.push({ offsetBytes: at, sizeBytes: length * page });
    }
    const last = ranges.at(-1)!;
    return { ranges, imageBytes: last.offsetBytes + last.sizeBytes };
  });

interface Drive {
  driveBytes: number;
  imageBytes: number;
  ranges: Extent[];
}

/** A drive up to `times` as large as the image's longest range allows marks for. */
const drives = (times: number): fc.Arbitrary<Drive> =>
  fc.tuple(images, fc.double({ min: 0, max: 1, noNaN: true })).map(([image, share]) => {
    const longest = Math.max(...image.ranges.map(({ sizeBytes }) => sizeBytes));
    const beyond = Math.floor((share * times * longest) / 512) * 512;
    return { ...image, driveBytes: image.imageBytes + 2 * mib + beyond };
  });

/** Whether a page written at this address hits, if only with a sector, what is compared. */
function lands(at: number, extents: Extent[]): boolean {
  return extents.some(
    ({ offsetBytes, sizeBytes }) => at + page > offsetBytes && at < offsetBytes + sizeBytes,
  );
}

function isFound(drive: Drive, marks: number[], realBytes: number): boolean {
  const lasting = marks.filter((at) => at + page <= drive.driveBytes - mib);
  const blank = [{ offsetBytes: 0, sizeBytes: head }];
  return (
    marks.filter((at) => at + page > realBytes).some((at) => lands(at - realBytes, blank)) ||
    lasting.filter((at) => at >= realBytes).some((at) => lands(at % realBytes, drive.ranges))
  );
}

test('whatever its real size, a drive that wraps writes some mark onto what is compared', (t) => {
  let seen = 0;
  fc.assert(
    fc.property(drives(40), fc.array(fc.double({ min: 0, max: 1, noNaN: true })), (drive, shares) => {
      const marks = placeMarks(drive);
      t.true(marks.length <= maxMarks);
      const span = drive.driveBytes - drive.imageBytes;
      const sizes = shares.map((share) => drive.imageBytes + Math.floor((share * span) / 512) * 512);
      const nearEnd = [1, 7, 8, 9, 2048, 2049, 2056, 4096].map((n) => drive.driveBytes - n * 512);
      for (const realBytes of [...sizes, ...nearEnd]) {
        if (realBytes < drive.imageBytes || realBytes > drive.driveBytes - page) continue;
        seen++;
        t.true(isFound(drive, marks, realBytes), `${realBytes} of ${drive.driveBytes}`);
      }
    }),
    { numRuns: 300 },
  );
  t.true(seen > 1000);
});

test('on a drive too large for the budget, powers of two are found all the same', (t) => {
  fc.assert(
    fc.property(drives(100_000), (drive) => {
      const marks = placeMarks(drive);
      t.true(marks.length <= maxMarks);
      for (let realBytes = 2 ** 20; realBytes < drive.driveBytes - 2 * mib; realBytes *= 2) {
        if (realBytes < drive.imageBytes) continue;
        t.true(isFound(drive, marks, realBytes), `${realBytes} of ${drive.driveBytes}`);
      }
    }),
    { numRuns: 100 },
  );
});

test('marks stand apart from the image, on pages, the last at the very end', (t) => {
  fc.assert(
    fc.property(drives(1000), (drive) => {
      const marks = placeMarks(drive);
      t.is(new Set(marks).size, marks.length);
      for (const at of marks) {
        t.is(at % page, 0);
        t.true(at >= drive.imageBytes && at + page <= drive.driveBytes);
      }
      t.true(drive.driveBytes - marks.at(-1)! < 2 * page, 'a drive that drops its end is found');
    }),
  );
});

test('an image that fills the drive leaves no room for marks', (t) => {
  const ranges = [{ offsetBytes: 0, sizeBytes: 4 * mib }];
  t.deepEqual(placeMarks({ driveBytes: 4 * mib, imageBytes: 4 * mib, ranges }), []);
  t.deepEqual(placeMarks({ driveBytes: 4 * mib + 512, imageBytes: 4 * mib, ranges }), []);
});

test('a card of 32 GB costs some hundred marks', (t) => {
  const ranges = [
    { offsetBytes: 0, sizeBytes: 8 * mib },
    { offsetBytes: 66 * mib, sizeBytes: 128 * mib },
    { offsetBytes: 200 * mib, sizeBytes: 280 * mib },
  ];
  const count = placeMarks({ driveBytes: 32e9, imageBytes: 835 * mib, ranges }).length;
  t.true(count > 50 && count < 150, String(count));
});

test('a mark is read as what was written, by the run that wrote it', (t) => {
  const seeds = fc.uint8Array({ minLength: 32, maxLength: 32 });
  const places = fc.nat({ max: 2 ** 31 }).map((n) => n * page);
  fc.assert(
    fc.property(seeds, places, fc.nat(page - 1), (seed, at, spoiled) => {
      const mark = encodeMark(new Uint8Array(page), seed, at);
      t.is(decodeMark(mark, seed), at);
      t.is(decodeMark(mark, seed.map((byte) => byte ^ 1)), undefined);
      mark[spoiled] ^= 1;
      t.is(decodeMark(mark, seed), undefined);
    }),
  );
});
