// Cuts an image's mapped ranges into what is done with them. Pure.
//
//   0        1 MiB        ESP                                  size − 1 MiB   size
//   │ closing │   body     │ esp │          body …                    │ closing │
//
// `closing` is what firmware looks for to boot a drive: the protective MBR with its boot code and
// the GPT, and the GPT's copy at the end. Both are written last: until then nothing boots.
// `esp` is not written as it comes: each kit's identity goes into it first.

import type { Extent, ImageManifest } from './manifest.ts';

export const edgeBytes = 1 << 20;

export type Place = 'body' | 'esp' | 'closing';

export interface Segment extends Extent {
  place: Place;
  /** Index of the mapped range that this is a part of. */
  range: number;
}

/** In order; together exactly the manifest's mapped ranges. */
export function cutSegments(manifest: ImageManifest): Segment[] {
  const { esp, sizeBytes } = manifest;
  const espEnd = esp.offsetBytes + esp.sizeBytes;
  const tail = Math.max(edgeBytes, sizeBytes - edgeBytes);
  const cuts = [edgeBytes, esp.offsetBytes, espEnd, tail].sort((a, b) => a - b);
  const placeOf = (at: number): Place => {
    if (at >= esp.offsetBytes && at < espEnd) return 'esp';
    return at < edgeBytes || at >= tail ? 'closing' : 'body';
  };
  return manifest.ranges.flatMap((range, index) =>
    cutAt(range, cuts).map((part) => ({ ...part, place: placeOf(part.offsetBytes), range: index })),
  );
}

function cutAt(range: Extent, cuts: number[]): Extent[] {
  const end = range.offsetBytes + range.sizeBytes;
  const inner = cuts.filter((cut) => cut > range.offsetBytes && cut < end);
  const edges = [...new Set([range.offsetBytes, ...inner, end])];
  return edges.slice(1).map((edge, at) => ({
    offsetBytes: edges[at],
    sizeBytes: edge - edges[at],
  }));
}
