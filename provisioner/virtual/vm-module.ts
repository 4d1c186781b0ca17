// The DeviceScript virtual machine: a WebAssembly module with a little glue around it, which ships
// only inside the bundle of @devicescript/cli. This file cuts the module out of that bundle and
// runs it with a clock, a console and sockets that are handed in. Nothing of it is rewritten: the
// glue's free names `Date`, `setTimeout` and so on are bound to what the caller gives.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { KitError } from '../errors.ts';

/** The parts of the module's own interface that a host needs (devicescript-vm.js, 2.16.4). */
export interface Vm {
  /** Takes 16 hexadecimal digits, and initialises the runtime. */
  devsSetDeviceId(hex: string): void;
  /** Writes a program to flash and starts it. @returns 0, or the verifier's error */
  devsDeploy(bytecode: Uint8Array): number;
  /** Runs whatever is due at the clock's time. */
  _jd_em_process(): number;
  /** Hands over a Jacdac frame that lies at `pointer`. */
  _jd_em_frame_received(pointer: number): number;
  _jd_em_tcpsock_on_event(event: number, pointer: number, sizeBytes: number): void;
  _malloc(sizeBytes: number): number;
  _free(pointer: number): void;
  /** The machine's memory; a fresh view after it has grown. */
  HEAPU8: Uint8Array;
  /** What the machine calls. */
  sendPacket(frame: Uint8Array): void;
  dmesg(line: string): void;
  error(...words: unknown[]): void;
  panicHandler(code: number): void;
  /** Bytes of flash; set before the device id, else the module's own 128 KiB. */
  flashSize?: number;
  flashLoad(): Uint8Array;
  flashSave(image: Uint8Array): void;
  sockOpen(hostPointer: number, port: number): number;
  sockWrite(pointer: number, sizeBytes: number): number;
  sockClose(): number;
  sockIsAvailable(): boolean;
}

/** Socket events as the runtime numbers them (jd_tcpsock.h). */
export const SOCKET_EVENT = { open: 1, close: 2, error: 3, message: 4 } as const;

const BEGIN = '"runtime/devicescript-vm/built/devicescript-vm.js"(exports, module2) {';
const END = '\n  }\n});';

/**
 * @param now Unix ms as the machine shall see it. Whole numbers: it counts milliseconds.
 * @param change what is done to the module's text, to measure it; nothing as a rule
 */
export async function loadVm(
  now: () => number,
  change: (module: string) => string = (module) => module,
): Promise<Vm> {
  const require = createRequire(import.meta.url);
  const file = require.resolve('@devicescript/cli/built/devicescript-cli.cjs');
  const module: { exports: unknown } = { exports: {} };
  const names = {
    ...{ exports: module.exports, module2: module, require: createRequire(file) },
    ...{ __filename: file, __dirname: dirname(file), document: undefined },
    ...{ Date: { now }, setTimeout: noTimers, clearInterval, console: silent },
  };
  const run = new Function(...Object.keys(names), change(cut(readFileSync(file))));
  run(...Object.values(names));
  return await (module.exports as () => Promise<Vm>)();
}

/** The bundle is 28 MB: it is searched as bytes, and only the module becomes text. */
function cut(bundle: Buffer): string {
  const begin = bundle.indexOf(BEGIN);
  const end = begin < 0 ? -1 : bundle.indexOf(END, begin);
  if (end < 0) {
    throw new KitError({
      code: 'vm-not-found',
      message: 'The bundle of @devicescript/cli does not hold the virtual machine where it used to',
      expected: 'version 2.16.4',
      got: 'another bundle',
      hint: 'Install the version that package-lock.json names: npm ci',
    });
  }
  return bundle.toString('utf8', begin + BEGIN.length, end);
}

/** The glue would pace itself; the host does, by its own clock. */
function noTimers(): never {
  throw new Error('the virtual machine has no timers of its own');
}

/** Everything worth hearing comes by dmesg, error and panicHandler. */
const silent = { log() {}, debug() {}, warn() {}, error() {} };
