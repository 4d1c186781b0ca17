// The home that a simulated meter measures: what its node draws, whether it is up, what it has
// counted and served. Told by its own chance alone; keeps the truth that a year ends by.
import { createHash } from 'node:crypto';
import type { Sensed } from '../../../provisioner/virtual/ina226.ts';
import { SHUNT_MICRO_OHM, SUPPLY_MILLI_V } from '../../../provisioner/virtual/meter.ts';

/** What the node's supply may draw at most, in no fault: what a lost second can cost. */
export const MOST_MILLI_W = 15_000;
const IDLE_MILLI_W = 3_000;
const OFF_MILLI_W = 700;
/** 41.8 W at 5.1 V is what 81.92 mV across 10 mΩ mean: this is more. */
const OVER_RANGE_MILLI_W = 60_000;
const MOST_BYTES_A_SECOND = 400_000;

/** What the node has counted since it began to count anew. */
interface Epoch {
  boot: string;
  inBytes: number;
  outBytes: number;
}

export interface Served {
  inBytes: number;
  outBytes: number;
}

export class Home {
  overRange = false;
  /** Nobody calls: nothing is sent or received. */
  isQuiet = false;
  private readonly chance: () => number;
  private readonly nowMs: () => number;
  private up = true;
  private boots = 0;
  private epoch: Epoch;
  private countedMs: number;
  private bytesASecond = 0;
  /** What the meter was told in this epoch: last, and what a power cut cannot have undone. */
  private told: { last: Served; kept: Served; atMs: number } | undefined;
  private readonly past = { atLeast: zero(), atMost: zero() };

  constructor(nowMs: () => number, chance: () => number) {
    this.nowMs = nowMs;
    this.chance = chance;
    this.countedMs = nowMs();
    this.epoch = this.newEpoch();
  }

  /** What it draws from now on: noise around a level that has its own slow moods. */
  milliW(atMs: number): number {
    if (this.overRange) return OVER_RANGE_MILLI_W;
    if (!this.up) return OFF_MILLI_W;
    const mood = 0.5 + 0.5 * Math.sin(atMs / 7_000_000);
    const most = IDLE_MILLI_W + (MOST_MILLI_W - IDLE_MILLI_W) * mood;
    return IDLE_MILLI_W + this.chance() * (most - IDLE_MILLI_W);
  }

  /** The pins of the sensor from now on. */
  sense(atMs: number): Sensed {
    const microA = (this.milliW(atMs) * 1_000_000) / SUPPLY_MILLI_V;
    return { shuntNanoV: (microA * SHUNT_MICRO_OHM) / 1000, busMicroV: SUPPLY_MILLI_V * 1000 };
  }

  isUp(): boolean {
    return this.up;
  }

  goDown(): void {
    this.count();
    this.up = false;
  }

  /** Starts again: another boot, counters from zero. */
  comeUp(): void {
    this.endEpoch();
    this.epoch = this.newEpoch();
    this.countedMs = this.nowMs();
    this.up = true;
  }

  /** The firewall's counters begin anew, the node does not. Tells whether the meter can know. */
  resetCounters(): boolean {
    this.count();
    if (this.told === undefined || this.told.last.inBytes < 10 * MOST_BYTES_A_SECOND) return false;
    this.endEpoch();
    this.epoch = { ...this.epoch, inBytes: 0, outBytes: 0 };
    return true;
  }

  /** As an answer to the meter's probe has it. */
  counters(): Epoch & { diskUsedBytes: number } {
    this.count();
    return { ...this.epoch, diskUsedBytes: 3_000_000_000 + this.boots * 4096 };
  }

  /** The meter heard the counters. */
  heard({ inBytes, outBytes }: Served): void {
    const last = { inBytes, outBytes };
    // What it heard more than two seconds before its power is cut, it has kept.
    this.told = { last, kept: this.told?.last ?? zero(), atMs: this.nowMs() };
  }

  /** The meter's power is cut. */
  meterCut(): void {
    const { told } = this;
    if (told === undefined) return;
    const kept = told.atMs <= this.nowMs() - 2000 ? told.last : told.kept;
    this.told = { ...told, kept, atMs: -1 };
  }

  /** What the meter must have counted: exactly one value unless a cut hid what came last. */
  truth(): { atLeast: Served; atMost: Served } {
    if (this.told === undefined) return this.past;
    const { last, kept, atMs } = this.told;
    const least = atMs < 0 ? kept : last;
    return { atLeast: plus(this.past.atLeast, least), atMost: plus(this.past.atMost, last) };
  }

  private newEpoch(): Epoch {
    this.boots++;
    const boot = createHash('md5').update(`boot ${this.boots}`).digest('hex');
    return { boot, inBytes: 0, outBytes: 0 };
  }

  private endEpoch(): void {
    Object.assign(this.past, this.truth());
    this.told = undefined;
  }

  private count(): void {
    const passedMs = this.nowMs() - this.countedMs;
    this.countedMs = this.nowMs();
    if (!this.up || this.isQuiet) return;
    this.bytesASecond = Math.floor(this.chance() * MOST_BYTES_A_SECOND);
    const bytes = Math.floor((this.bytesASecond * passedMs) / 1000);
    this.epoch.inBytes += bytes;
    this.epoch.outBytes += Math.floor(bytes / 3);
  }
}

function zero(): Served {
  return { inBytes: 0, outBytes: 0 };
}

function plus(a: Served, b: Served): Served {
  return { inBytes: a.inBytes + b.inBytes, outBytes: a.outBytes + b.outBytes };
}
