// The Jacdac I2C service, by which the meter's program reaches its chips: command 0x80 carries
// `u8 address │ u8 bytes to read │ bytes to write`, and the report of the same number answers
// `u8 status │ bytes read`. Source: jacdac-spec, services/i2c.md.

import type { I2cBus } from './i2c.ts';
import { GET_REGISTER } from './jacdac.ts';
import type { BusService } from './jacdac-bus.ts';

const SERVICE_CLASS = 0x1c18ca43;
const TRANSACTION = 0x80;
const REGISTER_OK = 0x180;

export function createI2cService(bus: I2cBus): BusService {
  return {
    serviceClass: SERVICE_CLASS,
    handle(command, data, atMs) {
      if (command === (GET_REGISTER | REGISTER_OK)) return [{ command, data: Uint8Array.of(1) }];
      if (command !== TRANSACTION || data.length < 2) return [];
      const transaction = { address: data[0]!, readBytes: data[1]!, write: data.subarray(2) };
      const { status, bytes } = bus.transact(transaction, atMs);
      return [{ command, data: Uint8Array.of(status, ...bytes) }];
    },
    dueMs: () => Infinity,
    speak: () => [],
  };
}
