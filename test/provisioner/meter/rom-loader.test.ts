import test, { type ExecutionContext } from 'ava';
import { meetBoard, ROM_BAUD, type LoaderOptions } from '../../../provisioner/meter/rom-loader.ts';
import { openSerialLine } from '../../../provisioner/meter/serial-line.ts';
import { seededRandom } from '../../helpers/bench.ts';
import { startFakeBoard, type FakeBoard, type FakeBoardOptions } from '../../helpers/fake-board.ts';

const OPTIONS: LoaderOptions = { chip: 'ESP32-C3', baud: ROM_BAUD, stub: true, reset: true };
const part = { name: 'program', address: 0x1c0000, bytes: seededRandom('part')(0x21000) };

async function atBoard(t: ExecutionContext, options: FakeBoardOptions = {}): Promise<FakeBoard> {
  const board = await startFakeBoard(options);
  t.teardown(() => board.stop());
  return board;
}

async function writeTo(board: FakeBoard, options: Partial<LoaderOptions> = {}): Promise<number> {
  const line = await openSerialLine(board.path, ROM_BAUD, board);
  try {
    const met = await meetBoard(line, { ...OPTIONS, ...options });
    const written = await met.write(part, () => {});
    await met.restart();
    return written;
  } finally {
    await line.close();
  }
}

const held = (board: FakeBoard): Uint8Array =>
  board.flash.subarray(part.address, part.address + part.bytes.length);

for (const stub of [true, false]) {
  for (const chip of ['ESP32-C3', 'ESP32-S3'] as const) {
    test.serial(`writes a ${chip} ${stub ? 'by the stub' : 'by its ROM alone'}, and starts it`, async (t) => {
      const board = await atBoard(t, { chip });
      t.is(await writeTo(board, { stub, chip }), part.bytes.length);
      t.deepEqual(Buffer.from(held(board)), Buffer.from(part.bytes));
      t.is(board.log.some((line) => line.startsWith('stub')), stub);
      t.is(board.log[0], 'download');
      t.is(board.log.at(-1), 'run');
    });
  }
}

test.serial('a faster speed is agreed on, the MAC is read', async (t) => {
  const board = await atBoard(t);
  const line = await openSerialLine(board.path, ROM_BAUD, board);
  t.teardown(() => line.close());
  const met = await meetBoard(line, { ...OPTIONS, baud: 460_800 });
  t.is(met.mac, '60:55:f9:01:02:03');
});

test.serial('a second time nothing is written', async (t) => {
  const board = await atBoard(t);
  await writeTo(board);
  board.log.length = 0;
  t.is(await writeTo(board), 0);
  t.false(board.log.some((line) => line.startsWith('erase')));
});

test.serial('unplugged in the middle, it says so at once and goes on where it was', async (t) => {
  const board = await atBoard(t);
  board.fault = { afterBlocks: 8, kind: 'unplug' };
  const error = await t.throwsAsync(writeTo(board));
  t.like(error, { code: 'meter-unplugged' });
  const again = await atBoard(t, { flash: board.flash });
  const written = await writeTo(again);
  t.true(written > 0 && written < part.bytes.length, `${written}`);
  t.deepEqual(Buffer.from(held(again)), Buffer.from(part.bytes));
});

test.serial('another kind of board is left as it is', async (t) => {
  const board = await atBoard(t, { chip: 'ESP32-S3' });
  t.like(await t.throwsAsync(writeTo(board)), {
    ...{ code: 'meter-wrong-board', expected: 'ESP32-C3', got: 'ESP32-S3' },
  });
  t.true(board.flash.every((byte) => byte === 0xff));
});

test.serial('a port on which nothing answers is named', async (t) => {
  const board = await atBoard(t, { mute: true });
  const error = await t.throwsAsync(writeTo(board, { reset: false }));
  t.like(error, { code: 'meter-no-answer' });
  t.true(error!.message.includes(board.path));
});

test.serial('flash that does not hold what it was given is found by its MD5', async (t) => {
  const board = await atBoard(t);
  board.fault = { afterBlocks: 0, kind: 'stuck-bit' };
  t.like(await t.throwsAsync(writeTo(board)), { code: 'meter-flash-differs' });
});
