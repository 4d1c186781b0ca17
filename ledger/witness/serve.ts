// A witness's socket: HTTP on loopback, bounded as the ledger's own is.

import type { HttpBindings } from '@hono/node-server';
import type { AddressInfo } from 'node:net';
import { LIMITS } from '../limits.ts';
import { boundedServer, closeServer, listenOnPort } from '../server.ts';
import { witnessRoutes } from './routes.ts';
import type { Witness } from './witness.ts';

/** Serves until closed; 0 lets the system choose. Throws LedgerError `port-in-use`. */
export async function serveWitness(
  witness: Witness,
  { port, onProblem = () => {} }: { port: number; onProblem?: (error: unknown) => void },
): Promise<{ port: number; close(): Promise<void> }> {
  const app = witnessRoutes(witness, {
    rate: LIMITS.posts,
    nowMs: () => performance.now(),
    addressOf: (c) => (c.env as HttpBindings).incoming.socket.remoteAddress ?? 'unix',
    onProblem,
  });
  const server = boundedServer(app, LIMITS);
  await listenOnPort(server, port);
  const { port: chosen } = server.address() as AddressInfo;
  return { port: chosen, close: () => closeServer(server, LIMITS.requestMs) };
}
