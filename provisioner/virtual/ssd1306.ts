// Screen controller SSD1306 (Solomon Systech, rev 1.1), 128 × 64, on I²C: its commands as far as
// they touch what is seen, its display RAM (GDDRAM) and addressing modes. Scrolling is accepted and
// not shown. Reset values are those of table 9-1.

import type { I2cChip } from './i2c.ts';
import { encodePng } from './png.ts';

export const WIDTH = 128;
export const HEIGHT = 64;
const PAGES = HEIGHT / 8;

/** Control byte (section 8.1.5.2): Co says that just one byte follows, D/C that it is data. */
const CONTROL_CONTINUES = 0x80;
const CONTROL_DATA = 0x40;

/** Addressing modes (command 20h). */
const MODE = { horizontal: 0, vertical: 1, page: 2 } as const;

/** Commands that take arguments, and how many (tables 9-1 and 9-2). */
const ARGUMENTS = new Map<number, number>([
  [0x20, 1], // memory addressing mode
  [0x21, 2], // column address
  [0x22, 2], // page address
  [0x26, 6], // horizontal scroll, right
  [0x27, 6], // horizontal scroll, left
  [0x29, 5], // vertical and horizontal scroll, right
  [0x2a, 5], // vertical and horizontal scroll, left
  [0x81, 1], // contrast
  [0x8d, 1], // charge pump (application note)
  [0xa3, 2], // vertical scroll area
  [0xa8, 1], // multiplex ratio
  [0xd3, 1], // display offset
  [0xd5, 1], // clock divide ratio
  [0xd9, 1], // pre-charge period
  [0xda, 1], // COM pins
  [0xdb, 1], // VCOMH deselect level
]);

export interface Ssd1306 extends I2cChip {
  isOn(): boolean;
  /** What an eye sees: orientation, inversion and the start line applied; dark while off. */
  isLit(x: number, y: number): boolean;
  toPng(scale?: number): Uint8Array;
}

export function createSsd1306(): Ssd1306 {
  const ram = new Uint8Array(WIDTH * PAGES);
  let state = resetState();
  const isLit = (x: number, y: number): boolean => {
    if (!state.on) return false;
    if (state.allOn) return true;
    // On the usual module A1h and C8h are upright: the panel is mounted turned.
    const column = state.segmentsTurned ? x : WIDTH - 1 - x;
    const upright = state.rowsTurned ? y : HEIGHT - 1 - y;
    const row = (upright + state.startLine + state.offset) % HEIGHT;
    const bit = (ram[(row >> 3) * WIDTH + column]! >> (row & 7)) & 1;
    return (bit === 1) !== state.inverted;
  };
  return {
    write(bytes) {
      for (let at = 0; at < bytes.length; ) {
        const control = bytes[at]!;
        const end = control & CONTROL_CONTINUES ? Math.min(at + 2, bytes.length) : bytes.length;
        for (const byte of bytes.subarray(at + 1, end)) {
          if (control & CONTROL_DATA) writeData(ram, state, byte);
          else takeCommand(state, byte);
        }
        at = end;
      }
      return true;
    },
    /** Status: bit 6 says that the display is off (section 8.1.5.1, table 8-6). */
    read: (sizeBytes) => new Uint8Array(sizeBytes).fill(state.on ? 0 : 0x40),
    powerOn() {
      state = resetState();
      // The RAM holds noise after power-on; a chequered page shows a driver that does not clear it.
      ram.forEach((_, index) => (ram[index] = index % 2 ? 0x55 : 0xaa));
    },
    powerOff() {
      state = resetState();
    },
    isOn: () => state.on,
    isLit,
    toPng: (scale = 4) => encodePng(WIDTH, HEIGHT, isLit, scale),
  };
}

type State = ReturnType<typeof resetState>;

function resetState() {
  return {
    ...{ on: false, allOn: false, inverted: false, segmentsTurned: false, rowsTurned: false },
    ...{ startLine: 0, offset: 0, mode: MODE.page as number, column: 0, page: 0 },
    ...{ firstColumn: 0, lastColumn: WIDTH - 1, firstPage: 0, lastPage: PAGES - 1 },
    /** A command whose arguments have not all come: they may come in later transactions. */
    pending: [] as number[],
  };
}

function takeCommand(state: State, byte: number): void {
  state.pending.push(byte);
  const [command, ...given] = state.pending as [number, ...number[]];
  if (given.length < (ARGUMENTS.get(command) ?? 0)) return;
  state.pending = [];
  run(state, command, given);
}

function run(state: State, command: number, [a = 0, b = 0]: number[]): void {
  if (command <= 0x0f) state.column = (state.column & 0xf0) | command;
  else if (command <= 0x1f) state.column = (state.column & 0x0f) | ((command & 7) << 4);
  else if (command === 0x20) state.mode = a & 3;
  else if (command === 0x21) {
    [state.firstColumn, state.lastColumn] = [a & 127, b & 127];
    state.column = state.firstColumn;
  } else if (command === 0x22) {
    [state.firstPage, state.lastPage] = [a & 7, b & 7];
    state.page = state.firstPage;
  } else if (command >= 0x40 && command <= 0x7f) state.startLine = command & 63;
  else if (command === 0xa0 || command === 0xa1) state.segmentsTurned = command === 0xa1;
  else if (command === 0xa4 || command === 0xa5) state.allOn = command === 0xa5;
  else if (command === 0xa6 || command === 0xa7) state.inverted = command === 0xa7;
  else if (command === 0xae || command === 0xaf) state.on = command === 0xaf;
  else if (command >= 0xb0 && command <= 0xb7) state.page = command & 7;
  else if (command === 0xc0 || command === 0xc8) state.rowsTurned = command === 0xc8;
  else if (command === 0xd3) state.offset = a & 63;
  // Brightness, timing, charge pump, scrolling: nothing that this picture shows.
}

/** Figures 10-1, 10-3 and 10-4: where the pointer goes after a byte, by mode. */
function writeData(ram: Uint8Array, state: State, byte: number): void {
  ram[state.page * WIDTH + state.column] = byte;
  if (state.mode === MODE.page) {
    state.column = (state.column + 1) % WIDTH;
  } else if (state.mode === MODE.horizontal) {
    if (nextColumn(state)) nextPage(state);
  } else if (nextPage(state)) nextColumn(state);
}

/** @returns whether the end was reached and the pointer went back to the beginning */
function nextColumn(state: State): boolean {
  const ended = state.column === state.lastColumn;
  state.column = ended ? state.firstColumn : (state.column + 1) % WIDTH;
  return ended;
}

function nextPage(state: State): boolean {
  const ended = state.page === state.lastPage;
  state.page = ended ? state.firstPage : (state.page + 1) % PAGES;
  return ended;
}
