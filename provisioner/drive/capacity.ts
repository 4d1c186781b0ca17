// Holds a drive to its word about its size: writes the marks of marks.ts, and looks whether they
// are there, at once and again when the image is on the drive. Only for block devices: how large a
// file is, its file system knows.

import { KitError } from '../errors.ts';
import { inLanes } from './blocks.ts';
import { blankHead } from './edges.ts';
import { pageBytes, type ImageManifest } from './manifest.ts';
import { decodeMark, encodeMark, placeMarks } from './marks.ts';
import { flush, laneMemory, readPages, writePages, type Medium } from './medium.ts';
import type { WriteProgress } from './progress-page.ts';
import { edgeBytes } from './segments.ts';

export interface CapacityProof {
  /**
   * Writes all marks and reads them back; blanks the one in the last MiB again.
   * @param progress the page that is alone in the first MiB meanwhile: see progress-page.ts
   * @throws KitError `drive-smaller-than-it-says`
   */
  begin(progress: WriteProgress): Promise<void>;
  /** Reads them again. @throws KitError `drive-smaller-than-it-says` */
  end(): Promise<void>;
  /** Whether these bytes, read at `atBytes`, hold a mark that was meant for another place. */
  explains(bytes: Uint8Array, atBytes: number): KitError | undefined;
}

/** @param seed random, for this run alone: 32 bytes */
export function createCapacityProof(
  medium: Medium,
  manifest: ImageManifest,
  seed: Uint8Array,
): CapacityProof {
  const { sizeBytes: imageBytes, ranges } = manifest;
  const marks = placeMarks({ driveBytes: medium.sizeBytes, imageBytes, ranges });
  const lasting = marks.filter((at) => at + pageBytes <= medium.sizeBytes - edgeBytes);
  const pageOf = (lane: number) => laneMemory(medium, lane, pageBytes);

  async function check(wanted: number[]): Promise<void> {
    const lost: Lost[] = [];
    await inLanes(wanted, async (at, _index, lane) => {
      const page = pageOf(lane);
      await readPages(medium, page, at);
      const found = decodeMark(page, seed);
      if (found !== at) lost.push({ atBytes: at, found });
    });
    if (lost.length > 0) throw smaller(medium, realBytesAtMost(lost));
  }

  return {
    async begin(progress) {
      if (marks.length === 0) return;
      await inLanes(marks, async (at, _index, lane) => {
        await writePages(medium, encodeMark(pageOf(lane), seed, at), at);
      });
      await flush(medium);
      await check(marks);
      const wanted = blankHead(laneMemory(medium, 0, edgeBytes), progress);
      const head = laneMemory(medium, 1, edgeBytes);
      await readPages(medium, head, 0);
      // Only a write to the drive's end can have come back to its beginning.
      if (!Buffer.from(wanted).equals(head)) throw smaller(medium, marks.at(-1)!);
      const blanked = marks.filter((at) => !lasting.includes(at));
      for (const at of blanked) await writePages(medium, pageOf(0).fill(0), at);
    },
    end: () => check(lasting),
    explains(bytes, atBytes) {
      for (let done = 0; done + pageBytes <= bytes.length; done += pageBytes) {
        const at = decodeMark(bytes.subarray(done, done + pageBytes), seed);
        if (at === undefined || at === atBytes + done) continue;
        return smaller(medium, realBytesAtMost([{ atBytes: atBytes + done, found: at }]));
      }
      return undefined;
    },
  };
}

interface Lost {
  atBytes: number;
  /** Another mark was found there. */
  found: number | undefined;
}

/**
 * A mark that was replaced by the image, or by nothing, stood beyond the real end: the image itself
 * lies before it. One that was replaced by another mark tells a multiple of the real size: their
 * distance.
 */
export function realBytesAtMost(lost: Lost[]): number {
  const bounds = lost.map(({ atBytes, found }) =>
    found === undefined ? atBytes : Math.abs(found - atBytes),
  );
  return Math.min(...bounds);
}

function smaller({ path, sizeBytes }: Medium, realBytes: number): KitError {
  return new KitError({
    code: 'drive-smaller-than-it-says',
    message: `${path} does not keep what is written beyond its real size`,
    expected: `${sizeBytes} bytes, as it says`,
    got: `at most ${realBytes} bytes`,
    hint: 'It is a counterfeit, or broken: throw it away, or send it back.',
  });
}
