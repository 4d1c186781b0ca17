// Power monitor INA226 (Texas Instruments SBOS547A) at register level, and the truth about it: the
// exact integral of what it measured, which a meter's energy is compared with.
//
// The load is a staircase whose steps fall on the meter's readings. Between two readings of the
// shunt the pins are held at one level; at a reading that saw a finished conversion the next level
// is taken from `sense`. So a meter that multiplies each reading by the time since the one before
// must get the truth exactly, and any difference is its arithmetic's, its memory's or its clock's.
// What a real load does between two readings, this cannot show.
//
// A conversion that was under way during a step counts with the level at its end. The alert pin and
// its limits are kept as registers but drive nothing.

import type { I2cChip } from './i2c.ts';

/** What lies at the chip's pins. */
export interface Sensed {
  /** IN+ − IN−, nV. */
  shuntNanoV: number;
  /** VBUS, µV. */
  busMicroV: number;
}

/** Register addresses (table 4). */
const REGISTER = {
  configuration: 0x00,
  shuntVoltage: 0x01,
  busVoltage: 0x02,
  power: 0x03,
  current: 0x04,
  calibration: 0x05,
  maskEnable: 0x06,
  alertLimit: 0x07,
  manufacturerId: 0xfe,
  dieId: 0xff,
} as const;

/** Configuration (table 5): RST │ 100 │ AVG 3 │ VBUSCT 3 │ VSHCT 3 │ MODE 3. */
const CONFIGURATION_AT_RESET = 0x4127;
const RESET_BIT = 0x8000;
/** Table 6: averages. */
const AVERAGES = [1, 4, 16, 64, 128, 256, 512, 1024];
/** Tables 7 and 8: conversion times, µs, typical. */
const CONVERSION_US = [140, 204, 332, 588, 1100, 2116, 4156, 8244];
/** Table 9: operating modes: bit 0 shunt, bit 1 bus, bit 2 continuous. */
const MODE = { shunt: 1, bus: 2, continuous: 4 } as const;

/** Mask/Enable (table 12). */
const CONVERSION_READY = 1 << 3;
const MASK_WRITABLE = 0xfc03;
const MANUFACTURER_TI = 0x5449;
const DIE = 0x2260;

/** 2.5 µV and 1.25 mV a step (section 7.1), as nV and µV. */
const SHUNT_STEP_NANO_V = 2500;
const BUS_STEP_MICRO_V = 1250;
/** Full scale 40.96 V by the register, of which the pins bear 36 V. */
const MAX_BUS_STEPS = 0x7fff;

/** The truth at a moment. Its unit: steps of shunt voltage × steps of bus voltage × ms. */
export interface TruthPoint {
  atMs: number;
  stepMs: bigint;
}

export interface Ina226Options {
  /** What the pins show from `atMs` on. */
  sense: (atMs: number) => Sensed;
  /** Where the integral stands from earlier. */
  stepMs?: bigint;
  /** Called at each step of the load, and when the power goes. */
  onTruth?: (point: TruthPoint) => void;
}

export interface Ina226 extends I2cChip {
  /** Advances to `atMs` and tells the integral. */
  truth(atMs: number): TruthPoint;
}

interface State {
  powered: boolean;
  configuration: number;
  calibration: number;
  mask: number;
  alertLimit: number;
  pointer: number;
  /** As the last finished conversion left them. */
  shuntSteps: number;
  busSteps: number;
  conversionReady: boolean;
  windowStartUs: number;
  /** A triggered conversion is under way. */
  triggered: boolean;
  /** A conversion has finished at this level. */
  converted: boolean;
  level: { shuntSteps: number; busSteps: number };
  atMs: number;
  stepMs: bigint;
}

export function createIna226({ sense, stepMs = 0n, onTruth }: Ina226Options): Ina226 {
  const state = { ...resetRegisters(0), powered: false, atMs: 0, stepMs } as State;
  state.level = { shuntSteps: 0, busSteps: 0 };
  const tell = (): void => onTruth?.({ atMs: state.atMs, stepMs: state.stepMs });
  const step = (atMs: number): void => {
    state.level = toSteps(sense(atMs));
    state.converted = false;
    tell();
  };
  return {
    write(bytes, atMs) {
      advance(state, atMs);
      if (bytes.length > 0) state.pointer = bytes[0]!;
      if (bytes.length >= 3) writeRegister(state, state.pointer, (bytes[1]! << 8) | bytes[2]!);
      return true;
    },
    read(sizeBytes, atMs) {
      advance(state, atMs);
      const value = readRegister(state, state.pointer);
      // Two bytes, most significant first (figure 26); past them the chip lets the bus float.
      const bytes = new Uint8Array(sizeBytes).fill(0xff);
      if (sizeBytes > 0) bytes[0] = value >> 8;
      if (sizeBytes > 1) bytes[1] = value & 0xff;
      if (readsShunt(state.pointer) && state.converted) step(atMs);
      return bytes;
    },
    powerOn(atMs) {
      Object.assign(state, resetRegisters(atMs), { powered: true, atMs });
      step(atMs);
    },
    powerOff(atMs) {
      advance(state, atMs);
      state.powered = false;
      tell();
    },
    truth(atMs) {
      advance(state, atMs);
      return { atMs: state.atMs, stepMs: state.stepMs };
    },
  };
}

function resetRegisters(atMs: number) {
  return {
    ...{ configuration: CONFIGURATION_AT_RESET, calibration: 0, mask: 0, alertLimit: 0 },
    ...{ pointer: 0, shuntSteps: 0, busSteps: 0, conversionReady: false, converted: false },
    ...{ windowStartUs: atMs * 1000, triggered: false },
  };
}

/** Integrates up to now, and finishes the conversions that are due. */
function advance(state: State, atMs: number): void {
  if (!state.powered || atMs < state.atMs) return;
  const { level } = state;
  state.stepMs += BigInt(level.shuntSteps * level.busSteps) * BigInt(atMs - state.atMs);
  state.atMs = atMs;
  const mode = state.configuration & 7;
  const windowUs = conversionUs(state.configuration);
  if (windowUs === 0 || ((mode & MODE.continuous) === 0 && !state.triggered)) return;
  const finished = Math.floor((atMs * 1000 - state.windowStartUs) / windowUs);
  if (finished < 1) return;
  state.windowStartUs += finished * windowUs;
  state.triggered = false;
  if (mode & MODE.shunt) state.shuntSteps = level.shuntSteps;
  if (mode & MODE.bus) state.busSteps = level.busSteps;
  state.conversionReady = true;
  state.converted = true;
}

/** How long all averages of a conversion take; 0 while powered down. */
function conversionUs(configuration: number): number {
  const busUs = configuration & MODE.bus ? CONVERSION_US[(configuration >> 6) & 7]! : 0;
  const shuntUs = configuration & MODE.shunt ? CONVERSION_US[(configuration >> 3) & 7]! : 0;
  return AVERAGES[(configuration >> 9) & 7]! * (busUs + shuntUs);
}

function writeRegister(state: State, register: number, value: number): void {
  if (register === REGISTER.configuration) {
    if (value & RESET_BIT) Object.assign(state, resetRegisters(state.atMs));
    else {
      state.configuration = value;
      // Writing the configuration breaks off a conversion and starts anew (section 6.5).
      state.windowStartUs = state.atMs * 1000;
      state.conversionReady = false;
      state.triggered = (value & MODE.continuous) === 0 && (value & 3) !== 0;
    }
  } else if (register === REGISTER.calibration) state.calibration = value & 0x7fff;
  else if (register === REGISTER.maskEnable) state.mask = value & MASK_WRITABLE;
  else if (register === REGISTER.alertLimit) state.alertLimit = value;
  // The others are read-only: what is written to them is lost.
}

function readRegister(state: State, register: number): number {
  switch (register) {
    case REGISTER.configuration:
      return state.configuration;
    case REGISTER.shuntVoltage:
      return state.shuntSteps & 0xffff;
    case REGISTER.busVoltage:
      return state.busSteps;
    case REGISTER.power:
      // Equation 4: current × bus voltage / 20,000.
      return Math.floor(Math.abs(current(state) * state.busSteps) / 20_000) & 0xffff;
    case REGISTER.current:
      return current(state) & 0xffff;
    case REGISTER.calibration:
      return state.calibration;
    case REGISTER.maskEnable: {
      const value = state.mask | (state.conversionReady ? CONVERSION_READY : 0);
      // Reading the register clears the flag (table 12).
      state.conversionReady = false;
      return value;
    }
    case REGISTER.alertLimit:
      return state.alertLimit;
    case REGISTER.manufacturerId:
      return MANUFACTURER_TI;
    case REGISTER.dieId:
      return DIE;
    default:
      return 0;
  }
}

/** Equation 3: shunt voltage × calibration / 2,048. */
function current(state: State): number {
  return Math.trunc((state.shuntSteps * state.calibration) / 2048);
}

function readsShunt(register: number): boolean {
  return (
    register === REGISTER.shuntVoltage ||
    register === REGISTER.power ||
    register === REGISTER.current
  );
}

function toSteps({ shuntNanoV, busMicroV }: Sensed): State['level'] {
  const shuntSteps = Math.round(shuntNanoV / SHUNT_STEP_NANO_V);
  const busSteps = Math.round(busMicroV / BUS_STEP_MICRO_V);
  return {
    shuntSteps: Math.max(-0x8000, Math.min(0x7fff, shuntSteps)),
    busSteps: Math.max(0, Math.min(MAX_BUS_STEPS, busSteps)),
  };
}

/**
 * The energy of an integral, µWh, rounded down:
 *
 *   step·ms × 2.5 µV × 1.25 mV ÷ R ÷ 3.6 s·mW/µWh = step·ms × 3125 ÷ (R/µΩ × 3,600,000)
 */
export function energyMicroWh(stepMs: bigint, shuntMicroOhm: number): number {
  return Number((stepMs * 3125n) / (BigInt(shuntMicroOhm) * 3_600_000n));
}
