// Whether a drive is too slow to be a node's. Pure.

/**
 * Below half of the slowest speed class that is still sold, C10: 10 MB/s of sustained writing (SD
 * Physical Layer Specification, "Speed Class"). Such a card is worn, counterfeit, or in a bad reader.
 */
export const slowBytesPerS = 5e6;

/** Less than this tells of caches and start-up, not of a sustained rate. */
const enoughBytes = 32e6;

export function isSlow(writtenBytes: number, seconds: number): boolean {
  return writtenBytes >= enoughBytes && writtenBytes / seconds < slowBytesPerS;
}
