// Judges a node's own account of its backups. Pure.

import type { BackupAccount } from '../node/part/backup.ts';
import { failed, ok, unknown, type Check } from './finding.ts';

const name = 'backup';
const hourS = 3600;
/** One a night, and a night that the node spent switched off. */
const maxAgeS = 48 * hourS;
/** A whole one a week is restored and compared; a week may have its troubles. */
const maxProofAgeS = 16 * 24 * hourS;
/** A clock that is set right may go back by as much. */
const maxAheadS = 300;

/** @param clockMs the node's own clock: both times are by it */
export function judgeBackup(account: BackupAccount | undefined, clockMs: number): Check {
  if (account === undefined) {
    const advice = 'Run `kit configure`: it sets backups up. Of this kind of node kit may know none.';
    return unknown(name, 'not seen: the node keeps no account of any', advice);
  }
  const { madeAtS, bytes, provenAtS, secondDrive, error } = account;
  const nowS = clockMs / 1000;
  if (error !== null) return failed(name, error, adviceFor(error));
  if (madeAtS === null) return failed(name, 'none was made yet', 'Run `kit configure`.');
  if (madeAtS - nowS > maxAheadS) {
    const advice = 'Was the node’s clock changed? Run `commons-backup make` on it.';
    return failed(name, `the last one is dated ${hours(madeAtS - nowS)} in the future`, advice);
  }
  const age = `made ${hours(nowS - madeAtS)} ago`;
  if (nowS - madeAtS > maxAgeS) {
    return failed(name, `the last one was ${age}`, 'Look at `systemctl status commons-backup.timer`.');
  }
  if (provenAtS === null || nowS - provenAtS > maxProofAgeS) {
    const advice = 'Run `commons-backup prove` on the node.';
    return failed(name, `${age}, but not restored to compare`, advice);
  }
  const where = secondDrive ? 'on a second drive as well' : 'on this one drive';
  return ok(name, `${age}, ${(bytes / 1e6).toFixed(1)} MB ${where}; restored and compared`);
}

function adviceFor(error: string): string {
  if (error.startsWith('no room')) return 'Use a larger drive, or take something off this one.';
  if (error.includes('second drive')) return 'Plug another second drive in, or take this one out.';
  if (error.includes('give')) return 'Put the node on a new drive: this one loses what it was told.';
  return 'Look at `journalctl -u commons-backup` on the node.';
}

function hours(seconds: number): string {
  const whole = Math.max(0, Math.round(seconds / hourS));
  return whole < 1 ? 'less than an hour' : `${whole} h`;
}
