// What an unpaired meter tells the bench. And the meter's first two fibers: power once a second, kept
// each time; and the node, asked whether it is there and what it counts. An interval closes when its
// time is over, or when somebody wants to know.
//
// Owns when a turn is taken, when an interval closes, and the order in which both are kept.
import { Finder } from './finding.js'
import { Ina226 } from './ina226.js'
import { REACH, addProbe, addSecond, close, setFlag } from './interval.js'
import type { Meter } from './meter.js'
import { Networks } from './networks.js'
import { mergeRecords } from './page.js'
import { probe } from './probe.js'
import type { Probe } from './probe.js'
import type { Pairing } from './settings.js'
import { FLAG } from './wire.js'

/** The sensor's first window is there a second after its setup. */
const MAX_SETUP_MS = 4000
/** Closed records that wait in memory while the FRAM fails; older ones become coarser. */
const MAX_UNSAVED = 8

const TOLD_BETWEEN_LOOKS = 5
const NETWORK_LOOK_MS = 30000
/** For an address where the node may be: who is there answers at once. */
const SEARCH_MS = 500

/**
 * For the bench, which calibrates a meter before it pairs it: the sensor's registers, once a second,
 * five times; `none` while the chip does not answer.
 */
export async function tellRegisters(meter: Meter, sensor: Ina226): Promise<void> {
  for (let told = 0; told < TOLD_BETWEEN_LOOKS; told++) {
    try {
      const found = await sensor.readRegisters()
      if (found !== null) meter.edge.print('sensor ' + found.shunt + ' ' + found.bus)
    } catch (error) {
      meter.edge.print('sensor none')
    }
    await meter.edge.sleep(1000)
  }
}

export async function measure(meter: Meter, pairing: Pairing): Promise<void> {
  const sensor = new Ina226(meter.bus, pairing.calibration)
  const { running } = meter
  let startS = running.record.uptimeS
  let nextMs = meter.edge.millis()
  for (;;) {
    await measureOnce(meter, sensor)
    const lengthS = running.record.uptimeS - startS
    if (lengthS >= pairing.intervalS || (meter.reportWanted && lengthS > 0)) {
      meter.unsaved.push(close(running, meter.journal.link.nextSeq))
      if (meter.unsaved.length > MAX_UNSAVED) mergeOldest(meter)
      startS = running.record.uptimeS
    }
    await keepCounters(meter)
    nextMs = Math.max(nextMs + 1000, meter.edge.millis())
    await meter.edge.sleep(Math.max(1, nextMs - meter.edge.millis()))
  }
}

/** Counts the time and, if the sensor gives a reading, the energy since the turn before. */
async function measureOnce(meter: Meter, sensor: Ina226): Promise<void> {
  let microW = -1
  let overRange = false
  try {
    const reading = await sensor.read()
    if (reading === null) {
      if (meter.setupAtMs < 0) meter.setupAtMs = meter.edge.millis()
      // The next reading will speak for this time as well.
      if (meter.edge.millis() - meter.setupAtMs < MAX_SETUP_MS) return
    } else {
      meter.setupAtMs = -1
      microW = reading.microW
      overRange = reading.overRange
    }
  } catch (error) {
    // No reading is no energy: the record carries the flag, and the screen says so.
    microW = -1
  }
  const nowMs = meter.edge.millis()
  addSecond(meter.running, {
    elapsedMs: nowMs - meter.measuredAtMs,
    microW: microW,
    overRange: overRange,
    reach: meter.reach,
    unixS: meter.clock.unixS(),
    timeState: meter.clock.state(),
  })
  if (meter.fram.faults !== meter.memoryFaults) setFlag(meter.running.record, FLAG.memoryFault)
  meter.memoryFaults = meter.fram.faults
  if (meter.unsound) setFlag(meter.running.record, FLAG.unsound)
  meter.measuredAtMs = nowMs
  meter.milliW = microW < 0 ? -1 : Math.round(microW / 1000)
  meter.overRange = overRange
}

function mergeOldest(meter: Meter): void {
  const { unsaved } = meter
  unsaved[1] = mergeRecords(unsaved[0], unsaved[1])
  unsaved.shift()
}

/** A memory that fails stops no measuring: what it did not take waits. */
async function keepCounters(meter: Meter): Promise<void> {
  try {
    await saveCounters(meter)
  } catch (error) {
    if (meter.fram.trouble === '') throw error
  }
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

export async function probeNode(meter: Meter, pairing: Pairing): Promise<void> {
  const finder = finderOf(meter, pairing)
  // One change in a batch period is told at once: a node that comes and goes with every probe must
  // not use up the key's signatures.
  const quietMs = pairing.batchS * 1000
  let toldMs = -quietMs
  for (;;) {
    const startMs = meter.edge.millis()
    const { asked: found, moved } = await finder.ask()
    meter.place = finder.place
    if (moved) setFlag(meter.running.record, FLAG.nodeMoved)
    addProbe(meter.running, found.answered, found.counters)
    if (found.why > 0) setFlag(meter.running.record, found.why)
    meter.why = found.why
    const reach = found.answered ? REACH.up : REACH.down
    const changed = meter.reach !== REACH.unknown && reach !== meter.reach
    if (changed && startMs - toldMs >= quietMs) {
      toldMs = startMs
      meter.reportWanted = true
    }
    meter.reach = reach
    await meter.edge.sleep(Math.max(100, pairing.probeS * 1000 - (meter.edge.millis() - startMs)))
  }
}

/** Of a home with several networks: joins another if the one it is in stays away. */
export async function keepConnected(meter: Meter, pairing: Pairing): Promise<void> {
  const { edge } = meter
  const named = async () => {
    const ssid = await edge.setting('wifi_ssid')
    return ssid === null ? '' : ssid.toString()
  }
  const networks = new Networks(
    {
      ownAddress: edge.ownAddress,
      named: named,
      join: async ({ ssid, passphrase }) => await edge.joinNetwork(ssid, passphrase),
      millis: () => edge.millis(),
    },
    pairing.networks,
  )
  for (;;) {
    const joined = await networks.look()
    if (joined > 0) edge.print('network ' + joined)
    await edge.sleep(NETWORK_LOOK_MS)
  }
}

/** Asks the node by its name, or by an address at the same port. */
function finderOf(meter: Meter, pairing: Pairing): Finder<Probe> {
  const name = pairing.node.split(':')[0]
  const port = pairing.node.slice(name.length)
  const isOurs = (host: string) => host === name || (host !== '' && host === pairing.host)
  const within = (timeoutMs: number) => ({
    get: async (url: string) => await counters(meter, url, timeoutMs),
    millis: () => meter.edge.millis(),
  })
  const patienceMs = pairing.patienceS * 1000
  return new Finder<Probe>(
    {
      askByName: async host => await probe(within(patienceMs), host + port),
      askAt: async (address, isSearch) =>
        await probe(within(isSearch ? SEARCH_MS : patienceMs), address + port, isOurs),
      ownAddress: meter.edge.ownAddress,
      millis: () => meter.edge.millis(),
      keep: async address => {
        try {
          await meter.journal.keepNodeAddress(address)
        } catch (error) {
          // It is found again after the next start.
          if (meter.fram.trouble === '') throw error
        }
      },
    },
    name,
    meter.journal.nodeAddress,
  )
}

/** The body of a 200 answer, null for another. */
async function counters(meter: Meter, url: string, timeoutMs: number): Promise<Buffer | null> {
  const response = await meter.http.request({
    method: 'GET',
    url: url,
    headers: [],
    body: null,
    timeoutMs: timeoutMs,
    maxBodyBytes: 1024,
  })
  return response.status === 200 ? response.body : null
}
