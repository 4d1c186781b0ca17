// Writes the meter's settings over its bus, as the bench does over USB: the Jacdac settings service
// (jacdac-spec, services/settings.md), which the runtime serves from its flash. Each value is read
// back before it counts as written.

import { KitError } from '../errors.ts';
import type { FrameParts } from './jacdac.ts';
import { SERVICE_CONTROL } from './jacdac.ts';
import type { BusClient } from './jacdac-bus.ts';

const SERVICE_CLASS = 0x1107dc4a;
const COMMAND_GET = 0x80;
const COMMAND_SET = 0x81;
/** The runtime's own limits; reading a longer pair panics it. */
const MAX_KEY_CHARACTERS = 13;
const MAX_PAIR_BYTES = 200;

export interface SettingsClient extends BusClient {
  /** Resolves once the meter has read the same value back. @throws KitError `setting-…` */
  write(key: string, value: Uint8Array): Promise<void>;
  /** The meter's power has gone: what is under way fails. */
  powerOff(): void;
}

interface Errand {
  key: string;
  value: Uint8Array;
  sent: boolean;
  resolve(): void;
  reject(error: KitError): void;
}

/** @param wake called when `take` has something new */
export function createSettingsClient(meterDeviceId: string, wake: () => void): SettingsClient {
  const errands: Errand[] = [];
  let serviceIndex = -1;

  const done = (value: Uint8Array): void => {
    const errand = errands.shift()!;
    if (Buffer.compare(value, errand.value) === 0) errand.resolve();
    else errand.reject(notKept(errand, value));
    wake();
  };
  return {
    hear({ deviceId, isCommand, packets }) {
      if (deviceId !== meterDeviceId || isCommand) return;
      for (const packet of packets) {
        if (packet.serviceIndex === SERVICE_CONTROL && packet.command === 0) {
          serviceIndex = findService(packet.data);
        } else if (packet.serviceIndex === serviceIndex && packet.command === COMMAND_GET) {
          const [key, value] = splitPair(packet.data);
          if (errands[0]?.sent && errands[0].key === key) done(value);
        }
      }
    },
    take() {
      const errand = errands[0];
      if (errand === undefined || errand.sent || serviceIndex < 0) return [];
      errand.sent = true;
      const pair = Buffer.concat([Buffer.from(`${errand.key}\0`), errand.value]);
      const key = Buffer.from(errand.key);
      return [[COMMAND_SET, pair] as const, [COMMAND_GET, key] as const].map(
        ([command, data]): FrameParts => ({
          ...{ deviceId: meterDeviceId, isCommand: true },
          packets: [{ serviceIndex, command, data }],
        }),
      );
    },
    async write(key, value) {
      checkSize(key, value);
      const errand = new Promise<void>((resolve, reject) =>
        errands.push({ key, value, sent: false, resolve, reject }),
      );
      wake();
      await errand;
    },
    powerOff() {
      serviceIndex = -1;
      for (const errand of errands.splice(0)) errand.reject(notKept(errand, undefined));
    },
  };
}

/** The announcement is flags (u32), then the class of each service from index 1 on. */
function findService(announcement: Uint8Array): number {
  const { buffer, byteOffset, length } = announcement;
  const view = new DataView(buffer, byteOffset, length);
  for (let index = 1; 4 * index + 4 <= length; index += 1) {
    if (view.getUint32(4 * index, true) === SERVICE_CLASS) return index;
  }
  return -1;
}

function splitPair(data: Uint8Array): [string, Uint8Array] {
  const end = data.indexOf(0);
  if (end < 0) return [Buffer.from(data).toString(), new Uint8Array()];
  return [Buffer.from(data.subarray(0, end)).toString(), data.subarray(end + 1)];
}

function checkSize(key: string, value: Uint8Array): void {
  const pairBytes = Buffer.byteLength(key) + value.length;
  if (key.length <= MAX_KEY_CHARACTERS && pairBytes <= MAX_PAIR_BYTES) return;
  throw new KitError({
    code: 'setting-too-long',
    message: `The meter cannot keep the setting ${key}`,
    expected: `at most ${MAX_KEY_CHARACTERS} characters of key, ${MAX_PAIR_BYTES} bytes with value`,
    got: `${key.length} characters, ${pairBytes} bytes`,
    hint: 'Shorten it in campaign.toml: the ledger’s address, the node’s, or the Wi-Fi’s name.',
  });
}

function notKept(errand: Errand, got: Uint8Array | undefined): KitError {
  return new KitError({
    code: 'setting-not-kept',
    message: `The meter did not keep the setting ${errand.key}`,
    expected: `${errand.value.length} bytes read back`,
    got: got === undefined ? 'no answer: its power has gone' : `${got.length} other bytes`,
    hint: 'Pair the meter again.',
  });
}
