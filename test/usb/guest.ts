// A bench machine with USB sockets: QEMU, started from an image's own kernel and root, running a
// shell that takes commands over a serial line instead of its usual services, so that it is up in
// half a minute under emulation. Sticks are plugged and pulled over QMP; each is a file here, and
// writes at a stick's pace.

import { spawn, type ChildProcess } from 'node:child_process';
import { closeSync, openSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export interface Stick {
  /** Serial number, as the guest sees it. */
  serial: string;
  /** What is behind it. */
  file: string;
}

export interface GuestOptions {
  dir: string;
  kernel: string;
  initrd: string;
  /** A raw image whose third partition is the root. */
  root: string;
  /** A file system with the programs, mounted read-only. */
  payload: string;
  init: string;
  /** Sticks that exist; none is plugged in yet. */
  sticks: Stick[];
  stickBytesPerSecond: number;
}

export interface Guest {
  /** Runs a shell command to its end. */
  run(command: string): Promise<{ status: number; output: string }>;
  /** Starts one command whose lines arrive as they are printed; the last is `@@STATUS`. */
  start(command: string): Promise<AsyncIterable<string>>;
  plug(stick: Stick): Promise<void>;
  /** At once, whatever is being written. */
  pull(stick: Stick): Promise<void>;
  console(): string;
  end(): Promise<void>;
}

/** Emulated, on a busy machine. */
const bootWithinMs = 240_000;

export async function bootGuest(options: GuestOptions): Promise<Guest> {
  const { dir, sticks } = options;
  const consoleFile = join(dir, 'console.log');
  const words = openSync(join(dir, 'qemu.log'), 'w');
  writeFileSync(consoleFile, '');
  const qemu = spawn('qemu-system-x86_64', qemuWords(options, consoleFile), {
    stdio: ['ignore', words, words],
  });
  closeSync(words);
  const died = endOf(qemu).then(() => {
    throw new Error(`QEMU ended: ${readFileSync(join(dir, 'qemu.log'), 'utf8')}`);
  });
  died.catch(() => {});
  const end = async (): Promise<void> => {
    qemu.kill('SIGKILL');
    await endOf(qemu);
  };
  try {
    const qmp = await openQmp(join(dir, 'qmp'));
    const commands = await openLine(join(dir, 'commands'));
    const events = await openLine(join(dir, 'events'));
    const ready = (async () => {
      for await (const line of commands.lines) if (line === 'kit-usb ready') return;
    })();
    const late = delay(bootWithinMs, 'late', { ref: false });
    const first = await Promise.race([ready, late, died]);
    if (first === 'late') throw new Error('the guest is not up');
    return {
      async run(command) {
        commands.socket.write(`${command}\n`);
        const output: string[] = [];
        for await (const line of commands.lines) {
          if (!line.startsWith('@@')) output.push(line);
          else return { status: Number(line.slice(2)), output: output.join('\n') };
        }
        throw new Error(`the guest went away during ${command}`);
      },
      async start(command) {
        commands.socket.write(`{ ${command}; echo "@@$?"; } >/dev/ttyS2 2>&1 &\n`);
        for await (const line of commands.lines) if (line.startsWith('@@')) break;
        return (async function* () {
          for await (const line of events.lines) {
            yield line;
            if (line.startsWith('@@')) return;
          }
        })();
      },
      async plug({ serial }) {
        const socket = sticks.findIndex((stick) => stick.serial === serial) + 1;
        const place = { bus: 'xhci.0', port: String(socket), drive: serial, removable: true };
        await qmp('device_add', { driver: 'usb-storage', id: `usb-${serial}`, serial, ...place });
      },
      pull: ({ serial }) => qmp('device_del', { id: `usb-${serial}` }),
      console: () => readFileSync(consoleFile, 'latin1'),
      end,
    };
  } catch (error) {
    await end();
    throw new Error(`${String(error)}\n${readFileSync(consoleFile, 'latin1').slice(-2000)}`);
  }
}

function qemuWords(options: GuestOptions, consoleFile: string): string[] {
  const { dir, kernel, initrd, root, payload, init, sticks, stickBytesPerSecond: pace } = options;
  const line = (name: string) => ['-serial', `unix:${join(dir, name)},server=on,wait=off`];
  return [
    ...['-nodefaults', '-no-user-config', '-display', 'none', '-accel', 'tcg,thread=multi'],
    ...['-machine', 'q35', '-cpu', 'max', '-m', '1280', '-smp', '2', '-device', 'virtio-rng-pci'],
    ...['-kernel', kernel, '-initrd', initrd],
    ...['-append', `root=/dev/vda3 rw console=ttyS0 quiet panic=1 init=${init}`],
    ...['-drive', `file=${root},if=virtio,format=raw`],
    ...['-drive', `file=${payload},if=virtio,format=raw,readonly=on`],
    ...['-device', 'qemu-xhci,id=xhci,p2=8,p3=8'],
    ...sticks.flatMap(({ serial, file }) => [
      ...['-object', `throttle-group,id=pace-${serial},x-bps-write=${pace}`],
      ...['-blockdev', `driver=file,node-name=file-${serial},filename=${file}`],
      '-blockdev',
      `driver=throttle,node-name=${serial},throttle-group=pace-${serial},file=file-${serial}`,
    ]),
    ...['-serial', `file:${consoleFile}`, ...line('commands'), ...line('events')],
    ...['-qmp', `unix:${join(dir, 'qmp')},server=on,wait=off`],
  ];
}

/** An empty stick. */
export function makeStick(dir: string, serial: string, sizeBytes: number): Stick {
  const file = join(dir, `stick-${serial}`);
  writeFileSync(file, '');
  truncateSync(file, sizeBytes);
  return { serial, file };
}

async function endOf(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  await new Promise((resolve) => child.once('exit', resolve));
}

/** QEMU makes its sockets as it starts. */
async function reach(path: string): Promise<Socket> {
  for (let tries = 0; ; tries++) {
    const socket = connect(path);
    const error = await new Promise<Error | undefined>((resolve) => {
      socket.once('connect', () => resolve(undefined));
      socket.once('error', resolve);
    });
    if (error === undefined) return socket.on('error', () => socket.destroy());
    if (tries > 100) throw error;
    await delay(100);
  }
}

async function openLine(path: string): Promise<{ socket: Socket; lines: AsyncIterable<string> }> {
  const socket = await reach(path);
  const lines = linesOf(socket);
  return { socket, lines };
}

/** Lines that can be taken by one reader after the other, none lost between them. */
function linesOf(socket: Socket): AsyncIterable<string> {
  const waiting: string[] = [];
  let wake = (): void => {};
  let closed = false;
  const reader = createInterface({ input: socket });
  reader.on('line', (line) => {
    waiting.push(line.replace(/\r$/, ''));
    wake();
  });
  reader.on('close', () => {
    closed = true;
    wake();
  });
  return {
    async *[Symbol.asyncIterator]() {
      for (;;) {
        const line = waiting.shift();
        if (line !== undefined) yield line;
        else if (closed) return;
        else await new Promise<void>((resolve) => (wake = resolve));
      }
    },
  };
}

type Qmp = (execute: string, args: Record<string, unknown>) => Promise<void>;

/** QEMU's control protocol (qmp-spec): a greeting, then one answer a command, events in between. */
async function openQmp(path: string): Promise<Qmp> {
  const { socket, lines } = await openLine(path);
  const qmp: Qmp = async (execute, args) => {
    socket.write(`${JSON.stringify({ execute, arguments: args })}\n`);
    for await (const line of lines) {
      const answer = JSON.parse(line);
      if (answer.error !== undefined) throw new Error(`${execute}: ${answer.error.desc}`);
      if (answer.return !== undefined) return;
    }
    throw new Error(`QEMU went away during ${execute}`);
  };
  await qmp('qmp_capabilities', {});
  return qmp;
}
