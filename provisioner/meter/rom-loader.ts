// A board in its ROM's download mode, by esptool-js: who it is, and parts of its flash written and
// proven by MD5. Owns how the library is driven over a serial line; the protocol is the library's
// (Espressif, "Serial Protocol", esptool documentation).

import { createHash } from 'node:crypto';
import { ESPLoader, Transport } from 'esptool-js';
import { KitError } from '../errors.ts';
import type { ModemLines, SerialLine } from './serial-line.ts';

export interface FlashPart {
  name: string;
  /** A multiple of 4 KiB, the sector that is erased at once. */
  address: number;
  bytes: Uint8Array;
}

export interface LoaderOptions {
  /** As esptool-js names it: `ESP32-C3`, `ESP32-S3`. */
  chip: string;
  /** Once the board listens, it goes on at this speed. */
  baud: number;
  /** Upload Espressif's faster flasher first; false: the ROM alone. */
  stub: boolean;
  /** Put the board into download mode by its modem lines; false: somebody has, by its buttons. */
  reset: boolean;
}

export interface BoardAtLoader {
  /** Six bytes, `aa:bb:…`: the chip's own. */
  mac: string;
  /** Writes what differs. @returns bytes that were written */
  write(part: FlashPart, onProgress: (doneBytes: number) => void): Promise<number>;
  /** Starts the board's program. */
  restart(): Promise<void>;
}

export const ROM_BAUD = 115_200;
/** Proven one by one: what an unplugged lead costs, at most. A multiple of the sector. */
const SEGMENT_BYTES = 0x20000;
const RESET_MS = 100;

/** @throws KitError `meter-no-answer`, `meter-wrong-board`, `meter-unplugged`, `meter-flash-refused` */
export async function meetBoard(line: SerialLine, options: LoaderOptions): Promise<BoardAtLoader> {
  const transport = new QuietTransport(serialPort(line) as never);
  const words: string[] = [];
  const loader = new PatientLoader({
    ...{ transport, baudrate: options.baud, romBaudrate: ROM_BAUD },
    terminal: { clean() {}, write: (text) => words.push(text), writeLine: (text) => words.push(text) },
  });
  const lose = <T>(work: Promise<T>): Promise<T> => Promise.race([work, line.lost]);
  await lose(connect(loader, line, options.reset));
  if (loader.chip.CHIP_NAME !== options.chip) throw wrongBoard(line, options, loader);
  try {
    await lose(prepare(loader, options));
    const mac = await lose(loader.chip.readMac(loader));
    return {
      mac,
      write: (part, onProgress) => lose(writePart(loader, line, { part, onProgress })),
      restart: () => lose(restart(line)),
    };
  } catch (cause) {
    throw refused(line, 'talk to its flash', cause);
  }
}

async function connect(loader: ESPLoader, line: SerialLine, reset: boolean): Promise<void> {
  try {
    await loader.connect(reset ? 'default_reset' : 'no_reset', reset ? 4 : 1);
  } catch (cause) {
    if (cause instanceof KitError) throw cause;
    throw new KitError({
      code: 'meter-no-answer',
      message: `Nothing on ${line.path} answers as an Espressif chip does`,
      ...{ expected: 'its ROM in download mode', got: (cause as Error).message, cause },
      hint: 'Hold BOOT, press RESET, let BOOT go, and flash with --no-reset; or name another port.',
    });
  }
}

async function prepare(loader: ESPLoader, { stub, baud }: LoaderOptions): Promise<void> {
  if (stub) await loader.runStub();
  else await attachFlash(loader);
  if (baud !== ROM_BAUD) await loader.changeBaud();
}

const SPI_SET_PARAMS = 0x0b;
/** Boards of this project have 4 MiB or more; what is written ends at 2. */
const FLASH_BYTES = 4 * 1024 * 1024;

/**
 * What the stub does by itself, said to the ROM: attach (two words, where the library sends one)
 * and SPI_SET_PARAMS (id, size, block, sector, page, status mask).
 */
async function attachFlash(loader: ESPLoader): Promise<void> {
  loader.FLASH_WRITE_SIZE = (loader.chip as unknown as { FLASH_WRITE_SIZE: number }).FLASH_WRITE_SIZE;
  await loader.checkCommand('attach flash', loader.ESP_SPI_ATTACH, new Uint8Array(8));
  const parameters = new Uint32Array([0, FLASH_BYTES, 0x10000, 0x1000, 0x100, 0xffff]);
  await loader.checkCommand('describe flash', SPI_SET_PARAMS, new Uint8Array(parameters.buffer));
}

interface PartWork {
  part: FlashPart;
  onProgress: (doneBytes: number) => void;
}

/** Segment by segment; one that is there already, from an earlier try, is left as it is. */
async function writePart(loader: ESPLoader, line: SerialLine, work: PartWork): Promise<number> {
  const { part, onProgress } = work;
  let writtenBytes = 0;
  for (let at = 0; at < part.bytes.length; at += SEGMENT_BYTES) {
    const segment = part.bytes.subarray(at, at + SEGMENT_BYTES);
    const address = part.address + at;
    const expected = createHash('md5').update(segment).digest('hex');
    try {
      if ((await md5InFlash(loader, address, segment.length)) !== expected) {
        await writeSegment(loader, address, segment);
        writtenBytes += segment.length;
        const got = await md5InFlash(loader, address, segment.length);
        if (got !== expected) throw notAsWritten(line, address, { expected, got });
      }
    } catch (cause) {
      if (cause instanceof KitError) throw cause;
      throw refused(line, `write ${part.name} at 0x${address.toString(16)}`, cause);
    }
    onProgress(at + segment.length);
  }
  return writtenBytes;
}

function writeSegment(loader: ESPLoader, address: number, data: Uint8Array): Promise<void> {
  return loader.writeFlash({
    fileArray: [{ data, address }],
    ...{ flashMode: 'keep', flashFreq: 'keep', flashSize: 'keep' },
    ...{ eraseAll: false, compress: true },
  });
}

/** The ROM answers in 32 letters, the stub in 16 bytes; the library takes both for bytes. */
async function md5InFlash(loader: ESPLoader, address: number, sizeBytes: number): Promise<string> {
  const answer = await loader.flashMd5sum(address, sizeBytes);
  return loader.IS_STUB ? answer : Buffer.from(answer, 'hex').toString('latin1');
}

async function restart(line: SerialLine): Promise<void> {
  const held: ModemLines = { dtr: false, rts: true };
  await line.setModemLines(held);
  await new Promise((resolve) => setTimeout(resolve, RESET_MS));
  await line.setModemLines({ ...held, rts: false });
}

const STUB_START_LIMIT_MS = 3000;

/** The library gives the stub 200 ms to start, which a busy bench with ten boards may miss. */
class PatientLoader extends ESPLoader {
  override async memFinish(entrypoint: number): Promise<void> {
    const body = new Uint8Array(new Uint32Array([entrypoint === 0 ? 1 : 0, entrypoint]).buffer);
    const { ESP_MEM_END } = this;
    await this.checkCommand('start the stub', ESP_MEM_END, body, 0, 0, STUB_START_LIMIT_MS);
  }
}

/** The library prints its traces; a bench has its own way of printing. */
class QuietTransport extends Transport {
  override trace(_message: string): void {}
}

/** The part of Web Serial's SerialPort that esptool-js uses, over a line that is open already. */
function serialPort(line: SerialLine) {
  const lines: ModemLines = { dtr: false, rts: false };
  let stop = (): void => {};
  const port = {
    readable: null as ReadableStream<Uint8Array> | null,
    writable: null as WritableStream<Uint8Array> | null,
    getInfo: () => ({ usbVendorId: line.usb?.vendorId, usbProductId: line.usb?.productId }),
    async open({ baudRate }: { baudRate: number }) {
      await line.setSpeed(baudRate);
      port.readable = new ReadableStream<Uint8Array>({
        start(controller) {
          stop = line.onBytes((bytes) => controller.enqueue(new Uint8Array(bytes)));
        },
        cancel: () => stop(),
      });
      port.writable = new WritableStream<Uint8Array>({ write: (bytes) => line.write(bytes) });
    },
    async close() {
      stop();
      port.readable = null;
      port.writable = null;
    },
    setBaudRate: line.setSpeed,
    async setSignals(wanted: { dataTerminalReady?: boolean; requestToSend?: boolean }) {
      lines.dtr = wanted.dataTerminalReady ?? lines.dtr;
      lines.rts = wanted.requestToSend ?? lines.rts;
      await line.setModemLines({ ...lines });
    },
  };
  return port;
}

function wrongBoard(line: SerialLine, { chip }: LoaderOptions, loader: ESPLoader): KitError {
  return new KitError({
    code: 'meter-wrong-board',
    message: `The board on ${line.path} is of another kind`,
    ...{ expected: chip, got: loader.chip.CHIP_NAME },
    hint: 'Name the board that it is with --board; nothing was written.',
  });
}

function refused(line: SerialLine, what: string, cause: unknown): KitError {
  if (cause instanceof KitError) return cause;
  return new KitError({
    code: 'meter-flash-refused',
    message: `The board on ${line.path} did not let us ${what}`,
    ...{ expected: 'its loader to agree', got: (cause as Error).message, cause },
    hint: 'Try --no-stub, or --baud 115200; a shorter lead or another port may help.',
  });
}

function notAsWritten(
  line: SerialLine,
  address: number,
  sums: { expected: string; got: string },
): KitError {
  return new KitError({
    code: 'meter-flash-differs',
    message: `The flash of the board on ${line.path} does not hold what was written to it`,
    expected: `MD5 ${sums.expected} at 0x${address.toString(16)}`,
    got: sums.got,
    hint: 'Try once more; if it stays, the board’s flash is worn or counterfeit.',
  });
}
