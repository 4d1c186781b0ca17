// The meter without its board: what its fibers share, and how each of them is kept going. Clock, bus,
// network, settings, randomness and hashes come in as an Edge, so that these
// sources know no runtime and any other clock, bus or network can stand in.
//
// Owns no decision but to begin again after an error: measuring.ts and reporting.ts have those.
import { Clock, TIME } from './clock.js'
import { Fram } from './fram.js'
import { Http } from './http.js'
import type { Connection } from './http.js'
import { REACH, renumber, resume } from './interval.js'
import type { Running } from './interval.js'
import { crc32 } from './cell.js'
import { RING_PAGE_BYTES, RING_START, openJournal } from './journal.js'
import type { Journal } from './journal.js'
import { openRing } from './ring.js'
import type { NextKey } from './report.js'
import type { Ring } from './ring.js'
import type { Face } from './screen.js'
import { readPairing } from './settings.js'
import type { Pairing } from './settings.js'
import type { Bytes, IntervalRecord } from './wire.js'

export interface Bus {
  transfer(address: number, bytes: Buffer, count: number): Promise<Buffer>
}

/** All of the world that the meter's logic sees. */
export interface Edge {
  /** Since boot. */
  millis(): number
  sleep(ms: number): Promise<void>
  /** Ends a slice of work: the machine bounds the steps between two. */
  pause(): Promise<void>
  print(line: string): void
  connect(host: string, port: number, tls: boolean, timeoutMs: number): Promise<Connection>
  /** A setting's bytes, null if there are none. */
  setting(key: string): Promise<Buffer | null>
  random(size: number): Buffer
  sha256(bytes: Buffer): Buffer
  hmac(key: Buffer, bytes: Buffer): Buffer
  hkdf(key: Buffer, info: string, salt: Buffer): Buffer
  hashInto(out: Bytes, at: number, n: number, a: Bytes, b?: Bytes): void
}

/** All that the fibers share. */
export interface Meter {
  edge: Edge
  bus: Bus
  journal: Journal
  ring: Ring
  http: Http
  clock: Clock
  running: Running
  /** Closed records that are not in the ring yet. */
  unsaved: IntervalRecord[]
  milliW: number
  /** The last reading was clipped: there was more than the sensor can tell. */
  overRange: boolean
  /** Until when energy and time are counted: since boot, or a fault, nothing is left out. */
  measuredAtMs: number
  /** Since when the sensor has been setting itself up; -1 while it gives readings. */
  setupAtMs: number
  reach: number
  /** Of the first key, once it is known; and the same in hexadecimal digits. */
  id: Buffer | null
  meterId: string
  /** The next key, once it is whole. */
  nextKey: NextKey | null
  /** A batch is being built or sent. */
  reporting: boolean
  page: number
  notice: string
  fault: boolean
  faults: number
  /** Close the interval and report, as soon as may be. */
  reportWanted: boolean
  /** The interval is closed: report. */
  reportNow: boolean
}

/** Opens the memory, whatever a power cut left there, and counts this boot. */
export async function openMeter(edge: Edge, bus: Bus): Promise<Meter> {
  const fram = new Fram(bus)
  const journal = await openJournal(fram)
  const pages = (fram.sizeBytes - RING_START) / RING_PAGE_BYTES
  const read = async (address: number, length: number) => await fram.read(address, length)
  const write = async (address: number, bytes: Buffer) => await fram.write(address, bytes)
  const ring = await openRing(
    // Waiting without a millisecond's sleep would keep whoever holds the ring from its bus for ever.
    { read: read, write: write, crc32: crc32, pause: async () => await edge.sleep(1) },
    { start: RING_START, pageBytes: RING_PAGE_BYTES, pages: pages },
  )
  const millis = () => edge.millis()
  const floorUnixS = journal.running === null ? 0 : journal.running.record.unixS
  return {
    edge: edge,
    bus: bus,
    journal: journal,
    ring: ring,
    http: new Http({
      connect: edge.connect,
      millis: millis,
      pause: async () => await edge.sleep(10),
    }),
    clock: new Clock(millis, floorUnixS),
    running: resume(null, null, journal.bootId, 0).running,
    unsaved: [],
    milliW: -1,
    overRange: false,
    measuredAtMs: 0,
    setupAtMs: -1,
    reach: REACH.unknown,
    id: null,
    meterId: '',
    nextKey: null,
    reporting: false,
    page: 0,
    notice: '',
    fault: false,
    faults: 0,
    reportWanted: false,
    reportNow: false,
  }
}

/**
 * Runs `work` for ever; what it throws is shown and counted, and it starts again a little later.
 */
export async function keepRunning(meter: Meter, name: string, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await work()
    } catch (error) {
      const message = (error as Error).message
      meter.faults++
      meter.fault = true
      meter.notice = name + ': ' + message
      meter.edge.print('fault ' + meter.faults + ' ' + name + ': ' + message)
    }
    await meter.edge.sleep(5000)
  }
}

/** @param meanwhile what is done between two looks; takes some seconds */
export async function waitForPairing(
  meter: Meter,
  meanwhile: () => Promise<void>,
): Promise<Pairing> {
  for (;;) {
    try {
      const pairing = await readPairing(meter.edge.setting)
      if (pairing !== null) {
        meter.notice = ''
        meter.fault = false
        return pairing
      }
      meter.notice = 'not paired'
    } catch (error) {
      meter.notice = (error as Error).message
      meter.fault = true
      meter.edge.print('fault settings: ' + meter.notice)
    }
    await meanwhile()
  }
}

export async function resumeCounters(meter: Meter, pairing: Pairing): Promise<void> {
  const { journal, ring } = meter
  const kept = await ring.readFrom(ring.lastSeq, 1)
  const last = ring.lastSeq > 0 && kept.length > 0 ? kept[0] : null
  const id = pairing.calibration.id
  const resumed = resume(journal.running, last, journal.bootId, id)
  meter.running = resumed.running
  if (resumed.cutRecord !== null) meter.unsaved.push(resumed.cutRecord)
  if (journal.link.nextSeq > meter.running.record.firstSeq)
    renumber(meter.running, journal.link.nextSeq)
}

/** What the screen has to show. */
export function faceOf(meter: Meter): Face {
  const { record } = meter.running
  const { link } = meter.journal
  const timeKnown = meter.clock.state() !== TIME.unknown
  const blind = record.uptimeS > 0 && meter.milliW < 0
  return {
    milliW: meter.milliW,
    todayMicroWh: record.energyMicroWh - meter.running.dayStartMicroWh,
    uptimeS: record.uptimeS,
    wanInBytes: record.wanInBytes,
    wanOutBytes: record.wanOutBytes,
    diskUsedBytes: record.diskUsedBytes,
    reach: meter.reach,
    probesMade: record.probesMade,
    probesAnswered: record.probesAnswered,
    waiting: Math.max(0, meter.ring.lastSeq + 1 - link.nextSeq),
    ackedAgoS: timeKnown ? Math.max(0, meter.clock.unixS() - link.ackedUnixS) : -1,
    unixS: timeKnown ? meter.clock.unixS() : 0,
    meterId: meter.meterId,
    notice: blind ? 'no power reading' : meter.overRange ? 'power over range' : meter.notice,
    fault: blind || meter.overRange || meter.fault,
  }
}
