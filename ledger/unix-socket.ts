// Unix sockets at paths of any length: the kernel takes 107 bytes, folders of try-outs are longer.

import { closeSync, lstatSync, openSync, rmSync } from 'node:fs';
import { connect } from 'node:net';
import { basename, dirname } from 'node:path';
import { LedgerError } from './errors.ts';

/** sockaddr_un's room (unix(7)), without the final NUL. */
const MAX_PATH_BYTES = 107;

export interface SocketPath {
  /** What to listen on or connect to. */
  path: string;
  /** Lets go of the folder; call once connected, or no longer listening. */
  release(): void;
}

/** A short name for a socket path, by way of the folder's open descriptor. */
export function socketPath(path: string): SocketPath {
  if (Buffer.byteLength(path) <= MAX_PATH_BYTES) return { path, release: () => {} };
  const dir = openSync(dirname(path), 'r');
  return { path: `/proc/self/fd/${dir}/${basename(path)}`, release: () => closeSync(dir) };
}

/**
 * Removes a socket that a killed server left behind. Throws LedgerError `socket-in-use` if somebody
 * answers there, or if the path is no socket at all.
 */
export async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket() || (await answers(path))) {
    const got = stat.isSocket() ? 'a server that answers' : 'a file that is no socket';
    throw new LedgerError({ code: 'socket-in-use', message: `Cannot listen on ${path}`, got });
  }
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  const short = socketPath(path);
  return new Promise<boolean>((resolve) => {
    const socket = connect(short.path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.on('error', () => resolve(false));
  }).finally(short.release);
}
