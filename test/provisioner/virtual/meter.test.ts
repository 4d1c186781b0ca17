import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { mkdtempSync, readFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test, { type ExecutionContext } from 'ava';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { createVirtualMeter } from '../../../provisioner/virtual/meter.ts';
import type { VirtualMeter, VirtualMeterOptions } from '../../../provisioner/virtual/meter.ts';
import type { SocketTap } from '../../../provisioner/virtual/vm-sockets.ts';

const START_MS = 1_767_225_600_000;
const folder = mkdtempSync(join(tmpdir(), 'virtual-meter-'));
const program = fileURLToPath(new URL('./cases/program', import.meta.url));
const built = buildFirmware({ folder: program });

test.after.always(() => rm(folder, { recursive: true }));

/** Jobs of the test program. */
const JOB = { roundTrip: 1, fill: 2, fetch: 3, panic: 4, everything: 5 } as const;

interface Bench {
  meter: VirtualMeter;
  /** The next line that the program prints and that holds `words`. */
  line(words: string): Promise<string>;
  taps: { tap: SocketTap; bytes: Uint8Array }[];
}

/** A meter that has power and has just been told its job. */
async function bench(
  t: ExecutionContext,
  [job, port = 0]: [job: number, port?: number],
  change: Partial<VirtualMeterOptions> = {},
): Promise<Bench> {
  const waiting: { words: string; resolve(line: string): void }[] = [];
  const taps: Bench['taps'] = [];
  const { bytecode } = await built;
  const meter = createVirtualMeter({
    ...{ bytecode, dir: join(folder, t.title.replaceAll(/\W/g, '-')), load: () => 2700 },
    clock: { startMs: START_MS, realStartMs: Date.now(), rate: Infinity },
    onConsole(line) {
      const index = waiting.findIndex(({ words }) => line.includes(words));
      if (index >= 0) waiting.splice(index, 1)[0].resolve(line);
    },
    onPanic: (code) => t.fail(`panic ${code}`),
    onTap: (tap, bytes) => taps.push({ tap, bytes }),
    onFailed: (error) => t.fail(`${error.message}: ${error.got}`),
    ...change,
  });
  t.teardown(meter.stop);
  meter.powerOn();
  await meter.writeSetting('job', Uint8Array.of(job, port & 0xff, port >> 8));
  const line = (words: string): Promise<string> =>
    new Promise((resolve) => waiting.push({ words, resolve }));
  return { meter, line, taps };
}

test('a chip answers, an absent one does not acknowledge', async (t) => {
  const { meter, line } = await bench(t, [JOB.roundTrip]);
  t.is(await line('maker'), 'maker 005449 nobody 01');
  meter.setFault('sensor', 'gone');
  t.is(await line('maker 01'), 'maker 01 nobody 01');
  meter.setFault('sensor', 'garbage');
  t.is(await line('maker 00ffff'), 'maker 00ffff nobody 01');
});

test('a timer fires in its millisecond, for an hour', async (t) => {
  const { meter, line } = await bench(t, [JOB.roundTrip]);
  const last = line('tick 3600 ');
  const ticks: [number, number][] = [];
  meter.onLine((text) => {
    const [, wanted, is] = /^tick \d+ at (\d+) is (\d+)$/.exec(text) ?? [];
    if (wanted !== undefined) ticks.push([Number(wanted), Number(is)]);
  });
  await last;
  const [[first]] = ticks;
  t.deepEqual(ticks.slice(0, 3601), Array.from({ length: 3601 }, (_, n) => {
    return [first + 1000 * n, first + 1000 * n];
  }));
});

test('power fails within a write: the bytes before it are kept, none after', async (t) => {
  const { meter, line } = await bench(t, [JOB.fill]);
  await meter.cutAfterWrittenBytes(32 * 3 + 11);
  t.false(meter.isPowered());
  const row = (head: number, tail: number): number[] =>
    Array.from({ length: 32 }, (_, index) => (index < 11 ? head : tail));
  const cells = readFileSync(join(folder, t.title.replaceAll(/\W/g, '-'), 'fram.bin'));
  t.deepEqual([...cells.subarray(256, 288)], row(3, 2));
  meter.powerOn();
  t.is(await line('filled 0'), 'filled 0 status 0');
});

test('settings and program stay in flash, in another bench process too', async (t) => {
  const first = await bench(t, [JOB.roundTrip]);
  await first.meter.stop();
  const { bytecode } = await built;
  const lines: string[] = [];
  const again = createVirtualMeter({
    ...{ bytecode, dir: join(folder, t.title.replaceAll(/\W/g, '-')), load: () => 0 },
    clock: { startMs: START_MS, realStartMs: Date.now(), rate: Infinity },
    onLog: (line) => lines.push(line),
    onPanic: (code) => t.fail(`panic ${code}`),
    onFailed: (error) => t.fail(error.message),
  });
  t.teardown(again.stop);
  const job = new Promise<string>((resolve) => {
    again.onLine((line) => line.startsWith('job') && resolve(line));
  });
  again.powerOn();
  t.is(await job, 'job 010000');
  t.false(lines.some((line) => line.includes('deploy')), 'the program was written again');
});

test('a socket reaches a peer, at a pace and without one, and is tapped', async (t) => {
  const body = JSON.stringify({ v: 1, filler: 'x'.repeat(4000) });
  const server = createServer((_, response) => response.end(body));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  t.teardown(() => server.close());
  const { port } = server.address() as AddressInfo;
  for (const rate of [Infinity, 20]) {
    const clock = { startMs: START_MS, realStartMs: Date.now(), rate };
    const { meter, line, taps } = await bench(t, [JOB.fetch, port], { clock });
    const fetched = Number((await line('fetched')).split(' ')[1]);
    await meter.cutPower();
    const first = taps.filter(({ tap }) => tap.connection === 1);
    const received = first.filter(({ tap }) => tap.event === 'received').map(({ bytes }) => bytes);
    const text = Buffer.concat(received).toString();
    t.is(fetched, text.length);
    t.true(text.endsWith(body));
    t.is(first[0].tap.event, 'open');
    t.is(first[0].tap.port, port);
  }
});

test('a panic is reported', async (t) => {
  const { promise: panicked, resolve: onPanic } = Promise.withResolvers<number>();
  await bench(t, [JOB.panic], { onPanic });
  const code = await panicked;
  t.true(code >= 60_000, `panic ${code}`);
});

test('two meters live at once, each with its own chips', async (t) => {
  const names = ['one', 'two'] as const;
  const jobs = { one: JOB.fill, two: JOB.roundTrip };
  const ninth = { one: 'filled 9 ', two: 'tick 9 ' };
  const done = names.map(async (name) => {
    const { line } = await bench(t, [jobs[name]], { dir: join(folder, name) });
    return line(ninth[name]);
  });
  t.is((await Promise.all(done)).length, 2);
  t.true(readFileSync(join(folder, 'one', 'fram.bin'))[256] >= 9);
  t.is(readFileSync(join(folder, 'two', 'fram.bin'))[256], 0);
});

test('the button reaches the program', async (t) => {
  const { meter, line } = await bench(t, [JOB.roundTrip]);
  await line('tick 0');
  meter.pressButton(1500);
  t.is(await line('button'), 'button up');
});

test('a setting that the meter could not read is refused', async (t) => {
  const { meter } = await bench(t, [JOB.roundTrip]);
  const refused = { code: 'setting-too-long' };
  await t.throwsAsync(meter.writeSetting('a-key-too-long', new Uint8Array(1)), refused);
  await t.throwsAsync(meter.writeSetting('key', new Uint8Array(198)), refused);
  await meter.writeSetting('key', new Uint8Array(197).fill(7));
});

test('a bench that cannot start the meter says so', async (t) => {
  const { bytecode } = await built;
  const error = await new Promise<{ code: string; got?: string }>((resolve) => {
    const meter = createVirtualMeter({
      ...{ bytecode, dir: join(folder, 'never'), load: () => 0, prefix: ['false'] },
      clock: { startMs: START_MS, realStartMs: Date.now(), rate: 1 },
      onPanic: () => {},
      onFailed: resolve,
    });
    t.teardown(meter.stop);
    meter.powerOn();
  });
  t.is(error.code, 'virtual-meter-failed');
  t.is(error.got, 'exit 1');
});
