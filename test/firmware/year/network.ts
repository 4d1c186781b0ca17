// The home's network as the meter's sockets see it: lines that are refused, lead nowhere, hang,
// dribble or close early; behind them whoever answers. All delays are the world's time.
import type { Connection } from '../../../firmware/http.ts';
import type { Life, Timeline } from './timeline.ts';

/** How a line behaves for now. */
export const LINES = ['well', 'refused', 'no route', 'hung', 'closes', 'dribbles'] as const;
export type Line = (typeof LINES)[number];

/** An answer's bytes, and after how long they begin to come. */
export interface Answer {
  bytes: Buffer;
  afterMs: number;
  /** Told when all of it has been handed over. */
  delivered?: () => void;
}

export interface Network {
  /** How the node is reached, and how the ledger beyond the router is. */
  lan: Line;
  wan: Line;
}

export interface NetworkOptions {
  timeline: Timeline;
  life: Life;
  chance: () => number;
  lines: Network;
  /** Whether a host is the node, lies beyond the router, is nobody, or a name that nobody knows. */
  leadsTo(host: string): 'node' | 'beyond' | 'nobody' | 'nowhere';
  /** Undefined: nobody listens there. */
  answer(host: string, port: number, request: Buffer): Promise<Answer | undefined>;
}

/** The node's name, by which it is known at any address. */
export const HOST = 'alice.test';
/** A byte each time: so many last longer than any patience. */
const DRIBBLE_MS = 900;
const DRIBBLES = 20;

export async function connectThrough(
  options: NetworkOptions, host: string, port: number, timeoutMs: number,
): Promise<Connection> {
  const { timeline, life, chance, lines } = options;
  const to = options.leadsTo(host);
  if (to === 'nowhere') throw new Error("can't resolve host");
  const line = to === 'nobody' ? 'no route' : to === 'node' ? lines.lan : lines.wan;
  if (line === 'no route') {
    await timeline.sleep(timeoutMs, life);
    throw new Error('connect: no route');
  }
  await timeline.sleep(2 + Math.floor(chance() * 60), life);
  if (line === 'refused') throw new Error('connect: refused');
  const parts: Buffer[] = [];
  let coming: { chunks: Buffer[]; waitMs: number; delivered?: () => void } | undefined;

  const ask = async (): Promise<typeof coming> => {
    if (line === 'hung') return { chunks: [], waitMs: Infinity };
    const answer = await options.answer(host, port, Buffer.concat(parts));
    if (answer === undefined) return { chunks: [], waitMs: 0 };
    const { bytes, afterMs, delivered } = answer;
    if (line === 'closes') {
      return { chunks: [bytes.subarray(0, Math.floor(chance() * bytes.length))], waitMs: afterMs };
    }
    if (line === 'dribbles') return { chunks: cut(bytes.subarray(0, DRIBBLES), 1), waitMs: afterMs };
    return { chunks: cut(bytes, 1 + Math.floor(chance() * 1400)), waitMs: afterMs, delivered };
  };
  return {
    send: async (bytes) => void parts.push(Buffer.from(bytes)),
    async receive(patienceMs) {
      coming ??= await ask();
      const stepMs = line === 'dribbles' ? DRIBBLE_MS : 1;
      const waitMs = Math.max(coming!.waitMs, coming!.chunks.length > 0 ? stepMs : 0);
      await timeline.sleep(Math.min(waitMs, patienceMs), life);
      coming!.waitMs = waitMs - Math.min(waitMs, patienceMs);
      if (coming!.waitMs > 0) return undefined;
      const chunk = coming!.chunks.shift();
      if (coming!.chunks.length === 0) coming!.delivered?.();
      return chunk ?? null;
    },
    close: async () => {},
  };
}

function cut(bytes: Buffer, size: number): Buffer[] {
  const chunks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += size) chunks.push(bytes.subarray(at, at + size));
  return chunks;
}

/** A response as nginx or the node's socket sends one. */
export function httpResponse(status: number, body: Uint8Array): Buffer {
  const head = `HTTP/1.1 ${status} Whatever\r\nServer: x\r\nContent-Length: ${body.length}\r\n\r\n`;
  return Buffer.concat([Buffer.from(head), body]);
}

export interface HttpRequest {
  method: string;
  path: string;
  headers: Map<string, string>;
  body: Buffer;
}

export function parseRequest(bytes: Buffer): HttpRequest {
  const end = bytes.indexOf('\r\n\r\n');
  const [first, ...lines] = bytes.toString('latin1', 0, end).split('\r\n');
  const [method, path] = first.split(' ');
  const headers = new Map(lines.map((line) => {
    const at = line.indexOf(':');
    return [line.slice(0, at).toLowerCase(), line.slice(at + 1).trim()];
  }));
  return { method, path, headers, body: bytes.subarray(end + 4) };
}
