import test from 'ava';
import fc from 'fast-check';
import { toReading } from '../../../firmware/ina226.ts';
import { readPairing } from '../../../firmware/settings.ts';
import {
  canFit,
  checkPoint,
  encodeCalibration,
  fitCalibration,
  UNCALIBRATED,
  type CalibrationPoint,
} from '../../../provisioner/meter/calibration.ts';

interface Meter {
  gain: number;
  offsetMilliAmp: number;
  busGain: number;
}

/** What such a meter's sensor shows of a load, not rounded: ten windows with noise come near it. */
function seen({ gain, offsetMilliAmp, busGain }: Meter, volts: number, amperes: number) {
  const microAmp = amperes * 1e6;
  const shuntSteps = (microAmp / 1e3 - offsetMilliAmp) / 0.25 / gain;
  const busSteps = (volts / 1.25e-3) * busGain;
  return { shuntSteps, busSteps, milliVolt: volts * 1e3, microAmp };
}

const meters = fc.record({
  gain: fc.double({ min: 0.96, max: 1.04, noNaN: true }),
  offsetMilliAmp: fc.double({ min: -2.5, max: 2.5, noNaN: true }),
  busGain: fc.double({ min: 0.998, max: 1.002, noNaN: true }),
});

test('with the line of two loads a meter is within 0.1 % of the truth between and about them', (t) => {
  fc.assert(
    fc.property(meters, fc.constantFrom(5, 12, 19), (meter, volts) => {
      const high = seen(meter, volts, 25 / volts);
      const low = seen(meter, volts, 2.5 / volts);
      const { line, worstPpm } = fitCalibration([high, low]);
      t.true(worstPpm <= 10, `${worstPpm} ppm`);
      for (const watts of [2, 5, 10, 40]) {
        const { shuntSteps, busSteps } = seen(meter, volts, watts / volts);
        const shown = toReading(shuntSteps, busSteps, { id: 1, ...line }).microW / 1e6;
        t.true(Math.abs(shown - watts) <= watts / 1000, `${shown} of ${watts} W`);
      }
    }),
  );
});

const sound: Meter = { gain: 1.01, offsetMilliAmp: 1, busGain: 1 };

test('more points draw the line between them; one that is far off is named', (t) => {
  const points = [seen(sound, 12, 2), seen(sound, 12, 2.004), seen(sound, 12, 0.2)];
  const { worstPpm } = fitCalibration(points);
  t.true(worstPpm < 5000);
  const bent = { ...seen(sound, 12, 0.8), microAmp: 812_000 };
  const error = t.throws(() => fitCalibration([...points, bent]), {
    code: 'calibration-points-differ',
  } as never) as unknown as { got: string };
  t.regex(error.got, /at 812\.0 mA$/);
});

test('loads less than five times apart make no line yet', (t) => {
  t.false(canFit([seen(sound, 12, 2)]));
  t.false(canFit([seen(sound, 12, 2), seen(sound, 12, 0.41)]));
  t.true(canFit([seen(sound, 12, 0.4), seen(sound, 12, 2)]));
});

const impossible: [name: string, points: CalibrationPoint[]][] = [
  ['another shunt', [2, 0.2].map((amperes) => seen({ ...sound, gain: 1.06 }, 12, amperes))],
  ['an offset of 4 mA', [2, 0.2].map((amperes) => seen({ ...sound, offsetMilliAmp: 4 }, 12, amperes))],
  ['one load twice', [seen(sound, 12, 2), seen(sound, 12, 2)]],
];
for (const [name, points] of impossible) {
  test(`${name} is no calibration`, (t) => {
    t.throws(() => fitCalibration(points), { code: 'calibration-implausible' } as never);
  });
}

const elsewhere: [name: string, change: Partial<CalibrationPoint>][] = [
  ['milliamperes taken for amperes', { microAmp: 2e9 }],
  ['the voltmeter before the shunt’s lead', { milliVolt: 12_300 }],
  ['no load at the meter', { shuntSteps: 2 }],
  ['a sensor without a bus', { busSteps: 0 }],
];
for (const [name, change] of elsewhere) {
  test(`${name}: instruments and sensor saw different loads`, (t) => {
    const point = seen(sound, 12, 2);
    t.notThrows(() => checkPoint(point));
    t.throws(() => checkPoint({ ...point, ...change }), { code: 'calibration-implausible' } as never);
  });
}

test('the setting’s bytes are what the firmware reads', async (t) => {
  const calibration = { id: 7, nanoAmpPerStep: 249_731, offsetNanoAmp: -1200, nanoVoltPerStep: 1_250_100 };
  for (const wanted of [calibration, UNCALIBRATED]) {
    const settings = new Map<string, Buffer>([
      ...['ledger', 'origin', 'node'].map((key): [string, Buffer] => [key, Buffer.from('x')]),
      ...['pairkey', 'entropy', 'nonce'].map((key): [string, Buffer] => [key, Buffer.alloc(32)]),
      ['calib', Buffer.from(encodeCalibration(wanted))],
    ]);
    const pairing = await readPairing(async (key) => settings.get(key) ?? null);
    t.deepEqual(pairing?.calibration, wanted);
  }
});
