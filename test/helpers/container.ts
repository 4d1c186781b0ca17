// Nodes as containers: an image's packages and tree without its kernel, booted by systemd-nspawn on
// a bridge with a router of its own (dnsmasq: addresses by host name, and the kits' domains). For
// root, in a network namespace that ends with the process. A container has the bench's kernel, disk
// and clock: what a check says of those is the bench's.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { cacheFolder } from '../../provisioner/cache-folder.js';
import type { Kit } from '../../provisioner/campaign/campaign.ts';
import { readImageFolder, type ImageFolder } from '../../provisioner/image/folder.ts';
import type { NodeSecrets } from '../../provisioner/node/kinds.ts';

const bridge = 'commons0';
export const benchAddress = '10.78.0.1';
const path = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

const run = (command: string, words: string[]): string =>
  execFileSync(command, words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });

/** The image's packages as Debian installs them, once for each list of them. */
export async function packagesOf(image: string): Promise<string> {
  const folder = await readImageFolder(image, 'amd64');
  // A container starts without a kernel and its machine's firmware.
  const machine = /^(linux-image|firmware|initramfs)/;
  const packages = folder.packages.filter((name) => !machine.test(name));
  const digest = createHash('sha256').update(packages.join(' ')).digest('hex').slice(0, 16);
  const tar = join(cacheFolder(), 'containers', `${image}-${digest}.tar`);
  if (existsSync(tar)) return tar;
  mkdirSync(dirname(tar), { recursive: true });
  const { release, mirror } = folder.settings;
  run('mmdebstrap', [
    ...['--quiet', '--variant=important', '--aptopt=APT::Install-Recommends "false"'],
    ...[`--include=${packages.join(',')}`, '--format=tar', release, `${tar}.part`, mirror],
  ]);
  renameSync(`${tar}.part`, tar);
  return tar;
}

/** A tree as it stands after the first boot of this kit's drive. */
export async function plantTree(
  image: string,
  { dir, kit, secrets }: { dir: string; kit: Kit; secrets: NodeSecrets },
): Promise<void> {
  const folder = await readImageFolder(image, 'amd64');
  mkdirSync(dir, { recursive: true });
  run('tar', ['-xf', await packagesOf(image), '-C', dir]);
  layOver(folder, dir);
  const write = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(dir, path)), { recursive: true });
    writeFileSync(join(dir, path), text, { mode });
  };
  run('sh', ['-c', 'rm -f "$1"/etc/ssh/ssh_host_*', 'sh', dir]);
  write('etc/ssh/ssh_host_ed25519_key', secrets.kit.sshHostKey.privatePem, 0o600);
  write('root/.ssh/authorized_keys', `${secrets.campaign.benchLogin.publicLine}\n`, 0o600);
  write('etc/hostname', `${kit.name}\n`);
  write('etc/hosts', `127.0.0.1 localhost\n::1 localhost\n127.0.1.1 ${kit.domain} ${kit.name}\n`);
  const report = { version: '2', appliedAt: new Date(), applied: ['hostname'], failed: [] };
  write('var/lib/commons-kit/first-boot.json', JSON.stringify(report));
  // systemd-nspawn's name for the wire; the image knows those of real ones. The router leases an
  // address to a client: a tree planted anew has another machine-id, but the same wire.
  const wire = '[Match]\nName=host0\n[Network]\nDHCP=yes\n[DHCPv4]\nClientIdentifier=mac\n';
  write('etc/systemd/network/70-container.network', wire);
  write('etc/machine-id', '');
  // Compressed memory is the kernel's, a console is not there, and a node's logs stay in memory:
  // their units fail, or may, in a container alone.
  const absent = 'zramswap.service console-getty.service systemd-journal-flush.service';
  const set = `systemctl -q preset-all; systemctl -q mask ${absent}`;
  execFileSync('chroot', [dir, 'sh', '-c', set], { stdio: 'ignore' });
}

/** In the order of a build: what lies in a tree for its packages to meet is gone in the end. */
function layOver({ rootDirs, settings }: ImageFolder, dir: string): void {
  for (const root of rootDirs) {
    run('cp', ['-r', '--preserve=mode,links', '--no-preserve=ownership', `${root}/.`, dir]);
  }
  for (const path of settings.remove_paths) {
    run('sh', ['-c', `cd "$1" && rm -rf .${path}`, 'sh', dir]);
  }
}

export interface Container {
  /** As a power cut would. */
  kill(): Promise<void>;
  /** As somebody at its keyboard, whom SSH need not let in. @returns what it printed */
  run(script: string): string;
}

export function boot(dir: string, name: string): Container {
  const machine: ChildProcess = spawn(
    'systemd-nspawn',
    [
      ...['-q', '-D', dir, '--boot', `--machine=${name}`, `--network-bridge=${bridge}`],
      ...['--register=no', '--keep-unit', '--resolv-conf=off', '--timezone=off'],
    ],
    { stdio: 'ignore' },
  );
  const gone = once(machine, 'exit');
  const firstProcesses = (): string[] =>
    readFileSync(`/proc/${machine.pid}/task/${machine.pid}/children`, 'utf8').match(/\d+/g) ?? [];
  return {
    async kill() {
      const processes = firstProcesses();
      // One that is only just being started has none yet.
      if (processes.length === 0) machine.kill('SIGKILL');
      // What runs there may see its first process die before itself, and must not tell the bench.
      else run('ip', ['link', 'set', `vb-${name}`, 'down']);
      // It takes all others with it; of nspawn's own death they would know nothing.
      for (const pid of processes) process.kill(Number(pid), 'SIGKILL');
      await gone;
    },
    run(script) {
      const [pid] = firstProcesses();
      const shell = ['env', '-i', `PATH=${path}`, 'sh', '-euc', script];
      return run('nsenter', ['--target', pid, '--all', ...shell]);
    },
  };
}

export interface Home {
  /** Of the host. */
  name: string;
  domain: string;
  address: string;
  /** The node was given its address by the bench; the router knows nothing of it. */
  ownAddress?: boolean;
}

/** The bench's end of the wire, and the router of all homes. */
export function layNetwork(homes: Home[]): { end(): void } {
  run('ip', ['link', 'set', 'lo', 'up']);
  run('ip', ['link', 'add', bridge, 'type', 'bridge']);
  run('ip', ['address', 'add', `${benchAddress}/24`, 'dev', bridge]);
  run('ip', ['link', 'set', bridge, 'up']);
  const known = homes.flatMap(({ name, domain, address, ownAddress }) => [
    ...(ownAddress ? [] : [`--dhcp-host=${name},${address}`]),
    `--address=/${domain}/${address}`,
  ]);
  const router = spawn(
    'dnsmasq',
    [
      ...['--keep-in-foreground', '--conf-file=/dev/null', '--no-resolv', '--no-hosts'],
      ...[`--interface=${bridge}`, '--bind-interfaces', '--user=root', '--pid-file='],
      ...['--dhcp-range=10.78.0.100,10.78.0.200,1h', '--dhcp-leasefile=/dev/null', ...known],
    ],
    { stdio: ['ignore', 'ignore', 'inherit'] },
  );
  return { end: () => void router.kill('SIGTERM') };
}

/** Another end of the wire, for a machine that is no container. @returns its name */
export function layTap(): string {
  const tap = 'kit-tap';
  run('ip', ['tuntap', 'add', 'dev', tap, 'mode', 'tap']);
  run('ip', ['link', 'set', tap, 'master', bridge, 'up']);
  return tap;
}
