// An ESP32-C3 or S3 on a pseudo-terminal: its modem lines choose between download mode and its
// program, and in download mode its ROM speaks Espressif's serial protocol (esptool documentation,
// "Serial Protocol"), as does the stub once one was uploaded. Flash behaves as flash does: erased to
// ones in sectors, and a write can only clear bits. Told to, it fails in the ways that boards fail.

import { spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { inflateSync } from 'node:zlib';
import type { ModemLines } from '../../provisioner/meter/serial-line.ts';

export type Chip = 'ESP32-C3' | 'ESP32-S3';

export interface FakeBoard {
  path: string;
  flash: Buffer;
  /** What it did, one word each: `download`, `run`, `stub`, `erase 0x0 …`. */
  log: string[];
  setModemLines: (fd: number, lines: ModemLines) => Promise<void>;
  /** After so many blocks of data: the lead is pulled, or one bit of flash does not take. */
  fault?: { afterBlocks: number; kind: 'unplug' | 'stuck-bit' };
  unplug(): void;
  stop(): Promise<void>;
}

/** What runs on the board when it is not in download mode. */
export interface FakeProgram {
  hear(bytes: Uint8Array): void;
  stop(): Promise<void>;
}

export interface FakeBoardOptions {
  /** Started at each reset, from what flash holds then. */
  program?: (flash: Buffer, send: (bytes: Uint8Array) => void) => FakeProgram;
  chip?: Chip;
  flash?: Buffer;
  /** It has no ROM that answers: some other thing with a serial port. */
  mute?: boolean;
}

const CHIPS = {
  'ESP32-C3': { id: 5, efuse: 0x60008844 },
  'ESP32-S3': { id: 9, efuse: 0x60007044 },
} as const;
const FLASH_BYTES = 4 * 1024 * 1024;
const SECTOR_BYTES = 0x1000;
const ROM_BLOCK_BYTES = 0x400;
const PTY = fileURLToPath(new URL('./pty.pl', import.meta.url));
/** What the loader's status says of a request that it does not take. */
const [INVALID_MESSAGE, FAILED_TO_ACT, BAD_CHECKSUM] = [0x05, 0x06, 0x07];

export async function startFakeBoard(options: FakeBoardOptions = {}): Promise<FakeBoard> {
  const child = spawn('perl', [PTY], { stdio: ['pipe', 'pipe', 'inherit'] });
  const path = await nameOf(child);
  const board: FakeBoard = {
    path,
    flash: options.flash ?? Buffer.alloc(FLASH_BYTES, 0xff),
    log: [],
    async setModemLines(_fd, lines) {
      const rose = held && !lines.rts;
      held = lines.rts;
      // The auto-reset circuit: DTR alone pulls the boot pin down, RTS alone the reset pin.
      if (!rose) return;
      await program?.stop();
      program = lines.dtr ? undefined : options.program?.(board.flash, sendRaw);
      loader.reset(lines.dtr);
    },
    unplug: () => void child.stdin!.end(),
    async stop() {
      await program?.stop();
      if (child.exitCode !== null) return;
      child.stdin!.end();
      await once(child, 'exit');
    },
  };
  let held = false;
  let program: FakeProgram | undefined;
  const sendRaw = (bytes: Uint8Array): void => {
    if (!child.stdin!.writableEnded) child.stdin!.write(bytes);
  };
  const send = (packet: Uint8Array): void => sendRaw(slip(packet));
  const loader = createLoader(board, CHIPS[options.chip ?? 'ESP32-C3'], send);
  const toLoader = unslip(loader.hear);
  child.stdout!.on('data', (bytes: Buffer) => {
    if (program !== undefined) program.hear(bytes);
    else if (!options.mute) toLoader(bytes);
  });
  return board;
}

async function nameOf(child: ChildProcess): Promise<string> {
  const [first] = (await once(child.stdout!, 'data')) as [Buffer];
  return first.toString().trim();
}

function createLoader(
  board: FakeBoard,
  chip: { id: number; efuse: number },
  send: (packet: Uint8Array) => void,
) {
  let listening = false;
  let stub = false;
  let attached = false;
  let region: { address: number; data: Buffer[]; blockBytes: number; compressed: boolean } | undefined;
  let blocks = 0;
  const ram: Buffer[] = [];

  const answer = (op: number, value = 0, data: Uint8Array = Buffer.alloc(0), error = 0): void => {
    const status = Buffer.alloc(stub ? 2 : 4);
    status[0] = error === 0 ? 0 : 1;
    status[1] = error;
    const head = Buffer.alloc(8);
    head.writeUInt8(1, 0);
    head.writeUInt8(op, 1);
    head.writeUInt16LE(data.length + status.length, 2);
    head.writeUInt32LE(value >>> 0, 4);
    send(Buffer.concat([head, data, status]));
  };

  const begin = (body: Buffer, compressed: boolean): number => {
    const [sizeBytes, , blockBytes, address] = [0, 4, 8, 12].map((at) => body.readUInt32LE(at));
    if (!stub && (!attached || body.length !== 20 || blockBytes > ROM_BLOCK_BYTES)) return FAILED_TO_ACT;
    if (address! % SECTOR_BYTES !== 0 || address! + sizeBytes! > board.flash.length) return FAILED_TO_ACT;
    const end = address! + Math.ceil(sizeBytes! / SECTOR_BYTES) * SECTOR_BYTES;
    board.flash.fill(0xff, address, end);
    board.log.push(`erase 0x${address!.toString(16)} ${end - address!}`);
    region = { address: address!, data: [], blockBytes: blockBytes!, compressed };
    return 0;
  };

  const block = (body: Buffer, checksum: number): number => {
    const sizeBytes = body.readUInt32LE(0);
    const data = body.subarray(16);
    if (region === undefined || data.length !== sizeBytes || sizeBytes > region.blockBytes) {
      return INVALID_MESSAGE;
    }
    if (checksumOf(data) !== (checksum & 0xff)) return BAD_CHECKSUM;
    if (body.readUInt32LE(4) !== region.data.length) return FAILED_TO_ACT;
    region.data.push(Buffer.from(data));
    blocks += 1;
    if (board.fault?.kind === 'unplug' && blocks > board.fault.afterBlocks) board.unplug();
    program();
    return 0;
  };

  /** Bits can only be cleared; a compressed stream is programmed once it is whole. */
  const program = (): void => {
    const whole = Buffer.concat(region!.data);
    const bytes = region!.compressed ? inflated(whole) : whole;
    if (bytes === undefined) return;
    for (let i = 0; i < bytes.length; i++) board.flash[region!.address + i]! &= bytes[i]!;
    if (board.fault?.kind === 'stuck-bit' && blocks > board.fault.afterBlocks) {
      board.flash[region!.address + 7]! ^= 0x10;
    }
  };

  const acts: Record<number, (body: Buffer, checksum: number) => void> = {
    0x08: (body) => {
      if (body.toString('hex') !== `07071220${'55'.repeat(32)}`) return;
      // The ROM answers eight times, with a value that is not 0; the stub with 0.
      for (let i = 0; i < 8; i++) answer(0x08, stub ? 0 : 0x20120707);
    },
    0x14: () => {
      const info = Buffer.alloc(20);
      info.writeUInt32LE(chip.id, 12);
      answer(0x14, 0, info);
    },
    0x0a: (body) => answer(0x0a, readRegister(body.readUInt32LE(0), chip.efuse)),
    0x0d: (body) => {
      attached = body.length === 8;
      answer(0x0d, 0, undefined, attached ? 0 : INVALID_MESSAGE);
    },
    0x0b: (body) => answer(0x0b, 0, undefined, body.length === 24 ? 0 : INVALID_MESSAGE),
    0x0f: () => answer(0x0f),
    0x05: () => answer(0x05),
    0x07: (body, checksum) => {
      const data = body.subarray(16);
      ram.push(Buffer.from(data));
      answer(0x07, 0, undefined, checksumOf(data) === (checksum & 0xff) ? 0 : BAD_CHECKSUM);
    },
    0x06: () => {
      answer(0x06);
      stub = true;
      board.log.push(`stub ${Buffer.concat(ram).length}`);
      send(Buffer.from('OHAI'));
    },
    0x02: (body) => answer(0x02, 0, undefined, begin(body, false)),
    0x10: (body) => answer(0x10, 0, undefined, begin(body, true)),
    0x03: (body, checksum) => answer(0x03, 0, undefined, block(body, checksum)),
    0x11: (body, checksum) => answer(0x11, 0, undefined, block(body, checksum)),
    0x04: () => answer(0x04),
    0x12: () => answer(0x12),
    0x13: (body) => {
      const [address, sizeBytes] = [body.readUInt32LE(0), body.readUInt32LE(4)];
      const md5 = createHash('md5').update(board.flash.subarray(address, address + sizeBytes));
      answer(0x13, 0, stub ? md5.digest() : Buffer.from(md5.digest('hex')));
    },
  };

  return {
    reset(bootHeld: boolean): void {
      [listening, stub, attached, region] = [bootHeld, false, false, undefined];
      ram.length = 0;
      board.log.push(bootHeld ? 'download' : 'run');
    },
    hear(packet: Buffer): void {
      if (!listening || packet.length < 8 || packet[0] !== 0) return;
      const body = packet.subarray(8);
      const act = packet.readUInt16LE(2) === body.length ? acts[packet[1]!] : undefined;
      if (act === undefined) return answer(packet[1]!, 0, undefined, INVALID_MESSAGE);
      act(body, packet.readUInt32LE(4));
    },
  };
}

/** eFuse block 1: the MAC 60:55:f9:01:02:03, revision bits zero. Other registers read as zero. */
function readRegister(address: number, efuse: number): number {
  if (address === efuse) return 0xf9010203;
  if (address === efuse + 4) return 0x6055;
  return 0;
}

function inflated(stream: Buffer): Buffer | undefined {
  try {
    return inflateSync(stream);
  } catch {
    return undefined; // not whole yet
  }
}

function checksumOf(data: Uint8Array): number {
  return data.reduce((sum, byte) => sum ^ byte, 0xef);
}

/** RFC 1055. */
const [END, ESC, ESC_END, ESC_ESC] = [0xc0, 0xdb, 0xdc, 0xdd];

function slip(packet: Uint8Array): Buffer {
  const bytes = [...packet].flatMap((byte) => {
    if (byte === END) return [ESC, ESC_END];
    return byte === ESC ? [ESC, ESC_ESC] : [byte];
  });
  return Buffer.from([END, ...bytes, END]);
}

function unslip(hear: (packet: Buffer) => void): (chunk: Buffer) => void {
  let packet: number[] = [];
  let escaped = false;
  return (chunk) => {
    for (const byte of chunk) {
      if (byte === END) {
        if (packet.length > 0) hear(Buffer.from(packet));
        packet = [];
      } else if (escaped) {
        packet.push(byte === ESC_END ? END : ESC);
        escaped = false;
      } else if (byte === ESC) escaped = true;
      else packet.push(byte);
    }
  };
}
