// The meter's button, as the Jacdac button service (jacdac-spec, services/button.md): events `down`
// and `up`, the latter with how long it was held, and the pressure as a register. On a board the
// runtime serves the same role from a GPIO pin, so that the program is one.

import { GET_REGISTER } from './jacdac.ts';
import type { BusService, Report } from './jacdac-bus.ts';

const SERVICE_CLASS = 0x1473a263;
const EVENT = 0x8000;
const EVENT_DOWN = 0x01;
const EVENT_UP = 0x02;
const REGISTER_READING = 0x101;
const REGISTER_ANALOG = 0x180;
/** Pressure u0.16. */
const PRESSED = 0xffff;

export interface Button extends BusService {
  /** Down at the next moment, up `holdMs` later. */
  press(holdMs: number): void;
}

export function createButton(): Button {
  const presses: number[] = [];
  let upAtMs = Infinity;
  let downAtMs = 0;
  return {
    serviceClass: SERVICE_CLASS,
    press: (holdMs) => void presses.push(holdMs),
    handle(command) {
      const pressure = upAtMs < Infinity ? PRESSED : 0;
      if (command === (GET_REGISTER | REGISTER_READING)) return [u16(command, pressure)];
      const isAnalog = command === (GET_REGISTER | REGISTER_ANALOG);
      if (isAnalog) return [{ command, data: Uint8Array.of(0) }];
      return [];
    },
    dueMs: () => (upAtMs < Infinity ? upAtMs : presses.length > 0 ? -Infinity : Infinity),
    speak(atMs) {
      if (upAtMs <= atMs) {
        upAtMs = Infinity;
        return [u32(EVENT | EVENT_UP, atMs - downAtMs)];
      }
      downAtMs = atMs;
      upAtMs = atMs + presses.shift()!;
      return [{ command: EVENT | EVENT_DOWN, data: new Uint8Array() }];
    },
  };
}

function u16(command: number, value: number): Report {
  return { command, data: Uint8Array.of(value & 0xff, value >> 8) };
}

function u32(command: number, value: number): Report {
  const data = Buffer.alloc(4);
  data.writeUInt32LE(value);
  return { command, data };
}
