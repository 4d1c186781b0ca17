// A node that starts in a tenth of a second: Debian's own shell, tools and sshd on an overlay of
// this machine's root, in namespaces of its own (files, network, host name, processes), so that what
// is done to it stays in a few MB of memory. Needs root. Each connection gets a real `sshd -i`, as
// inetd would start it. What only a booted system has is played by small programs: systemd's units
// are marks in /run, snac and nginx do as little as kit asks of them.
//
// It ends with the process that made it, whatever becomes of that.

import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';

export interface OverlayNode {
  port: number;
  /** Runs POSIX shell as root on it. @throws Error with its words when it fails */
  run(script: string): Promise<string>;
  /** What the wire does with each new connection; plain until set. */
  wire: (bench: Socket, sshd: ChildProcess) => void;
  /** sshd processes started so far. */
  readonly sshds: number;
  end(): Promise<void>;
}

export interface OverlayOptions {
  /** A folder of its own. */
  dir: string;
  hostname: string;
  /** OpenSSH PEM. */
  hostKeyPem: string;
  /** authorized_keys(5), the bench's. */
  benchLine: string;
}

export async function startOverlayNode(options: OverlayOptions): Promise<OverlayNode> {
  const { dir } = options;
  sow(join(dir, 'seed'), options);
  const words = ['-m', '-u', '-i', '-n', '-p', '--fork', '--kill-child', '--propagation', 'private'];
  const holder = spawn('unshare', [...words, 'sh', '-c', boot, 'boot', dir, options.hostname], {
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const init = await readyInit(holder);
  const enter = ['-t', String(init), '-m', '-u', '-i', '-n', '-p', '-r', '--wd=/'];
  const connections = new Set<Socket>();
  let sshds = 0;
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (bench) => {
    sshds += 1;
    connections.add(bench);
    const sshd = spawn('nsenter', [...enter, '/usr/sbin/sshd', '-i', '-f', sshdConfig], {
      stdio: ['pipe', 'pipe', 'ignore'],
    });
    bench.on('error', () => undefined).on('close', () => {
      connections.delete(bench);
      sshd.kill('SIGKILL');
    });
    sshd.stdin.on('error', () => undefined);
    node.wire(bench, sshd);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const node: OverlayNode = {
    port: (server.address() as AddressInfo).port,
    async run(script) {
      return (await promisify(execFile)('nsenter', [...enter, '/bin/sh', '-euc', `cd /\n${script}`])).stdout;
    },
    wire: plainWire,
    get sshds() {
      return sshds;
    },
    async end() {
      server.close();
      for (const bench of connections) bench.destroy();
      const gone = once(holder, 'exit');
      holder.kill('SIGKILL');
      await gone;
    },
  };
  return node;
}

export function plainWire(bench: Socket, sshd: ChildProcess): void {
  bench.pipe(sshd.stdin!);
  sshd.stdout!.pipe(bench);
}

/** The node's first process, as this machine counts. */
async function readyInit(holder: ChildProcess): Promise<number> {
  let said = '';
  holder.stderr!.on('data', (bytes: Buffer) => (said += bytes));
  const first = await Promise.race([once(holder.stdout!, 'data'), once(holder, 'exit')]);
  if (String(first[0]) !== 'ready\n') throw new Error(`no overlay node: ${said}`);
  return Number(readFileSync(`/proc/${holder.pid}/task/${holder.pid}/children`, 'utf8'));
}

const sshdConfig = '/etc/ssh/overlay_config';

/** Ends when its standard input does. */
const boot = `set -eu
dir=$1
mkdir -p $dir/disk
mount -t tmpfs -o size=256m,nr_inodes=20000 tmpfs $dir/disk
mkdir $dir/disk/upper $dir/disk/work $dir/disk/root
mount -t overlay -o lowerdir=/,upperdir=$dir/disk/upper,workdir=$dir/disk/work overlay $dir/disk/root
root=$dir/disk/root
mount -t proc proc $root/proc
mount --rbind /dev $root/dev
mount -t tmpfs -o size=16m tmpfs $root/run
mkdir -p $root/run/lock $root/run/sshd $root/run/units
rm -rf $root/etc/systemd/system/*.wants $root/var/lib/commons-kit $root/var/backups/commons-kit
cp -r --preserve=mode $dir/seed/. $root
hostname $2
ip link set lo up
exec chroot $root sh -c 'cd /
chown -R debian-snac:debian-snac /var/lib/snac2
chmod 700 /root/.ssh
echo ready
exec cat >/dev/null'`;

/** What lies over this machine's root. */
function sow(seed: string, { hostname, hostKeyPem, benchLine }: OverlayOptions): void {
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(join(seed, path)), { recursive: true });
    writeFileSync(join(seed, path), text);
    chmodSync(join(seed, path), mode);
  };
  put('etc/passwd', passwd);
  put('etc/group', 'root:x:0:\nshadow:x:42:\nnogroup:x:65534:\ndebian-snac:x:990:\n');
  put('etc/shadow', 'root:*:1::::::\n', 0o600);
  put('etc/hostname', `${hostname}\n`);
  put('etc/resolv.conf', 'nameserver 127.0.0.53\n');
  put('etc/nginx/sites-enabled/default', 'Debian’s welcome page\n');
  put('etc/ssh/ssh_host_ed25519_key', hostKeyPem, 0o600);
  put('root/.ssh/authorized_keys', `${benchLine}\n`, 0o600);
  put(sshdConfig, 'HostKey /etc/ssh/ssh_host_ed25519_key\nUsePAM no\nAllowUsers root\nPidFile none\n');
  put('var/lib/snac2/server.json', '{"host": "localhost", "prefix": "/social", "layout": 2.7}\n');
  put('var/lib/snac2/user/.keep', '');
  for (const [path, text] of Object.entries(programs)) put(path, `#!/bin/sh\n${text}\n`, 0o755);
}

const passwd = `root:x:0:0::/root:/bin/sh
sshd:x:102:65534::/run/sshd:/usr/sbin/nologin
debian-snac:x:990:990::/var/lib/snac2:/usr/sbin/nologin
nobody:x:65534:65534::/nonexistent:/usr/sbin/nologin
`;

/** As far as kit asks. */
const programs: Record<string, string> = {
  'usr/sbin/nginx': 'exit 0',
  'usr/bin/unattended-upgrade': 'exit 0',
  'usr/sbin/update-ca-certificates':
    'cat /usr/local/share/ca-certificates/*.crt >>/etc/ssl/certs/ca-certificates.crt',
  'usr/bin/snac': `[ "$1" = adduser ] || exit 0
mkdir "$2/user/$3"
echo '{"passwd": "00:00"}' >"$2/user/$3/user.json"
echo '{"public": "-----END PUBLIC KEY-----\\\\n"}' >"$2/user/$3/key.json"`,
  'usr/bin/systemctl': `verb= units=
for word; do
  case $word in
    -*) ;;
    *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
  esac
done
for unit in $units; do
  mark=/run/units/$unit
  case $verb in
    show)
      active=inactive
      [ ! -e "$mark" ] || active=active
      printf 'Id=%s\\nActiveState=%s\\nJob=\\n\\n' "$unit" $active
      ;;
    enable)
      mkdir -p /etc/systemd/system/multi-user.target.wants
      ln -sf "/usr/lib/systemd/system/$unit" /etc/systemd/system/multi-user.target.wants/
      ;;
    start | restart | reload-or-restart)
      : >"$mark"
      [ "$unit" != snac2.service ] || grep -q ' 0100007F:1F41 ' /proc/net/tcp || {
        setsid perl -MIO::Socket::INET -e 'my $s = IO::Socket::INET->new(
          LocalAddr => "127.0.0.1:8001", Listen => 1, ReuseAddr => 1) or die; sleep' \\
          >/dev/null 2>&1 </dev/null 9>&- &
      }
      ;;
    stop) rm -f "$mark" ;;
  esac
done`,
};
