// The meter's sockets: TCP and TLS clients, one at a time, as the DeviceScript runtime has them.
// Runs inside the meter's process, so that a connection leaves from the meter's own network.
// Events wait here until the machine's loop takes them at its own time. Interprets no byte.

import { connect as connectTcp, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { SOCKET_EVENT } from './vm-module.ts';

export interface SocketEvent {
  event: (typeof SOCKET_EVENT)[keyof typeof SOCKET_EVENT];
  bytes: Uint8Array;
}

/** What the bench hears of a connection: that it opened, closed or failed, and every byte moved. */
export interface SocketTap {
  /** Counts the connections since power-on. */
  connection: number;
  event: 'open' | 'sent' | 'received' | 'close' | 'error';
  host: string;
  port: number;
  /** The failure in words, for `error`. */
  message?: string;
}

export interface VmSockets {
  open(host: string, port: number, tls: boolean): void;
  /** @returns whether there was a connection to write to */
  write(bytes: Uint8Array): boolean;
  close(): boolean;
  isOpen(): boolean;
  /** The events since the last call, in order. */
  take(): SocketEvent[];
}

/** A board's network stack hands data on a segment at a time: its buffers are no larger. */
const SEGMENT_BYTES = 1460;

/** @param wake called when `take` has something new */
export function createSockets(tap: (tap: SocketTap, bytes: Uint8Array) => void, wake: () => void) {
  let current: Socket | undefined;
  let connections = 0;
  let events: SocketEvent[] = [];
  let told: (event: SocketTap['event'], bytes?: Uint8Array, message?: string) => void = () => {};

  const tell = (event: SocketEvent['event'], bytes: Uint8Array = new Uint8Array()): void => {
    events.push({ event, bytes });
    wake();
  };
  const drop = (): boolean => {
    const socket = current;
    current = undefined;
    if (socket === undefined) return false;
    told('close');
    socket.destroySoon();
    return true;
  };

  const sockets: VmSockets = {
    open(host, port, tls) {
      drop();
      events = [];
      const peer = { host, port };
      const socket = tls ? connectTls({ ...peer, servername: host }) : connectTcp(peer);
      const connection = (connections += 1);
      current = socket;
      const tapThis: typeof told = (event, bytes = new Uint8Array(), message) =>
        tap({ connection, event, host, port, message }, bytes);
      told = tapThis;
      const whileCurrent = <T>(act: (value: T) => void) => (value: T) => {
        if (socket === current) act(value);
      };
      const opened = whileCurrent(() => (tapThis('open'), tell(SOCKET_EVENT.open)));
      socket.once(tls ? 'secureConnect' : 'connect', opened);
      socket.on('data', whileCurrent((chunk: Buffer) => {
        tapThis('received', chunk);
        for (let at = 0; at < chunk.length; at += SEGMENT_BYTES) {
          tell(SOCKET_EVENT.message, chunk.subarray(at, at + SEGMENT_BYTES));
        }
      }));
      // A socket that the machine has dropped may still fail; nobody is left to be told.
      socket.on('error', whileCurrent((error: Error) => {
        current = undefined;
        tapThis('error', undefined, error.message);
        tell(SOCKET_EVENT.error, Buffer.from(error.message));
      }));
      socket.on('close', whileCurrent(() => {
        current = undefined;
        tapThis('close');
        tell(SOCKET_EVENT.close);
      }));
    },
    write(bytes) {
      if (current === undefined) return false;
      current.write(bytes);
      told('sent', bytes);
      return true;
    },
    close: drop,
    isOpen: () => current !== undefined,
    take() {
      const taken = events;
      events = [];
      return taken;
    },
  };
  return sockets;
}
