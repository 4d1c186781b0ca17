// A node from an image's own tree, booted by systemd-nspawn in seconds: Debian's systemd, sshd,
// nginx and snac, on the machine's kernel, in a network of its own. Needs root. Its plug can be
// pulled: every process of it is killed at once, and what was not written is lost to nobody, since
// the file system is the machine's. What a drive loses is test:boot's.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, closeSync, existsSync, mkdirSync, openSync, readFileSync } from 'node:fs';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import { cacheFolder } from '../../provisioner/cache-folder.js';
import { greets } from './greets.ts';

export interface NspawnNode {
  /** Where the bench reaches it. */
  address: string;
  /** Its root, seen from here. */
  tree: string;
  /** Boots it, and waits until its SSH server answers. */
  boot(): Promise<void>;
  /** Pulls its plug. */
  cut(): Promise<void>;
  /** Runs POSIX shell as root on it, as somebody at its own keyboard. @throws Error when it fails */
  run(script: string): string;
  remove(): Promise<void>;
}

export interface Identity {
  hostname: string;
  /** OpenSSH PEM. */
  hostKeyPem: string;
  /** authorized_keys(5), the bench's. */
  benchLine: string;
}

const [ours, its] = ['10.77.0.1', '10.77.0.2'];
/** The machine's own end of the wire: what a node takes for its router. */
export const routerAddress = ours;
const bootTimeoutMs = 120_000;

const launcher = fileURLToPath(new URL('../../provisioner/launch.js', import.meta.url));

/** The snac image's, built once and kept in the cache. */
export function snacRootTar(tell: (text: string) => void): string {
  const folder = join(cacheFolder(), 'nodes');
  const tar = join(folder, 'snac-amd64.root.tar');
  if (existsSync(tar)) return tar;
  tell('Building the snac image, once.');
  const words = ['image', 'build', 'snac', '--root-tar', '--out', folder];
  run(process.execPath, launcher, ...words, '--identity', join(folder, 'volunteer.key'));
  return tar;
}

/** @param rootTar NAME-ARCH.root.tar as `kit image build --root-tar` leaves it */
export function makeNode(dir: string, rootTar: string, identity: Identity): NspawnNode {
  const tree = join(dir, 'tree');
  const name = `kit${process.pid}`;
  let machine: ChildProcess | undefined;
  mkdirSync(tree, { recursive: true });
  run('tar', '-x', '--numeric-owner', '--exclude=./dev/*', '-f', rootTar, '-C', tree);
  applyIdentity(tree, identity);
  layNetwork(name);

  const cut = async (): Promise<void> => {
    if (machine === undefined) return;
    const gone = once(machine, 'exit');
    machine.kill('SIGKILL');
    await gone;
    machine = undefined;
    await emptied(name);
  };
  return {
    ...{ address: its, tree, cut },
    run: (script) => atKeyboard(machine, script),
    async boot() {
      const log = openSync(join(dir, 'console.log'), 'a');
      machine = spawn('systemd-nspawn', nspawnWords(tree, name, identity), {
        stdio: ['ignore', log, log],
      });
      closeSync(log);
      const untilMs = performance.now() + bootTimeoutMs;
      while (!(await greets(its, 22))) {
        if (machine.exitCode !== null) throw new Error(`the node ended: see ${dir}/console.log`);
        if (performance.now() > untilMs) throw new Error(`no SSH server: see ${dir}/console.log`);
        await sleep(200);
      }
    },
    async remove() {
      await cut();
      run('ip', 'netns', 'del', name);
      rmSync(dir, { recursive: true, force: true });
    },
  };
}

/** In the namespaces of its first process, which is a child of systemd-nspawn's. */
function atKeyboard(machine: ChildProcess | undefined, script: string): string {
  const { pid } = machine!;
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  const enter = ['-t', children.split(' ')[0], '-m', '-u', '-i', '-n', '-p', '-r', '--wd=/'];
  const words = [...enter, '/bin/sh', '-euc', `cd /\n${script}`];
  return execFileSync('nsenter', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
}

function nspawnWords(tree: string, name: string, { hostname }: Identity): string[] {
  return [
    ...['--quiet', '-D', tree, `--hostname=${hostname}`, `--machine=${name}`],
    // Neither the machine's systemd nor its bus is needed: it may have none.
    ...['--keep-unit', '--register=no', '--capability=CAP_NET_ADMIN'],
    ...[`--network-namespace-path=/run/netns/${name}`, '--boot'],
  ];
}

/** What the image's first boot would do from the boot partition, which a tree has not. */
function applyIdentity(tree: string, { hostname, hostKeyPem, benchLine }: Identity): void {
  const put = (path: string, text: string, mode: number): void => {
    writeFileSync(join(tree, path), text, { mode });
    chmodSync(join(tree, path), mode);
  };
  put('etc/hostname', `${hostname}\n`, 0o644);
  put('etc/ssh/ssh_host_ed25519_key', hostKeyPem, 0o600);
  mkdirSync(join(tree, 'root/.ssh'), { recursive: true, mode: 0o700 });
  put('root/.ssh/authorized_keys', `${benchLine}\n`, 0o600);
  mkdirSync(join(tree, 'var/lib/commons-kit'), { recursive: true });
  const account = { version: '2', appliedAt: new Date(0).toISOString(), applied: [], failed: [] };
  put('var/lib/commons-kit/first-boot.json', JSON.stringify(account), 0o644);
  // There is no drive with the label that fstab names: its unit fails in a container alone.
  symlinkSync('/dev/null', join(tree, 'etc/systemd/system/systemd-remount-fs.service'));
}

function layNetwork(name: string): void {
  const [here, there] = [`${name}h`, `${name}n`];
  run('ip', 'netns', 'add', name);
  run('ip', 'link', 'add', here, 'type', 'veth', 'peer', 'name', there, 'netns', name);
  run('ip', 'addr', 'add', `${ours}/30`, 'dev', here);
  run('ip', 'link', 'set', here, 'up');
  run('ip', '-n', name, 'addr', 'add', `${its}/30`, 'dev', there);
  run('ip', '-n', name, 'link', 'set', there, 'up');
  run('ip', '-n', name, 'link', 'set', 'lo', 'up');
}

/** A machine that was killed is gone when the last of its processes is. */
async function emptied(name: string): Promise<void> {
  for (;;) {
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).trim();
    if (pids === '') return;
    for (const pid of pids.split('\n')) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
    }
    await sleep(50);
  }
}

function run(program: string, ...words: string[]): void {
  execFileSync(program, words, { stdio: ['ignore', 'ignore', 'inherit'] });
}
