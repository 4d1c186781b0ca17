// Ports as the LAN sees them: 80 and 443 must answer, and what listens without being meant for
// others must not. What the internet sees of them is public.ts's.

import type { Duplex } from 'node:stream';

import type { Kit } from '../campaign/campaign.ts';
import type { Connect } from '../node/connection.ts';
import { failed, ok, type Check } from './finding.ts';

export interface PortsDeps {
  connect: Connect;
  /** Ports that others are meant to reach. */
  openPorts: number[];
  /** Ports that something listens on; undefined when the node could not be asked. */
  listening: number[] | undefined;
}

/** A firewall that drops lets one wait for ever. */
const openTimeoutMs = 2000;
/** A port scanner's tarpit is no node of ours. */
const mostAsked = 50;
const needed = [80, 443];

export async function checkPorts(
  kit: Kit,
  { connect, openPorts, listening }: PortsDeps,
): Promise<Check> {
  const name = 'ports';
  const answers = async (port: number): Promise<boolean> => opens(connect(kit.address, port));
  const unmeant = (listening ?? []).filter((port) => !openPorts.includes(port)).slice(0, mostAsked);
  const asked = [...needed, ...unmeant];
  const answered = await Promise.all(asked.map(answers));
  const shut = needed.filter((_, at) => !answered[at]);
  if (shut.length > 0) {
    const advice = 'Run `kit configure`: it sets the firewall and starts the web server.';
    return failed(name, `no answer on ${shut.join(', ')}`, advice);
  }
  const bare = unmeant.filter((_, at) => answered[needed.length + at]);
  if (bare.length > 0) {
    const advice = 'Run `kit configure`: it sets the firewall; then see what listens there.';
    return failed(name, `everybody on the LAN reaches ${bare.join(', ')}`, advice);
  }
  const others = listening === undefined ? 'others not seen' : `${unmeant.length} others shut`;
  return ok(name, `80 and 443 answer; ${others}`);
}

function opens(socket: Duplex): Promise<boolean> {
  return new Promise((resolve) => {
    const end = (open: boolean): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(open);
    };
    const timer = setTimeout(() => end(false), openTimeoutMs);
    socket.on('error', () => end(false));
    socket.on('close', () => end(false));
    socket.on('connect', () => end(true));
  });
}
