import test from 'ava';
import { createIna226, energyMicroWh } from '../../../provisioner/virtual/ina226.ts';
import type { Ina226, Sensed, TruthPoint } from '../../../provisioner/virtual/ina226.ts';

const SHUNT_MICRO_OHM = 10_000;
/** 5.1 V, 1 A through 10 mΩ: 10 mV. */
const ONE_AMPERE: Sensed = { shuntNanoV: 10_000_000, busMicroV: 5_100_000 };

function get(chip: Ina226, register: number, atMs: number): number {
  chip.write(Uint8Array.of(register), atMs);
  const [high, low] = chip.read(2, atMs);
  return (high << 8) | low;
}

function set(chip: Ina226, register: number, value: number, atMs: number): void {
  chip.write(Uint8Array.of(register, value >> 8, value & 0xff), atMs);
}

test('registers at reset are those of the data sheet', (t) => {
  const chip = createIna226({ sense: () => ONE_AMPERE });
  chip.powerOn(0);
  const values = [0, 1, 2, 3, 4, 5, 6, 7, 0xfe, 0xff].map((register) => get(chip, register, 0));
  t.deepEqual(values, [0x4127, 0, 0, 0, 0, 0, 0, 0, 0x5449, 0x2260]);
});

test('the data sheet’s worked example (section 8.2.2): 10 A, 2 mΩ, 12 V', (t) => {
  const chip = createIna226({ sense: () => ({ shuntNanoV: 20_000_000, busMicroV: 11_980_000 }) });
  chip.powerOn(0);
  set(chip, 5, 2560, 0);
  t.deepEqual(
    [1, 2, 4, 3].map((register) => get(chip, register, 10)),
    [8000, 9584, 10_000, 4792],
  );
});

test('a conversion takes its averages and times; the flag says when, once', (t) => {
  const chip = createIna226({ sense: () => ONE_AMPERE });
  chip.powerOn(0);
  // 1,024 averages of 332 and 588 µs: 942.08 ms.
  set(chip, 0, 0x4000 | (7 << 9) | (2 << 6) | (3 << 3) | 7, 0);
  t.is(get(chip, 6, 942), 0);
  t.is(get(chip, 1, 942), 0);
  t.is(get(chip, 6, 943), 8);
  t.is(get(chip, 6, 943), 0);
  t.is(get(chip, 1, 943), 4000);
  t.is(get(chip, 2, 943), 4080);
});

test('a triggered conversion happens once, and none while powered down', (t) => {
  const level = { ...ONE_AMPERE };
  const chip = createIna226({ sense: () => level });
  chip.powerOn(0);
  set(chip, 0, 0x4123, 0);
  t.is(get(chip, 1, 5), 4000);
  t.is(get(chip, 6, 5), 8);
  t.is(get(chip, 6, 500), 0);
  set(chip, 0, 0x4120, 500);
  t.is(get(chip, 6, 900), 0);
});

test('negative and excessive voltages are clipped as 16 bits hold them', (t) => {
  for (const [shuntNanoV, raw] of [[-2500, 0xffff], [1e9, 0x7fff], [-1e9, 0x8000]]) {
    const chip = createIna226({ sense: () => ({ shuntNanoV, busMicroV: 0 }) });
    chip.powerOn(0);
    t.is(get(chip, 1, 10), raw);
  }
});

test('readings times the time between them is the truth, whatever the load does', (t) => {
  const points: TruthPoint[] = [];
  const sense = (atMs: number): Sensed => {
    return { shuntNanoV: 2500 * (3000 + ((atMs * 7919) % 2000)), busMicroV: 5_100_000 };
  };
  const chip = createIna226({ sense, onTruth: (point) => points.push(point) });
  chip.powerOn(5);
  set(chip, 0, 0x4000 | (7 << 9) | (2 << 6) | (3 << 3) | 7, 7);
  let stepMs = 0n;
  let lastMs = 5;
  for (let atMs = 1007; atMs < 3_600_000; atMs += 1000 + ((atMs * 31) % 7)) {
    stepMs += BigInt(get(chip, 1, atMs) * get(chip, 2, atMs)) * BigInt(atMs - lastMs);
    lastMs = atMs;
  }
  t.is(chip.truth(lastMs).stepMs, stepMs);
  t.deepEqual(points.at(-1), { atMs: lastMs, stepMs });
});

test('without power nothing is measured, and registers are lost', (t) => {
  const chip = createIna226({ sense: () => ONE_AMPERE });
  chip.powerOn(0);
  set(chip, 5, 2560, 0);
  chip.powerOff(3_600_000);
  const { stepMs } = chip.truth(3_600_000);
  // 1 A at 5.1 V for an hour.
  t.is(energyMicroWh(stepMs, SHUNT_MICRO_OHM), 5_100_000);
  t.is(chip.truth(9_000_000).stepMs, stepMs);
  chip.powerOn(9_000_000);
  t.is(get(chip, 5, 9_000_000), 0);
});
