// The trial's meter: the real firmware on virtual hardware, inside the home's network, paired with
// the kit as a volunteer would pair it. Knows the meter by what the ledger has of it, and keeps the
// two truths that this is held against: the chip's integral and what the node served.

import { join } from 'node:path';
import { atWorkbench } from '../bench/workbench.ts';
import { findKit } from '../campaign/campaign.ts';
import { KitError } from '../errors.ts';
import { buildFirmware } from '../meter/build.ts';
import { pairThrough } from '../meter/command.ts';
import { virtualPort } from '../meter/port.ts';
import { createOutput } from '../terminal.ts';
import { createVirtualMeter } from '../virtual/meter.ts';
import type { SocketTap } from '../virtual/vm-sockets.ts';
import { openCuts } from './cuts.ts';
import type { TrialLedger } from './ledger.ts';
import type { TrialNode } from './node.ts';
import { openServed, type Served } from './served.ts';
import { KIT, type Trial } from './trial.ts';
import { until } from './wait.ts';

/** The newest record that the ledger shows of the meter. */
export interface MeterRecord {
  energyMicroWh: number;
  upS: number;
  downS: number;
  unknownS: number;
  wanInBytes: number;
  wanOutBytes: number;
}

export interface TrialMeter {
  /** 16 hexadecimal digits. */
  id: string;
  served: Served;
  /** The chip's own integral, without what was lost to cuts: on the meter's clock. */
  chipMicroWh(): number;
  /** What each power cut so far cost, µWh. */
  lostMicroWh(): number[];
  /** Waits until the chip has seen the load as it is now. */
  standStill(): Promise<void>;
  /** A long press: report now. */
  press(): void;
  /** Cuts the power when so many more bytes are in the FRAM; resolves when it is gone. */
  cutAfter(bytes: number): Promise<void>;
  powerOn(): void;
  /** Batches that the ledger has. */
  batches(): Promise<number>;
  /** The node's state in the ledger's one word. */
  state(): Promise<string>;
  lastRecord(): Promise<MeterRecord | undefined>;
  /** As {@link lastRecord} last found it. */
  newest(): MeterRecord;
  /** What the firmware printed last. */
  lastWords(): string;
  screenPng(): Uint8Array;
}

/**
 * In trial seconds: a record a minute, a batch every five, a probe every ten seconds. The node and
 * the network are as slow as they really are: five seconds for them are fifty for the meter.
 */
const TIMES = { intervalS: 60, batchS: 300, probeS: 10, patienceS: 50 };
const COUNTERS_PORT = 8010;
const LONG_PRESS_MS = 1500;
/** Trial time for the sensor's next reading, at one a second, and the one after. */
const STAND_STILL_MS = 4000;
const WORDS_KEPT = 12;

/** Powers the meter on, and pairs it unless an earlier run did. */
export async function pairMeter(
  trial: Trial,
  { node, ledger }: { node: TrialNode; ledger: TrialLedger },
  say: (text: string) => void,
): Promise<TrialMeter> {
  say('building the firmware');
  const firmware = await buildFirmware();
  const { folder } = trial;
  const served = openServed(join(folder.meter, 'served.jsonl'));
  const tap = tapFor(served);
  const cuts = openCuts(folder.meter);
  const failure: { error?: KitError } = {};
  const words: string[] = [];
  const virtual = createVirtualMeter({
    ...{ bytecode: firmware.bytecode, dir: folder.meter, clock: trial.clock },
    load: () => node.load.milliW(),
    prefix: node.home.enter([]),
    onTap: tap.hear,
    onKept: cuts.kept,
    onConsole: (line) => void words.splice(0, Math.max(0, words.push(line) - WORDS_KEPT)),
    onPanic: (code) => (failure.error ??= panicked(code, words)),
    onFailed: (error) => (failure.error ??= error),
  });
  trial.onStop(() => virtual.stop());
  const powerOn = (): void => {
    cuts.powerReturns(virtual.truth());
    tap.forget();
    virtual.powerOn();
  };
  powerOn();
  const id = await atWorkbench(folder, async (bench) => {
    const known = bench.record.lastDone(KIT, 'pair')?.detail['meter'];
    if (typeof known === 'string') return known;
    const restart = async (): Promise<void> => {
      await virtual.cutPower();
      powerOn();
    };
    const port = { ...virtualPort(virtual), restart };
    const options = { ...TIMES, firmwareHash: firmware.hash, ledgerUrl: ledger.url };
    const output = { ...createOutput({ json: true }), event: ({ text }: { text: string }) => say(text) };
    const paired = await pairThrough(bench, findKit(bench.campaign, KIT), { port, options, output });
    return paired.meter;
  });
  const check = (): void => {
    if (failure.error) throw failure.error;
  };
  const ask = async () => {
    check();
    return await ledger.get(`/v1/nodes/${id}`);
  };
  let newest: MeterRecord | undefined;
  return {
    ...{ id, served, powerOn, lostMicroWh: cuts.lostMicroWh },
    chipMicroWh: () => virtual.truth().energyMicroWh - sum(cuts.lostMicroWh()),
    screenPng: () => virtual.screenPng(4),
    lastWords: () => words.join(' | '),
    press: () => virtual.pressButton(LONG_PRESS_MS),
    cutAfter: (bytes) => virtual.cutAfterWrittenBytes(bytes),
    async standStill() {
      const fromMs = virtual.nowMs();
      await until({
        what: "the meter's clock to go on",
        withinMs: 60_000,
        signal: trial.signal,
        check: () => (check(), virtual.nowMs() - fromMs > STAND_STILL_MS || undefined),
      });
    },
    batches: async () => (await ask()).log.batches,
    state: async () => (await ask()).state,
    async lastRecord() {
      check();
      const response = await fetch(`${ledger.url}/v1/nodes/${id}/records.csv`);
      newest = newestOf(await response.text()) ?? newest;
      return newest;
    },
    newest() {
      if (newest) return newest;
      throw new Error('asked for the newest record before any was seen');
    },
  };
}

/** Joins what each connection to the node's counters brings; a connection that a cut broke is dropped. */
function tapFor(served: Served) {
  const open = new Map<number, string>();
  return {
    forget: () => open.clear(),
    hear({ connection, event, port }: SocketTap, bytes: Uint8Array): void {
      if (port !== COUNTERS_PORT) return;
      if (event === 'received') {
        open.set(connection, (open.get(connection) ?? '') + Buffer.from(bytes).toString('latin1'));
      } else if (event === 'close') {
        served.heard(open.get(connection) ?? '');
        open.delete(connection);
      }
    },
  };
}

function sum(values: number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** The last line of the ledger's CSV, by its header's names. */
export function newestOf(csv: string): MeterRecord | undefined {
  const [header, ...lines] = csv.trim().split('\r\n');
  const last = lines.at(-1)?.split(',');
  if (last === undefined) return undefined;
  const names = header.split(',');
  const value = (name: string): number => Number(last[names.indexOf(name)]);
  return {
    energyMicroWh: value('energy_micro_wh'),
    ...{ upS: value('up_s'), downS: value('down_s'), unknownS: value('unknown_s') },
    wanInBytes: value('claimed_wan_in_bytes'),
    wanOutBytes: value('claimed_wan_out_bytes'),
  };
}

function panicked(code: number, words: string[]): KitError {
  return new KitError({
    code: 'meter-panic',
    message: 'The firmware panicked',
    got: `code ${code}; its last words: ${words.join(' | ')}`,
  });
}
