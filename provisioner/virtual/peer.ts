// A second fediverse server for try-outs: the real snac2 and nginx of a Debian tree, run in a chroot
// as children of this process, with an account for somebody to follow. Mounts are made in a mount
// namespace of each process's own and so leave nothing behind; the tree itself is changed (it must
// be a copy of its own). Needs root, or root of a user namespace.

import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, openSync, closeSync } from 'node:fs';
import { lstat, mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { KitError } from '../errors.ts';
import type { Shell } from '../node/shell.ts';
import { snacPeer, type SnacPeer } from '../node/snac/account.ts';
import { certificateKeyPath, certificatePath, snacPort, tlsServer } from '../node/snac/nginx.ts';
import { repairKey } from '../node/snac/server.ts';

export interface PeerOptions {
  /** A Debian 13 tree with snac2, nginx and ca-certificates. */
  root: string;
  domain: string;
  /** The IPv4 address to listen on, port 443. */
  address: string;
  /** The account's name. */
  user: string;
  tls: { keyPem: string; certificatePem: string };
  caCertificatePem: string;
  /** What the peer looks names up by. */
  nameserver: string;
  /** What the processes say is appended to this file. */
  log: string;
  /** The words that run a command where the peer is to stand, such as a namespace. */
  enter?: (command: string[]) => string[];
}

export interface RunningPeer extends SnacPeer {
  stop(): Promise<void>;
}

/** Within the tree. */
const data = '/srv/peer';
const nginxConfig = '/etc/commons-kit/peer-nginx.conf';
const startTimeoutMs = 60_000;
const shellTimeoutMs = 60_000;

/**
 * Resolves when both servers listen. An account made before is kept.
 * @throws KitError `peer-failed`
 */
export async function startPeer(options: PeerOptions): Promise<RunningPeer> {
  await writeTree(options);
  const shell = shellOf(options);
  await shell(prepareScript(options));
  const snac = start(options, ['snac', 'httpd', data]);
  const nginx = start(options, ['nginx', '-c', nginxConfig]);
  const stop = async (): Promise<void> => void (await Promise.all([end(nginx), end(snac)]));
  try {
    await listening(snac, { port: snacPort, log: options.log });
    await listening(nginx, { port: 443, log: options.log });
  } catch (error) {
    await stop();
    throw error;
  }
  const { user, domain } = options;
  return { ...snacPeer({ user, domain, folder: data, runAs: 'root' }, shell), stop };
}

async function writeTree(options: PeerOptions): Promise<void> {
  const { root, domain, address, tls } = options;
  const put = async (path: string, content: string, mode = 0o644): Promise<void> => {
    const target = join(root, path);
    await mkdir(dirname(target), { recursive: true });
    // Debian's resolv.conf is a link out of the tree.
    if ((await lstat(target).catch(() => undefined))?.isSymbolicLink()) await rm(target);
    await writeFile(target, content, { mode });
  };
  await put('/etc/resolv.conf', `nameserver ${options.nameserver}\n`);
  await put('/etc/hosts', '127.0.0.1 localhost\n');
  await put('/usr/local/share/ca-certificates/campaign.crt', options.caCertificatePem);
  await put(certificatePath, tls.certificatePem);
  await put(certificateKeyPath, tls.keyPem, 0o600);
  await put(nginxConfig, nginxConfiguration(domain, address));
}

/** One process: it needs no other users, which a user namespace may not have. */
function nginxConfiguration(domain: string, address: string): string {
  return `daemon off;
master_process off;
pid /run/peer-nginx.pid;
error_log stderr warn;
events { worker_connections 64; }
http {
include /etc/nginx/mime.types;
${tlsServer(domain, [`${address}:443`])}}
`;
}

function prepareScript({ domain, user }: PeerOptions): string {
  const folder = `${data}/user/${user}`;
  return `set -eu
update-ca-certificates >/dev/null 2>&1
if [ ! -s ${data}/server.json ]; then
  rm -rf ${data}
  printf '\\n\\nlocalhost\\n\\n' | snac init ${data}
fi
sed -i -e 's|"host": "[^"]*"|"host": "${domain}"|' -e 's|"prefix": "[^"]*"|"prefix": ""|' \\
  ${data}/server.json
if [ ! -s ${folder}/key.json ]; then
  rm -rf ${folder}
  snac adduser ${data} ${user} >/dev/null
fi
${repairKey(folder)}`;
}

/** Commands in the tree, one at a time, as snac's account functions want them. */
function shellOf(options: PeerOptions): Shell {
  return async (script) => {
    const child = spawnInside(options, ['sh', '-s'], ['pipe', 'pipe', 'pipe']);
    const timer = setTimeout(() => child.kill('SIGKILL'), shellTimeoutMs);
    let [stdout, stderr] = ['', ''];
    child.stdout!.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr!.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.stdin!.on('error', () => undefined).end(script);
    const [exitCode] = await once(child, 'close');
    clearTimeout(timer);
    if (exitCode !== 0) throw failed(`exit code ${exitCode}: ${stderr.trim().slice(-500)}`, options);
    return stdout;
  };
}

function start(options: PeerOptions, command: string[]): ChildProcess {
  const log = openSync(options.log, 'a');
  try {
    return spawnInside(options, command, ['ignore', log, log]);
  } finally {
    closeSync(log);
  }
}

/** Every word but the last of these becomes the next by exec: the child's id is the command's own. */
function spawnInside(
  { root, enter = (words) => words }: PeerOptions,
  command: string[],
  stdio: ('ignore' | 'pipe' | number)[],
): ChildProcess {
  const mountAndEnter =
    'mount --rbind /dev "$0/dev" && mount -t tmpfs tmpfs "$0/run" && exec chroot "$0" "$@"';
  const words = enter([
    ...['setpriv', '--pdeathsig', 'KILL', 'unshare', '--mount', '--propagation', 'private'],
    ...['sh', '-c', mountAndEnter, root, ...command],
  ]);
  const env = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  return spawn(words[0], words.slice(1), { stdio, env });
}

/** The kernel's list of listening sockets (proc(5)), in the network that the process stands in. */
async function listening(
  child: ChildProcess,
  { port, log }: { port: number; log: string },
): Promise<void> {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  const listens = new RegExp(`:${hexPort} 00000000:0000 0A `);
  for (const untilMs = performance.now() + startTimeoutMs; performance.now() < untilMs; ) {
    if (child.exitCode !== null || child.signalCode !== null) break;
    const table = `/proc/${child.pid}/net/tcp`;
    if (existsSync(table) && listens.test(await readFile(table, 'utf8').catch(() => ''))) return;
    await sleep(50);
  }
  throw failed(`nothing listens on port ${port}`, { log });
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 5000);
  await gone;
  clearTimeout(timer);
}

function failed(got: string, { log }: { log: string }): KitError {
  return new KitError({
    code: 'peer-failed',
    message: 'The second server does not work',
    got,
    hint: `See ${log}.`,
  });
}
