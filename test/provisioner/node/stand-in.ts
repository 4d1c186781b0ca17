// An SSH server in this process that runs what it is sent with /bin/sh, in a folder standing for
// the node's own places. It can drop, stall or babble where a test tells it to.

import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ExecutionContext } from 'ava';
import ssh2, { type Connection } from 'ssh2';

import { makeSshKey, type SshKey } from '../../../provisioner/campaign/ssh-key.ts';
import type { NodeAddress } from '../../../provisioner/node/connection.ts';

const random = (sizeBytes: number) => new Uint8Array(randomBytes(sizeBytes));

export interface StandIn {
  /** Stands for the node's folders. */
  dir: string;
  address: NodeAddress;
  /** Commands asked for, and scripts received, in order. */
  commands: string[];
  scripts: string[];
  logins: number;
  behave: Behaviour;
  /** user:group of this process: a test may not be root. */
  owner: string;
}

export interface Behaviour {
  /** Drops the connection when the output holds this; asked once a connection. */
  dropAt?: (output: string) => boolean;
  /** Sends this instead of running the script. */
  instead?: string | ((script: string) => string);
  /** Never answers a script. */
  stall?: boolean;
  /** Changes to the script on its way to the shell. */
  edit?: (script: string) => string;
}

/** @param keys of the kit that it stands for; fresh ones otherwise */
export async function startStandIn(
  t: ExecutionContext,
  keys: { hostKey?: SshKey; login?: SshKey } = {},
): Promise<StandIn> {
  const dir = await mkdtemp(join(tmpdir(), 'commons-node-'));
  const { hostKey = makeSshKey('host', random), login = makeSshKey('login', random) } = keys;
  const id = (flag: string) => execFileSync('id', [flag], { encoding: 'utf8' }).trim();
  const standIn: StandIn = {
    dir,
    address: {
      host: '127.0.0.1',
      port: 0,
      hostKeyLine: hostKey.publicLine,
      loginKeyPem: login.privatePem,
    },
    commands: [],
    scripts: [],
    logins: 0,
    behave: {},
    owner: `${id('-un')}:${id('-gn')}`,
  };
  const open = new Set<Connection>();
  const server = new ssh2.Server({ hostKeys: [hostKey.privatePem] }, (client) => {
    open.add(client);
    client.on('error', () => undefined);
    client.on('close', () => open.delete(client));
    serve(client, standIn, login.publicLine);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  standIn.address.port = (server.address() as AddressInfo).port;
  t.teardown(async () => {
    for (const client of open) client.end();
    server.close();
    await rm(dir, { recursive: true, force: true });
  });
  return standIn;
}

function serve(client: Connection, standIn: StandIn, loginLine: string): void {
  const allowed = ssh2.utils.parseKey(loginLine);
  if (allowed instanceof Error) throw allowed;
  client.on('authentication', (context) => {
    if (context.method === 'none') return context.reject(['publickey']);
    standIn.logins += 1;
    const known =
      context.method === 'publickey' && context.key.data.equals(allowed.getPublicSSH());
    if (!known) return context.reject(['publickey']);
    if (!context.signature) return context.accept();
    const verified = allowed.verify(context.blob!, context.signature, context.hashAlgo);
    return verified === true ? context.accept() : context.reject();
  });
  client.on('session', (accept) => {
    accept().on('exec', (acceptExec, _reject, { command }) => {
      standIn.commands.push(command);
      answer(acceptExec(), client, standIn);
    });
  });
}

function answer(channel: ssh2.ServerChannel, client: Connection, standIn: StandIn): void {
  const pieces: Buffer[] = [];
  const behave = standIn.behave;
  channel.on('data', (piece: Buffer) => pieces.push(piece));
  channel.on('error', () => undefined);
  channel.on('end', async () => {
    const script = Buffer.concat(pieces).toString('utf8');
    standIn.scripts.push(script);
    if (behave.stall) return;
    if (behave.instead !== undefined) {
      channel.write(
        typeof behave.instead === 'string' ? behave.instead : behave.instead(script),
      );
      channel.exit(0);
      return channel.end();
    }
    const shell = spawn('/bin/sh', ['-s'], { stdio: 'pipe' });
    let output = '';
    shell.stdout.on('data', (bytes: Buffer) => {
      output += bytes.toString('utf8');
      if (behave.dropAt?.(output)) {
        shell.kill('SIGKILL');
        return client.end();
      }
      channel.write(bytes);
    });
    shell.stderr.on('data', (bytes: Buffer) => channel.stderr.write(bytes));
    shell.stdin.on('error', () => undefined).end(settle(script, standIn));
    const [code] = await once(shell, 'close');
    channel.exit(code ?? 137);
    channel.end();
  });
}

/** The node's places as folders here. */
export function settle(script: string, { dir, behave }: Pick<StandIn, 'dir' | 'behave'>): string {
  const settled = script
    .replaceAll('/run/lock/commons-kit', join(dir, 'lock'))
    .replaceAll('/var/lib/commons-kit', join(dir, 'lib'));
  return behave.edit?.(settled) ?? settled;
}
