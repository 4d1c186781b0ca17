// The meter on its board: the runtime's edges, and seven fibers that never end, or eight: measuring once a
// second, probing the node, growing the next key, reporting to the ledger, the screen, the light, the
// button; and, where the home has several networks, which of them it is in.
// Each catches what it throws, shows and counts it, and goes on; nothing here panics.
import * as ds from '@devicescript/core'
import {
  PinBus,
  ServiceBus,
  connectTo,
  findBus,
  getSetting,
  hashInto,
  hkdf,
  hmacSha256,
  joinNetwork,
  ownAddress,
  pause,
  random,
  sha256,
} from './edge'
import { grow } from './growing'
import { Ina226 } from './ina226'
import { CYCLE_STEPS, SIGN, STEP_MS, isLit, signOf } from './light'
import { keepConnected, measure, probeNode, tellRegisters } from './measuring'
import { faceOf, isReporting, keepRunning, openWhenWell, resumeCounters, waitForPairing } from './meter'
import type { Bus, Edge, Meter } from './meter'
import { report } from './reporting'
import { PAGES, Ssd1306, layoutOf, troubledFace } from './screen'
import { NOMINAL } from './settings'

/** Memory and sensor: a meter whose memory is silent still finds its screen. */
const ADDRESSES = [0x50, 0x40]
const LONG_PRESS_MS = 1000

/** The light's. Until a face says otherwise there is trouble: so each start tries the light. */
let sign = SIGN.trouble

async function main(): Promise<void> {
  runLight.start()
  const bus = await findBus([new PinBus(), new ServiceBus()], ADDRESSES)
  const meter = await openWhenWell(edgeOf(), bus, async words => await showTrouble(bus, words))
  console.log('boot ' + meter.journal.bootId)
  runScreen.start(meter)
  runButton.start(meter)
  const sensor = new Ina226(bus, NOMINAL)
  const pairing = await waitForPairing(meter, async () => await tellRegisters(meter, sensor))
  await resumeCounters(meter, pairing)
  keepRunning.start(meter, 'measure', async () => await measure(meter, pairing))
  keepRunning.start(meter, 'probe', async () => await probeNode(meter, pairing))
  keepRunning.start(meter, 'grow', async () => await grow(meter, pairing))
  if (pairing.networks.length > 1)
    keepRunning.start(meter, 'networks', async () => await keepConnected(meter, pairing))
  await keepRunning(meter, 'report', async () => await report(meter, pairing))
}

/** The runtime's own clock, network, settings and hashes. */
function edgeOf(): Edge {
  return {
    millis: () => ds.millis(),
    sleep: async ms => await ds.sleep(ms),
    pause: pause,
    print: line => console.log(line),
    ownAddress: ownAddress,
    joinNetwork: joinNetwork,
    connect: connectTo,
    setting: getSetting,
    random: random,
    sha256: sha256,
    hmac: hmacSha256,
    hkdf: hkdf,
    hashInto: hashInto,
  }
}

/** Before there is a meter to show. */
async function showTrouble(bus: Bus, words: string): Promise<void> {
  try {
    await new Ssd1306(bus, pause).show(layoutOf(troubledFace(words), 0))
  } catch (error) {
    // Without a screen, the console has said it.
    return
  }
}

async function runScreen(meter: Meter): Promise<void> {
  const chip = new Ssd1306(meter.bus, pause)
  for (;;) {
    try {
      const face = faceOf(meter)
      sign = signOf(face, isReporting(meter))
      await chip.show(layoutOf(face, meter.page))
    } catch (error) {
      // A meter without a screen measures all the same; one that comes back is set up again.
      await ds.sleep(10000)
    }
    await ds.sleep(1000)
  }
}

/** A board without a light waits here for ever. */
async function runLight(): Promise<void> {
  const light = new ds.LightBulb()
  let lit = false
  for (let step = 0; ; step = (step + 1) % CYCLE_STEPS) {
    if (isLit(sign, step) !== lit) {
      lit = !lit
      await light.intensity.write(lit ? 1 : 0)
    }
    await ds.sleep(STEP_MS)
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
