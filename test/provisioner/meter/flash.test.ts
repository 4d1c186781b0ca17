import test, { type ExecutionContext } from 'ava';
import { buildFirmware, type Firmware } from '../../../provisioner/meter/build.ts';
import { flashMeters, type FlashMeterOptions } from '../../../provisioner/meter/flash.ts';
import { ROM_BAUD } from '../../../provisioner/meter/rom-loader.ts';
import { makeBench } from '../../helpers/bench.ts';
import { startFakeBoard, type FakeBoardOptions } from '../../helpers/fake-board.ts';
import { serveRuntime, standInRuntime } from '../../helpers/stand-in-runtime.ts';

const OPTIONS: FlashMeterOptions = { board: 'xiao-esp32c3', baud: ROM_BAUD, stub: true, reset: true };
let firmware: Firmware;
test.before(async () => {
  firmware = await buildFirmware();
});

async function atBench(t: ExecutionContext, boards: FakeBoardOptions[]) {
  const bench = await makeBench();
  const server = await serveRuntime(bench.dir, standInRuntime());
  const fakes = await Promise.all(boards.map((options) => startFakeBoard(options)));
  t.teardown(async () => {
    await Promise.all(fakes.map((fake) => fake.stop()));
    await server.stop();
    bench.remove();
  });
  const deps = {
    ...{ fetch, cacheDir: bench.dir, pinsPath: server.pinsPath, record: bench.record, firmware },
    say: () => {},
    setModemLines: async (fd: number, lines: { dtr: boolean; rts: boolean }) => {
      // A test cannot know which port a descriptor is of: every board hears every reset.
      await Promise.all(fakes.map((fake) => fake.setModemLines(fd, lines)));
    },
  };
  const jobs = bench.campaign.kits.slice(0, fakes.length).map((kit, index) => ({
    ...{ kit, port: fakes[index]!.path },
  }));
  return { bench, fakes, deps, jobs };
}

test.serial('a board gets runtime, pins and program, and the record all that is known of it', async (t) => {
  const { bench, fakes, deps, jobs } = await atBench(t, [{}]);
  const [meter] = await flashMeters(jobs, OPTIONS, deps);
  const { flash } = fakes[0]!;
  const runtime = standInRuntime();
  t.deepEqual(flash.subarray(0, 0x9000), Buffer.from(runtime.subarray(0, 0x9000)));
  t.is(flash.toString('latin1', 0x9000, 0x9004), 'DCFG');
  t.true(flash.subarray(0x9000, 0xb000).includes('i2c.pinSDA'));
  t.deepEqual(flash.subarray(0x10000, runtime.length), Buffer.from(runtime.subarray(0x10000)));
  t.true(flash.subarray(0x1c0000, 0x200000).includes(Buffer.from(firmware.bytecode)));
  t.is(fakes[0]!.log.at(-1), 'run');
  const row = bench.record.lastDone('alice', 'meter-flash')!.detail;
  t.is(row['mac'], '60:55:f9:01:02:03');
  t.is(row['firmware'], Buffer.from(firmware.hash).toString('hex'));
  t.deepEqual(row['parts'], meter!.parts as never);
});

test.serial('of two boards one fails, the other is written', async (t) => {
  const { bench, fakes, deps, jobs } = await atBench(t, [{ chip: 'ESP32-S3' }, {}]);
  const error = await t.throwsAsync(flashMeters(jobs, OPTIONS, deps));
  t.like(error, { code: 'meters-failed' });
  t.regex((error as unknown as { got: string }).got, /^alice: meter-wrong-board/);
  t.is(bench.record.latest('alice', 'meter-flash')!.status, 'failed');
  t.is(bench.record.latest('bob', 'meter-flash')!.status, 'done');
  t.true(fakes[1]!.flash.subarray(0x1c0000).includes(Buffer.from(firmware.bytecode)));
});

test.serial('a port that is not there touches nothing else', async (t) => {
  const { deps, jobs } = await atBench(t, [{}]);
  const [job] = jobs;
  const lost = flashMeters([{ ...job!, port: '/dev/ttyKIT404' }], OPTIONS, deps);
  t.like(await t.throwsAsync(lost), { code: 'meter-port-missing' });
  const twice = flashMeters([job!, job!], OPTIONS, deps);
  t.like(await t.throwsAsync(twice), { code: 'meter-port-twice', exitCode: 2 });
  const unknown = flashMeters(jobs, { ...OPTIONS, board: 'toaster' }, deps);
  t.like(await t.throwsAsync(unknown), { code: 'board-unknown', exitCode: 2 });
});
