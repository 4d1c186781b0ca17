// The meter: wires the parts together and keeps them going. Five fibers: measuring once a second,
// probing the node, reporting to the ledger, the screen, the button. Each catches what it throws,
// shows and counts it, and goes on; nothing here panics.
import * as ds from '@devicescript/core'
import { Clock, TIME } from './clock'
import {
  PinBus,
  ServiceBus,
  connectTo,
  findBus,
  getSetting,
  hashInto,
  hkdf,
  hmacSha256,
  pause,
  random,
  sha256,
} from './edge'
import type { Bus } from './edge'
import { enrol } from './enrol'
import type { Enrolled } from './enrol'
import { Fram } from './fram'
import { Http } from './http'
import { Ina226 } from './ina226'
import { REACH, addProbe, addSecond, close, renumber, resume, setFlag } from './interval'
import type { Running } from './interval'
import { RING_PAGE_BYTES, RING_START, crc32, openJournal } from './journal'
import type { Journal, StoredKey } from './journal'
import { makeSecret, openSigner } from './key'
import type { Signer, Tree } from './key'
import { growSubtree, growTop, hssPublicKey, hssSign, parameterSet, subtreeCount } from './lms'
import { probe } from './probe'
import { OUTCOME, Reporter, backOffMs, signedMessage, signedPart } from './report'
import { openRing } from './ring'
import type { Ring } from './ring'
import { PAGES, Ssd1306, draw } from './screen'
import type { Face } from './screen'
import { readPairing } from './settings'
import type { Pairing } from './settings'
import { FLAG } from './wire'
import type { IntervalRecord } from './wire'

const FRAM_ADDRESS = 0x50
/** LMS_SHA256_M24_H5 and H10, LMOTS_SHA256_N24_W4 (RFC 9858). */
const LMS_H5 = 0x0a
const LMS_H10 = 0x0b
const LMOTS_W4 = 0x07
const LONG_PRESS_MS = 1000
/** The sensor's first window is there a second after its setup. */
const MAX_SETUP_MS = 4000
/** Closed records that wait in memory while the FRAM fails; older ones are lost, totals are not. */
const MAX_UNSAVED = 8
/** A batch goes through the relay, is verified and made durable before it is answered. */
const REPORT_MORE_MS = 7000
/** A console line holds about 290 characters. */
const ENROL_LINE_DIGITS = 200
/** A day: a ledger that takes nothing would use up a key of 1,024 signatures in three years. */
const MAX_SIGNING_WAIT_S = 86400
/** Attempts at once when the ledger wants another sequence number. */
const REBUILDS = 2

/** All that the fibers share. */
interface Meter {
  bus: Bus
  journal: Journal
  ring: Ring
  http: Http
  clock: Clock
  running: Running
  /** Closed records that are not in the ring yet. */
  unsaved: IntervalRecord[]
  milliW: number
  /** Until when energy and time are counted: since boot, or a fault, nothing is left out. */
  measuredAtMs: number
  /** Since when the sensor has been setting itself up; -1 while it gives readings. */
  setupAtMs: number
  reach: number
  meterId: string
  page: number
  notice: string
  fault: boolean
  faults: number
  /** Close the interval and report, as soon as may be. */
  reportWanted: boolean
  /** The interval is closed: report. */
  reportNow: boolean
}

async function main(): Promise<void> {
  const bus = await findBus([new PinBus(), new ServiceBus()], FRAM_ADDRESS)
  const meter = await openMeter(bus)
  console.log('boot ' + meter.journal.bootId)
  runScreen.start(meter)
  runButton.start(meter)
  const pairing = await waitForPairing(meter)
  await resumeCounters(meter, pairing)
  keepRunning.start(meter, 'measure', async () => await measure(meter, pairing))
  keepRunning.start(meter, 'probe', async () => await probeNode(meter, pairing))
  await keepRunning(meter, 'report', async () => await report(meter, pairing))
}

async function openMeter(bus: Bus): Promise<Meter> {
  const fram = new Fram(bus)
  const journal = await openJournal(fram)
  const pages = (fram.sizeBytes - RING_START) / RING_PAGE_BYTES
  const read = async (address: number, length: number) => await fram.read(address, length)
  const write = async (address: number, bytes: Buffer) => await fram.write(address, bytes)
  const ring = await openRing(
    { read: read, write: write, crc32: crc32, pause: pause },
    { start: RING_START, pageBytes: RING_PAGE_BYTES, pages: pages },
  )
  const millis = () => ds.millis()
  const floorUnixS = journal.running === null ? 0 : journal.running.record.unixS
  return {
    bus: bus,
    journal: journal,
    ring: ring,
    http: new Http({ connect: connectTo, millis: millis, pause: async () => await ds.sleep(10) }),
    clock: new Clock(millis, floorUnixS),
    running: resume(null, null, journal.bootId, 0).running,
    unsaved: [],
    milliW: -1,
    measuredAtMs: 0,
    setupAtMs: -1,
    reach: REACH.unknown,
    meterId: '',
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
async function keepRunning(meter: Meter, name: string, work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await work()
    } catch (error) {
      const message = (error as Error).message
      meter.faults++
      meter.fault = true
      meter.notice = name + ': ' + message
      console.log('fault ' + meter.faults + ' ' + name + ': ' + message)
    }
    await ds.sleep(5000)
  }
}

async function waitForPairing(meter: Meter): Promise<Pairing> {
  for (;;) {
    try {
      const pairing = await readPairing(getSetting)
      if (pairing !== null) {
        meter.notice = ''
        meter.fault = false
        return pairing
      }
      meter.notice = 'not paired'
    } catch (error) {
      meter.notice = (error as Error).message
      meter.fault = true
      console.log('fault settings: ' + meter.notice)
    }
    await ds.sleep(5000)
  }
}

// ---------------------------------------------------------------- measuring

async function resumeCounters(meter: Meter, pairing: Pairing): Promise<void> {
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

async function measure(meter: Meter, pairing: Pairing): Promise<void> {
  const sensor = new Ina226(meter.bus, pairing.calibration)
  const { running } = meter
  let startS = running.record.uptimeS
  let nextMs = ds.millis()
  for (;;) {
    await measureOnce(meter, sensor)
    const lengthS = running.record.uptimeS - startS
    if (lengthS >= pairing.intervalS || (meter.reportWanted && lengthS > 0)) {
      meter.unsaved.push(close(running, meter.journal.link.nextSeq))
      if (meter.unsaved.length > MAX_UNSAVED) meter.unsaved.shift()
      startS = running.record.uptimeS
    }
    await saveCounters(meter)
    nextMs = Math.max(nextMs + 1000, ds.millis())
    await ds.sleep(Math.max(1, nextMs - ds.millis()))
  }
}

/** Counts the time and, if the sensor gives a reading, the energy since the turn before. */
async function measureOnce(meter: Meter, sensor: Ina226): Promise<void> {
  let microW = -1
  let overRange = false
  try {
    const reading = await sensor.read()
    if (reading === null) {
      if (meter.setupAtMs < 0) meter.setupAtMs = ds.millis()
      // The next reading will speak for this time as well.
      if (ds.millis() - meter.setupAtMs < MAX_SETUP_MS) return
    } else {
      meter.setupAtMs = -1
      microW = reading.microW
      overRange = reading.overRange
    }
  } catch (error) {
    // No reading is no energy: the record carries the flag, and the screen says so.
    microW = -1
  }
  const nowMs = ds.millis()
  addSecond(meter.running, {
    elapsedMs: nowMs - meter.measuredAtMs,
    microW: microW,
    overRange: overRange,
    reach: meter.reach,
    unixS: meter.clock.unixS(),
    timeState: meter.clock.state(),
  })
  meter.measuredAtMs = nowMs
  meter.milliW = microW < 0 ? -1 : Math.round(microW / 1000)
}

/** Records first: a cut between the two leaves a record whose counters are the newer ones. */
async function saveCounters(meter: Meter): Promise<void> {
  const { journal, ring } = meter
  while (meter.unsaved.length > 0) {
    const outstanding = journal.outstanding
    const batchLastSeq = outstanding === null ? 0 : outstanding.lastSeq
    const throughSeq = journal.link.nextSeq - 1
    await ring.append(meter.unsaved[0], { throughSeq: throughSeq, batchLastSeq: batchLastSeq })
    meter.unsaved.shift()
    if (meter.reportWanted) {
      meter.reportWanted = false
      meter.reportNow = true
    }
  }
  await journal.saveRunning(meter.running)
}

async function probeNode(meter: Meter, pairing: Pairing): Promise<void> {
  const get = async (url: string) => {
    const response = await meter.http.request({
      method: 'GET',
      url: url,
      headers: [],
      body: null,
      timeoutMs: pairing.patienceS * 1000,
      maxBodyBytes: 1024,
    })
    return response.status === 200 ? response.body : null
  }
  // One change in a batch period is told at once: a node that comes and goes with every probe must
  // not use up the key's signatures.
  const quietMs = pairing.batchS * 1000
  let toldMs = -quietMs
  for (;;) {
    const startMs = ds.millis()
    const found = await probe({ get: get }, pairing.node)
    addProbe(meter.running, found.answered, found.counters)
    const reach = found.answered ? REACH.up : REACH.down
    const changed = meter.reach !== REACH.unknown && reach !== meter.reach
    if (changed && startMs - toldMs >= quietMs) {
      toldMs = startMs
      meter.reportWanted = true
    }
    meter.reach = reach
    await ds.sleep(Math.max(100, pairing.probeS * 1000 - (ds.millis() - startMs)))
  }
}

// ---------------------------------------------------------------- key and reports

async function report(meter: Meter, pairing: Pairing): Promise<void> {
  const { signer, meterId } = await enrolled(meter, pairing)
  meter.meterId = meterId.toString('hex')
  const reporter = reporterOf(meter, pairing, signer, meterId)
  let failures = 0
  let dueMs = meter.journal.outstanding === null ? ds.millis() + pairing.batchS * 1000 : ds.millis()
  for (;;) {
    while (ds.millis() < dueMs && !meter.reportNow) await ds.sleep(500)
    meter.reportNow = false
    if (await reportAll(meter, reporter)) {
      failures = 0
      dueMs = ds.millis() + pairing.batchS * 1000
    } else {
      failures++
      // Without a batch to send again, the next attempt signs another.
      const signs = meter.journal.outstanding === null
      const mostS = signs ? MAX_SIGNING_WAIT_S : Math.min(pairing.batchS, 3600)
      dueMs = ds.millis() + backOffMs(failures, mostS, random(1)[0] / 255)
    }
  }
}

/** Whether the ledger has all that the ring has, or took what could be sent. */
async function reportAll(meter: Meter, reporter: Reporter): Promise<boolean> {
  let rebuilds = 0
  for (;;) {
    const outcome = await reporter.attempt()
    const { link } = meter.journal
    if (link.nextSeq > meter.running.record.firstSeq) renumber(meter.running, link.nextSeq)
    if (outcome === OUTCOME.nothing) return true
    if (outcome === OUTCOME.accepted) {
      meter.notice = ''
      meter.fault = false
      console.log('accepted ' + (link.nextSeq - 1) + ' entry ' + link.entryIndex)
      if (meter.ring.lastSeq < link.nextSeq) return true
    } else if (outcome === OUTCOME.notNext && rebuilds < REBUILDS) {
      rebuilds++
    } else {
      meter.notice = reasonOf(outcome)
      console.log('unsent ' + outcome)
      return false
    }
  }
}

function reasonOf(outcome: number): string {
  if (outcome === OUTCOME.silent) return 'ledger is silent'
  if (outcome === OUTCOME.tryLater) return 'ledger: try later'
  if (outcome === OUTCOME.invalid) return 'ledger refuses batch'
  return 'ledger: out of step'
}

function reporterOf(meter: Meter, pairing: Pairing, signer: Signer, meterId: Buffer): Reporter {
  const post = async (url: string, headers: string[], body: Buffer) =>
    await meter.http.request({
      method: 'POST',
      url: url,
      headers: headers,
      body: body,
      timeoutMs: pairing.patienceS * 1000 + REPORT_MORE_MS,
      maxBodyBytes: 1024,
    })
  return new Reporter(
    {
      store: meter.journal,
      readRecords: async (fromSeq, limit) => await meter.ring.readFrom(fromSeq, limit),
      sign: async message => await signer.sign(message),
      post: post,
      digest: sha256,
      hmac: hmacSha256,
      random: random,
      pause: pause,
      synchronise: (unixS, sentMs) => {
        // At once, before the interval can close: its record has the new time.
        if (meter.clock.synchronise(unixS, sentMs)) setFlag(meter.running.record, FLAG.clockStep)
      },
    },
    {
      meterId: meterId,
      origin: pairing.origin,
      pairKey: pairing.pairKey,
      firmwareHash: pairing.firmwareHash,
      urls: ['http://' + pairing.node.split(':')[0] + '/commons', pairing.ledger],
    },
  )
}

/** The pairing's signer; prints its enrolment statement until the ledger has accepted a batch. */
async function enrolled(meter: Meter, pairing: Pairing): Promise<Enrolled<Signer>> {
  const found = await enrol<Signer>(
    {
      store: meter.journal,
      open: async key => await signerOf(meter, key),
      makeSecret: () => makeSecret(random, hkdf, pairing.entropy),
      derive: hkdf,
      digest: sha256,
      covered: signedPart,
      sealed: signedMessage,
      currentSeq: () => meter.running.record.firstSeq,
    },
    pairing,
  )
  if (found.statement !== null) await printStatement(found.statement)
  return found
}

/** In lines `enrol I/N HEX`, as long as the console takes them. */
async function printStatement(statement: Buffer): Promise<void> {
  const digits = statement.toString('hex')
  await pause()
  const lines = Math.ceil(digits.length / ENROL_LINE_DIGITS)
  for (let i = 0; i < lines; i++) {
    const part = digits.slice(i * ENROL_LINE_DIGITS, (i + 1) * ENROL_LINE_DIGITS)
    console.log('enrol ' + (i + 1) + '/' + lines + ' ' + part)
    await ds.sleep(5)
  }
}

async function signerOf(meter: Meter, key: StoredKey): Promise<Signer> {
  const notice = meter.notice
  const signer = await openSigner(treeOf(key), {
    store: meter.journal,
    random: random,
    progress: (done, of) => {
      meter.notice = 'making key ' + done + '/' + of
    },
  })
  meter.notice = notice
  return signer
}

function treeOf(key: StoredKey): Tree {
  const set = parameterSet(key.height === 5 ? LMS_H5 : LMS_H10, LMOTS_W4)
  const secret = { set: set, I: key.I, seed: key.seed }
  const rt = { hash: hashInto, alloc: (size: number) => Buffer.alloc(size), pause: pause }
  return {
    n: set.n,
    subtrees: subtreeCount(set),
    growSubtree: async index => await growSubtree(rt, secret, index),
    growTop: async layer => await growTop(rt, secret, layer),
    publicKey: top => hssPublicKey(rt, secret, top) as Buffer,
    sign: async (message, q, C, subtree, top) => {
      const parts = { q: q, C: C, subtree: subtree, top: top }
      return (await hssSign(rt, secret, message, parts)) as Buffer
    },
  }
}

// ---------------------------------------------------------------- face and button

async function runScreen(meter: Meter): Promise<void> {
  const chip = new Ssd1306(meter.bus)
  for (;;) {
    try {
      const picture = draw(faceOf(meter), meter.page)
      await pause()
      await chip.show(picture)
    } catch (error) {
      // A meter without a screen measures all the same; one that comes back is set up again.
      await ds.sleep(10000)
    }
    await ds.sleep(1000)
  }
}

function faceOf(meter: Meter): Face {
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
    notice: blind ? 'no power reading' : meter.notice,
    fault: blind || meter.fault,
  }
}

/** Short: the next page. Long: report now. */
async function runButton(meter: Meter): Promise<void> {
  const button = new ds.Button()
  let downMs = -1
  button.down.subscribe(() => {
    downMs = ds.millis()
  })
  button.up.subscribe(() => {
    if (downMs < 0) return
    if (ds.millis() - downMs >= LONG_PRESS_MS) meter.reportWanted = true
    else meter.page = (meter.page + 1) % PAGES
    downMs = -1
  })
}

await main()
