// Judges a node's health from its facts: how it came up from its last start, its drive's speed and
// wear, what listens. Pure.

import { failed, ok, unknown, type Check } from './finding.ts';
import type { DriveLife, HealthFacts } from './health-facts.ts';

export function judgeHealth(facts: HealthFacts): Check[] {
  return [
    judgeTimeServer(facts.timeSynchronised),
    judgeRecovery(facts),
    judgeRunning(facts.failedUnits),
    judgeSpeed(facts.speed),
    judgeLife(facts.drive),
  ];
}

/** A bench may have no way to a time server: the clock itself is judged beside the bench's. */
function judgeTimeServer(synchronised: boolean): Check {
  const name = 'time-server';
  if (synchronised) return ok(name, 'heard');
  const advice = 'At its home it must reach one (UDP 123), or its clock will drift.';
  return unknown(name, 'the node has heard none yet', advice);
}

/** Whether its last start, after whatever ended the one before, left a sound file system. */
function judgeRecovery({
  root,
  kernelTrouble,
}: Pick<HealthFacts, 'root' | 'kernelTrouble'>): Check {
  const name = 'power-cut';
  const newDrive = 'Back its data up, and put it on a new drive: this one loses what it was told.';
  const io = kernelTrouble.find((line) => line.includes('I/O error'));
  if (io !== undefined) return failed(name, io, newDrive);
  if (!root.writable) {
    const advice = `Reboot it: fsck runs. ${newDrive}`;
    return failed(name, 'the root file system is read-only', advice);
  }
  const recorded = (root.errors ?? 0) > 0 ? `${root.errors} errors recorded` : kernelTrouble[0];
  if (recorded !== undefined) {
    const advice = 'Reboot it: fsck runs, and clears it.';
    return failed(name, `the root file system: ${recorded}`, advice);
  }
  if (root.errors === undefined) {
    const advice = 'Pull its plug, and check again.';
    return unknown(name, 'writable; it keeps no count of errors', advice);
  }
  return ok(name, 'writable, no error recorded since it was made or mended');
}

function judgeRunning(failedUnits: string[]): Check {
  const name = 'running';
  if (failedUnits.length === 0) return ok(name, 'no unit has failed');
  const advice = `Look at \`journalctl -u ${failedUnits[0]}\` on the node.`;
  return failed(name, `failed: ${failedUnits.join(', ')}`, advice);
}

/**
 * SD class 10 writes 10 MB/s (SD Physical Layer § 4.13.2.8); a node is usable at a fifth of that,
 * and miserable below.
 */
const minReadBytesPerS = 5_000_000;
const minWriteBytesPerS = 2_000_000;

function judgeSpeed(speed: HealthFacts['speed']): Check {
  const name = 'drive-speed';
  if (speed === undefined) {
    return unknown(name, 'not measured: no room, or no drive', 'Mend `disk` first.');
  }
  const { readBytesPerS, writeBytesPerS } = speed;
  const measured = `${megabytes(readBytesPerS)} read, ${megabytes(writeBytesPerS)} written`;
  if (readBytesPerS >= minReadBytesPerS && writeBytesPerS >= minWriteBytesPerS) {
    return ok(name, measured);
  }
  return failed(name, measured, 'Use a card of class A1 or better, or a USB drive.');
}

/** What is left must last years: replacing a drive in somebody's home is a visit. */
const maxWornPercent = 50;

function judgeLife(drive: DriveLife | undefined): Check {
  const name = 'drive-health';
  if (drive === undefined) return unknown(name, 'no drive seen', 'Look at `lsblk` on the node.');
  const { sort, wornPercent, sound } = drive;
  const worn = wornPercent === undefined ? undefined : `at most ${wornPercent} % worn`;
  if (sound === false) {
    return failed(name, `the ${sort} says that it is failing`, 'Put a new drive in.');
  }
  if (wornPercent !== undefined && wornPercent > maxWornPercent) {
    const advice = 'Put a drive in that lasts longer than this one.';
    return failed(name, `the ${sort} is ${worn}`, advice);
  }
  if (worn === undefined && sound === undefined) {
    const advice = 'Use a drive whose age you know.';
    return unknown(name, `the ${sort} tells nothing of its wear`, advice);
  }
  return ok(name, [`the ${sort} is sound`, ...(worn ? [worn] : [])].join(', '));
}

function megabytes(bytesPerS: number): string {
  return bytesPerS === 0 ? 'nearly nothing' : `${(bytesPerS / 1e6).toFixed(1)} MB/s`;
}
