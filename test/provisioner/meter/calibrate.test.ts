// The real firmware in its machine, unpaired, beside a bench that calibrates and then pairs it.
import { mkdtempSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { calibrateMeter, calibrationOf } from '../../../provisioner/meter/calibrate.ts';
import type { CalibrateJob } from '../../../provisioner/meter/calibrate.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { virtualPort, type MeterPort } from '../../../provisioner/meter/port.ts';
import { createVirtualMeter } from '../../../provisioner/virtual/meter.ts';
import { makeBench } from '../../helpers/bench.ts';

const job = { kit: 'alice', mac: '02:00:00:00:00:01', anew: false, limitMs: 30_000 };

/** A meter that says given lines, again and again, as soon as somebody listens. */
function talker(...lines: string[]): MeterPort {
  return {
    assurance: 'virtual',
    writeSetting: async () => {},
    restart: async () => {},
    onLine(listen) {
      let on = true;
      const say = (): void => {
        for (const line of lines) if (on) listen(line);
        if (on) setImmediate(say);
      };
      setImmediate(say);
      return () => (on = false);
    },
  };
}

async function scene(t: ExecutionContext) {
  const { record, remove } = await makeBench();
  t.teardown(remove);
  const point = (port: MeterPort, amperes: number, change: Partial<CalibrateJob> = {}) =>
    calibrateMeter(port, record, {
      ...{ ...job, load: { milliVolt: 12_000, microAmp: amperes * 1e6 } },
      ...change,
    });
  return { record, point };
}

const loadOf = (amperes: number, gain = 1.01) =>
  talker(`sensor ${Math.round((amperes * 1000) / 0.25 / gain)} 9600`);

test('an unpaired meter tells its sensor’s registers, and is calibrated by them', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'calibrate-'));
  t.teardown(() => rm(folder, { recursive: true }));
  const { bytecode } = await buildFirmware();
  // The stand-in's supply has 5.1 V.
  let milliW = 24_000;
  const load = () => ({ milliVolt: 5_100, microAmp: (milliW * 1e3) / 5.1 });
  const meter = createVirtualMeter({
    ...{ bytecode, dir: folder, load: () => milliW },
    clock: { startMs: 1_767_225_600_000, realStartMs: Date.now(), rate: Infinity },
    onPanic: (code) => t.fail(`panic ${code}`),
    onFailed: (error) => t.fail(String(error.got)),
  });
  t.teardown(meter.stop);
  const { record, point } = await scene(t);
  meter.powerOn();
  const port = virtualPort(meter);
  t.deepEqual(await point(port, 0, { load: load() }), { points: 1 });
  // As a volunteer does: with the power off.
  await meter.cutPower();
  milliW = 2_400;
  meter.powerOn();
  const { calibration, worstPpm } = await point(port, 0, { load: load() });
  // The stand-in's shunt is exact: the line is the nominal one, but for roundings.
  t.true(Math.abs(calibration!.nanoAmpPerStep - 250_000) <= 250, `${calibration!.nanoAmpPerStep}`);
  t.true(Math.abs(calibration!.offsetNanoAmp) <= 300_000, `${calibration!.offsetNanoAmp}`);
  t.true(worstPpm! <= 1000);
  t.deepEqual(calibrationOf(record, 'alice', job.mac), calibration);
});

test('points are kept, and each calibration has a number of its own', async (t) => {
  const { record, point } = await scene(t);
  t.is(calibrationOf(record, 'alice', job.mac), undefined);
  await point(loadOf(2), 2);
  const first = await point(loadOf(0.2), 0.2);
  t.deepEqual([first.points, first.calibration?.id], [2, 1]);
  const third = await point(loadOf(0.8), 0.8);
  t.deepEqual([third.points, third.calibration?.id], [3, 2]);
  t.deepEqual(calibrationOf(record, 'alice', job.mac), third.calibration);
  t.is(calibrationOf(record, 'alice', '02:00:00:00:00:02'), undefined, 'another board');
  t.deepEqual(await point(loadOf(2), 2, { mac: '02:00:00:00:00:02' }), { points: 1 });
  t.deepEqual(await point(loadOf(2), 2, { anew: true }), { points: 1 });
});

const refused: [name: string, port: MeterPort, code: string][] = [
  ['a meter that is silent', talker(), 'meter-silent'],
  ['a meter that is paired', talker('boot 3', 'enrol 1/9 d2'), 'meter-silent'],
  ['a sensor that does not answer', talker('sensor none'), 'sensor-missing'],
  ['a load that drifts', talker('sensor 8000 9600', 'sensor 8200 9600'), 'load-unsteady'],
  ['another load than the instruments’', loadOf(1), 'calibration-implausible'],
];
for (const [name, port, code] of refused) {
  test(`${name} changes nothing: ${code}`, async (t) => {
    const { record, point } = await scene(t);
    // Silence is waited for; all else is told at once, on the busiest machine.
    const limitMs = code === 'meter-silent' ? 50 : job.limitMs;
    await t.throwsAsync(point(port, 2, { limitMs }), { code });
    t.deepEqual(record.history('alice'), []);
  });
}
