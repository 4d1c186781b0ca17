// The interval under way: integrates power, counts reachability and traffic, second by second, and
// closes into a record. All integers, remainders carried: nothing is rounded away.
//
// Owns the arithmetic of a record. It never reads a chip, a clock or a network, and keeps nothing:
// whoever calls it saves `running` each second.
import { FLAG, emptyRecord } from './wire.js'
import type { IntervalRecord } from './wire.js'

/** The counters of this second, as the journal keeps them. */
export interface Running {
  record: IntervalRecord
  /** Energy not yet counted: nJ, below 3,600,000 = 1 µWh. */
  restNanoJ: number
  /** Measured part of the interval so far. */
  intervalMs: number
  /** Energy within it: nJ. */
  intervalNanoJ: number
  /** Part of a second that no duration has counted yet. */
  restMs: number
  /** The node's own counters when last seen, and which of its boots they belong to. */
  nodeInBytes: number
  nodeOutBytes: number
  /** 16 bytes, zero before the first answer. */
  nodeBoot: Buffer
  /** Day of the Unix time, and the energy when it began. */
  day: number
  dayStartMicroWh: number
}

/** What one turn of the measuring loop found. */
export interface Second {
  /** Since the turn before; the first turn's is since boot. */
  elapsedMs: number
  /** Mean power, -1 if the sensor gave none. */
  microW: number
  overRange: boolean
  reach: number
  unixS: number
  timeState: number
}

/** Counters as the node claims them. */
export interface NodeCounters {
  boot: Buffer
  wanInBytes: number
  wanOutBytes: number
  diskUsedBytes: number
}

/** What the last probe said. */
export const REACH = { unknown: 0, up: 1, down: 2 }

const NANO_J_PER_MICRO_WH = 3600000
const SECONDS_PER_DAY = 86400
/** 2^51 − 1: what a record holds (wire.ts). */
const MOST = 2251799813685247

/**
 * Where the counters stand after a start: what is known from before, and which record that left.
 */
export interface Resumed {
  running: Running
  /**
   * The interval that the power cut ended, to be appended; null if it was, or nothing had begun.
   */
  cutRecord: IntervalRecord | null
}

/**
 * Takes up the counters after a start. `saved` is the last second kept, `last` the last record in
 * the ring: a cut between the two leaves either one newer.
 */
export function resume(
  saved: Running | null,
  last: IntervalRecord | null,
  bootId: number,
  calibrationId: number,
): Resumed {
  const running = saved !== null ? saved : emptyRunning()
  let cutRecord: IntervalRecord | null = null
  const lastSeq = last === null ? 0 : last.lastSeq
  if (saved !== null && saved.record.lastSeq > lastSeq) {
    if (saved.record.uptimeS > 0) cutRecord = copyOf(saved.record)
  } else if (last !== null) {
    running.record = copyOf(last)
    running.restNanoJ = 0
  }
  const begun = saved !== null || last !== null
  const seq = cutRecord !== null || last !== null ? Math.max(running.record.lastSeq, lastSeq) : 0
  begin(running, cutRecord === null ? lastSeq + 1 : seq + 1)
  running.record.bootId = bootId
  running.record.uptimeS = 0
  running.record.calibrationId = calibrationId
  running.restMs = 0
  if (begun) running.record.flags = FLAG.powerLost
  return { running, cutRecord }
}

/** Adds one turn of the loop. */
export function addSecond(running: Running, second: Second): void {
  const { record } = running
  addTime(running, second.elapsedMs, second.reach)
  record.unixS = second.unixS
  record.timeState = second.timeState
  if (second.microW < 0) setFlag(record, FLAG.sensorFault)
  else addPower(running, second.microW, second.elapsedMs)
  if (second.overRange) setFlag(record, FLAG.overRange)
  const day = second.timeState > 0 ? Math.floor(second.unixS / SECONDS_PER_DAY) : running.day
  if (day !== running.day) {
    running.day = day
    running.dayStartMicroWh = record.energyMicroWh
  }
}

/** Time with power in which nothing could be measured: it counts, without energy. */
export function addUnmeasured(running: Running, elapsedMs: number): void {
  addTime(running, elapsedMs, REACH.unknown)
}

/** Whole seconds go to the uptime and to one of the three durations, which so sum to it. */
function addTime(running: Running, elapsedMs: number, reach: number): void {
  const { record } = running
  const ms = running.restMs + elapsedMs
  const seconds = Math.floor(ms / 1000)
  running.restMs = ms - seconds * 1000
  record.uptimeS += seconds
  if (reach === REACH.up) record.upS += seconds
  else if (reach === REACH.down) record.downS += seconds
  else record.unknownS += seconds
}

/** µW × ms is nJ, exactly; 3,600,000 of them are a µWh. */
function addPower(running: Running, microW: number, elapsedMs: number): void {
  const { record } = running
  const nanoJ = microW * elapsedMs
  const rest = running.restNanoJ + nanoJ
  const microWh = Math.floor(rest / NANO_J_PER_MICRO_WH)
  running.restNanoJ = rest - microWh * NANO_J_PER_MICRO_WH
  record.energyMicroWh += microWh
  const milliW = Math.round(microW / 1000)
  const first = running.intervalMs === 0
  record.minMilliW = first ? milliW : Math.min(record.minMilliW, milliW)
  record.maxMilliW = first ? milliW : Math.max(record.maxMilliW, milliW)
  running.intervalMs += elapsedMs
  running.intervalNanoJ += nanoJ
  if (running.intervalMs > 0)
    record.meanMilliW = Math.round(running.intervalNanoJ / running.intervalMs / 1000)
}

/** Counts a probe, and what the node claims if it answered with counters. */
export function addProbe(running: Running, answered: boolean, node: NodeCounters | null): void {
  const { record } = running
  record.probesMade++
  if (answered) record.probesAnswered++
  if (node === null) return
  const known = !isZero(running.nodeBoot)
  const restarted =
    !sameBytes(node.boot, running.nodeBoot) ||
    node.wanInBytes < running.nodeInBytes ||
    node.wanOutBytes < running.nodeOutBytes
  // A node that has started again counts from zero: all that it counts is new. One that lies may
  // fill its own counters, never make a record that cannot be written.
  const inBytes = restarted ? node.wanInBytes : node.wanInBytes - running.nodeInBytes
  const outBytes = restarted ? node.wanOutBytes : node.wanOutBytes - running.nodeOutBytes
  record.wanInBytes = Math.min(MOST, record.wanInBytes + inBytes)
  record.wanOutBytes = Math.min(MOST, record.wanOutBytes + outBytes)
  record.diskUsedBytes = node.diskUsedBytes
  if (restarted && known) setFlag(record, FLAG.counterReset)
  running.nodeBoot = node.boot
  running.nodeInBytes = node.wanInBytes
  running.nodeOutBytes = node.wanOutBytes
}

/** The interval's record; `running` goes on with the next sequence number, `nextSeq` at least. */
export function close(running: Running, nextSeq: number): IntervalRecord {
  const record = copyOf(running.record)
  begin(running, Math.max(record.lastSeq + 1, nextSeq))
  return record
}

/**
 * Lets the interval under way begin at `seq`, where the ledger wants more than the meter counted.
 */
export function renumber(running: Running, seq: number): void {
  running.record.firstSeq = seq
  running.record.lastSeq = seq
}

export function setFlag(record: IntervalRecord, flag: number): void {
  if (Math.floor(record.flags / flag) % 2 === 0) record.flags += flag
}

function begin(running: Running, seq: number): void {
  const { record } = running
  record.firstSeq = seq
  record.lastSeq = seq
  record.flags = 0
  record.minMilliW = 0
  record.meanMilliW = 0
  record.maxMilliW = 0
  running.intervalMs = 0
  running.intervalNanoJ = 0
}

function emptyRunning(): Running {
  return {
    record: emptyRecord(),
    restNanoJ: 0,
    intervalMs: 0,
    intervalNanoJ: 0,
    restMs: 0,
    nodeInBytes: 0,
    nodeOutBytes: 0,
    nodeBoot: Buffer.alloc(16),
    day: 0,
    dayStartMicroWh: 0,
  }
}

function copyOf(record: IntervalRecord): IntervalRecord {
  const copy = emptyRecord()
  Object.assign(copy, record)
  return copy
}

function isZero(bytes: Buffer): boolean {
  for (let i = 0; i < bytes.length; i++) if (bytes[i] !== 0) return false
  return true
}

function sameBytes(a: Buffer, b: Buffer): boolean {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
