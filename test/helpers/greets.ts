// Whether a server that speaks first, as SSH's does, is there.

import { once } from 'node:events';
import { connect } from 'node:net';

/** False too when it says nothing for a second. */
export async function greets(host: string, port: number): Promise<boolean> {
  const socket = connect({ host, port, timeout: 1000 });
  const greeted = await Promise.race([
    once(socket, 'data').then(() => true, () => false),
    once(socket, 'timeout').then(() => false),
    once(socket, 'close').then(() => false, () => false),
  ]);
  socket.destroy();
  return greeted;
}
