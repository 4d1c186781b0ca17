// A meter's bytecode in the counted machine, in this process: chips at register level, a node and a
// ledger that answer at once, time as fast as it computes. Everything in it is counted; the same
// program gives the same counts.
import { setImmediate } from 'node:timers/promises';
import { createFram, FRAM_BYTES } from '../../provisioner/virtual/fram.ts';
import { createI2cBus, type I2cBus, type I2cChip } from '../../provisioner/virtual/i2c.ts';
import { createI2cService } from '../../provisioner/virtual/i2c-service.ts';
import { createIna226 } from '../../provisioner/virtual/ina226.ts';
import { createJacdacBus } from '../../provisioner/virtual/jacdac-bus.ts';
import { createLight } from '../../provisioner/virtual/light.ts';
import { ADDRESS } from '../../provisioner/virtual/meter.ts';
import { createSettingsClient } from '../../provisioner/virtual/settings-client.ts';
import { createSsd1306 } from '../../provisioner/virtual/ssd1306.ts';
import { loadVm, SOCKET_EVENT, type Vm } from '../../provisioner/virtual/vm-module.ts';
import { httpResponse, parseRequest } from '../firmware/year/network.ts';
import { createJudge, type LedgerJudge } from '../helpers/ledger.ts';
import { counted, HEAP_BYTES, stepsOf, type Limits } from './counted-vm.ts';
import { heapState, type HeapState } from './heap.ts';

const START_MS = Date.parse('2027-01-01T00:00:00Z');
const DEVICE_ID = '6d65746572303031';
const BUS_DEVICE_ID = '6b69742d62757331';
const ORIGIN = 'ledger.test/commons';
const PAIR_KEY = Buffer.alloc(32, 0x5a);
const RELAY = -1;
/** A node and a ledger on a good line. */
const ANSWER_MS = 40;
/** While nothing runs, time moves in steps of this much: a timer is late by less. */
const IDLE_STEP_MS = 5;
/** So often the process hears its signals. */
const BREATH_S = 600;

export interface Counts {
  steps: number;
  transactions: number;
  framWrites: number;
  framBytes: number;
  requests: number;
  /** Of batches, sent. */
  batchBodyBytes: number;
  /** Of all requests and answers. */
  bodyBytes: number;
  batches: number;
  records: number;
}

export interface Scene {
  times: [intervalS: number, batchS: number, probeS: number];
  limits?: Limits;
  framBytes?: number;
  /** Of the first key's tree; 5 unless told otherwise. */
  height?: 5 | 10;
}

export interface CountedMeter {
  ledger: LedgerJudge;
  counts: Counts;
  lines: string[];
  /** What its memory holds. */
  cells: Buffer;
  /** Runs until then; throws if the program panics. */
  run(seconds: number): Promise<void>;
  /** Runs in steps of a second until it holds. */
  until(holds: () => boolean, mostSeconds: number): Promise<void>;
  nowS(): number;
}

export async function startCounted(bytecode: Uint8Array, scene: Scene): Promise<CountedMeter> {
  let nowMs = START_MS;
  const counts: Counts = {
    steps: 0, transactions: 0, framWrites: 0, framBytes: 0, requests: 0,
    batchBodyBytes: 0, bodyBytes: 0, batches: 0, records: 0,
  };
  const lines: string[] = [];
  const trace: string[] = [];
  const ledger = createJudge(ORIGIN, PAIR_KEY, () => Math.floor(nowMs / 1000));
  const vm = await loadVm(() => nowMs, counted(scene.limits));
  const settings = createSettingsClient(DEVICE_ID, () => {});
  const cells = Buffer.alloc(scene.framBytes ?? FRAM_BYTES);
  const services = [createI2cService(countedBus(chipsOf(cells), counts)), createLight(() => {})];
  const bus = createJacdacBus(BUS_DEVICE_ID, services, [settings]);
  const outbox: Uint8Array[] = [];
  let panic = 0;
  vm.sendPacket = (frame) => void outbox.push(frame);
  vm.panicHandler = (code) => void (panic ||= code);
  vm.error = () => {};
  vm.flashLoad = () => new Uint8Array();
  vm.flashSave = () => {};
  const statement: string[] = [];
  vm.dmesg = (line) => {
    if (line.startsWith('! ')) trace.push(line.slice(2).trim());
    if (!line.startsWith('> ')) return;
    lines.push(line.slice(2));
    const part = /^> enrol (\d+)\/(\d+) ([0-9a-f]+)$/.exec(line);
    if (part === null) return;
    statement[Number(part[1]) - 1] = part[3];
    if (part[1] === part[2]) ledger.enrol(Buffer.from(statement.join(''), 'hex'));
  };
  const sockets = giveSockets(vm, () => nowMs, counts, ledger);
  vm.devsSetDeviceId(DEVICE_ID);
  if (vm.devsDeploy(bytecode) !== 0) throw new Error('the machine refuses the program');
  bus.powerOn(nowMs);

  let dueMs = nowMs;
  /** @returns whether the program did anything */
  const process = (): boolean => {
    vm._jd_em_process();
    const steps = stepsOf(vm.HEAPU8);
    const ran = steps > counts.steps;
    counts.steps = steps;
    if (panic > 0) throw new Panic(panic, trace, heapState(vm.HEAPU8, scene.limits?.heapBytes ?? HEAP_BYTES));
    return ran;
  };
  const turn = (): void => {
    sockets.deliver();
    const ran = process();
    if (outbox.length === 0 && nowMs < dueMs) {
      nowMs += ran ? 1 : IDLE_STEP_MS;
      return;
    }
    const answered = bus.exchange(Buffer.concat(outbox.splice(0)), nowMs);
    dueMs = answered.dueMs;
    const { frames } = answered;
    for (let at = 0; at < frames.length;) {
      const end = at + 12 + frames[at + 2];
      withCopy(vm, frames.subarray(at, end), vm._jd_em_frame_received);
      process();
      at = end;
    }
  };
  const run = async (seconds: number): Promise<void> => {
    const endMs = nowMs + seconds * 1000;
    while (nowMs < endMs) {
      for (const restMs = Math.min(endMs, nowMs + BREATH_S * 1000); nowMs < restMs;) turn();
      await setImmediate();
    }
  };
  await pair(settings.write, scene, turn);
  return {
    ledger, counts, lines, cells, run, nowS: () => (nowMs - START_MS) / 1000,
    async until(holds, mostSeconds) {
      for (let i = 0; i < mostSeconds; i++) {
        if (holds()) return;
        await run(1);
      }
      throw new Error(`not within ${mostSeconds} s: ${lines.slice(-3).join(' | ')}`);
    },
  };
}

/** The program stopped: 60001 too many steps, 60004 no memory. */
export class Panic extends Error {
  readonly code: number;
  readonly heap: HeapState;
  constructor(code: number, trace: string[], heap: HeapState) {
    super(`panic ${code}: ${trace.join(' ')}`);
    this.code = code;
    this.heap = heap;
  }
}

function chipsOf(cells: Buffer): I2cBus {
  const fram = createFram({ cells });
  const sense = (atMs: number) => ({ shuntNanoV: 6_000_000 + ((atMs * 7) % 3_000_000), busMicroV: 5_100_000 });
  const chips = createI2cBus(new Map<number, I2cChip>([
    [ADDRESS.screen, createSsd1306()],
    [ADDRESS.sensor, createIna226({ sense, onTruth: () => {} })],
    [ADDRESS.fram, fram],
    ...(fram.upper ? [[ADDRESS.fram + 1, fram.upper] as const] : []),
  ]));
  chips.powerOn(START_MS);
  return chips;
}

function countedBus(bus: I2cBus, counts: Counts): I2cBus {
  return {
    transact(transaction, atMs) {
      const { address, write } = transaction;
      counts.transactions++;
      if ((address & ~1) === ADDRESS.fram && write.length > 2) {
        counts.framWrites++;
        counts.framBytes += write.length - 2;
      }
      return bus.transact(transaction, atMs);
    },
  };
}

function giveSockets(vm: Vm, now: () => number, counts: Counts, ledger: LedgerJudge) {
  let events: { atMs: number; event: number; bytes: Buffer }[] = [];
  let [port, sent]: [number, Buffer] = [0, Buffer.alloc(0)];
  const none = Buffer.alloc(0);
  const push = (afterMs: number, event: number, bytes: Buffer = none): void =>
    void events.push({ atMs: now() + afterMs, event, bytes });
  vm.sockIsAvailable = () => true;
  // The node's counters have a port of their own; its relay answers 502, then the ledger is asked.
  vm.sockOpen = (pointer, to) => {
    const end = vm.HEAPU8.indexOf(0, pointer);
    const isNode = Buffer.from(vm.HEAPU8.subarray(pointer, end)).toString() === 'node';
    [port, sent, events] = [isNode && to === 80 ? RELAY : to, none, []];
    push(5, SOCKET_EVENT.open);
    return 0;
  };
  vm.sockWrite = (pointer, size) => {
    sent = Buffer.concat([sent, vm.HEAPU8.slice(pointer, pointer + size)]);
    const head = sent.indexOf('\r\n\r\n');
    if (head < 0) return 0;
    const length = /content-length: (\d+)/i.exec(sent.toString('latin1', 0, head));
    if (sent.length < head + 4 + Number(length?.[1] ?? 0)) return 0;
    push(ANSWER_MS, SOCKET_EVENT.message, answerTo(port, sent, counts, ledger));
    push(ANSWER_MS, SOCKET_EVENT.close);
    return 0;
  };
  vm.sockClose = () => {
    events = [];
    return 0;
  };
  return {
    deliver(): void {
      while (events.length > 0 && events[0].atMs <= now()) {
        const { event, bytes } = events.shift()!;
        withCopy(vm, bytes, (pointer) => vm._jd_em_tcpsock_on_event(event, pointer, bytes.length));
      }
    },
  };
}

function answerTo(
  port: number, bytes: Buffer, counts: Counts, ledger: LedgerJudge,
): Buffer {
  const request = parseRequest(bytes);
  counts.requests++;
  let [status, body]: [number, Buffer] = [502, Buffer.alloc(0)];
  if (port === 8010) {
    const bytesSeen = 1_000_000 + counts.requests * 61_234;
    status = 200;
    body = Buffer.from(JSON.stringify({
      v: 1, boot: '00112233445566778899aabbccddeeff', wan_in_bytes: bytesSeen,
      wan_out_bytes: Math.floor(bytesSeen / 3), disk_used_bytes: 3_000_000_000 + counts.requests * 97,
      temperature_milli_c: 41_000, users: 1, posts: counts.requests,
    }));
  } else if (port !== RELAY) {
    ({ status, body } = ledger.answer(request.body, request.headers.get('commons-nonce')!));
    counts.batches++;
    counts.batchBodyBytes += request.body.length + body.length;
    counts.records = ledger.records.length;
  }
  counts.bodyBytes += request.body.length + body.length;
  return httpResponse(status, body);
}

async function pair(
  write: (key: string, value: Uint8Array) => Promise<void>,
  { times: timesS, height = 5 }: Scene,
  turn: () => void,
): Promise<void> {
  const times = Buffer.alloc(12);
  timesS.forEach((seconds, i) => times.writeUInt32LE(seconds, 4 * i));
  const settings: [string, Buffer][] = [
    ['origin', Buffer.from(ORIGIN)], ['node', Buffer.from('node')], ['pairkey', PAIR_KEY],
    ['entropy', Buffer.alloc(32, 1)], ['nonce', Buffer.alloc(32, 2)], ['times', times],
    ['height', Buffer.of(height)], ['ledger', Buffer.from('http://ledger.test')],
  ];
  for (const [key, value] of settings) {
    let written = false;
    const writing = write(key, value).then(() => void (written = true));
    for (let turns = 0; !written; turns++) {
      if (turns > 400_000) throw new Error(`${key} was not written`);
      turn();
      if (turns % 16 === 0) await Promise.resolve();
    }
    await writing;
  }
}

function withCopy(vm: Vm, bytes: Uint8Array, use: (pointer: number) => void): void {
  const pointer = bytes.length === 0 ? 0 : vm._malloc(bytes.length);
  vm.HEAPU8.set(bytes, pointer);
  use(pointer);
  if (pointer !== 0) vm._free(pointer);
}
