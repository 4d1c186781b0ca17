// The subject's machine: switched on with its cable in or not, listened to on its serial line,
// reached by SSH through a loopback port, and robbed of its power.

import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';

import { KitError } from '../../provisioner/errors.ts';
import { openConnection, type NodeConnection } from '../../provisioner/node/connection.ts';
import { addressOf } from '../../provisioner/node/kinds.ts';
import { until } from '../../provisioner/try/wait.ts';
import { chooseBoard } from '../../provisioner/virtual/board.ts';
import { powerOn, type Machine } from '../../provisioner/virtual/machine.ts';
import type { FlashedKit, Subject } from './subject.ts';

/** Emulated on a busy machine, and more for what a first boot has to do. */
export const bootLimitMs = 420_000;
const memoryMiB = 1024;
const cpus = 2;
/** Locally administered; each network here has one machine. */
const mac = '52:54:00:6b:69:74';

export interface PowerOptions extends Pick<Subject, 'arch' | 'firmware' | 'dir' | 'signal'> {
  /** Where its cable is: the node is reached at the kit's address. Without: in a loopback port. */
  lan?: { tap: string };
}

export interface SwitchedOn {
  /** Whether there is a network. */
  cable: boolean;
  drive?: string;
  writeLog?: string;
  /** A file that stands for a second drive, on USB. */
  stick?: string;
}

export interface Power {
  on(options: SwitchedOn): Promise<void>;
  /** Waits for a text on the serial line. */
  hear(pattern: RegExp, withinMs?: number): Promise<void>;
  /** Logs in with the bench's key, the host key pinned. The same connection until power goes. */
  login(): Promise<NodeConnection>;
  pullPlug(): Promise<void>;
  accelerator(): string;
}

export function connectPower(
  subject: PowerOptions,
  flashed: () => Pick<FlashedKit, 'kit' | 'secrets' | 'drive'>,
): Power {
  let machine: Machine | undefined;
  let connection: NodeConnection | undefined;
  let sshPort = 0;
  let kvmWorks: boolean | undefined;
  let lastWords: string | undefined;
  const dir = join(subject.dir, 'machine');

  const running = (): Machine => {
    if (machine === undefined) throw new Error('the machine is off');
    if (lastWords === undefined) return machine;
    throw new KitError({ code: 'machine-ended', message: 'QEMU ended', got: lastWords.trim() });
  };
  const lastLines = (): string => {
    const text = machine?.serial().replaceAll(/\x1b\[[0-9;?]*[A-Za-z]|[^\x20-\x7e\n]/g, '') ?? '';
    return `its last words: ${text.trimEnd().slice(-1500)}`;
  };

  return {
    accelerator: () => running().accelerator,
    async on({ cable, drive = flashed().drive, writeLog, stick }) {
      await mkdir(dir, { recursive: true });
      const board = await chooseBoard(subject.arch, subject.firmware, dir);
      if (subject.lan === undefined) sshPort = await freePort();
      lastWords = undefined;
      machine = await powerOn({
        ...{ drive, mac, board, dir, memoryMiB, cpus, kvmWorks, writeLog, stick },
        cable: cable ? (subject.lan ?? { sshPort }) : 'none',
      });
      kvmWorks = machine.accelerator === 'kvm';
      machine.ended.then((words) => (lastWords = words));
    },
    async hear(pattern, withinMs = bootLimitMs) {
      await until({
        ...{ what: `${pattern} on its serial line`, withinMs, everyMs: 100 },
        ...{ signal: subject.signal, instead: lastLines },
        check: () => pattern.test(running().serial()) || undefined,
      });
    },
    async login() {
      if (connection !== undefined) return connection;
      const { kit, secrets } = flashed();
      const here = subject.lan === undefined ? { host: '127.0.0.1', port: sshPort } : {};
      const address = { ...addressOf(kit, secrets), ...here };
      connection = await until({
        ...{ what: 'the node to let the bench in', withinMs: bootLimitMs, everyMs: 2000 },
        ...{ signal: subject.signal, instead: lastLines },
        async check() {
          running();
          return openConnection(address).catch((error: KitError) => {
            // QEMU takes the connection at once, and drops it while nobody listens in the guest.
            if (['node-unreachable', 'node-too-slow'].includes(error.code)) return undefined;
            throw error;
          });
        },
      });
      return connection;
    },
    async pullPlug() {
      connection?.close();
      connection = undefined;
      await machine?.pullPlug();
      machine = undefined;
    },
  };
}

/** A port that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
