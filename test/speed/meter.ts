// `npm run speed -- meter`: what the meter costs, counted, not timed: its bytecode in the counted
// machine (counted-vm.ts) over hours of a quiet home, twice: a batch an hour, and one in six hours.
// The heap it needs is found by giving it less until it fails; so is the longest slice of work. The
// hashes are counted on Node. Energy is reckoned from data sheets. docs/speed.md explains the table.

import { buildFirmware } from '../../provisioner/meter/build.ts';
import { LARGE_FRAM_BYTES } from '../../provisioner/virtual/fram.ts';
import { createLoneMeter } from '../helpers/lone-meter.ts';
import { HEAP_BYTES } from './counted-vm.ts';
import type { DrivesOptions } from './drives.ts';
import type { HeapState } from './heap.ts';
import { Panic, startCounted, type Counts, type Scene } from './meter-machine.ts';
import { figuresTable, isMet, wantedTable, type Figure, type Wanted } from './table.ts';

const HOUR_S = 3_600;
const DAY_S = 24 * HOUR_S;
const STEP_LIMIT = 131_072;
/** The search for the least heap ends at so many bytes. */
const HEAP_GRAIN_BYTES = 1_024;
/** A key of 1,024 leaves has grown behind the rest. */
const GROWN_S = 900;

/**
 * Currents at 3.3 V, typical, from the data sheets: ESP32-C3 (v1.4, table 5-8: receiving; modem-sleep
 * between beacons), INA226 (SBOS547A § 6.5), MB85RC256V (standby), SSD1306 (128 × 64, a third of the
 * points lit). The converter that feeds them wastes a sixth.
 */
const MILLI_AMP = { radioListening: 20, sensor: 0.33, memory: 0.03, screen: 10 };
const LOGIC_V = 3.3;
const CONVERTER = 0.85;

/** @returns whether everything wanted was met */
export async function measureMeter({ tell, print }: DrivesOptions): Promise<boolean> {
  const { bytecode } = await buildFirmware();
  const hourly = await countDay(bytecode, { times: [900, HOUR_S, 30] });
  tell(`  a batch an hour: ${JSON.stringify(hourly)}`);
  const seldom = await countDay(bytecode, { times: [900, 6 * HOUR_S, 30] });
  tell(`  four batches a day: ${JSON.stringify(seldom)}`);
  const heap = await leastHeap(bytecode, {}, tell);
  const heapLarge = await leastHeap(bytecode, { framBytes: LARGE_FRAM_BYTES }, tell);
  const slice = await longestSlice(bytecode, tell);
  const idle = await idleSteps(bytecode);
  print(figuresTable('meter, counted', [
    ['bytecode', bytecode.length, 'bytes'],
    ['steps a second, measuring, probing and showing', idle, 'steps'],
    ['steps of a batch of four records, its signature and reply', stepsABatch(hourly, idle), 'steps'],
    ['steps a day, a batch an hour', hourly.steps, 'steps'],
    ['bus transactions a day', hourly.transactions, ''],
    ['FRAM writes a day', hourly.framWrites, ''],
    ['FRAM bytes written a day', hourly.framBytes, 'bytes'],
    ['hashes a day, a batch an hour, no key growing', await hashesADay(), ''],
    ['batches’ bodies a day, a batch an hour', hourly.batchBodyBytes, 'bytes'],
    ['batches’ bodies a day, four batches', seldom.batchBodyBytes, 'bytes'],
    ['counters’ bodies a day, a probe in 30 s, on the LAN', hourly.bodyBytes - hourly.batchBodyBytes, 'bytes'],
    ['heap that is needed', heap.bytes, 'bytes'],
    ['of a heap just too small: taken as it failed', heap.takenBytes, 'bytes'],
    ['of a heap just too small: the largest piece left', heap.largestFreeBytes, 'bytes'],
    ['heap that is needed with 128 KB of FRAM', heapLarge.bytes, 'bytes'],
    ['energy of the meter itself a day, reckoned', wattHoursADay(), 'Wh'],
  ] satisfies Figure[]));
  const wanted: Wanted[] = [
    { what: 'heap at its peak', got: heap.bytes / 1024, atMost: 40, unit: ' KB' },
    { what: 'longest slice', got: slice, atMost: STEP_LIMIT / 2, unit: ' steps' },
    { what: 'bodies a day, a batch an hour', got: hourly.batchBodyBytes / 1000, atMost: 45, unit: ' kB' },
    { what: 'bodies a day, four batches', got: seldom.batchBodyBytes / 1000, atMost: 10, unit: ' kB' },
  ];
  print(wantedTable(wanted));
  return wanted.every(isMet);
}

/** A quarter of a day of a meter that signs with a key of 1,024, four times; counts alone. */
async function countDay(bytecode: Uint8Array, scene: Scene): Promise<Counts> {
  const meter = await startCounted(bytecode, { ...scene, height: 10 });
  const [, batchS] = scene.times;
  await meter.until(() => meter.counts.batches > 0, 2 * batchS);
  // The next key begins to grow at once: that is once in six weeks, and no day's work.
  await meter.run(GROWN_S);
  const before = { ...meter.counts };
  await meter.run(DAY_S / 4);
  const day = Object.entries(meter.counts).map(([name, value]) => [
    name, 4 * (value - before[name as keyof Counts]),
  ]);
  return Object.fromEntries(day) as unknown as Counts;
}

/** Of a second in which nothing is reported. */
async function idleSteps(bytecode: Uint8Array): Promise<number> {
  const meter = await startCounted(bytecode, { times: [HOUR_S, DAY_S, 30] });
  await meter.run(60);
  const before = meter.counts.steps;
  await meter.run(600);
  return Math.round((meter.counts.steps - before) / 600);
}

function stepsABatch(day: Counts, idle: number): number {
  return Math.round((day.steps - idle * DAY_S) / day.batches);
}

/** The life that needs the most: a key of 32 followed by one of 1,024, with full batches. */
async function panicOf(bytecode: Uint8Array, scene: Partial<Scene>): Promise<Panic | null> {
  try {
    const meter = await startCounted(bytecode, { times: [5, 150, 30], ...scene });
    await meter.until(() => meter.ledger.keys.length === 2, 1_500);
    await meter.run(400);
    return null;
  } catch (error) {
    if (error instanceof Panic) return error;
    throw error;
  }
}

async function leastHeap(
  bytecode: Uint8Array, scene: Partial<Scene>, tell: (text: string) => void,
): Promise<HeapState & { bytes: number }> {
  let [fails, works] = [16 * 1024, HEAP_BYTES];
  let state: HeapState = { takenBytes: 0, largestFreeBytes: 0 };
  while (works - fails > HEAP_GRAIN_BYTES) {
    const heapBytes = (fails + works) / 2;
    const panic = await panicOf(bytecode, { ...scene, limits: { heapBytes } });
    tell(`  ${heapBytes} bytes of heap: ${panic?.message ?? 'lives'}`);
    if (panic === null) works = heapBytes;
    else [fails, state] = [heapBytes, panic.heap];
  }
  return { bytes: works, ...state };
}

/** To the next 4,096 steps; more than a board allows never passes. */
async function longestSlice(bytecode: Uint8Array, tell: (text: string) => void): Promise<number> {
  for (let steps = STEP_LIMIT / 2; steps < STEP_LIMIT; steps += 4_096) {
    const panic = await panicOf(bytecode, { limits: { steps } });
    tell(`  ${steps} steps between two awaits: ${panic?.message ?? 'lives'}`);
    if (panic === null) return steps;
  }
  return STEP_LIMIT;
}

/** On Node, where each call of the edge can be counted; four hours of it, six times. */
async function hashesADay(): Promise<number> {
  let hashes = 0;
  const meter = createLoneMeter({
    seed: 1, timesS: [900, HOUR_S, 30],
    bend: (edge) => ({
      ...edge,
      sha256: (pieces) => (hashes++, edge.sha256(pieces)),
      hashInto: (out, at, n, a, b) => (hashes++, edge.hashInto(out, at, n, a, b)),
    }),
  });
  meter.powerOn();
  await meter.run(2 * HOUR_S);
  const before = hashes;
  await meter.run(4 * HOUR_S);
  return 6 * (hashes - before);
}

function wattHoursADay(): number {
  const milliAmp = Object.values(MILLI_AMP).reduce((sum, current) => sum + current, 0);
  return ((milliAmp / 1000) * LOGIC_V * 24) / CONVERTER;
}
