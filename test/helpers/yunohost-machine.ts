// A machine that a YunoHost stands on, for tests as root: processes, mounts, host name and network of
// its own, Debian's sshd and nftables as they are, and stand-ins (yunohost/) for YunoHost and for
// systemd. Its plug can be pulled at any moment, or at a point that the stand-in names; what was
// written stays. Its programs are the bench's own, mounted read-only.

import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync } from 'node:fs';
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { threadId } from 'node:worker_threads';
import { greets } from './greets.ts';

export interface YunohostMachine {
  /** Where the bench reaches it: a private address, as YunoHost's sshd wants of root. */
  address: string;
  boot(): Promise<void>;
  /** Pulls its plug. */
  cut(): Promise<void>;
  /** Waits until the stand-in has come to the point named in `cutAt`, or `done` is settled. */
  pointReached(done: Promise<unknown>): Promise<boolean>;
  read(path: string): string;
  write(path: string, text: string, mode?: number): void;
  exists(path: string): boolean;
  remove(path: string): void;
  /** Of a folder, to one of the bench's. */
  copyOut(path: string, to: string): void;
  /** Runs shell within it, while it is on. */
  shell(script: string): string;
  /** Leaves nothing behind; may be called again. */
  end(): Promise<void>;
}

export interface MachineIdentity {
  hostname: string;
  /** OpenSSH PEM. */
  hostKeyPem: string;
  /** authorized_keys(5), the bench's. */
  benchLine: string;
}

const standIns = fileURLToPath(new URL('yunohost/', import.meta.url));
const systemNames = ['systemctl', 'ldapsearch', 'ldapdelete', 'ldapmodify', 'hostnamectl', 'nginx'];

/** One a thread at a time: its network is named after it. */
export function makeYunohostMachine(identity: MachineIdentity): YunohostMachine {
  const dir = mkdtempSync(join(tmpdir(), 'kit-yunohost-'));
  const root = join(dir, 'root');
  const name = `ynh${process.pid}t${threadId}`;
  plant(root, identity);
  const net = layNetwork(name);
  let machine: ChildProcess | undefined;
  let ended = false;
  const at = (path: string): string => join(root, path);
  const self: YunohostMachine = {
    address: `${net}.2`,
    async boot() {
      rmSync(join(dir, 'run'), { recursive: true, force: true });
      mkdirSync(join(dir, 'run'));
      machine = spawn('nsenter', [`--net=/run/netns/${name}`, 'unshare', ...unsharing(root, dir)], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: rootsEnvironment,
      });
      // However long that takes on a busy machine.
      while (!(await greets(self.address, 22))) {
        if (machine.exitCode !== null) {
          throw new Error(`no SSH server: ${logOf(at('var/log/sshd.log'))}`);
        }
        await sleep(30);
      }
    },
    async cut() {
      if (machine === undefined) return;
      const gone = once(machine, 'exit');
      machine.kill('SIGKILL');
      await gone;
      machine = undefined;
      while (execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' }).trim() !== '') {
        await sleep(10);
      }
    },
    async pointReached(done) {
      let settled = false;
      void done.then(() => (settled = true), () => (settled = true));
      while (!settled) {
        if (existsSync(join(dir, 'run/cut'))) return true;
        await sleep(10);
      }
      return false;
    },
    read: (path) => readFileSync(at(path), 'utf8'),
    write(path, text, mode = 0o644) {
      mkdirSync(dirname(at(path)), { recursive: true });
      writeFileSync(at(path), text, { mode });
    },
    exists: (path) => existsSync(at(path)),
    remove: (path) => rmSync(at(path), { recursive: true, force: true }),
    copyOut: (path, to) => cpSync(at(path), to, { recursive: true }),
    shell(script) {
      const children = readFileSync(`/proc/${machine!.pid}/task/${machine!.pid}/children`, 'utf8');
      const [first] = children.trim().split(' ');
      const words = ['-t', first, '-m', '-p', '-u', '-i', '-n', '-r', '-w', '/bin/sh', '-c', script];
      return execFileSync('nsenter', words, { encoding: 'utf8', env: rootsEnvironment });
    },
    async end() {
      if (ended) return;
      ended = true;
      await self.cut();
      execFileSync('ip', ['netns', 'del', name]);
      rmSync(dir, { recursive: true, force: true });
    },
  };
  return self;
}

/** As a login of root's has it (login.defs, ENV_SUPATH), whatever the tester's is. */
const rootsEnvironment = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' };

/** /run is in memory on a real node: here it is a folder made anew at each boot. */
function unsharing(root: string, dir: string): string[] {
  const mounts = `set -e
mount --make-rprivate /
mount --bind /usr ${root}/usr
mount -o remount,bind,ro ${root}/usr
mount --bind ${root}/local ${root}/usr/local
mount --bind ${dir}/run ${root}/run
mount -t proc proc ${root}/proc
mount --rbind /dev ${root}/dev
exec chroot ${root} /usr/local/sbin/init`;
  const spaces = ['--mount', '--pid', '--uts', '--ipc', '--fork', '--kill-child=SIGKILL'];
  return [...spaces, '/bin/sh', '-c', mounts];
}

/** YunoHost makes snac's with the application: here it is there from the start. */
const passwd = `root:x:0:0::/root:/bin/sh
sshd:x:102:65534::/run/sshd:/usr/sbin/nologin
snac:x:64002:64002::/nonexistent:/usr/sbin/nologin
postgres:x:64003:64003::/nonexistent:/bin/sh
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
`;

const group = `root:x:0:
shadow:x:42:
nogroup:x:65534:
ssl-cert:x:64001:
snac:x:64002:
postgres:x:64003:
`;

function plant(root: string, { hostname, hostKeyPem, benchLine }: MachineIdentity): void {
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text, { mode });
    chmodSync(join(root, path), mode);
  };
  const folders = ['usr', 'proc', 'dev', 'run', 'tmp', 'home', 'root', 'var/log',
    'var/lib/stand-in/postgres'];
  for (const folder of folders) mkdirSync(join(root, folder), { recursive: true });
  for (const open of ['tmp', 'var/lib/stand-in/postgres']) chmodSync(join(root, open), 0o1777);
  for (const link of ['bin', 'sbin', 'lib', 'lib64']) symlinkSync(`usr/${link}`, join(root, link));
  symlinkSync('/run', join(root, 'var/run'));
  for (const file of ['alternatives', 'login.defs', 'ssl', 'pam.d', 'security', 'ld.so.cache']) {
    const from = join('/etc', file);
    const whole = { recursive: true, verbatimSymlinks: true };
    if (existsSync(from)) cpSync(from, join(root, from), whole);
  }
  put('etc/passwd', passwd);
  put('etc/shadow', 'root:*:20000:0:99999:7:::\n', 0o640);
  const names = ['passwd', 'group', 'shadow'].map((name) => `${name}: files systemd\n`);
  put('etc/nsswitch.conf', names.join(''));
  put('etc/group', group);
  put('etc/hostname', `${hostname}\n`);
  put('etc/hosts', '127.0.0.1 localhost\n');
  put('etc/resolv.conf', 'nameserver 10.79.0.1\n');
  put('etc/ssl/certs/ca-certificates.crt', '');
  symlinkSync('/usr/share/zoneinfo/Etc/UTC', join(root, 'etc/localtime'));
  put('etc/ssh/sshd_config', `Include /etc/ssh/sshd_config.d/*.conf
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin prohibit-password
UsePAM no
`);
  put('etc/ssh/ssh_host_ed25519_key', hostKeyPem, 0o600);
  put('root/.ssh/authorized_keys', `${benchLine}\n`, 0o600);
  chmodSync(join(root, 'root/.ssh'), 0o700);
  chmodSync(join(root, 'root'), 0o700);
  plantStandIns(root, put);
}

type Put = (path: string, text: string, mode?: number) => void;

function plantStandIns(root: string, put: Put): void {
  const program = (file: string): string => readFileSync(join(standIns, file), 'utf8');
  for (const folder of ['bin', 'sbin', 'lib', 'share']) {
    mkdirSync(join(root, 'local', folder), { recursive: true });
  }
  for (const part of ['stand_in', 'ynh', 'people', 'regen', 'apps', 'archives']) {
    put(`local/lib/stand-in/${part}.py`, program(`${part}.py`));
  }
  put('local/bin/yunohost', program('yunohost.py'), 0o755);
  put('local/sbin/system', program('system.py'), 0o755);
  for (const name of [...systemNames, 'update-ca-certificates', 'init', 'psql']) {
    symlinkSync('system', join(root, 'local/sbin', name));
  }
  const units = 'etc/systemd/system';
  for (const [unit, target] of [
    ['ssh.service', 'multi-user.target'],
    ['nginx.service', 'multi-user.target'],
    ['yunohost-api.service', 'multi-user.target'],
    ['yunohost-portal-api.service', 'multi-user.target'],
    ['apt-daily-upgrade.timer', 'timers.target'],
  ]) {
    mkdirSync(join(root, units, `${target}.wants`), { recursive: true });
    symlinkSync(`/usr/lib/systemd/system/${unit}`, join(root, units, `${target}.wants`, unit));
  }
}

/** @returns its numbers but the last: those of a link whose name nobody else on this machine has */
function layNetwork(name: string): string {
  const run = (...words: string[]): void => void execFileSync('ip', words, { stdio: 'pipe' });
  const there = `${name}n`;
  run('netns', 'add', name);
  let number = 0;
  for (; ; number++) {
    try {
      run('link', 'add', `ynh${number}`, 'type', 'veth', 'peer', 'name', there, 'netns', name);
      break;
    } catch (error) {
      if (number === 255 || !String(error).includes('File exists')) throw error;
    }
  }
  const [here, net] = [`ynh${number}`, `10.79.${number}`];
  run('addr', 'add', `${net}.1/30`, 'dev', here);
  run('link', 'set', here, 'up');
  run('-n', name, 'addr', 'add', `${net}.2/30`, 'dev', there);
  run('-n', name, 'link', 'set', there, 'up');
  return net;
}

const logOf = (path: string): string => (existsSync(path) ? readFileSync(path, 'utf8') : 'no log');
