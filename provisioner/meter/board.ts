// The boards that a meter may be built on, from hardware/pins.json, and the board definition that
// DeviceScript's runtime reads its pins from: the one pin table, as the chip sees it. Owns neither
// format; the compiler's own tool makes the bytes.

import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import * as v from 'valibot';
import { KitError } from '../errors.ts';

export const PINS_PATH = fileURLToPath(new URL('../../hardware/pins.json', import.meta.url));

const pinSchema = v.strictObject({ gpio: v.pipe(v.number(), v.integer()), label: v.string() });
const boardSchema = v.strictObject({
  name: v.string(),
  chip: v.picklist(['ESP32-C3', 'ESP32-S3']),
  arch: v.picklist(['esp32c3', 'esp32s3']),
  productId: v.pipe(v.string(), v.regex(/^0x3[0-9a-f]{7}$/)),
  url: v.string(),
  ...{ supply: v.string(), logic: v.string(), ground: v.string() },
  pins: v.strictObject({
    ...{ sda: pinSchema, scl: pinSchema, button: pinSchema, led: pinSchema, log: pinSchema },
  }),
});
const archSchema = v.strictObject({ usable: v.array(v.number()), strapping: v.array(v.number()) });
const pinTableSchema = v.strictObject({
  boards: v.record(v.string(), boardSchema),
  archs: v.strictObject({ esp32c3: archSchema, esp32s3: archSchema }),
});

export type Board = v.InferOutput<typeof boardSchema>;
export type PinTable = v.InferOutput<typeof pinTableSchema>;

/** Where the runtime looks for what (devicescript-esp32, boards/partitions.csv, 2.16.1). */
export const LAYOUT = {
  dcfg: { address: 0x9000, sizeBytes: 0x2000 },
  fstor: { address: 0x1c0000, sizeBytes: 0x40000 },
} as const;

export async function readPinTable(path = PINS_PATH): Promise<PinTable> {
  return v.parse(pinTableSchema, JSON.parse(await readFile(path, 'utf8')));
}

/** @throws KitError `board-unknown` */
export async function findBoard(name: string): Promise<Board> {
  const { boards } = await readPinTable();
  const board = boards[name];
  if (board !== undefined) return board;
  throw new KitError({
    code: 'board-unknown',
    message: `There is no board ${name}`,
    ...{ expected: Object.keys(boards).join(' or '), got: name },
    hint: 'Take one of these, or add yours to hardware/pins.json.',
    exitCode: 2,
  });
}

/** As devicescript-esp32's schema of board definitions has it. */
export function boardDefinition({ name, arch, productId, url, pins }: Board) {
  return {
    ...{ devName: `Commons meter on ${name}`, productId, archId: arch, url },
    $description: 'Measures a home node.',
    i2c: { pinSDA: pins.sda.gpio, pinSCL: pins.scl.gpio },
    log: { pinTX: pins.log.gpio },
    // Mounted by the runtime itself: the program finds its button and its light on the bus, on every
    // board. As the runtime's own status light (`led`) the pin would blink of things that no owner knows.
    services: [
      { service: 'button', name: 'button', pin: pins.button.gpio },
      { service: 'lightBulb', name: 'light', pin: pins.led.gpio },
    ],
    pins: {},
  };
}

/** The board definition as the runtime reads it from its flash. @throws KitError `board-invalid` */
export async function compileBoard(board: Board): Promise<Uint8Array> {
  const { archs } = await readPinTable();
  const dir = await mkdtemp(join(tmpdir(), 'kit-board-'));
  try {
    const [source, output] = [join(dir, 'meter.board.json'), join(dir, 'meter.dcfg')];
    const arch = {
      ...{ id: board.arch, name: board.chip, pins: { io: archs[board.arch].usable.join(',') } },
      ...{ dcfgOffset: hex(LAYOUT.dcfg.address), fstorOffset: hex(LAYOUT.fstor.address) },
      ...{ binFlashOffset: 0, flashPageSize: 4096, fstorPages: LAYOUT.fstor.sizeBytes / 4096 },
    };
    await writeFile(join(dir, 'arch.json'), JSON.stringify(arch));
    await writeFile(source, JSON.stringify(boardDefinition(board)));
    const package_ = createRequire(import.meta.url).resolve('@devicescript/cli/package.json');
    const compiler = join(dirname(package_), 'devicescript');
    await promisify(execFile)(process.execPath, [compiler, 'dcfg', source, '-o', output]);
    return new Uint8Array(await readFile(output));
  } catch (cause) {
    throw new KitError({
      code: 'board-invalid',
      message: `DeviceScript does not take the pins of ${board.name}`,
      ...{ expected: 'pins that the chip has', got: (cause as Error).message, cause },
      hint: 'Mend the board in hardware/pins.json.',
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

function hex(value: number): string {
  return `0x${value.toString(16)}`;
}
