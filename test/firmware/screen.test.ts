// The meter's screen: each page as a picture that a person can look at, in test/firmware/cases, two
// points to a character; and the chip, which is sent the lines that changed.
// `UPDATE_CASES=1 npx ava test/firmware/screen.test.ts` draws them anew.
import test from 'ava';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import '../helpers/firmware.ts';
import type { Face } from '../../firmware/screen.ts';

const {
  HEIGHT, Ssd1306, WIDTH, bytes, drawRow, duration, fixed, layoutOf,
} = await import('../../firmware/screen.ts');

const well: Face = {
  milliW: 4321, todayMicroWh: 87_654_321, why: 0, uptimeS: 3 * 86400 + 7 * 3600, wanInBytes: 12_345_678,
  wanOutBytes: 987_654, diskUsedBytes: 3_456_789_012, reach: 1, probesMade: 9480,
  probesAnswered: 9479, waiting: 0, ackedAgoS: 754, unixS: 1_795_000_000,
  meterId: '0123456789abcdef', notice: '', fault: false,
};
const faces: Record<string, { face: Face; page: number }> = {
  'now-well': { face: well, page: 0 },
  'now-waiting': { face: { ...well, waiting: 12, milliW: 15_049 }, page: 0 },
  'now-node-down': { face: { ...well, reach: 2 }, page: 0 },
  'now-sensor-fault': {
    face: { ...well, milliW: -1, fault: true, notice: 'measure: no answer from 64' },
    page: 0,
  },
  'not-paired': {
    face: {
      ...well, milliW: -1, todayMicroWh: 0, uptimeS: 0, wanInBytes: 0, wanOutBytes: 0, reach: 0,
      ackedAgoS: -1, unixS: 0, meterId: '', notice: 'not paired',
    },
    page: 0,
  },
  traffic: { face: well, page: 1 },
  ledger: { face: { ...well, waiting: 3 }, page: 2 },
};

/** Where a line goes, and its points. */
const LINE_BYTES = 7 + 129;

function pictureOf(face: Face, page: number): Buffer {
  return Buffer.concat(Array.from({ length: HEIGHT / 8 }, (_, row) => {
    const points = Buffer.alloc(WIDTH, 0xa5);
    drawRow(points, layoutOf(face, page), row);
    return points;
  }));
}

for (const [name, { face, page }] of Object.entries(faces)) {
  test(`picture: ${name}`, (t) => {
    const picture = toText(pictureOf(face, page));
    const file = new URL(`cases/screen-${name}.txt`, import.meta.url);
    if (process.env.UPDATE_CASES || !existsSync(file)) writeFileSync(file, picture);
    t.is(picture, readFileSync(file, 'utf8'));
  });
}

test('the chip holds the picture drawn, and gets the lines that changed alone', async (t) => {
  const chip = new FakeSsd1306();
  const screen = new Ssd1306(chip, async () => {});
  await screen.show(layoutOf(well, 0));
  t.deepEqual(chip.memory, Buffer.from(pictureOf(well, 0)));
  t.true(chip.on);
  const lines: Record<string, { face: Partial<Face>; page: number; lines: number }> = {
    'nothing': { face: {}, page: 0, lines: 0 },
    'watts, over two lines': { face: { milliW: 4422 }, page: 0, lines: 2 },
    'what a line says': { face: { milliW: 4422, todayMicroWh: 99_654_321 }, page: 0, lines: 1 },
    'a mood, and the words': { face: { milliW: 4422, todayMicroWh: 99_654_321, reach: 2 }, page: 0, lines: 3 },
    'an alarm': { face: { milliW: 4422, todayMicroWh: 99_654_321, reach: 2, fault: true }, page: 0, lines: 1 },
    'all but an empty line and the last': { face: { reach: 2, fault: true }, page: 1, lines: 6 },
  };
  for (const [what, { face, page, lines: count }] of Object.entries(lines)) {
    const before = chip.received;
    await screen.show(layoutOf({ ...well, ...face }, page));
    t.is(chip.received - before, count * LINE_BYTES, what);
    t.deepEqual(chip.memory, Buffer.from(pictureOf({ ...well, ...face }, page)), what);
  }
});

test('a chip that was away is set up and drawn anew', async (t) => {
  const chip = new FakeSsd1306();
  const screen = new Ssd1306(chip, async () => {});
  await screen.show(layoutOf(well, 0));
  chip.present = false;
  await t.throwsAsync(screen.show(layoutOf(well, 1)));
  chip.present = true;
  chip.memory.fill(0);
  chip.on = false;
  await screen.show(layoutOf(well, 1));
  t.true(chip.on);
  t.deepEqual(chip.memory, Buffer.from(pictureOf(well, 1)));
});

test('amounts in words', (t) => {
  t.is(fixed(4321, 1000, 1), '4.3');
  t.is(fixed(999, 1000, 1), '0.9');
  t.is(fixed(87_654_321, 1e9, 3), '0.087');
  t.is(bytes(999), '999B');
  t.is(bytes(1000), '1.0k');
  t.is(bytes(123_456), '123k');
  t.is(bytes(2 ** 51), '2.2P');
  t.is(duration(59), '59 s');
  t.is(duration(3600), '1 h 0 min');
  t.is(duration(86400 * 400), '400 d 0 h');
});

/** Two rows of points to a line. */
function toText(picture: ArrayLike<number>): string {
  const lit = (x: number, y: number) => (picture[x + 128 * (y >> 3)] >> (y & 7)) & 1;
  const lines = [];
  for (let y = 0; y < HEIGHT; y += 2) {
    let line = '';
    for (let x = 0; x < WIDTH; x++) line += [' ', '▀', '▄', '█'][lit(x, y) + 2 * lit(x, y + 1)];
    lines.push(line.trimEnd());
  }
  return `${lines.join('\n')}\n`;
}

/** The SSD1306's memory and its window of horizontal addressing. */
class FakeSsd1306 {
  memory = Buffer.alloc(1024, 0xee);
  received = 0;
  present = true;
  on = false;
  private window = { first: 0, last: 127, firstPage: 0, lastPage: 7, x: 0, page: 0 };

  async transfer(address: number, bytes: Buffer): Promise<Buffer> {
    if (!this.present || address !== 0x3c) throw new Error('no answer');
    if (bytes.length > 231) throw new Error('too long for a packet');
    this.received += bytes.length;
    if (bytes[0] === 0x40) for (const byte of bytes.subarray(1)) this.put(byte);
    else this.command([...bytes.subarray(1)]);
    return Buffer.alloc(0);
  }

  private put(byte: number): void {
    const w = this.window;
    this.memory[w.page * 128 + w.x] = byte;
    if (w.x < w.last) w.x++;
    else {
      w.x = w.first;
      w.page = w.page < w.lastPage ? w.page + 1 : w.firstPage;
    }
  }

  private command(codes: number[]): void {
    if (codes[0] === 0x21)
      this.window = {
        first: codes[1], last: codes[2], firstPage: codes[4], lastPage: codes[5],
        x: codes[1], page: codes[4],
      };
    else if (codes.includes(0xaf)) this.on = true;
  }
}
