// A running meter on a USB lead, as pairing needs it: its settings over Jacdac, its console, its
// restart. Finds the meter by the first that announces a store of settings: a lead leads to one.

import { KitError } from '../errors.ts';
import { GET_REGISTER, SERVICE_CONTROL, type Frame, type FrameParts } from '../virtual/jacdac.ts';
import { createSettingsClient, type SettingsClient } from '../virtual/settings-client.ts';
import type { MeterPort } from './port.ts';
import type { SerialLine } from './serial-line.ts';
import { encodeUsb, usbReader, wakeBridge } from './usb-bridge.ts';

/** Of the control service: start anew (jacdac-spec, services/_control.md). */
const COMMAND_RESET = 0x82;
/** Meters announce themselves twice a second. */
const ANNOUNCE_LIMIT_MS = 10_000;
/** A board that has started anew is silent until it is asked, and prints its statement soon. */
const WAKE_EVERY_MS = 50;
/** The runtime marks what the program prints. */
const PROGRAM_LINE = /^> /;

export interface UsbPort extends MeterPort {
  /** @throws KitError `meter-silent` the meter has no such service, or is silent */
  readRegister(serviceClass: number, register: number): Promise<Uint8Array>;
  close(): void;
}

/** @throws KitError `meter-no-runtime` nothing announces itself: no runtime runs there */
export async function openUsbPort(line: SerialLine, limitMs = ANNOUNCE_LIMIT_MS): Promise<UsbPort> {
  const listeners = new Set<(line: string) => void>();
  const hearers = new Set<(frame: Frame) => void>();
  let settings: SettingsClient | undefined;
  let services: number[] = [];
  let announced: ((deviceId: string) => void) | undefined;
  // A write that fails is a line that is lost: `line.lost` tells.
  const send = (parts: FrameParts): void => void line.write(encodeUsb(parts)).catch(() => {});
  const pump = (): void => settings?.take().forEach(send);
  const wake = (): void => void line.write(wakeBridge()).catch(() => {});
  const waking = setInterval(wake, WAKE_EVERY_MS);
  const unhear = line.onBytes(
    usbReader({
      frame(frame) {
        const classes = announcedBy(frame);
        if (classes !== undefined) {
          services = classes;
          announced?.(frame.deviceId);
        }
        hearers.forEach((hear) => hear(frame));
        settings?.hear(frame);
        pump();
      },
      line: (text) =>
        PROGRAM_LINE.test(text) && listeners.forEach((listen) => listen(text.slice(2))),
    }),
  );
  const stop = (): void => {
    clearInterval(waking);
    unhear();
  };
  const meet = async (): Promise<string> => {
    const { promise, resolve, reject } = Promise.withResolvers<string>();
    announced = resolve;
    const timer = setTimeout(() => reject(noRuntime(line.path)), limitMs);
    try {
      wake();
      return await Promise.race([promise, line.lost]);
    } finally {
      clearTimeout(timer);
      announced = undefined;
    }
  };
  let deviceId: string;
  try {
    deviceId = await meet();
  } catch (error) {
    stop();
    throw error;
  }
  settings = createSettingsClient(deviceId, pump);
  return {
    assurance: 'bench-usb',
    writeSetting: (key, value) => Promise.race([settings!.write(key, value), line.lost]),
    async restart() {
      settings!.powerOff();
      const packets = [{ serviceIndex: SERVICE_CONTROL, command: COMMAND_RESET, data: NOTHING }];
      await line.write(encodeUsb({ deviceId, isCommand: true, packets }));
      await meet();
    },
    async readRegister(serviceClass, register) {
      const serviceIndex = services.indexOf(serviceClass, 1);
      const command = GET_REGISTER | register;
      const { promise, resolve, reject } = Promise.withResolvers<Uint8Array>();
      const timer = setTimeout(() => reject(silent(register)), limitMs);
      const hear = ({ isCommand, packets }: Frame): void =>
        packets
          .filter((packet) => !isCommand && packet.serviceIndex === serviceIndex)
          .filter((packet) => packet.command === command)
          .forEach(({ data }) => resolve(new Uint8Array(data)));
      hearers.add(hear);
      try {
        if (serviceIndex < 0) throw silent(register);
        send({ deviceId, isCommand: true, packets: [{ serviceIndex, command, data: NOTHING }] });
        return await Promise.race([promise, line.lost]);
      } finally {
        clearTimeout(timer);
        hearers.delete(hear);
      }
    },
    onLine(listen) {
      listeners.add(listen);
      return () => void listeners.delete(listen);
    },
    close: stop,
  };
}

const NOTHING = new Uint8Array();

/** The classes of a device's services, by their index; undefined: the frame announces none. */
function announcedBy({ isCommand, packets }: Frame): number[] | undefined {
  const found = packets.find(
    ({ serviceIndex, command, data }) =>
      serviceIndex === SERVICE_CONTROL && command === 0 && data.length > 4,
  );
  if (isCommand || found === undefined) return undefined;
  const view = Buffer.from(found.data);
  // The first word is flags, and stands where the control service's own class would.
  return Array.from({ length: view.length >> 2 }, (_, index) => view.readUInt32LE(4 * index));
}

function noRuntime(path: string): KitError {
  return new KitError({
    code: 'meter-no-runtime',
    message: `No meter announces itself on ${path}`,
    ...{ expected: 'a board that runs the runtime', got: 'nothing that is Jacdac' },
    hint: 'Flash it first (kit meter flash), press RESET once, and pair again.',
  });
}

function silent(register: number): KitError {
  return new KitError({
    code: 'meter-silent',
    message: 'The meter does not answer',
    ...{ expected: `its register 0x${register.toString(16)}`, got: 'nothing' },
    hint: 'Press RESET once, and try again; if it stays, write the board anew.',
  });
}
