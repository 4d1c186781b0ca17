// Notices a drive that does not answer any more: asked for something, it has been silent for too
// long. A drive that is only slow answers; one that waits for us was not asked. Nothing is given
// up: the kernel decides when a drive is lost, often after minutes.

import type { Clock } from './clock.ts';
import type { Medium } from './medium.ts';

/** Linux gives a USB or SCSI drive 30 s to answer before it resets it (/sys/block/…/timeout). */
export const patienceMs = 30_000;
const lookEveryMs = 1000;
const tellEveryMs = 10_000;

/**
 * Watches until the returned function is called.
 * @param onStalled told how long the drive has been silent: at 30 s, then every 10 s
 */
export function watchDrive(
  { traffic }: Pick<Medium, 'traffic'>,
  clock: Clock,
  onStalled: (silentMs: number) => void,
): () => void {
  let answered = traffic.answered;
  let heardAtMs = clock.nowMs();
  let tellAtMs = patienceMs;
  return clock.every(lookEveryMs, () => {
    const nowMs = clock.nowMs();
    if (traffic.answered !== answered || traffic.asked === traffic.answered) {
      answered = traffic.answered;
      heardAtMs = nowMs;
      tellAtMs = patienceMs;
      return;
    }
    if (nowMs - heardAtMs < tellAtMs) return;
    tellAtMs = nowMs - heardAtMs + tellEveryMs;
    onStalled(nowMs - heardAtMs);
  });
}
