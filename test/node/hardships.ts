// What a node can lack while it is being configured, each for real: `kit configure` must name it by
// its own code, and complete the node when it is over. Done in this order to one node, which is
// fresh at first; later ones find it half configured (endure.ts). docs/nodes.md has the codes.

import type { NodeDrive } from '../helpers/node-drive.ts';
import type { NspawnNode } from '../helpers/nspawn-node.ts';
import type { Internet } from './internet.ts';

export interface Hardship {
  about: string;
  code: string;
  got: RegExp;
  /** Before anything was done to the node; half-way: in the middle of the plan; or at its end, from the internet. */
  when: 'before' | 'half-way' | 'internet';
  inflict: Act;
  relieve: Act;
}

/** POSIX shell at the node's own keyboard, or something at the bench. */
type Act = string | (() => unknown);

export interface Scene {
  node: NspawnNode;
  drive: NodeDrive;
  internet: Internet;
  /** The router's. */
  address: string;
}

/** So much is left to others than root. */
const fill = (leaveMiB: number): string =>
  `free=$(df --output=avail -m /var/lib | tail -n 1)
fallocate -l $((free - ${leaveMiB}))M /var/lib/filled`;
/** Root's reserve too. */
const fillUp = `dd if=/dev/zero of=/var/lib/filled bs=1M 2>/dev/null ||
  dd if=/dev/zero of=/var/lib/filled oflag=append conv=notrunc bs=4k 2>/dev/null || true`;
/** On the drive, not in memory alone: a drive that then takes no writes would have it back. */
const empty = 'rm /var/lib/filled; sync -f /var/lib';
const link = (state: 'up' | 'down'): string =>
  `ip link set "$(ip -o link show type veth | sed 's/^[0-9]*: \\([^@:]*\\).*/\\1/')" ${state}`;

export function hardships({ node, drive, internet, address }: Scene): Hardship[] {
  /** The plug pulled, the drive well again, checked as at a boot. */
  const startAgain = async (): Promise<void> => {
    await node.cut();
    drive.failWrites(false);
    await drive.mend();
    await node.boot();
  };
  const mirror = (about: string, state: Parameters<Internet['mirror']>[0], code: string, got: RegExp): Hardship => ({
    ...{ about, code, got, when: 'internet' },
    inflict: () => internet.mirror(state),
    relieve: () => internet.mirror('well'),
  });
  const names = (about: string, inflict: () => Promise<void>, code: string, got: RegExp): Hardship => ({
    ...{ about, code, got, when: 'internet', inflict },
    relieve: () => internet.names(address),
  });
  return [
    {
      about: 'its network is down',
      ...{ code: 'node-unreachable', got: /EHOSTUNREACH|ENETUNREACH|ETIMEDOUT/, when: 'before' },
      ...{ inflict: link('down'), relieve: link('up') },
    },
    {
      about: 'its drive is full',
      ...{ code: 'disk-full', got: /^(9|10) MiB, \d+ inodes free in \/etc$/, when: 'before' },
      ...{ inflict: fill(10), relieve: empty },
    },
    {
      about: 'its drive is full of small files',
      ...{ code: 'disk-full', got: /, \d{2} inodes free in \/etc$/, when: 'before' },
      inflict: `mkdir /var/lib/many
free=$(df --output=iavail /var/lib | tail -n 1)
seq $((free - 99)) | (cd /var/lib/many && xargs touch)`,
      relieve: 'rm -r /var/lib/many; sync -f /var/lib',
    },
    {
      about: 'its drive takes no writes any more',
      ...{ code: 'root-read-only', got: /^read-only: \/etc, /, when: 'before' },
      async inflict() {
        drive.failWrites(true);
        node.run('echo lost >/etc/lost; ! sync -f /etc/lost; ! touch /etc/lost.too');
      },
      relieve: startAgain,
    },
    {
      about: 'its drive fills up',
      ...{ code: 'disk-full', got: /No space left on device|^0 MiB, /, when: 'half-way' },
      ...{ inflict: fillUp, relieve: empty },
    },
    names('nobody looks names up', () => internet.namesGo(), 'node-cannot-resolve', /resolv/),
    names('the mirror’s name is said not to be', () => internet.names('none'), 'node-cannot-resolve', /resolv/),
    names('there is no way to the internet', () => internet.names('192.0.2.1'), 'node-offline', /Network is unreachable/),
    names('the mirror’s name leads nowhere', () => internet.names('127.0.0.9'), 'mirror-unreachable', /Connection refused/),
    mirror('a login page answers for the mirror', 'portal', 'mirror-untrue', /NOSPLIT/),
    mirror('the mirror has not this Debian', 'without this Debian', 'mirror-untrue', /404/),
    mirror('what the mirror has was changed', 'spoilt', 'mirror-untrue', /OpenPGP signature verification failed/),
    mirror('the mirror is a day ahead of the node', 'of tomorrow', 'clock-wrong', /not valid yet/),
  ];
}
