// Calibrates a meter before it is paired: listens to its sensor while a known load hangs at it, keeps
// the point in the record, and draws the line as soon as the loads are far enough apart. Nothing is
// written to the meter: pairing does that, and states it in the enrolment.

import type { BenchRecord, Json } from '../bench/record.ts';
import { KitError } from '../errors.ts';
import {
  canFit,
  checkPoint,
  fitCalibration,
  type Calibration,
  type CalibrationPoint,
} from './calibration.ts';
import type { MeterPort } from './port.ts';

/** What the instruments say. */
export interface KnownLoad {
  milliVolt: number;
  microAmp: number;
}

export interface CalibrateJob {
  kit: string;
  /** Whose points these are: a board's MAC address. */
  mac: string;
  load: KnownLoad;
  /** Forget the points that were taken. */
  anew: boolean;
  /** How long the meter may be silent. */
  limitMs: number;
}

export interface Calibrated {
  /** How many were taken, this one included. */
  points: number;
  /** Absent while all loads are alike. */
  calibration?: Calibration;
  /** The largest difference of a point from the line. */
  worstPpm?: number;
}

/** The sensor's mean over ten windows of a second: long beside the noise of a node's supply. */
const READINGS = 10;
/** A load that drifts by more within them is still getting warm. */
const MAX_SPREAD_PERMILLE = 20;
const MAX_SPREAD_STEPS = 4;

const STEP = 'meter-calibration';
const POINT = 'meter-calibration-point';

/**
 * Takes one point.
 * @throws KitError `meter-silent` it is paired, or has no program; `sensor-missing`,
 *   `load-unsteady`, `calibration-implausible`, `calibration-points-differ`: nothing is changed
 */
export async function calibrateMeter(
  port: MeterPort,
  record: BenchRecord,
  job: CalibrateJob,
): Promise<Calibrated> {
  const { kit, mac, load, anew } = job;
  const read = await readSensor(port, job.limitMs);
  const point: CalibrationPoint = { ...read, ...load };
  checkPoint(point);
  const before = anew ? [] : pointsOf(record, kit, mac);
  const points = [...before, point];
  const fit = canFit(points) ? fitCalibration(points) : undefined;
  if (before.length === 0) record.start(kit, STEP, { mac });
  record.done(kit, POINT, { mac, ...point });
  if (fit === undefined) return { points: points.length };
  const calibration: Calibration = { id: nextId(record), ...fit.line };
  const { worstPpm } = fit;
  record.done(kit, STEP, { mac, points: points.length, worstPpm, ...calibration });
  return { points: points.length, calibration, worstPpm };
}

/** The board's calibration, undefined where none was found. */
export function calibrationOf(
  record: BenchRecord,
  kit: string,
  mac: string,
): Calibration | undefined {
  const detail = record.lastDone(kit, STEP)?.detail;
  if (detail === undefined || detail['mac'] !== mac) return undefined;
  const number = (name: keyof Calibration): number => Number(detail[name]);
  return {
    id: number('id'),
    nanoAmpPerStep: number('nanoAmpPerStep'),
    offsetNanoAmp: number('offsetNanoAmp'),
    nanoVoltPerStep: number('nanoVoltPerStep'),
  };
}

async function readSensor(port: MeterPort, limitMs: number) {
  const shunts: number[] = [];
  const buses: number[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const silence = setTimeout(() => reject(silent()), limitMs);
  const stop = port.onLine((line) => {
    if (line === 'sensor none') reject(missing());
    const [, shunt, bus] = /^sensor (-?\d+) (\d+)$/.exec(line) ?? [];
    if (shunt === undefined) return;
    silence.refresh();
    shunts.push(Number(shunt));
    buses.push(Number(bus));
    if (shunts.length === READINGS) resolve();
  });
  try {
    await promise;
  } finally {
    clearTimeout(silence);
    stop();
  }
  refuseUnsteady(shunts);
  return { shuntSteps: mean(shunts), busSteps: mean(buses) };
}

function refuseUnsteady(shunts: readonly number[]): void {
  const [least, most] = [Math.min(...shunts), Math.max(...shunts)];
  const allowed = Math.max(MAX_SPREAD_STEPS, (MAX_SPREAD_PERMILLE * Math.abs(mean(shunts))) / 1000);
  if (most - least <= allowed) return;
  throw new KitError({
    code: 'load-unsteady',
    message: 'The load did not stand still while it was measured',
    expected: `${READINGS} readings within ${MAX_SPREAD_PERMILLE / 10} %`,
    got: `${((least * 250) / 1000).toFixed(1)} to ${((most * 250) / 1000).toFixed(1)} mA`,
    hint: 'A resistor, not the node; let it get warm for a minute, and look for a loose wire.',
  });
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** Those of this board since they were begun anew. */
function pointsOf(record: BenchRecord, kit: string, mac: string): CalibrationPoint[] {
  const history = record.history(kit);
  const begun = history.findLastIndex(({ step, status }) => step === STEP && status === 'started');
  if (begun < 0) return [];
  return history
    .slice(begun)
    .filter(({ step, detail }) => step === POINT && detail['mac'] === mac)
    .map(({ detail }) => pointFrom(detail));
}

function pointFrom(detail: { [key: string]: Json }): CalibrationPoint {
  const number = (name: keyof CalibrationPoint): number => Number(detail[name]);
  return {
    shuntSteps: number('shuntSteps'),
    busSteps: number('busSteps'),
    milliVolt: number('milliVolt'),
    microAmp: number('microAmp'),
  };
}

function nextId(record: BenchRecord): number {
  const taken = record.ofStep(STEP).map(({ detail }) => Number(detail['id'] ?? 0));
  return 1 + Math.max(0, ...taken);
}

function silent(): KitError {
  return new KitError({
    code: 'meter-silent',
    message: 'The meter tells nothing of its sensor',
    expected: 'lines `sensor SHUNT BUS`, once a second, as a meter prints that is not paired',
    got: 'silence',
    hint: 'Calibrate before you pair. If it is not paired: press RESET, or write it anew.',
  });
}

function missing(): KitError {
  return new KitError({
    code: 'sensor-missing',
    message: 'The meter’s sensor does not answer it',
    expected: 'an INA226 at 0x40',
    got: 'none',
    hint: 'Look at its 3.3 V, ground, SDA and SCL against the wiring; A0 and A1 to ground.',
  });
}
