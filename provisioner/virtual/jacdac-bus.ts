// The bench's end of a meter's Jacdac bus: one device with the services that the meter's program
// asks for, and a place for a client of the meter's own services. It answers the moment it is
// asked, at the meter's time; it has no timers, but says when it wants to speak next.
// Owns the bus manners (announcing, acknowledging, registers); services bring the meaning.

import { decodeFrames, encodeFrame, GET_REGISTER, SERVICE_ACK, SERVICE_CONTROL } from './jacdac.ts';
import type { Frame, FrameParts, Packet } from './jacdac.ts';

/** A packet of a service's own; the bus puts the service's index to it. */
export type Report = Omit<Packet, 'serviceIndex'>;

export interface BusService {
  serviceClass: number;
  /** Answers a command. */
  handle(command: number, data: Uint8Array, atMs: number): Report[];
  /** When it wants to speak unasked, Unix ms; `Infinity`: not before it is asked again. */
  dueMs(): number;
  /** What it says unasked; called once that time has come. */
  speak(atMs: number): Report[];
}

/** Somebody on the bench who talks to the meter's own services. */
export interface BusClient {
  hear(frame: Frame): void;
  /** Frames to send to the meter now. */
  take(): FrameParts[];
}

export interface JacdacBus {
  /** The meter has power: it knows nobody yet. */
  powerOn(atMs: number): void;
  /** Hears what the meter sent, and answers. `dueMs`: when the bus wants to speak again. */
  exchange(frames: Uint8Array, atMs: number): { frames: Uint8Array; dueMs: number };
}

/** Devices announce themselves about twice a second (Jacdac control service). */
const ANNOUNCE_EVERY_MS = 500;
/** Bit 8 of the announcement's flags: "I acknowledge frames". */
const FLAG_SUPPORTS_ACK = 0x0100;
const MAX_RESTART_COUNT = 15;
const COMMAND_EVENT = 0x8000;
const MAX_EVENT_COUNT = 0x7f;
const REGISTER_STATUS_CODE = 0x103;

/** @param deviceId of the bench's device, 16 hexadecimal digits */
export function createJacdacBus(
  deviceId: string,
  services: BusService[],
  clients: BusClient[],
): JacdacBus {
  let announceMs = 0;
  let announced = 0;
  let events = 0;

  const report = (packets: Packet[]): FrameParts[] => packets.map((packet) => ({
    ...{ deviceId, packets: [packet] },
  }));
  const numbered = (serviceIndex: number, reports: Report[]): Packet[] =>
    reports.map(({ command, data }) => {
      if (!isEvent(command)) return { serviceIndex, command, data };
      events = (events + 1) & MAX_EVENT_COUNT;
      return { serviceIndex, command: command | (events << 8), data };
    });

  const answer = (frame: Frame, atMs: number): FrameParts[] => {
    clients.forEach((client) => client.hear(frame));
    if (!frame.isCommand || frame.isMulticast || frame.deviceId !== deviceId) return [];
    const ack = { serviceIndex: SERVICE_ACK, command: frame.crc, data: new Uint8Array() };
    const answers = frame.packets.flatMap(({ serviceIndex, command, data }) => {
      const service = services[serviceIndex - 1];
      if (service === undefined) return [];
      if (command === (GET_REGISTER | REGISTER_STATUS_CODE)) {
        return numbered(serviceIndex, [{ command, data: new Uint8Array(4) }]);
      }
      return numbered(serviceIndex, service.handle(command, data, atMs));
    });
    return report(frame.wantsAck ? [ack, ...answers] : answers);
  };

  const announce = (): FrameParts[] => {
    announced = Math.min(MAX_RESTART_COUNT, announced + 1);
    const data = Buffer.alloc(4 * (1 + services.length));
    data.writeUInt16LE(FLAG_SUPPORTS_ACK | announced, 0);
    services.forEach((service, index) => data.writeUInt32LE(service.serviceClass, 4 * (1 + index)));
    return report([{ serviceIndex: SERVICE_CONTROL, command: 0, data }]);
  };

  const unasked = (atMs: number): FrameParts[] => {
    const said = services.flatMap((service, index) =>
      service.dueMs() <= atMs ? report(numbered(index + 1, service.speak(atMs))) : [],
    );
    said.push(...clients.flatMap((client) => client.take()));
    if (atMs < announceMs) return said;
    announceMs = atMs + ANNOUNCE_EVERY_MS;
    return [...announce(), ...said];
  };

  return {
    powerOn(atMs) {
      announceMs = atMs;
      announced = 0;
    },
    exchange(frames, atMs) {
      const answers = decodeFrames(frames).flatMap((frame) => answer(frame, atMs));
      const said = [...answers, ...unasked(atMs)].map(encodeFrame);
      const dueMs = Math.min(announceMs, ...services.map((service) => service.dueMs()));
      return { frames: Buffer.concat(said), dueMs };
    },
  };
}

function isEvent(command: number): boolean {
  return (command & COMMAND_EVENT) !== 0;
}
