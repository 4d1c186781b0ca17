// The trial home: a network namespace with a router, in which a node boots, a meter measures and a
// second server stands on the internet's side. Nothing of it touches the machine's own network, and
// the kernel ends all of it when this process ends. What stands inside is laid by home-agent.ts.
//
//   lan  192.168.77.1/24   the router: DHCP and names; the meter's packets come from here
//    └─ tap                the node, 192.168.77.2
//   lo   203.0.113.7       the peer's server                (documentation addresses, RFC 5737:
//        198.51.100.10:80  the way to the ledger's socket    to the node they are the internet)

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { KitError } from '../errors.ts';
import type { HomeMessage, HomePlan, HomeReply } from './home-agent.ts';

export const NODE_ADDRESS = '192.168.77.2';
export const PEER_ADDRESS = '203.0.113.7';
export const LEDGER_ADDRESS = '198.51.100.10';
export const TAP = 'node0';

export interface HomeOptions {
  /** Where the router keeps its files and the log. */
  dir: string;
  node: { mac: string; name: string; domain: string };
  /** Domain of the server on the internet's side. */
  peerDomain: string;
  ledgerDomain: string;
  /** The Unix socket that connections to the ledger's address are carried to. */
  ledgerSocket: string;
}

export interface Home {
  /** The words that run `command` inside: start it with the first as program. Keeps its process id. */
  enter(command: string[]): string[];
  /** Plugs or pulls the node's network cable. */
  setNodeCable(connected: boolean): Promise<void>;
  /** Opens or closes the way to the ledger; open connections break. */
  setLedgerReach(reachable: boolean): Promise<void>;
  /** Opens a way to a server inside; each call of what it gives is a new connection. */
  way(host: string, port: number): Promise<() => Socket>;
  /** The first bytes that a server says, or undefined when it does not answer in `withinMs`. */
  greeting(host: string, port: number, withinMs: number): Promise<string | undefined>;
  stop(): Promise<void>;
}

/** @throws KitError `home-failed` with what the agent said */
export async function startHome(options: HomeOptions): Promise<Home> {
  mkdirSync(options.dir, { recursive: true });
  const log = join(options.dir, 'home.log');
  const agent = spawnAgent(log);
  const ask = requester(agent, log);
  const plan: HomePlan = {
    ...{ dir: options.dir, tap: TAP, node: { ...options.node, address: NODE_ADDRESS } },
    lan: { address: '192.168.77.1', prefix: 24, dhcp: ['192.168.77.50', '192.168.77.150'] },
    wan: [PEER_ADDRESS, LEDGER_ADDRESS],
    names: {
      [options.node.domain]: NODE_ADDRESS,
      [options.peerDomain]: PEER_ADDRESS,
      [options.ledgerDomain]: LEDGER_ADDRESS,
    },
    forward: { address: LEDGER_ADDRESS, port: 80, socket: options.ledgerSocket },
  };
  await ask({ do: 'build', plan });
  const inner = childOf(agent.pid as number);
  const asRoot = process.getuid?.() === 0;
  const user = asRoot ? [] : ['--user', '--preserve-credentials'];
  return {
    // setpriv comes after nsenter: entering a user namespace clears the death signal.
    enter: (command) => [
      ...['nsenter', '--target', String(inner), ...user, '--net', '--mount', '--'],
      ...['setpriv', '--pdeathsig', 'KILL', ...command],
    ],
    setNodeCable: async (connected) => void (await ask({ do: 'cable', connected })),
    setLedgerReach: async (reachable) => void (await ask({ do: 'ledger', reachable })),
    greeting: async (host, port, withinMs) =>
      (await ask({ do: 'greet', host, port, withinMs })).greeting,
    async way(host, port) {
      // Named from the agent's own folder: a socket's path has room for 107 bytes only.
      const socket = `way-${host}-${port}.sock`;
      await ask({ do: 'way', socket, host, port });
      return () => connect(join(dirname(options.ledgerSocket), socket));
    },
    async stop() {
      if (agent.exitCode !== null || agent.signalCode !== null) return;
      const gone = once(agent, 'exit');
      agent.kill('SIGKILL');
      await gone;
    },
  };
}

function spawnAgent(log: string): ChildProcess {
  const fd = openSync(log, 'a');
  // With subordinate ids, as mmdebstrap wants them too: the router changes its group.
  const user = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user', '--map-auto'];
  const words = [
    ...['--pdeathsig', 'KILL', 'unshare', ...user, '--net', '--mount', '--pid', '--fork'],
    ...['--kill-child', '--mount-proc', process.execPath],
    fileURLToPath(new URL('home-agent.ts', import.meta.url)),
  ];
  const agent = spawn('setpriv', words, { stdio: ['ignore', fd, fd, 'ipc'] });
  closeSync(fd);
  return agent;
}

/** One question at a time a number; an agent that dies fails all that are open. */
function requester(agent: ChildProcess, log: string) {
  const open = new Map<number, { resolve(reply: HomeReply): void; reject(error: Error): void }>();
  let next = 1;
  agent.on('message', (reply: HomeReply) => {
    const waiting = open.get(reply.id);
    open.delete(reply.id);
    if (reply.error === undefined) waiting?.resolve(reply);
    else waiting?.reject(homeFailed(reply.error, log));
  });
  const fail = (why: string): void => {
    for (const waiting of open.values()) waiting.reject(homeFailed(why, log));
    open.clear();
  };
  agent.on('error', (error) => fail(error.message));
  agent.on('exit', () => fail('the home ended'));
  return (message: HomeMessage): Promise<HomeReply> => {
    const id = next++;
    return new Promise((resolve, reject) => {
      open.set(id, { resolve, reject });
      agent.send({ ...message, id }, (error) => {
        if (error) fail(error.message);
      });
    });
  };
}

function homeFailed(why: string, log: string): KitError {
  return new KitError({
    code: 'home-failed',
    message: 'The trial home could not be laid',
    got: why,
    hint: `See ${log}. It needs root, or unprivileged user namespaces and access to /dev/net/tun.`,
  });
}

/** unshare's one child: the agent as this process sees it. */
function childOf(pid: number): number {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return Number(children.split(' ')[0]);
}
