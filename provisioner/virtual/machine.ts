// A home server without the hardware: QEMU with a kit's drive in it, and its cable in the trial
// home, in a socket of this machine, or in nothing. KVM is used where it really runs a kernel: the
// device may open and then fail, so the machine must be seen to start, or is started again under
// emulation. Never changes the drive's size or content itself; what the guest writes stays, also
// after the plug is pulled.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { accessSync, closeSync, constants, openSync, readFileSync, writeFileSync } from 'node:fs';
import { connect } from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { KitError } from '../errors.ts';
import { standardBoard, type Board } from './board.ts';

export interface MachineOptions {
  /** A raw image file. */
  drive: string;
  mac: string;
  cable: Cable;
  /** What kind of machine; one such as homes have unless told otherwise. */
  board?: Board;
  /** A second drive, on USB: a raw image file. */
  stick?: string;
  /** Where every write and flush goes as well, in order, in dm-log-writes' format. */
  writeLog?: string;
  /** Where serial.log and the control socket go. */
  dir: string;
  memoryMiB: number;
  cpus: number;
  /** Runs QEMU where the tap is; here unless told otherwise. */
  enter?(command: string[]): string[];
  /** Whether a kernel was seen to run under KVM here before; undefined when never tried. */
  kvmWorks: boolean | undefined;
}

/** The trial home's bridge; a loopback port that leads to the guest's port 22; nothing at all. */
export type Cable = { tap: string } | { sshPort: number } | 'none';

export interface Machine {
  accelerator: 'kvm' | 'tcg';
  /** Processor time used since power-on, of all its processors; undefined without power. */
  cpuSeconds(): number | undefined;
  /** Everything the guest wrote to its serial line since power-on. */
  serial(): string;
  /** Asks the guest to shut down; pulls the plug after `withinMs`. */
  shutDown(withinMs: number): Promise<void>;
  /** Power is gone at once: nothing that the guest had not written is kept. */
  pullPlug(): Promise<void>;
  /** Resolves to QEMU's last words when it ends on its own. */
  ended: Promise<string>;
}

/** A kernel's first line comes within a second or two under KVM, if it comes at all. */
const KVM_PROOF_MS = 20_000;
const CLOCK_TICKS_PER_S = 100;

/** @throws KitError `machine-failed` */
export async function powerOn(options: MachineOptions): Promise<Machine> {
  const { kvm = false } = options.board ?? standardBoard;
  if (kvm && options.kvmWorks !== false && mayOpen('/dev/kvm')) {
    const machine = start(options, 'kvm');
    if (await kernelSeen(machine)) return machine;
    await machine.pullPlug();
  }
  const machine = start(options, 'tcg');
  const early = await Promise.race([machine.ended, delay(500)]);
  if (early === undefined) return machine;
  throw new KitError({
    code: 'machine-failed',
    message: 'QEMU did not start',
    got: early.trim(),
    hint: 'Is another machine using the drive? Is there enough memory?',
  });
}

function start(options: MachineOptions, accelerator: 'kvm' | 'tcg'): Machine {
  const serialPath = join(options.dir, 'serial.log');
  const control = join(options.dir, 'qmp.sock');
  const wordsPath = join(options.dir, 'qemu.log');
  writeFileSync(serialPath, '');
  const log = openSync(wordsPath, 'w');
  const { enter = (command) => command, board = standardBoard } = options;
  const [program, ...words] = enter([
    ...[board.program, '-name', 'node', '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-accel', accelerator === 'kvm' ? 'kvm' : 'tcg,thread=multi'],
    ...['-cpu', accelerator === 'kvm' ? 'host' : board.cpu, ...board.words],
    ...['-m', String(options.memoryMiB), '-smp', String(options.cpus)],
    ...driveWords(options),
    ...cableWords(options),
    ...['-device', 'virtio-rng-pci', '-serial', `file:${serialPath}`],
    ...['-qmp', `unix:${control},server=on,wait=off`],
  ]);
  const qemu = spawn(program, words, { stdio: ['ignore', log, log] });
  closeSync(log);
  const ended = endOf(qemu, wordsPath);
  const pullPlug = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await ended;
  };
  return {
    accelerator,
    cpuSeconds: () => cpuSecondsOf(qemu.pid),
    serial: () => readFileSync(serialPath, 'latin1'),
    ended,
    pullPlug,
    async shutDown(withinMs) {
      pressPowerButton(control);
      const timer = new AbortController();
      const late = delay(withinMs, 'late' as const, { signal: timer.signal });
      const outcome = await Promise.race([ended, late]);
      if (outcome === 'late') await pullPlug();
      else timer.abort();
      await late.catch((error) => {
        if (error.name !== 'AbortError') throw error;
      });
    },
  };
}

/** The host's page cache is the drive's own: QEMU killed is a drive that lost nothing it was sent. */
function driveWords({ drive, stick, writeLog }: MachineOptions): string[] {
  const node = (fields: object): string[] => ['-blockdev', JSON.stringify(fields)];
  const file = (filename: string, name: string) => ({
    ...{ 'driver': 'file', 'node-name': name, filename },
  });
  const usb = ['-device', 'qemu-xhci', '-device', 'usb-storage,drive=stick'];
  const plugged = stick === undefined ? [] : [...node(file(stick, 'stick')), ...usb];
  if (writeLog === undefined) {
    return [...node(file(drive, 'drive')), '-device', 'virtio-blk-pci,drive=drive', ...plugged];
  }
  return [
    ...node(file(drive, 'file')),
    ...node(file(writeLog, 'log')),
    ...node({ 'driver': 'blklogwrites', 'node-name': 'drive', 'file': 'file', 'log': 'log' }),
    ...['-device', 'virtio-blk-pci,drive=drive'],
    ...plugged,
  ];
}

/** With `restrict`, the guest sees a router that answers DHCP and lets nothing out. */
function cableWords({ cable, mac }: MachineOptions): string[] {
  if (cable === 'none') return [];
  const netdev =
    'tap' in cable
      ? `tap,id=lan,ifname=${cable.tap},script=no,downscript=no`
      : `user,id=lan,restrict=on,hostfwd=tcp:127.0.0.1:${cable.sshPort}-:22`;
  return ['-netdev', netdev, '-device', `virtio-net-pci,netdev=lan,mac=${mac},romfile=`];
}

function endOf(qemu: ChildProcess, wordsPath: string): Promise<string> {
  return Promise.race([
    once(qemu, 'exit').then(() => readFileSync(wordsPath, 'utf8')),
    once(qemu, 'error').then(([error]) => String(error)),
  ]);
}

async function kernelSeen(machine: Machine): Promise<boolean> {
  let gone = false;
  machine.ended.then(() => (gone = true));
  for (let waitedMs = 0; waitedMs < KVM_PROOF_MS && !gone; waitedMs += 250) {
    if (machine.serial().includes('Linux version')) return true;
    await delay(250);
  }
  return false;
}

/** Over QMP, QEMU's control protocol: greeting, capabilities, command. */
function pressPowerButton(control: string): void {
  const socket = connect(control);
  socket.on('error', () => socket.destroy()); // it is gone already: shutDown sees that
  socket.write('{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n');
  socket.on('data', (chunk) => {
    if (chunk.toString().includes('POWERDOWN')) socket.end();
  });
}

/** utime + stime: fields 14 and 15 of proc(5)'s stat, counted after the name in parentheses. */
function cpuSecondsOf(pid: number | undefined): number | undefined {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch (error) {
    if (['ENOENT', 'ESRCH'].includes((error as NodeJS.ErrnoException).code ?? '')) return undefined;
    throw error;
  }
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / CLOCK_TICKS_PER_S;
}

function mayOpen(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false; // no such device, or not ours: emulation then
  }
}
