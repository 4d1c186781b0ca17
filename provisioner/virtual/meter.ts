// A virtual meter: the real firmware in its machine, with its chips on the bench. What it keeps
// without power lies in its folder, and is there after this process was killed as well:
//
//   device-id        16 hexadecimal digits
//   flash.bin        the runtime's flash: program and settings
//   program.sha256   which program that holds, once it holds it wholly
//   fram.bin         32 or 128 KB, journal and counters
//   truth.bin        see truth.ts
//
// Interprets nothing that the firmware does.

import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { KitError } from '../errors.ts';
import { createButton } from './button.ts';
import { virtualMs, type ClockSettings } from './clock.ts';
import { openFram } from './fram.ts';
import { createI2cBus, type I2cChip, type I2cFault, type LineFault } from './i2c.ts';
import { createI2cService } from './i2c-service.ts';
import { createIna226, type Sensed } from './ina226.ts';
import { createJacdacBus } from './jacdac-bus.ts';
import { createLight } from './light.ts';
import { createSettingsClient } from './settings-client.ts';
import { createSsd1306 } from './ssd1306.ts';
import { openTruthDiary, type Truth } from './truth.ts';
import { startVm, type Vm, type VmEvents } from './vm-host.ts';
import type { SocketTap } from './vm-sockets.ts';
import { createWifi, type Radio } from './wifi.ts';

/** Where the chips answer; as hardware/ wires them. */
export const ADDRESS = { screen: 0x3c, sensor: 0x40, fram: 0x50 } as const;
/** The shunt in the node's supply line, and the supply's voltage. */
export const SHUNT_MICRO_OHM = 10_000;
export const SUPPLY_MILLI_V = 5100;
/** The device that stands for the meter's chips on its bus: "kit-bus1". */
const BUS_DEVICE_ID = '6b69742d62757331';
/** How the runtime marks the lines of a program's console. */
const PROGRAM_LINE = /^[>?*!] /;

export interface VirtualMeterOptions {
  /** The program, as `buildFirmware` gives it. */
  bytecode: Uint8Array;
  /** Made if it is not there. */
  dir: string;
  clock: ClockSettings;
  /** Of a memory that is not there yet: 32 KB, which is what is left out, or 128 KB. */
  framBytes?: number;
  /** What the node draws, mW. It is asked at each reading, and holds until the next. */
  load: (atMs: number) => number;
  /** Its Wi-Fi, if it is to see one. */
  radio?: Radio;
  /** Put before the machine's command, to start it inside another network. */
  prefix?: string[];
  /** Every byte that its sockets move. */
  onTap?: (tap: SocketTap, bytes: Uint8Array, atMs: number) => void;
  /** The FRAM has taken a write whole, up to this address. */
  onKept?: (endAddress: number, atMs: number) => void;
  /** Its light has become lit, or dark. */
  onLight?: (lit: boolean, atMs: number) => void;
  /** A line that the program printed. */
  onConsole?: (line: string, atMs: number) => void;
  /** A line of the runtime's own log. */
  onLog?: (line: string, atMs: number) => void;
  onPanic: (code: number, atMs: number) => void;
  /** It stopped although nobody cut its power. */
  onFailed: (error: KitError) => void;
}

export interface VirtualMeter {
  /** With power it starts again, `afterMs` later where the clock has no pace of its own. */
  powerOn(afterMs?: number): void;
  /** As if the lead were pulled. Resolves once nothing of the machine is left. */
  cutPower(): Promise<void>;
  /** The supply fails when so many more bytes are in the FRAM. Resolves when it has. */
  cutAfterWrittenBytes(count: number): Promise<void>;
  isPowered(): boolean;
  pressButton(holdMs: number): void;
  screenPng(scale?: number): Uint8Array;
  /** Needs power; resolves once the meter has read the value back. */
  writeSetting(key: string, value: Uint8Array): Promise<void>;
  /** Hears what the program prints, until the returned function is called. */
  onLine(listen: (line: string) => void): () => void;
  setFault(chip: keyof typeof ADDRESS, fault: I2cFault | LineFault | undefined): void;
  truth(): Truth;
  /** Bus transactions so far. */
  transactions(): number;
  /** The meter's own time, Unix ms. */
  nowMs(): number;
  /** Cuts the power and lets go of the files. */
  stop(): Promise<void>;
}

/** Makes the meter, without power. */
export function createVirtualMeter(options: VirtualMeterOptions): VirtualMeter {
  const store = openStore(options.dir);
  const diary = openTruthDiary(store.truth, SHUNT_MICRO_OHM);
  const fram = openFram(store.fram, {
    sizeBytes: options.framBytes,
    onWritten: (endAddress) => options.onKept?.(endAddress, lastMs()),
  });
  const screen = createSsd1306();
  const sensor = createIna226({
    sense: (atMs) => sense(options.load(atMs)),
    stepMs: diary.last()?.stepMs ?? 0n,
    onTruth: diary.add,
  });
  const i2c = createI2cBus(
    new Map<number, I2cChip>([
      [ADDRESS.screen, screen],
      [ADDRESS.sensor, sensor],
      [ADDRESS.fram, fram],
      ...(fram.upper ? [[ADDRESS.fram + 1, fram.upper] as const] : []),
    ]),
  );
  const button = createButton();
  const light = createLight((lit, atMs) => options.onLight?.(lit, atMs));
  const settings = createSettingsClient(store.deviceId, () => vm?.poke());
  const radio = options.radio === undefined ? [] : [createWifi(options.radio)];
  const services = [createI2cService(i2c), button, light, ...radio];
  const bus = createJacdacBus(BUS_DEVICE_ID, services, [settings]);
  const bytecodeHash = createHash('sha256').update(options.bytecode).digest('hex');
  const listeners = new Set<(line: string) => void>();
  let stopped = false;
  let vm: Vm | undefined;
  let nowMs = Math.max(options.clock.startMs, diary.last()?.atMs ?? 0);

  const lastMs = (): number => (vm === undefined ? nowMs : vm.nowMs());
  const powerOff = (): Promise<void> => {
    if (vm === undefined) return Promise.resolve();
    const gone = vm;
    nowMs = lastMs();
    vm = undefined;
    i2c.powerOff(nowMs);
    light.powerOff(nowMs);
    settings.powerOff();
    return gone.cutPower();
  };
  const events: VmEvents = {
    exchange(frames, atMs) {
      // The first thing that it sends comes after its program is in flash.
      store.keepProgramHash(bytecodeHash);
      return bus.exchange(frames, atMs);
    },
    console(line, atMs) {
      if (!PROGRAM_LINE.test(line)) return options.onLog?.(line, atMs);
      options.onConsole?.(line.slice(2), atMs);
      listeners.forEach((listen) => listen(line.slice(2)));
    },
    flash: (image) => store.keepFlash(image),
    panic: (code, atMs) => code !== 0 && options.onPanic(code, atMs),
    tap: (tap, bytes, atMs) => options.onTap?.(tap, bytes, atMs),
    failed(error) {
      void powerOff();
      options.onFailed(error);
    },
  };
  const powerOn = (afterMs = 0): void => {
    if (vm !== undefined) return;
    const { clock, prefix } = options;
    const paced = clock.rate === Infinity ? 0 : Math.floor(virtualMs(clock, Date.now()));
    nowMs = Math.max(paced, nowMs + afterMs);
    const isWritten = store.programHash() === bytecodeHash;
    const flash = isWritten ? store.flash() : store.flashForNewProgram();
    const program = isWritten ? undefined : options.bytecode;
    vm = startVm({ ...{ deviceId: store.deviceId, clock, nowMs, flash, program, prefix } }, events);
    // Starting the process took time too: the chips get power when the machine says that it has.
    nowMs = vm.nowMs();
    i2c.powerOn(nowMs);
    bus.powerOn(nowMs);
  };

  return {
    powerOn,
    cutPower: powerOff,
    cutAfterWrittenBytes: (count) =>
      new Promise((resolve, reject) => {
        fram.cutAfter(count, () => void powerOff().then(resolve, reject));
      }),
    isPowered: () => vm !== undefined,
    pressButton(holdMs) {
      button.press(holdMs);
      vm?.poke();
    },
    screenPng: screen.toPng,
    writeSetting: settings.write,
    onLine(listen) {
      listeners.add(listen);
      return () => void listeners.delete(listen);
    },
    setFault: (chip, fault) => i2c.setFault(ADDRESS[chip], fault),
    truth: () => diary.read(sensor.truth(lastMs())),
    transactions: i2c.transactions,
    nowMs: lastMs,
    async stop() {
      await powerOff();
      if (stopped) return;
      stopped = true;
      fram.close();
      diary.close();
    },
  };
}

/** The node's current through the shunt; the supply holds its voltage. */
function sense(milliW: number): Sensed {
  const microA = (milliW * 1_000_000) / SUPPLY_MILLI_V;
  return {
    shuntNanoV: (microA * SHUNT_MICRO_OHM) / 1000,
    busMicroV: SUPPLY_MILLI_V * 1000,
  };
}

/** The folder's files, the flash among them written whole or not at all. */
function openStore(dir: string) {
  mkdirSync(dir, { recursive: true });
  const [id, flash] = [join(dir, 'device-id'), join(dir, 'flash.bin')];
  const hash = join(dir, 'program.sha256');
  if (!existsSync(id)) replace(id, randomBytes(8).toString('hex'));
  const read = (path: string): Buffer => (existsSync(path) ? readFileSync(path) : Buffer.alloc(0));
  let known = read(hash).toString();
  return {
    deviceId: read(id).toString(),
    fram: join(dir, 'fram.bin'),
    truth: join(dir, 'truth.bin'),
    flash: () => read(flash),
    /** While the program is being written, flash holds none that could be trusted. */
    flashForNewProgram(): Buffer {
      rmSync(hash, { force: true });
      known = '';
      return read(flash);
    },
    keepFlash: (image: Uint8Array) => replace(flash, image),
    programHash: () => known,
    keepProgramHash(programHash: string): void {
      if (known === programHash) return;
      replace(hash, programHash);
      known = programHash;
    },
  };
}

function replace(path: string, bytes: Uint8Array | string): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}
