// A virtual meter's own process: the DeviceScript machine, its clock and its sockets. To kill this
// process is to cut the meter's power. It keeps no state: flash and chips live with the bench, at
// the other end of the pipe (vm-pipe.ts), which is this process's standard input and output.
//
// Time. The machine's clock moves in steps of one millisecond and never skips one: at each it runs
// whatever is due. It waits at each step for the paced clock and never passes it; when the process
// is slow the machine's time falls behind and then catches up, but no timer is ever late by it.
// While the bus answers, time stands still: an exchange takes none.

import { setImmediate } from 'node:timers/promises';
import { realMs, virtualMs, type ClockSettings } from './clock.ts';
import { loadVm, type Vm } from './vm-module.ts';
import { encodeMessage, joinParts, KIND, messageReader, splitParts } from './vm-pipe.ts';
import type { PipeMessage } from './vm-pipe.ts';
import { createSockets, type VmSockets } from './vm-sockets.ts';

/** What the bench says first. The flash image follows, then the program if it is to be written. */
export interface VmStart {
  deviceId: string;
  clock: Omit<ClockSettings, 'rate'> & { rate: number | 'infinite' };
  /** Virtual Unix time of power-on, whole ms. */
  nowMs: number;
  /** Of the image that follows. */
  imageBytes: number;
  /** Of flash, if not the machine's own 128 KiB. */
  flashBytes?: number;
}

/** An exchange takes no time, so a program that never rests would stop the clock; more is a bug. */
const MAX_EXCHANGES_IN_A_MS = 20_000;
/** Without a pace, or behind it, sockets and pipe still get their turn this often. */
const YIELD_EVERY_MS = 64;
const NO_SOCKET = -10;

const inbox = createInbox();
const post = (kind: number, atMs: number, body: Uint8Array): void =>
  void process.stdout.write(encodeMessage({ kind, atMs, body }));
process.stdin.on('data', messageReader(inbox.put));
// The bench has gone: nobody holds the chips any more.
process.stdin.on('end', () => process.exit(0));

await main();

async function main(): Promise<void> {
  const { json, bytes } = splitParts((await inbox.next(KIND.start)).body);
  const start = json as VmStart;
  const machine = await createMachine(start, bytes);
  try {
    await live(machine);
  } catch (error) {
    const words = error instanceof Error ? (error.stack ?? error.message) : String(error);
    post(KIND.fault, machine.nowMs, Buffer.from(words));
    process.stdout.end(() => process.exit(70));
  }
}

interface Machine {
  vm: Vm;
  sockets: VmSockets;
  clock: ClockSettings;
  nowMs: number;
  outbox: Uint8Array[];
  /** The pace while a connection is open, if the clock has none. */
  held?: ClockSettings;
}

/** The machine with its program in flash, ready to run. */
async function createMachine(start: VmStart, bytes: Uint8Array): Promise<Machine> {
  const machine = { nowMs: start.nowMs, outbox: [] as Uint8Array[] } as Machine;
  const { rate, ...origin } = start.clock;
  machine.clock = { ...origin, rate: rate === 'infinite' ? Infinity : rate };
  const at = (kind: number, body: Uint8Array): void => post(kind, machine.nowMs, body);
  machine.sockets = createSockets((tap, moved) => at(KIND.tap, joinParts(tap, moved)), inbox.wake);
  const vm = await loadVm(() => machine.nowMs);
  machine.vm = vm;
  vm.dmesg = (line) => at(KIND.console, Buffer.from(line));
  vm.error = (...words) => at(KIND.console, Buffer.from(words.join(' ')));
  vm.sendPacket = (frame) => void machine.outbox.push(frame);
  vm.panicHandler = (code) => {
    const body = Buffer.alloc(4);
    body.writeUInt32LE(code);
    at(KIND.panic, body);
  };
  if (start.flashBytes !== undefined) vm.flashSize = start.flashBytes;
  vm.flashLoad = () => bytes.subarray(0, start.imageBytes);
  vm.flashSave = (image) => at(KIND.flash, image);
  giveSockets(vm, machine.sockets);
  vm.devsSetDeviceId(start.deviceId);
  const program = bytes.subarray(start.imageBytes);
  const refused = program.length > 0 ? vm.devsDeploy(program) : 0;
  if (refused !== 0) throw new Error(`the machine refuses the program: ${refused}`);
  return machine;
}

function giveSockets(vm: Vm, sockets: VmSockets): void {
  vm.sockIsAvailable = () => true;
  vm.sockOpen = (hostPointer, port) => {
    const end = vm.HEAPU8.indexOf(0, hostPointer);
    const host = Buffer.from(vm.HEAPU8.subarray(hostPointer, end)).toString();
    // A negative port asks for TLS.
    sockets.open(host, Math.abs(port), port < 0);
    return 0;
  };
  vm.sockWrite = (pointer, sizeBytes) =>
    sockets.write(vm.HEAPU8.slice(pointer, pointer + sizeBytes)) ? 0 : NO_SOCKET;
  vm.sockClose = () => (sockets.close() ? 0 : NO_SOCKET);
}

/** Runs the machine until the power is cut. */
async function live(machine: Machine): Promise<never> {
  const { vm, sockets } = machine;
  let busDueMs = machine.nowMs;
  let exchanges = 0;
  for (;;) {
    for (const { event, bytes } of sockets.take()) {
      withCopy(vm, bytes, (pointer) => vm._jd_em_tcpsock_on_event(event, pointer, bytes.length));
    }
    vm._jd_em_process();
    if (machine.outbox.length > 0 || machine.nowMs >= busDueMs || inbox.takePoke()) {
      busDueMs = await exchange(machine);
      if ((exchanges += 1) > MAX_EXCHANGES_IN_A_MS) throw new Error('the bus never rests');
    } else {
      await pass(machine);
      exchanges = 0;
    }
  }
}

/** Hands the bus what the machine has sent, and the machine what the bus answers. */
async function exchange(machine: Machine): Promise<number> {
  post(KIND.exchange, machine.nowMs, Buffer.concat(machine.outbox.splice(0)));
  const { body } = await inbox.next(KIND.reply);
  const view = Buffer.from(body.buffer, body.byteOffset, body.length);
  for (let at = 8; at < view.length; ) {
    const end = at + 12 + view[at + 2]!;
    withCopy(machine.vm, view.subarray(at, end), machine.vm._jd_em_frame_received);
    machine.vm._jd_em_process();
    at = end;
  }
  return view.readDoubleLE(0);
}

/** Lets a millisecond pass, or less if something happens while the machine waits for it. */
async function pass(machine: Machine): Promise<void> {
  const nextMs = machine.nowMs + 1;
  const pace = paceOf(machine);
  if (virtualMs(pace, Date.now()) < nextMs) {
    await inbox.rest(Math.max(1, realMs(pace, nextMs) - Date.now()));
    if (virtualMs(pace, Date.now()) < nextMs) return;
  }
  machine.nowMs = nextMs;
  if (nextMs % YIELD_EVERY_MS === 0) await setImmediate();
}

/** Without a pace no peer would ever be waited for: a connection holds time to the real one. */
function paceOf(machine: Machine): ClockSettings {
  if (machine.clock.rate !== Infinity || !machine.sockets.isOpen()) {
    machine.held = undefined;
    return machine.clock;
  }
  machine.held ??= { startMs: machine.nowMs, realStartMs: Date.now(), rate: 1 };
  return machine.held;
}

function withCopy(vm: Vm, bytes: Uint8Array, use: (pointer: number) => void): void {
  const pointer = bytes.length === 0 ? 0 : vm._malloc(bytes.length);
  vm.HEAPU8.set(bytes, pointer);
  use(pointer);
  if (pointer !== 0) vm._free(pointer);
}

/** Messages from the bench, and the one place where this process rests. */
function createInbox() {
  const waiting = new Map<number, (message: PipeMessage) => void>();
  const early: PipeMessage[] = [];
  let poked = false;
  let wakeUp: (() => void) | undefined;
  return {
    put(message: PipeMessage): void {
      if (message.kind === KIND.poke) {
        poked = true;
        wakeUp?.();
        return;
      }
      const taker = waiting.get(message.kind);
      waiting.delete(message.kind);
      if (taker) taker(message);
      else early.push(message);
    },
    next(kind: number): Promise<PipeMessage> {
      const index = early.findIndex((message) => message.kind === kind);
      if (index >= 0) return Promise.resolve(early.splice(index, 1)[0]!);
      return new Promise((resolve) => waiting.set(kind, resolve));
    },
    takePoke(): boolean {
      const was = poked;
      poked = false;
      return was;
    },
    wake: () => wakeUp?.(),
    /** Rests for `limitMs`, or until woken. */
    rest(limitMs: number): Promise<void> {
      return new Promise((resolve) => {
        const timer = setTimeout(() => wakeUp?.(), limitMs);
        wakeUp = () => {
          wakeUp = undefined;
          clearTimeout(timer);
          resolve();
        };
      });
    },
  };
}
