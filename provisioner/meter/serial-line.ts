// A serial port as an open line: bytes both ways, its speed, its two modem lines, its end. No native
// add-on: the kernel's terminal gives bytes, coreutils' stty the speed, and Perl, which is part of
// every Debian, the one system call that Node has no word for. Owns no protocol.

import { spawn } from 'node:child_process';
import { closeSync, constants, openSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { ReadStream } from 'node:tty';
import { KitError } from '../errors.ts';

export interface ModemLines {
  /** Data terminal ready. Boards hold their boot pin down by it. */
  dtr: boolean;
  /** Request to send. Boards hold their reset pin down by it. */
  rts: boolean;
}

export interface UsbIds {
  vendorId: number;
  productId: number;
}

export interface SerialLine {
  path: string;
  /** Whose USB the port is; null: a port of another kind. */
  usb: UsbIds | null;
  /** Calls `hear` with what arrives, until the returned function is called. */
  onBytes(hear: (bytes: Uint8Array) => void): () => void;
  write(bytes: Uint8Array): Promise<void>;
  setSpeed(baud: number): Promise<void>;
  setModemLines(lines: ModemLines): Promise<void>;
  /** Rejects with `meter-unplugged` when the port goes away; stays open for ever otherwise. */
  lost: Promise<never>;
  close(): Promise<void>;
}

/** How the modem lines of an open port are set; a pseudo-terminal has none. */
export type SetModemLines = (fd: number, lines: ModemLines) => Promise<void>;

/** @throws KitError `meter-port-missing`, `meter-port-busy`, `meter-port-refused` */
export async function openSerialLine(
  path: string,
  baud: number,
  { setModemLines }: { setModemLines: SetModemLines },
): Promise<SerialLine> {
  const fd = openPort(path);
  const setSpeed = (speed: number): Promise<void> => stty(fd, path, speed);
  try {
    await setSpeed(baud);
  } catch (error) {
    closeSync(fd);
    throw error;
  }
  // The runtime's own terminal stream: it polls, where a file's would keep a thread in a read.
  const options = { readable: true, writable: true } as object;
  const stream = new ReadStream(fd, options);
  const { promise: lost, reject: lose } = Promise.withResolvers<never>();
  lost.catch(() => {});
  let closing = false;
  const closed = new Promise<void>((resolve) => stream.once('close', resolve));
  stream.on('error', (cause) => lose(unplugged(path, cause)));
  void closed.then(() => closing || lose(unplugged(path)));
  // Nobody listens yet: what comes before somebody does is of no use to anybody.
  stream.resume();
  return {
    path,
    usb: await readUsbIds(path),
    onBytes(hear) {
      stream.on('data', hear);
      return () => void stream.off('data', hear);
    },
    write: (bytes) =>
      new Promise((resolve, reject) => {
        stream.write(bytes, (error) => (error ? reject(unplugged(path, error)) : resolve()));
      }),
    setSpeed,
    setModemLines: (lines) => setModemLines(fd, lines),
    lost,
    async close() {
      closing = true;
      stream.destroy();
      await closed;
    },
  };
}

function openPort(path: string): number {
  const { O_RDWR, O_NOCTTY, O_NONBLOCK } = constants;
  try {
    return openSync(path, O_RDWR | O_NOCTTY | O_NONBLOCK);
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENXIO' || code === 'ENODEV') {
      throw new KitError({
        code: 'meter-port-missing',
        message: `There is no serial port ${path}`,
        ...{ expected: 'a port with a board on it', got: message, cause },
        hint: 'Plug the board in with a lead that carries data, then look: ls /dev/ttyACM* /dev/ttyUSB*',
      });
    }
    throw new KitError({
      code: code === 'EBUSY' ? 'meter-port-busy' : 'meter-port-refused',
      message: `The serial port ${path} cannot be opened`,
      ...{ expected: 'a port that this user may use and nobody else does', got: message, cause },
      hint: 'Add yourself to the group dialout, log in anew; close other programs on the port.',
    });
  }
}

/** As the kernel tells them of the device above the port. */
async function readUsbIds(path: string): Promise<UsbIds | null> {
  const device = join('/sys/class/tty', basename(path), 'device');
  const read = async (name: string): Promise<number> =>
    Number.parseInt(await readFile(join(device, '..', name), 'utf8'), 16);
  try {
    return { vendorId: await read('idVendor'), productId: await read('idProduct') };
  } catch {
    return null; // no USB above it, as with a pseudo-terminal
  }
}

/** Eight bits, nothing interpreted, no flow control; the modem lines stay as they are at the end. */
function stty(fd: number, path: string, baud: number): Promise<void> {
  const words = ['raw', '-echo', '-hupcl', 'clocal', '-crtscts', '-ixon', String(baud)];
  return runOn(fd, 'stty', words).catch((cause: Error) => {
    throw new KitError({
      code: 'meter-port-refused',
      message: `${path} is no serial port`,
      ...{ expected: `one that takes ${baud} baud`, got: cause.message.trim(), cause },
      hint: 'Name the port of the board: ls /dev/ttyACM* /dev/ttyUSB*',
    });
  });
}

const DTR = 0x002;
const RTS = 0x004;
/** asm-generic/ioctls.h: TIOCMBIS and TIOCMBIC set and clear modem bits. */
const SET_LINES = `
  my ($set, $clear) = @ARGV;
  open(my $port, "+<&=", 0) or die "$!\\n";
  ioctl($port, 0x5416, pack("i", $set)) or die "$!\\n";
  ioctl($port, 0x5417, pack("i", $clear)) or die "$!\\n";`;

/** The real way. @throws KitError `meter-no-modem-lines` */
export async function setModemLinesByIoctl(fd: number, { dtr, rts }: ModemLines): Promise<void> {
  const set = (dtr ? DTR : 0) | (rts ? RTS : 0);
  const words = ['-e', SET_LINES, String(set), String((DTR | RTS) & ~set)];
  await runOn(fd, 'perl', words).catch((cause: Error) => {
    throw new KitError({
      code: 'meter-no-modem-lines',
      message: 'This port cannot reset a board',
      ...{ expected: 'the lines DTR and RTS', got: cause.message.trim(), cause },
      hint: 'Hold BOOT, press RESET, let BOOT go, and flash with --no-reset.',
    });
  });
}

/** Runs a program with the open port as its standard input: it acts on the same open file. */
function runOn(fd: number, program: string, words: string[]): Promise<void> {
  const child = spawn(program, words, { stdio: [fd, 'ignore', 'pipe'] });
  let complaint = '';
  child.stderr!.on('data', (chunk: Buffer) => (complaint += chunk.toString()));
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) =>
      status === 0 ? resolve() : reject(new Error(complaint || `${program} ended with ${status}`)),
    );
  });
}

function unplugged(path: string, cause?: unknown): KitError {
  return new KitError({
    code: 'meter-unplugged',
    message: `The board on ${path} has gone`,
    ...{ expected: 'a board until its work is done', got: 'the port closed', cause },
    hint: 'Plug it in and say the same again: what is written already stays.',
  });
}
