// A meter's calibration: what was read at known loads, as points, to the line through them that the
// meter reckons current by. Pure. Its procedure is hardware/calibration.md.
//
// Reference and meter are compared by power, and the bus voltage keeps the datasheet's step: the
// chip's error of voltage goes into the line as well.

import { KitError } from '../errors.ts';

/** One load, as the sensor and the instruments saw it at the same time. */
export interface CalibrationPoint {
  /** Means of the sensor's registers: 2.5 µV and 1.25 mV a step. */
  shuntSteps: number;
  busSteps: number;
  milliVolt: number;
  microAmp: number;
}

/** As firmware/settings.ts reads it, and as an enrolment states it. */
export interface Calibration {
  /** No other calibration of the campaign has it; 0 is uncalibrated. */
  id: number;
  nanoAmpPerStep: number;
  offsetNanoAmp: number;
  nanoVoltPerStep: number;
}

export interface Fit {
  line: Omit<Calibration, 'id'>;
  /** The largest difference of a point from the line, in millionths of the point's current. */
  worstPpm: number;
}

/** The steps of the datasheet, and of a shunt of 10 mΩ. */
const NANO_AMP_PER_STEP = 250_000;
const NANO_VOLT_PER_STEP = 1_250_000;
/** What a meter reckons by that was not calibrated. */
export const UNCALIBRATED: Calibration = {
  ...{ id: 0, nanoAmpPerStep: NANO_AMP_PER_STEP, offsetNanoAmp: 0 },
  nanoVoltPerStep: NANO_VOLT_PER_STEP,
};
/** Below this, an offset of a step counts for more than a gain. */
const MIN_RATIO_OF_LOADS = 5;
/** A shunt of 1 %, a chip of 0.1 %, instruments of 0.3 %: what is more is another thing. */
const GAIN = { min: 0.95, max: 1.05 };
const MAX_OFFSET_NANO_AMP = 3_000_000;
const MAX_DIFFERENCE_PPM = 5_000;
/** A lead between the meter's terminals and the voltmeter's tips drops this much, not more. */
const MAX_VOLTAGE_DIFFERENCE_PPM = 20_000;

/** Whether the loads are far enough apart for a line. */
export function canFit(points: readonly CalibrationPoint[]): boolean {
  const currents = points.map(({ microAmp }) => microAmp);
  return Math.max(...currents) >= MIN_RATIO_OF_LOADS * Math.min(...currents);
}

/**
 * The line that differs least from the points, each by its share of the current: of two loads, it
 * goes through both.
 * @throws KitError `calibration-implausible`, `calibration-points-differ`
 */
export function fitCalibration(points: readonly CalibrationPoint[]): Fit {
  const wanted = points.map((point) => ({ steps: point.shuntSteps, nanoAmp: currentOf(point) }));
  const { slope, offset } = weightedLine(wanted);
  const gain = slope / NANO_AMP_PER_STEP;
  // Of loads that are all alike the line is no number, which is within no bounds.
  const sound = gain >= GAIN.min && gain <= GAIN.max && Math.abs(offset) <= MAX_OFFSET_NANO_AMP;
  if (!sound) throw implausible(gain, offset);
  const line = {
    nanoAmpPerStep: Math.round(slope),
    offsetNanoAmp: Math.round(offset),
    nanoVoltPerStep: NANO_VOLT_PER_STEP,
  };
  const differences = wanted.map(({ steps, nanoAmp }) =>
    Math.abs((1e6 * (steps * line.nanoAmpPerStep + line.offsetNanoAmp - nanoAmp)) / nanoAmp),
  );
  const worstPpm = Math.round(Math.max(...differences));
  if (worstPpm > MAX_DIFFERENCE_PPM) {
    throw pointsDiffer(points[differences.indexOf(Math.max(...differences))]!, worstPpm);
  }
  return { line, worstPpm };
}

/** The current by which the sensor's voltage gives the instruments' power. */
function currentOf({ milliVolt, microAmp, busSteps }: CalibrationPoint): number {
  const picoW = milliVolt * microAmp * 1e3;
  return (picoW * 1e6) / (busSteps * NANO_VOLT_PER_STEP);
}

/** Least squares of the relative differences: weights of 1 / nanoAmp². */
function weightedLine(points: readonly { steps: number; nanoAmp: number }[]) {
  let [sum, sumX, sumY, sumXX, sumXY] = [0, 0, 0, 0, 0];
  for (const { steps, nanoAmp } of points) {
    const weight = 1 / nanoAmp ** 2;
    sum += weight;
    sumX += weight * steps;
    sumY += weight * nanoAmp;
    sumXX += weight * steps * steps;
    sumXY += weight * steps * nanoAmp;
  }
  const slope = (sum * sumXY - sumX * sumY) / (sum * sumXX - sumX * sumX);
  return { slope, offset: (sumY - slope * sumX) / sum };
}

/** @throws KitError `calibration-implausible` the instruments and the sensor saw different loads */
export function checkPoint({ shuntSteps, busSteps, milliVolt, microAmp }: CalibrationPoint): void {
  const sensorMilliVolt = (busSteps * NANO_VOLT_PER_STEP) / 1e6;
  const sensorMilliAmp = (shuntSteps * NANO_AMP_PER_STEP) / 1e6;
  const apartPpm = (1e6 * Math.abs(sensorMilliVolt - milliVolt)) / milliVolt;
  // A current is only held against its order: shunt and offset are what is to be found.
  const alike = Math.abs(sensorMilliAmp - microAmp / 1e3) <= 0.1 * (microAmp / 1e3) + 5;
  if (apartPpm <= MAX_VOLTAGE_DIFFERENCE_PPM && alike) return;
  throw new KitError({
    code: 'calibration-implausible',
    message: 'The instruments and the meter did not see the same load',
    expected: `about ${sensorMilliVolt.toFixed(0)} mV and ${sensorMilliAmp.toFixed(0)} mA, as the meter’s sensor says`,
    got: `${milliVolt} mV and ${(microAmp / 1e3).toFixed(1)} mA`,
    hint: 'Ammeter in the node’s red wire, voltmeter at the load; the shunt must be 10 mΩ. Volts and amperes, not milli.',
  });
}

/** u32 id ‖ u32 nA a step ‖ i32 offset nA ‖ u32 nV a step, little-endian: the setting `calib`. */
export function encodeCalibration(calibration: Calibration): Uint8Array {
  const bytes = new DataView(new ArrayBuffer(16));
  bytes.setUint32(0, calibration.id, true);
  bytes.setUint32(4, calibration.nanoAmpPerStep, true);
  bytes.setInt32(8, calibration.offsetNanoAmp, true);
  bytes.setUint32(12, calibration.nanoVoltPerStep, true);
  return new Uint8Array(bytes.buffer);
}

function implausible(gain: number, offsetNanoAmp: number): KitError {
  return new KitError({
    code: 'calibration-implausible',
    message: 'The line through the points is none of a sound meter',
    expected: `a gain of ${GAIN.min} to ${GAIN.max}, an offset of at most ${MAX_OFFSET_NANO_AMP / 1e6} mA`,
    got: `a gain of ${gain.toFixed(4)}, an offset of ${(offsetNanoAmp / 1e6).toFixed(2)} mA`,
    hint: 'The shunt is not 10 mΩ, a wire is loose, or a point is wrong: begin again with --anew.',
  });
}

function pointsDiffer(worst: CalibrationPoint, worstPpm: number): KitError {
  return new KitError({
    code: 'calibration-points-differ',
    message: 'The points do not lie on one line',
    expected: `each within ${MAX_DIFFERENCE_PPM / 1e4} % of it`,
    got: `${(worstPpm / 1e4).toFixed(2)} % at ${(worst.microAmp / 1e3).toFixed(1)} mA`,
    hint: 'Look for a loose splice or a load that gets hot; then begin again with --anew.',
  });
}
