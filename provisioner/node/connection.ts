// One SSH connection to a node: a shell script, or a file's bytes, go in on standard input, what the
// script prints comes out.
// The node's host key was made at the bench and is known before the node first boots: any other key
// ends the connection before anything of ours is offered to it. Owns no script and no secret;
// nothing but `/bin/sh -s`, or where a file goes, is ever on a command line.

import { connect as tcpConnect } from 'node:net';
import type { Duplex, Readable } from 'node:stream';
import { StringDecoder } from 'node:string_decoder';

import ssh2, { type ClientChannel } from 'ssh2';

import { sshFingerprint, sshPublicBlob } from '../campaign/ssh-key.ts';
import { KitError } from '../errors.ts';
import { knownFailure } from './failure.ts';
import { quote } from './script.ts';

export interface NodeAddress {
  host: string;
  port: number;
  /** `ssh-ed25519 AAAA…`: the only key that this node may show. */
  hostKeyLine: string;
  /** OpenSSH PEM of the key that opens the user's account: secret. */
  loginKeyPem: string;
  /** Whose account is meant to open by that key; root's unless told otherwise. */
  user?: string;
  /** Another account, opened by its passphrase instead: secret. */
  account?: { user: string; passphrase: string };
}

export type Connect = (host: string, port: number) => Duplex;

export interface ConnectionOptions {
  connect?: Connect;
  /** From the first packet to an open session. */
  openTimeoutMs?: number;
}

export interface RunOptions {
  /** How long the script may go without `renew`. */
  timeoutMs: number;
  /** Pieces of standard output as they come; `renew` starts the time-out again. */
  onOutput?: (piece: string, renew: (timeoutMs: number) => void) => void;
}

export interface RunResult {
  stdout: string;
  stderr: string;
  exitCode: number;
}

export interface NodeConnection {
  /** @throws KitError `connection-lost`, `node-too-slow`, `node-too-talkative` */
  run(script: string, options: RunOptions): Promise<RunResult>;
  /**
   * Writes what `bytes` gives to a file that its owner alone may read, instead of any before.
   * @param options the time without any progress
   * @returns when the node has it on its disk @throws KitError as `run`, and `file-not-taken`
   */
  send(path: string, bytes: Readable, options: RunOptions): Promise<void>;
  /** Channels opened so far: each costs a round trip. */
  readonly roundTrips: number;
  close(): void;
}

/** An emulated node takes some ten seconds over its key exchange when the machine is busy. */
const defaultOpenTimeoutMs = 60_000;
/** All facts of a node are a few kilobytes. */
const maxOutputBytes = 4 * 1024 * 1024;
const maxErrorBytes = 16_384;

/** @throws KitError `node-unreachable`, `host-key-mismatch`, `login-refused`, `node-too-slow` */
export async function openConnection(
  address: NodeAddress,
  options: ConnectionOptions = {},
): Promise<NodeConnection> {
  const client = new ssh2.Client();
  await handshake(client, address, options);
  let roundTrips = 0;
  let lost: Error | undefined;
  client.on('error', (error) => (lost = error));
  return {
    get roundTrips() {
      return roundTrips;
    },
    async run(script, runOptions) {
      roundTrips += 1;
      const channel = await openChannel(client, address, { command: '/bin/sh -s', ...runOptions });
      return converse(channel, script, { ...runOptions, address, lost: () => lost });
    },
    async send(path, bytes, sendOptions) {
      roundTrips += 1;
      const command = `umask 077; cat >${quote(path)} && sync ${quote(path)}`;
      const channel = await openChannel(client, address, { command, ...sendOptions });
      const result = await converse(channel, bytes, { ...sendOptions, address, lost: () => lost });
      if (result.exitCode !== 0) throw notTaken(address, path, result.stderr);
    },
    close: () => void client.end(),
  };
}

/**
 * Without delay: each of the login's nine small packets would otherwise wait 40 ms for the
 * acknowledgement of the one before it.
 */
export const tcp: Connect = (host, port) => tcpConnect({ host, port, noDelay: true });

function handshake(
  client: ssh2.Client,
  address: NodeAddress,
  { connect = tcp, openTimeoutMs = defaultOpenTimeoutMs }: ConnectionOptions,
): Promise<void> {
  const pinned = sshPublicBlob(address.hostKeyLine);
  let shown: Buffer | undefined;
  return new Promise((resolve, reject) => {
    const socket = connect(address.host, address.port);
    // ssh2's own time-out begins with the connection: this one covers reaching the node as well.
    const timer = setTimeout(() => fail(tooSlow(address, openTimeoutMs)), openTimeoutMs);
    const settle = (): void => {
      clearTimeout(timer);
      client.removeAllListeners();
      client.on('error', () => undefined);
    };
    const fail = (error: KitError): void => {
      settle();
      client.end();
      socket.destroy();
      reject(error);
    };
    client.on('ready', () => {
      settle();
      resolve();
    });
    client.on('error', (cause) => fail(handshakeError(address, cause, { pinned, shown })));
    client.on('close', () => fail(unreachable(address, 'the connection closed')));
    client.connect({
      sock: socket,
      ...credentialOf(address),
      readyTimeout: openTimeoutMs,
      keepaliveInterval: 15_000,
      keepaliveCountMax: 8,
      algorithms: { serverHostKey: ['ssh-ed25519'] },
      hostVerifier: (key: Buffer) => {
        shown = key;
        return key.equals(pinned);
      },
    });
  });
}

function credentialOf({ account, loginKeyPem, user }: NodeAddress): ssh2.ConnectConfig {
  if (account === undefined) return { username: user ?? 'root', privateKey: loginKeyPem };
  return { username: account.user, password: account.passphrase };
}

type Failure = Error & { level?: string; code?: string | number };

function handshakeError(
  address: NodeAddress,
  cause: Failure,
  keys: { pinned: Buffer; shown: Buffer | undefined },
): KitError {
  const otherKey = keys.shown !== undefined && !keys.shown.equals(keys.pinned);
  if (otherKey || /no matching host key format/.test(cause.message)) {
    return new KitError({
      code: 'host-key-mismatch',
      message: `${nameOf(address)} is not the node that was made for this kit`,
      expected: sshFingerprint(keys.pinned),
      got: keys.shown ? sshFingerprint(keys.shown) : 'a key of another type',
      hint: 'Check the address. If the drive was flashed by another bench, flash it again here.',
      cause,
    });
  }
  if (cause.level === 'client-authentication') {
    return new KitError({
      code: 'login-refused',
      ...refusalOf(address),
      got: cause.message,
      cause,
    });
  }
  return unreachable(address, cause.message || String(cause.code ?? 'no reason given'), cause);
}

function refusalOf(address: NodeAddress): { message: string; expected: string; hint: string } {
  if (address.account === undefined) {
    return {
      message: `${nameOf(address)} does not let the bench in`,
      expected: 'root to be reachable with the campaign’s bench key',
      hint: 'Was the kit handed over already, or flashed for another campaign?',
    };
  }
  const { user } = address.account;
  return {
    message: `${nameOf(address)} does not let ${user} in`,
    expected: `${user} to be let in by passphrase`,
    hint: 'Has the owner changed the passphrase? Is the bench on the node’s own network?',
  };
}

function openChannel(
  client: ssh2.Client,
  address: NodeAddress,
  { command, timeoutMs }: { command: string; timeoutMs: number },
): Promise<ClientChannel> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(tooSlow(address, timeoutMs)), timeoutMs);
    const settle = (error: Error | undefined, channel: ClientChannel): void => {
      clearTimeout(timer);
      if (error) reject(connectionLost(address, error.message));
      else resolve(channel);
    };
    try {
      client.exec(command, settle);
    } catch (error) {
      settle(error as Error, undefined as never);
    }
  });
}

function converse(
  channel: ClientChannel,
  input: string | Readable,
  options: RunOptions & { address: NodeAddress; lost: () => Error | undefined },
): Promise<RunResult> {
  const { address, onOutput } = options;
  const decoder = new StringDecoder('utf8');
  let [stdout, stderr] = ['', ''];
  let exitCode: number | undefined;
  return new Promise((resolve, reject) => {
    let timer: NodeJS.Timeout;
    const fail = (error: unknown): void => {
      clearTimeout(timer);
      channel.removeAllListeners('close');
      channel.destroy();
      if (typeof input !== 'string') input.destroy();
      reject(error);
    };
    const renew = (timeoutMs: number): void => {
      clearTimeout(timer);
      timer = setTimeout(() => fail(tooSlow(address, timeoutMs)), timeoutMs);
    };
    renew(options.timeoutMs);
    channel.on('data', (bytes: Buffer) => {
      const piece = decoder.write(bytes);
      stdout += piece;
      if (stdout.length > maxOutputBytes) return fail(tooTalkative(address));
      try {
        onOutput?.(piece, renew);
      } catch (error) {
        fail(error);
      }
    });
    channel.stderr.on('data', (bytes: Buffer) => {
      stderr = (stderr + bytes.toString('utf8')).slice(-maxErrorBytes);
    });
    channel.on('exit', (code: number | null) => (exitCode = code ?? -1));
    channel.on('error', (error: Error) => fail(connectionLost(address, error.message)));
    channel.on('close', () => {
      clearTimeout(timer);
      if (exitCode !== undefined) return resolve({ stdout, stderr, exitCode });
      reject(connectionLost(address, options.lost()?.message ?? 'it closed without an exit code'));
    });
    if (typeof input === 'string') return void channel.end(input);
    // Backwards pressure is the pipe's: what is read, the node takes.
    input.on('data', () => renew(options.timeoutMs)).on('error', fail);
    input.pipe(channel);
  });
}

function nameOf({ host, port }: NodeAddress): string {
  return port === 22 ? host : `${host}:${port}`;
}

function unreachable(address: NodeAddress, got: string, cause?: Error): KitError {
  const unnamed = /ENOTFOUND|EAI_AGAIN/.test(got);
  return new KitError({
    code: 'node-unreachable',
    message: `${nameOf(address)} cannot be reached by SSH`,
    expected: 'a node that has booted, on this network',
    got,
    hint: unnamed
      ? 'No name server knows it yet: set `address` in its [[kit]] to where it is on this network.'
      : 'Is it plugged in and on this LAN? Give it two minutes after power-on, or set `address`.',
    cause,
  });
}

function connectionLost(address: NodeAddress, got: string): KitError {
  return new KitError({
    code: 'connection-lost',
    message: `The connection to ${nameOf(address)} was lost`,
    expected: 'a node that stays on the network',
    got,
    hint: 'Run the command again: it goes on where it was.',
  });
}

function notTaken(address: NodeAddress, path: string, said: string): KitError {
  return new KitError({
    code: knownFailure(said)?.code ?? 'file-not-taken',
    message: `${nameOf(address)} did not take a file`,
    expected: `${path} to be written`,
    got: said.trim() || 'no reason given',
    hint: 'Look at the node’s drive: is there room, does it take writes?',
  });
}

function tooSlow(address: NodeAddress, timeoutMs: number): KitError {
  return new KitError({
    code: 'node-too-slow',
    message: `${nameOf(address)} did not answer in time`,
    expected: `an answer within ${timeoutMs / 1000} s`,
    got: 'silence',
    hint: 'Run the command again; if it persists, look at the node’s load and disk.',
  });
}

function tooTalkative(address: NodeAddress): KitError {
  return new KitError({
    code: 'node-too-talkative',
    message: `${nameOf(address)} sent more than makes sense`,
    expected: `at most ${maxOutputBytes} bytes`,
    got: 'more',
    hint: 'Look at the node: is it the one that was flashed, is its drive sound? Then run it again.',
  });
}
