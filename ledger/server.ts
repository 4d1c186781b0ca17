// The ledger's sockets: HTTP on loopback TCP and, if asked, on a Unix socket; the operator's own
// requests on DIR/admin.sock (mode 0600). Bounds connections and slow peers. Knows no decision and
// no page.

import type { HttpBindings } from '@hono/node-server';
import { createAdaptorServer } from '@hono/node-server';
import { chmodSync } from 'node:fs';
import { createServer } from 'node:http';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Hono } from 'hono';
import { adminRoutes } from './admin.ts';
import { LedgerError } from './errors.ts';
import type { Ledger } from './ledger.ts';
import { LIMITS } from './limits.ts';
import type { Limits } from './limits.ts';
import { ownerOfPort } from './port.ts';
import { ledgerRoutes } from './routes.ts';
import { removeStaleSocket, socketPath } from './unix-socket.ts';

export interface ServeOptions {
  /** 0 lets the system choose; undefined: no TCP. */
  port?: number;
  /** Path of a Unix socket that serves the same routes. */
  listenUnix?: string;
  limits?: Limits;
  onProblem?: (error: unknown) => void;
}

export interface LedgerServer {
  /** The TCP port, if there is one. */
  port: number | undefined;
  close(): Promise<void>;
}

/** Serves until closed; closing answers who is being answered. Throws LedgerError `port-in-use`. */
export async function serveLedger(ledger: Ledger, options: ServeOptions): Promise<LedgerServer> {
  const { port, listenUnix, limits = LIMITS, onProblem = () => {} } = options;
  const addressOf = (c: { env: unknown }): string =>
    (c.env as HttpBindings).incoming.socket.remoteAddress ?? 'unix';
  const nowMs = (): number => performance.now();
  const routes = ledgerRoutes(ledger, { limits, addressOf, onProblem, nowMs });
  const servers: Server[] = [];
  const start = async (app: Hono, listen: (server: Server) => Promise<void>): Promise<void> => {
    const server = boundedServer(app, limits);
    await listen(server);
    servers.push(server);
  };
  const close = async (): Promise<void> => {
    await Promise.all(servers.map((server) => closeServer(server, limits.requestMs)));
  };
  try {
    const admin = join(ledger.store.dir, 'admin.sock');
    await start(adminRoutes(ledger), (server) => listenOnSocket(server, admin, 0o600));
    if (listenUnix !== undefined) {
      await start(routes, (server) => listenOnSocket(server, listenUnix, 0o666));
    }
    if (port !== undefined) await start(routes, (server) => listenOnPort(server, port));
  } catch (error) {
    await close();
    throw error;
  }
  const tcp = port === undefined ? undefined : (servers.at(-1)!.address() as AddressInfo).port;
  return { port: tcp, close };
}

/** A server that bounds connections, headers and slow peers. */
export function boundedServer(app: Hono, { connections, requestMs }: Limits): Server {
  const serverOptions = {
    requestTimeout: requestMs,
    headersTimeout: Math.ceil(requestMs / 2),
    keepAliveTimeout: 5_000,
    connectionsCheckingInterval: 1_000,
    maxHeaderSize: 8_192,
  };
  const server = createAdaptorServer({ fetch: app.fetch, createServer, serverOptions }) as Server;
  server.maxConnections = connections;
  // A peer that takes its answer more slowly than this is let go; not one that waits for ours, as
  // for a backup, or for projections to grow anew.
  server.setTimeout(2 * requestMs);
  server.on('request', (_, response) => {
    response.on('timeout', (socket) => {
      if (response.headersSent) socket.destroy();
    });
  });
  return server;
}

/** Listens on loopback; 0 lets the system choose. Throws LedgerError `port-in-use`. */
export async function listenOnPort(server: Server, port: number): Promise<void> {
  try {
    await listening(server, () => server.listen(port, '127.0.0.1'));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw cause;
    const got = ownerOfPort(port) ?? 'another process has it';
    const hint = 'Stop that process, or choose another --port.';
    const message = `Port ${port} is in use`;
    throw new LedgerError({ code: 'port-in-use', message, got, hint, cause });
  }
}

async function listenOnSocket(server: Server, path: string, mode: number): Promise<void> {
  await removeStaleSocket(path);
  const short = socketPath(path);
  try {
    await listening(server, () => server.listen(short.path));
  } catch (error) {
    short.release();
    throw error;
  }
  chmodSync(path, mode);
  // The name is taken back by way of the same descriptor that it was given by.
  server.once('close', short.release);
}

function listening(server: Server, listen: () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.once('listening', () => {
      server.off('error', reject);
      resolve();
    });
    listen();
  });
}

/** Answers who is being answered; whoever takes longer than any request may is cut off. */
export function closeServer(server: Server, patienceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const cut = setTimeout(() => server.closeAllConnections(), patienceMs);
    server.close(() => {
      clearTimeout(cut);
      resolve();
    });
    server.closeIdleConnections();
  });
}
