// A port of this machine that stands for a line to somebody: well, or refused, hung, closing early,
// dribbling. What is asked is answered in real time, as an open connection holds the meter's to it.
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { parseRequest, type Answer, type HttpRequest, type Line } from '../year/network.ts';

/** Loopback knows no network without a route. */
export type DoorLine = Exclude<Line, 'no route'>;

export interface Door {
  /** `127.0.0.1:` and a port of the system's choice. */
  address: string;
  set(line: DoorLine): void;
  close(): void;
}

const DRIBBLE_MS = 900;
const DRIBBLES = 20;

/** @param answer undefined: nobody is at home, the connection ends */
export async function openDoor(
  answer: (request: HttpRequest) => Promise<Answer | undefined>,
  chance: () => number,
): Promise<Door> {
  let line: DoorLine = 'well';
  const open = new Set<Socket>();
  const server = createServer((socket) => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
    // The meter's power is cut in the middle of things.
    socket.on('error', () => socket.destroy());
    if (line === 'hung') socket.resume();
    else void serve(socket, line);
  });

  async function serve(socket: Socket, how: DoorLine): Promise<void> {
    const request = await wholeRequest(socket);
    const told = request && (await answer(request));
    if (told === undefined) return void socket.destroy();
    const { bytes, afterMs, delivered } = told;
    // A ledger that stays silent is heard out by nobody.
    await delay(Math.min(afterMs, 60_000), undefined, { ref: false });
    if (socket.destroyed) return;
    if (how === 'dribbles') return void dribble(socket, bytes.subarray(0, DRIBBLES));
    const kept = how === 'closes' ? Math.floor(chance() * bytes.length) : bytes.length;
    socket.end(bytes.subarray(0, kept), () => kept === bytes.length && delivered?.());
  }

  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    address: `127.0.0.1:${port}`,
    set(next) {
      line = next;
      // A closed port is what refuses.
      if (next === 'refused') server.close();
      else if (!server.listening) server.listen(port, '127.0.0.1');
    },
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}

async function dribble(socket: Socket, bytes: Uint8Array): Promise<void> {
  for (const byte of bytes) {
    await delay(DRIBBLE_MS, undefined, { ref: false });
    if (socket.destroyed) return;
    socket.write(Uint8Array.of(byte));
  }
}

/** Undefined if it ends before it is whole. */
async function wholeRequest(socket: Socket): Promise<HttpRequest | undefined> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0);
    socket.on('close', () => resolve(undefined));
    socket.on('data', (part: Buffer) => {
      bytes = Buffer.concat([bytes, part]);
      const headEnd = bytes.indexOf('\r\n\r\n');
      if (headEnd < 0) return;
      const request = parseRequest(bytes);
      const sizeBytes = Number(request.headers.get('content-length') ?? 0);
      if (request.body.length >= sizeBytes) resolve(request);
    });
  });
}
