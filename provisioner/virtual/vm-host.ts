// A DeviceScript machine with power: starts its process, and carries its bus, its log, its flash
// and its sockets' bytes to the bench. Cutting the power is SIGKILL. Keeps no state of its own.

import { spawn, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { KitError } from '../errors.ts';
import { virtualMs, type ClockSettings } from './clock.ts';
import type { VmStart } from './vm-child.ts';
import { encodeMessage, joinParts, KIND, messageReader, splitParts } from './vm-pipe.ts';
import type { PipeMessage } from './vm-pipe.ts';
import type { SocketTap } from './vm-sockets.ts';

export interface VmOptions {
  /** 16 hexadecimal digits. */
  deviceId: string;
  clock: ClockSettings;
  /** Where an endless-rate clock goes on; otherwise the clock says. Unix ms. */
  nowMs: number;
  flash: Uint8Array;
  /** How large flash is, if not the machine's own 128 KiB. */
  flashBytes?: number;
  /** Written to flash before the machine starts; left out, it runs what flash holds. */
  program?: Uint8Array;
  /** Put before the command, to start it inside another network: `['nsenter', …, '--']`. */
  prefix?: string[];
}

/** What the machine does, as it does it; `atMs` is always the machine's own time. */
export interface VmEvents {
  exchange(frames: Uint8Array, atMs: number): { frames: Uint8Array; dueMs: number };
  console(line: string, atMs: number): void;
  flash(image: Uint8Array, atMs: number): void;
  panic(code: number, atMs: number): void;
  tap(tap: SocketTap, bytes: Uint8Array, atMs: number): void;
  /** The process has ended although nobody cut its power. */
  failed(error: KitError): void;
}

export interface Vm {
  /** The bus has something to say that the machine does not know of yet. */
  poke(): void;
  /** Nothing that the machine does from here on is heard. Resolves once the process is gone. */
  cutPower(): Promise<void>;
  /** The machine's time as last heard. */
  nowMs(): number;
  pid: number | undefined;
}

const CHILD = fileURLToPath(new URL('./vm-child.ts', import.meta.url));

export function startVm(options: VmOptions, events: VmEvents): Vm {
  // A machine that is busy, or stopped, does not see that its bench is gone: the kernel ends it.
  const machine = ['setpriv', '--pdeathsig', 'KILL', process.execPath, CHILD];
  const [program, ...words] = [...(options.prefix ?? []), ...machine];
  const child = spawn(program!, words, { stdio: ['pipe', 'pipe', 'pipe'] });
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const nowMs = Math.floor(Math.max(options.nowMs, pacedNow(options.clock)));
  let powered = true;
  let latestMs = nowMs;

  const send = (kind: number, body: Uint8Array): void => {
    child.stdin!.write(encodeMessage({ kind, atMs: latestMs, body }));
  };
  const hear = (message: PipeMessage): void => {
    if (!powered) return;
    latestMs = message.atMs;
    handle(message, events, send);
  };
  const fail = (error: KitError): void => {
    if (!powered) return;
    powered = false;
    child.kill('SIGKILL');
    events.failed(error);
  };
  child.stdout!.on('data', messageReader((message) => {
    try {
      hear(message);
    } catch (error) {
      fail(failure('The bench could not answer the meter', String(error), error));
    }
  }));
  // Killed in mid-sentence, the process closes its pipe: the power is off, nothing is wrong.
  child.stdin!.on('error', () => {});
  reportEnd(child, fail);
  send(KIND.start, startBody(options, nowMs));
  return {
    poke: () => powered && send(KIND.poke, new Uint8Array()),
    async cutPower() {
      powered = false;
      child.kill('SIGKILL');
      await ended;
    },
    nowMs: () => latestMs,
    pid: child.pid,
  };
}

function pacedNow(clock: ClockSettings): number {
  return clock.rate === Infinity ? -Infinity : virtualMs(clock, Date.now());
}

function startBody(options: VmOptions, nowMs: number): Uint8Array {
  const { rate, ...origin } = options.clock;
  const start: VmStart = {
    ...{ deviceId: options.deviceId, nowMs, imageBytes: options.flash.length },
    flashBytes: options.flashBytes,
    clock: { ...origin, rate: rate === Infinity ? 'infinite' : rate },
  };
  return joinParts(start, Buffer.concat([options.flash, options.program ?? new Uint8Array()]));
}

function handle(
  { kind, atMs, body }: PipeMessage,
  events: VmEvents,
  send: (kind: number, body: Uint8Array) => void,
): void {
  const buffer = Buffer.from(body.buffer, body.byteOffset, body.length);
  if (kind === KIND.exchange) {
    const { frames, dueMs } = events.exchange(body, atMs);
    const due = Buffer.alloc(8);
    due.writeDoubleLE(dueMs);
    send(KIND.reply, Buffer.concat([due, frames]));
  } else if (kind === KIND.console) events.console(buffer.toString(), atMs);
  else if (kind === KIND.flash) events.flash(body, atMs);
  else if (kind === KIND.panic) events.panic(buffer.readUInt32LE(0), atMs);
  else if (kind === KIND.tap) {
    const { json, bytes } = splitParts(body);
    events.tap(json as SocketTap, bytes, atMs);
  } else if (kind === KIND.fault) throw new Error(buffer.toString());
  else throw new Error(`unknown message ${kind}`);
}

/** The last words on stderr are kept, so that a process that could not even start says why. */
function reportEnd(child: ChildProcess, fail: (error: KitError) => void): void {
  let words = '';
  child.stderr!.on('data', (chunk: Buffer) => (words = (words + chunk.toString()).slice(-2000)));
  child.once('error', (error) => {
    fail(failure('The meter cannot be started', error.message, error));
  });
  child.once('close', (code, signal) => {
    fail(failure('The meter stopped by itself', `${signal ?? `exit ${code}`} ${words}`.trim()));
  });
}

function failure(message: string, got: string, cause?: unknown): KitError {
  return new KitError({
    code: 'virtual-meter-failed',
    ...{ message, expected: 'a process that runs until its power is cut', got, cause },
    hint: 'Say the same again: it goes on with the memory that it had.',
  });
}
