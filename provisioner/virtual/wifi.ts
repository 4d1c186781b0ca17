// The meter's radio, as the Jacdac Wi-Fi service (jacdac-spec, services/wifi.md) that a board's runtime
// serves: which IPv4 address it has, and the network that it is told to join. The machine's sockets
// are this computer's, so nothing is joined here.

import { GET_REGISTER } from './jacdac.ts';
import type { BusService } from './jacdac-bus.ts';

const SERVICE_CLASS = 0x18aae1fa;
const ADD_NETWORK = 0x81;
const REGISTER_RSSI = 0x101;
const REGISTER_IP_ADDRESS = 0x181;
const NOT_CONNECTED_DB = -128;
const NEAR_DB = -50;

export interface Radio {
  /** 4 bytes; empty while it is not connected. */
  address(): Uint8Array;
  named(ssid: string, passphrase: string): void;
}

export function createWifi(radio: Radio): BusService {
  return {
    serviceClass: SERVICE_CLASS,
    handle(command, data) {
      if (command === ADD_NETWORK) {
        const [ssid, passphrase] = Buffer.from(data).toString().split('\0');
        radio.named(ssid, passphrase);
        return [];
      }
      const address = radio.address();
      if (command === (GET_REGISTER | REGISTER_IP_ADDRESS)) return [{ command, data: address }];
      if (command !== (GET_REGISTER | REGISTER_RSSI)) return [];
      const strengthDb = address.length > 0 ? NEAR_DB : NOT_CONNECTED_DB;
      return [{ command, data: new Uint8Array(Int8Array.of(strengthDb).buffer) }];
    },
    dueMs: () => Infinity,
    speak: () => [],
  };
}
