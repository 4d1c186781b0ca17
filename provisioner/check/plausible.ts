// Whether what the meter reports fits what the node says of itself: they would not if the meter
// watched another machine, sat in another's supply line, or was calibrated wrongly. Pure.

import type { Counters } from './counters.ts';
import { failed, ok, unknown, type Check } from './finding.ts';
import type { Machine } from './health-facts.ts';
import type { NodeAnswer } from './ledger.ts';

/** The node's account of itself. */
export interface NodeAccount {
  machine: Machine;
  uptimeS: number;
  /** Since its first boot as this kit; undefined where it left no account of that. */
  livedS: number | undefined;
  counters: Counters;
}

interface Sort {
  name: string;
  machine: RegExp;
  minMilliW: number;
  maxMilliW: number;
}

/** From idle without anything plugged in to busy with a USB disk; the first that fits. */
const sorts: Sort[] = [
  { name: 'a Raspberry Pi', machine: /Raspberry Pi/, minMilliW: 1_200, maxMilliW: 15_000 },
  { name: 'a virtual machine', machine: /QEMU|KVM|VirtualBox/, minMilliW: 500, maxMilliW: 500_000 },
  { name: 'an ARM board', machine: /^(aarch64|armv7l)/, minMilliW: 800, maxMilliW: 30_000 },
  { name: 'a PC', machine: /^x86_64/, minMilliW: 2_500, maxMilliW: 150_000 },
];

/** Of the meter's clock and of the moments at which the two were asked. */
const slackS = 120;
/** Traffic between the last record and now only makes the node's own count larger. */
const slackBytes = 1_000_000;
/** What a home server writes between two records; an image's worth would be another machine's. */
const slackDiskBytes = 2_000_000_000;

/** @param rate seconds of the ledger's clock in one of ours */
export function judgePlausible(
  { measured, claimed }: NodeAnswer,
  account: NodeAccount | undefined,
  rate: number,
): Check {
  const name = 'meter-plausible';
  if (account === undefined) {
    const advice = 'Mend `login` and `counters` first.';
    return unknown(name, 'not compared: the node did not tell', advice);
  }
  const { machine, livedS, uptimeS, counters } = account;
  const { power_milli_w: milliW, up_s: upS } = measured;
  const sort = sorts.find((one) => one.machine.test(`${machine.arch} ${machine.model}`) ||
    one.machine.test(machine.model));
  if (milliW !== null && sort && (milliW < sort.minMilliW || milliW > sort.maxMilliW)) {
    const range = `${sort.minMilliW / 1000} to ${sort.maxMilliW / 1000} W`;
    const advice = 'Is the node fed through this meter, and is its calibration its own?';
    return failed(name, `${milliW / 1000} W, where ${sort.name} draws ${range}`, advice);
  }
  const anotherNode = 'Does the meter ask this very node? Pair it with this kit again.';
  if (livedS !== undefined && upS > (livedS + slackS) * rate) {
    const lived = `the node has lived for ${Math.round(livedS)} s`;
    return failed(name, `up for ${upS} s, where ${lived}`, anotherNode);
  }
  const isFirstBoot = livedS !== undefined && livedS < uptimeS + slackS;
  const counted = counters.wanInBytes + counters.wanOutBytes;
  const reported = (claimed.wan_in_bytes ?? 0) + (claimed.wan_out_bytes ?? 0);
  if (isFirstBoot && reported > counted + slackBytes) {
    const words = `${megabytes(reported)} reported, ${megabytes(counted)} counted by the node`;
    return failed(name, words, anotherNode);
  }
  const usedBytes = claimed.disk_used_bytes;
  if (usedBytes !== null && Math.abs(usedBytes - counters.diskUsedBytes) > slackDiskBytes) {
    const used = megabytes(counters.diskUsedBytes);
    return failed(name, `${megabytes(usedBytes)} of disk reported, ${used} used`, anotherNode);
  }
  if (milliW === null && usedBytes === null) {
    return unknown(name, 'nothing recent is published yet', 'Check again after its first day.');
  }
  const power = milliW === null ? 'power not published' : `${milliW / 1000} W`;
  return ok(name, `${power}, up for ${upS} s: fits ${sort?.name ?? 'the node'}’s own account`);
}

function megabytes(sizeBytes: number): string {
  return `${(sizeBytes / 1e6).toFixed(1)} MB`;
}
