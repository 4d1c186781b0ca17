// The meter's light, as the Jacdac light bulb service (jacdac-spec, services/lightbulb.md): its
// brightness is a register that the program writes. On a board the runtime serves the same role on a
// GPIO pin that it switches, so that the program is one.

import { GET_REGISTER, SET_REGISTER } from './jacdac.ts';
import type { BusService } from './jacdac-bus.ts';

const SERVICE_CLASS = 0x1cab054c;
/** u0.16; anything above nothing is lit. */
const REGISTER_BRIGHTNESS = 0x001;
const REGISTER_DIMMABLE = 0x180;

export interface Light extends BusService {
  /** It goes dark. */
  powerOff(atMs: number): void;
}

/** @param onChange hears when it is lit, and when no longer */
export function createLight(onChange: (lit: boolean, atMs: number) => void): Light {
  let brightness = 0;
  const become = (value: number, atMs: number): void => {
    const wasLit = brightness > 0;
    brightness = value;
    if (wasLit !== value > 0) onChange(value > 0, atMs);
  };
  return {
    serviceClass: SERVICE_CLASS,
    handle(command, data, atMs) {
      if (command === (SET_REGISTER | REGISTER_BRIGHTNESS) && data.length === 2) {
        become(data[0]! | (data[1]! << 8), atMs);
        return [];
      }
      if (command === (GET_REGISTER | REGISTER_BRIGHTNESS)) {
        return [{ command, data: Uint8Array.of(brightness & 0xff, brightness >> 8) }];
      }
      const isDimmable = command === (GET_REGISTER | REGISTER_DIMMABLE);
      return isDimmable ? [{ command, data: Uint8Array.of(0) }] : [];
    },
    dueMs: () => Infinity,
    speak: () => [],
    powerOff: (atMs) => become(0, atMs),
  };
}
