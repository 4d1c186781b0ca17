// The meter without its board: what its fibers share, and how each of them is kept going. Clock, bus,
// network, settings, randomness and hashes come in as an Edge, so that these
// sources know no runtime and any other clock, bus or network can stand in.
//
// Owns no decision but to begin again after an error: measuring.ts and reporting.ts have those.
import { Clock, TIME } from './clock.js'
import { Fram } from './fram.js'
import { newRoom } from './growing.js'
import type { Room } from './growing.js'
import { Http } from './http.js'
import type { Connection } from './http.js'
import { REACH, addUnmeasured, renumber, resume } from './interval.js'
import type { Running } from './interval.js'
import { PROOF_START, RING_PAGE_BYTES, RING_START, openJournal } from './journal.js'
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
  /** The meter's own IPv4 address, 4 bytes; null if it has none. */
  ownAddress(): Promise<Buffer | null>
  /** Names the Wi-Fi network that the runtime joins, now and at each start. */
  joinNetwork(ssid: string, passphrase: string): Promise<void>
  connect(host: string, port: number, tls: boolean, timeoutMs: number): Promise<Connection>
  /** A setting's bytes, null if there are none. */
  setting(key: string): Promise<Buffer | null>
  random(size: number): Buffer
  /** Of the pieces, one after the other. */
  sha256(pieces: Buffer[]): Buffer
  hmac(key: Buffer, bytes: Buffer): Buffer
  hkdf(key: Buffer, info: string, salt: Buffer): Buffer
  hashInto(out: Bytes, at: number, n: number, a: Bytes, b?: Bytes): void
}

/** All that the fibers share. */
export interface Meter {
  edge: Edge
  bus: Bus
  fram: Fram
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
  /** Until when the memory kept the meter from opening it; 0 if it did not. */
  blindUntilMs: number
  /** Faults of the memory that a record has been told of. */
  memoryFaults: number
  /** Until when energy and time are counted: since boot, or a fault, nothing is left out. */
  measuredAtMs: number
  /** Since when the sensor has been setting itself up; -1 while it gives readings. */
  setupAtMs: number
  reach: number
  /** Where the node is: its name, or an address; empty before it was asked. */
  place: string
  /** The flag of what was wrong with the last probe, 0 if nothing was. */
  why: number
  /** Of the first key, once it is known; and the same in hexadecimal digits. */
  id: Buffer | null
  meterId: string
  /** The next key, once it is whole. */
  nextKey: NextKey | null
  /** The self-test failed: nothing is signed. */
  unsound: boolean
  /** What keys are made and used in. */
  room: Room
  /** A batch is being built or sent. */
  reporting: boolean
  /** A leaf of the next key is being made. */
  leafGrowing: boolean
  page: number
  notice: string
  fault: boolean
  faults: number
  /** Close the interval and report, as soon as may be. */
  reportWanted: boolean
  /** The interval is closed: report. */
  reportNow: boolean
}

const OPEN_AGAIN_MS = 1000

/**
 * The meter, once its memory answers rightly. Until then nothing is known and nothing written; what
 * is wrong is told, each time.
 */
export async function openWhenWell(
  edge: Edge,
  bus: Bus,
  tell: (words: string) => Promise<void>,
): Promise<Meter> {
  const fram = framOn(edge, bus)
  let waited = false
  for (;;) {
    try {
      const meter = await openOn(edge, bus, fram)
      if (waited) meter.blindUntilMs = edge.millis()
      return meter
    } catch (error) {
      waited = true
      const words = (error as Error).message
      edge.print('fault memory: ' + words)
      await tell(words)
    }
    await edge.sleep(OPEN_AGAIN_MS)
  }
}

/**
 * Opens the memory, whatever a power cut left there, and counts this boot. Throws, and has written
 * nothing, if the memory does not answer rightly.
 */
export async function openMeter(edge: Edge, bus: Bus): Promise<Meter> {
  return await openOn(edge, bus, framOn(edge, bus))
}

function framOn(edge: Edge, bus: Bus): Fram {
  const wait = async () => await edge.sleep(1)
  return new Fram({ bus: bus, proofAt: PROOF_START, pause: edge.pause, wait: wait })
}

async function openOn(edge: Edge, bus: Bus, fram: Fram): Promise<Meter> {
  const journal = await openJournal(fram)
  if (journal.sizeBytes > 0) fram.sizeBytes = journal.sizeBytes
  else await fram.findSize()
  const pages = (fram.sizeBytes - RING_START) / RING_PAGE_BYTES
  const ring = await openRing(
    { store: fram, pause: edge.pause, wait: async () => await edge.sleep(1) },
    { start: RING_START, pageBytes: RING_PAGE_BYTES, pages: pages },
  )
  await journal.begin(fram.sizeBytes)
  const millis = () => edge.millis()
  const floorUnixS = journal.running === null ? 0 : journal.running.record.unixS
  return {
    edge: edge,
    bus: bus,
    fram: fram,
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
    memoryFaults: 0,
    blindUntilMs: 0,
    measuredAtMs: 0,
    setupAtMs: -1,
    reach: REACH.unknown,
    place: '',
    why: 0,
    id: null,
    meterId: '',
    nextKey: null,
    unsound: false,
    room: newRoom(),
    reporting: false,
    leafGrowing: false,
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
      // What ails the memory is shown while it does, and no longer.
      if (meter.fram.trouble === '') {
        meter.fault = true
        meter.notice = name + ': ' + message
      }
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
  if (meter.blindUntilMs > 0) {
    // No reading of then was taken, and none of now speaks for so long.
    addUnmeasured(meter.running, meter.blindUntilMs)
    meter.measuredAtMs = meter.blindUntilMs
  }
}

/** What screen and light have to show. */
export function faceOf(meter: Meter): Face {
  const fault = faultOf(meter)
  const { record } = meter.running
  const { link } = meter.journal
  const timeKnown = meter.clock.state() !== TIME.unknown
  return {
    milliW: meter.milliW,
    todayMicroWh: record.energyMicroWh - meter.running.dayStartMicroWh,
    uptimeS: record.uptimeS,
    wanInBytes: record.wanInBytes,
    wanOutBytes: record.wanOutBytes,
    diskUsedBytes: record.diskUsedBytes,
    reach: meter.reach,
    why: meter.why,
    probesMade: record.probesMade,
    probesAnswered: record.probesAnswered,
    waiting: Math.max(0, meter.ring.lastSeq + 1 - link.nextSeq),
    ackedAgoS: timeKnown ? Math.max(0, meter.clock.unixS() - link.ackedUnixS) : -1,
    unixS: timeKnown ? meter.clock.unixS() : 0,
    meterId: meter.meterId,
    notice: fault === '' ? meter.notice : fault,
    fault: fault !== '' || meter.fault,
  }
}

/** A report was asked for, or is on its way. */
export function isReporting(meter: Meter): boolean {
  return meter.reportWanted || meter.reportNow || meter.reporting
}

/** What is wrong with the meter itself, the worst first; empty if nothing is. */
function faultOf(meter: Meter): string {
  if (meter.fram.trouble !== '') return meter.fram.trouble
  if (meter.unsound) return 'self-test failed'
  if (meter.running.record.uptimeS > 0 && meter.milliW < 0) return 'no power reading'
  return meter.overRange ? 'power over range' : ''
}
