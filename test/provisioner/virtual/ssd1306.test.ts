import { PNG } from 'pngjs';
import test from 'ava';
import { createSsd1306, HEIGHT, WIDTH } from '../../../provisioner/virtual/ssd1306.ts';
import type { Ssd1306 } from '../../../provisioner/virtual/ssd1306.ts';

const COMMANDS = 0x00;
const DATA = 0x40;

function screen(...commands: number[]): Ssd1306 {
  const chip = createSsd1306();
  chip.powerOn(0);
  // Upright, on, horizontal addressing.
  send(chip, COMMANDS, 0xa1, 0xc8, 0x20, 0, 0x21, 0, 127, 0x22, 0, 7, 0xaf, ...commands);
  return chip;
}

function send(chip: Ssd1306, ...bytes: number[]): void {
  chip.write(Uint8Array.from(bytes), 0);
}

function lit(chip: Ssd1306): string[] {
  const found: string[] = [];
  for (let y = 0; y < HEIGHT; y += 1) {
    for (let x = 0; x < WIDTH; x += 1) if (chip.isLit(x, y)) found.push(`${x},${y}`);
  }
  return found;
}

function clear(chip: Ssd1306): void {
  send(chip, DATA, ...new Array<number>((WIDTH * HEIGHT) / 8).fill(0));
}

test('a whole frame in horizontal mode comes back to its beginning', (t) => {
  const chip = screen();
  clear(chip);
  t.deepEqual(lit(chip), []);
  send(chip, DATA, 0b1000_0001);
  t.deepEqual(lit(chip), ['0,0', '0,7']);
});

test('vertical mode goes down first; page mode stays in its page', (t) => {
  const vertical = screen();
  clear(vertical);
  send(vertical, COMMANDS, 0x20, 1, 0x21, 3, 4, 0x22, 1, 2);
  send(vertical, DATA, 1, 1, 1);
  t.deepEqual(lit(vertical), ['3,8', '4,8', '3,16']);

  const page = screen();
  clear(page);
  send(page, COMMANDS, 0x20, 2, 0xb3, 0x0f, 0x17);
  send(page, DATA, 1, 1);
  t.deepEqual(lit(page), ['0,24', '127,24']);
});

test('arguments may come in transactions of their own, and control bytes one by one', (t) => {
  const chip = screen();
  clear(chip);
  send(chip, COMMANDS, 0x21);
  send(chip, COMMANDS, 10);
  send(chip, 0x80, 20, 0x80, 0x22, 0x80, 2, 0x80, 2, DATA, 2);
  t.deepEqual(lit(chip), ['10,17']);
});

test('orientation, inversion, start line, all on and off are what an eye sees', (t) => {
  const chip = screen();
  clear(chip);
  send(chip, DATA, 1);
  const after = (...commands: number[]): string[] => (send(chip, COMMANDS, ...commands), lit(chip));
  t.deepEqual(after(0xa0), ['127,0']);
  t.deepEqual(after(0xa1, 0xc0), ['0,63']);
  t.deepEqual(after(0xc8, 0x41), ['0,63']);
  t.deepEqual(after(0x40), ['0,0']);
  t.is(after(0xa7).length, WIDTH * HEIGHT - 1);
  t.is(after(0xa6, 0xa5).length, WIDTH * HEIGHT);
  t.is(after(0xa4, 0xae).length, 0);
  t.deepEqual([...chip.read(1, 0)], [0x40]);
});

test('a power cut leaves noise in the RAM and the screen dark', (t) => {
  const chip = screen();
  clear(chip);
  chip.powerOff(0);
  chip.powerOn(0);
  t.is(lit(chip).length, 0);
  send(chip, COMMANDS, 0xaf);
  t.true(lit(chip).length > 0);
});

test('the picture is a PNG of the same pixels', (t) => {
  const chip = screen();
  clear(chip);
  send(chip, DATA, 0xff, 0x01);
  const png = PNG.sync.read(Buffer.from(chip.toPng(2)));
  t.deepEqual([png.width, png.height], [2 * WIDTH, 2 * HEIGHT]);
  for (let y = 0; y < png.height; y += 1) {
    for (let x = 0; x < png.width; x += 1) {
      t.is(png.data[4 * (y * png.width + x)] === 255, chip.isLit(x >> 1, y >> 1));
    }
  }
});
