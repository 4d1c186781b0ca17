// Process 1 of the trial home: lays its network with iproute2, runs its router (dnsmasq), carries
// connections for the ledger to a Unix socket, and obeys home.ts over the channel it was started
// with. When it ends, the kernel ends everything in the namespace.

import { execFileSync, spawn } from 'node:child_process';
import { Resolver } from 'node:dns/promises';
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { basename, dirname, resolve as resolvePath } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

export interface HomePlan {
  dir: string;
  tap: string;
  node: { mac: string; name: string; domain: string; address: string };
  lan: { address: string; prefix: number; dhcp: [string, string] };
  wan: string[];
  names: Record<string, string>;
  forward: { address: string; port: number; socket: string };
}

export type HomeMessage =
  | { do: 'build'; plan: HomePlan }
  | { do: 'cable'; connected: boolean }
  | { do: 'ledger'; reachable: boolean }
  | { do: 'greet'; host: string; port: number; withinMs: number }
  | { do: 'way'; socket: string; host: string; port: number };

export interface HomeReply {
  id: number;
  error?: string;
  greeting?: string;
}

/** A greeting is a line; what talks on is not worth waiting for. */
const MAX_GREETING_BYTES = 512;

let plan: HomePlan;
let forwarder: { server: Server; open: Set<Socket> } | undefined;

process.on('message', async (message: HomeMessage & { id: number }) => {
  const { id } = message;
  try {
    process.send?.({ id, ...(await obey(message)) });
  } catch (error) {
    process.send?.({ id, error: error instanceof Error ? error.message : String(error) });
  }
});
// The channel closes when the journey is gone.
process.on('disconnect', () => process.exit(0));

async function obey(message: HomeMessage): Promise<{ greeting?: string }> {
  switch (message.do) {
    case 'build':
      plan = message.plan;
      // A socket's path has room for 107 bytes only; its name from its own folder is short.
      process.chdir(dirname(plan.forward.socket));
      layNetwork();
      writeNames();
      await startRouter();
      await openForwarder();
      return {};
    case 'cable':
      ip('link', 'set', plan.tap, message.connected ? 'up' : 'down');
      return {};
    case 'ledger':
      await (message.reachable ? openForwarder() : closeForwarder());
      return {};
    case 'greet':
      return { greeting: await greet(message.host, message.port, message.withinMs) };
    case 'way':
      await openWay(message);
      return {};
  }
}

function layNetwork(): void {
  ip('link', 'set', 'lo', 'up');
  ip('link', 'add', 'lan', 'type', 'bridge', 'forward_delay', '0', 'stp_state', '0');
  ip('address', 'add', `${plan.lan.address}/${plan.lan.prefix}`, 'dev', 'lan');
  ip('link', 'set', 'lan', 'up');
  ip('tuntap', 'add', 'dev', plan.tap, 'mode', 'tap');
  ip('link', 'set', plan.tap, 'master', 'lan', 'up');
  // The internet's side ends in this very namespace: its addresses need no wire of their own.
  for (const address of plan.wan) ip('address', 'add', `${address}/32`, 'dev', 'lo');
}

/** Names inside are the router's; /etc/resolv.conf is covered in this mount namespace only. */
function writeNames(): void {
  const cover = (name: string, text: string): void => {
    const path = resolvePath(plan.dir, name);
    writeFileSync(path, text);
    if (existsSync(`/etc/${name}`)) execFileSync('mount', ['--bind', path, `/etc/${name}`]);
  };
  cover('resolv.conf', `nameserver ${plan.lan.address}\noptions timeout:2 attempts:2\n`);
  cover('hosts', '127.0.0.1 localhost\n');
}

async function startRouter(): Promise<void> {
  const file = resolvePath(plan.dir, 'dnsmasq.conf');
  const leases = resolvePath(plan.dir, 'leases');
  mkdirSync(plan.dir, { recursive: true });
  writeFileSync(
    file,
    [
      ...['no-resolv', 'no-hosts', 'dhcp-authoritative', 'no-ping', 'user=root', 'group=root'],
      ...['bind-interfaces', 'interface=lan', 'interface=lo', 'no-dhcp-interface=lo'],
      `dhcp-leasefile=${leases}`,
      'pid-file=',
      `dhcp-range=${plan.lan.dhcp.join(',')},12h`,
      `dhcp-host=${plan.node.mac},${plan.node.address},${plan.node.name}`,
      ...Object.entries(plan.names).map(([name, address]) => `address=/${name}/${address}`),
      '',
    ].join('\n'),
  );
  const words = ['--keep-in-foreground', `--conf-file=${file}`, '--log-facility=-'];
  const router = spawn('dnsmasq', words, { stdio: ['ignore', 'inherit', 'inherit'] });
  const [name, address] = Object.entries(plan.names)[0];
  await Promise.race([
    answers(name, address),
    new Promise((_, reject) => {
      router.once('error', reject);
      router.once('exit', (code) => reject(new Error(`dnsmasq ended with status ${code}`)));
    }),
  ]);
}

/** Resolves when the router answers for `name`: that it listens, it says only in its log. */
async function answers(name: string, address: string): Promise<void> {
  const resolver = new Resolver({ timeout: 500, tries: 2 });
  resolver.setServers([plan.lan.address]);
  for (let attempt = 1; ; attempt++) {
    try {
      const got = await resolver.resolve4(name);
      if (got[0] === address) return;
      throw new Error(`router: expected ${address} for ${name}, got ${got}`);
    } catch (error) {
      if (attempt === 50) throw error;
      await delay(100);
    }
  }
}

async function openForwarder(): Promise<void> {
  if (forwarder) return;
  const open = new Set<Socket>();
  const server = createServer((outer) => join(outer, connect(basename(plan.forward.socket)), open));
  const { address: host, port } = plan.forward;
  await listening(server, (done) => server.listen(port, host, done));
  forwarder = { server, open };
}

/** Lets those outside reach a host in here, by a Unix socket in the home's folder. */
async function openWay({ socket, host, port }: HomeMessage & { do: 'way' }): Promise<void> {
  rmSync(socket, { force: true });
  const server = createServer((outer) => join(outer, connect({ host, port })));
  await listening(server, (done) => server.listen(socket, done));
}

function listening(server: Server, listen: (done: () => void) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    listen(resolve);
  });
}

/** Carries bytes both ways; when either end breaks the other does too, as on a real line. */
function join(outer: Socket, inner: Socket, open?: Set<Socket>): void {
  for (const [one, other] of [[outer, inner], [inner, outer]]) {
    open?.add(one);
    one.pipe(other);
    one.on('error', () => other.destroy());
    one.on('close', () => {
      open?.delete(one);
      other.destroy();
    });
  }
}

async function closeForwarder(): Promise<void> {
  const closing = forwarder;
  forwarder = undefined;
  if (!closing) return;
  for (const socket of closing.open) socket.destroy();
  await new Promise((resolve) => closing.server.close(resolve));
}

function greet(host: string, port: number, withinMs: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    let text = '';
    const end = (greeting?: string): void => {
      clearTimeout(timer);
      socket.destroy();
      resolve(greeting);
    };
    const timer = setTimeout(end, withinMs);
    socket.on('data', (chunk) => {
      text += chunk.toString('latin1');
      if (text.includes('\n') || text.length > MAX_GREETING_BYTES) end(text);
    });
    // Not there yet is the usual answer while a node boots.
    socket.on('error', () => end());
    socket.on('close', () => end());
  });
}

function ip(...args: string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'inherit', 'inherit'] });
}
