// What the meter asks the node: one small JSON of cumulative counters over the LAN, answered by a
// shell script that systemd starts for each connection, so that nothing stays resident. All of it
// is the node's own claim (DESIGN § 9). Pure: the texts of the script and of its two units.
//
//   GET /counters → {"v":1,"boot":"32 hex","wan_in_bytes":N,"wan_out_bytes":N,"disk_used_bytes":N,
//                    "temperature_milli_c":N|null,"users":N,"posts":N,"host":"name"} below 512 bytes
//
// By `host` the meter knows the node at an address that nobody told it.

import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';
import { countersPort } from './firewall.ts';

export const countersSocket = 'commons-counters.socket';

/** Where the numbers of users and posts come from. */
export interface CountersSource {
  /** POSIX shell that sets `users` and `posts`, or leaves them at 0. */
  accounts: string;
  /** Lines of the unit that say whom it runs as. */
  runAs: string;
  /** The program that answers `GET /`: the owner's page (status.ts). */
  page?: string;
}

export function countersFiles(source: CountersSource): FileWrite[] {
  const units = '/etc/systemd/system';
  const file = (path: string, mode: string, content: string): FileWrite => ({
    path,
    mode,
    owner: 'root:root',
    content,
  });
  return [
    file('/usr/local/lib/commons-kit/counters', '0755', script(source)),
    file(`${units}/${countersSocket}`, '0644', socketUnit),
    file(`${units}/commons-counters@.service`, '0644', serviceUnit(source)),
  ];
}

export function countersSteps(
  ours: FileWrite[],
  facts: { files: FileStates; stamps: Stamps; units: UnitStates },
): Step[] {
  return [
    ...writeFiles('Write the meter’s counters service', ours, facts.files),
    ...effect(
      {
        id: 'counters',
        name: 'Answer the meter',
        dependsOn: ours,
        command: `systemctl daemon-reload\n${enableCommand(countersSocket, 'restart')}`,
        amiss: unitAmiss(countersSocket, facts.units),
      },
      facts,
    ),
  ];
}

/**
 * Few commands are started; all else is the shell's own, because starting one is what takes time on
 * a small or emulated machine.
 */
const script = ({ accounts, page }: CountersSource): string => `#!/bin/sh
# Answers one request on standard input and output. Written by kit configure.
export LC_ALL=C

answer() {
  printf 'HTTP/1.1 %s\\r\\nContent-Type: application/json\\r\\n' "$1"
  printf 'Content-Length: %d\\r\\nConnection: close\\r\\n\\r\\n%s' "\${#2}" "$2"
  exit 0
}

# The whole request is read, since closing a socket with unread bytes may cut the answer off. Its
# lines are bounded here, their length and the time they take by the unit.
IFS= read -r request || exit 0
lines=0
while IFS= read -r line && [ \${#line} -gt 1 ]; do
  lines=$((lines + 1))
  [ $lines -lt 40 ] || answer '431 Request Header Fields Too Large' '{"error":"too many lines"}'
done
case $request in
  'GET /counters HTTP/1.'*) ;;${page === undefined ? '' : `\n  'GET / HTTP/1.'*) exec ${page} ;;`}
  *) answer '404 Not Found' '{"error":"only GET /counters"}' ;;
esac

read -r boot </proc/sys/kernel/random/boot_id
IFS=-
set -- $boot
boot=$1$2$3$4$5
unset IFS

read -r host </proc/sys/kernel/hostname
users=0 posts=0
${accounts}

temperature=null
for zone in /sys/class/thermal/thermal_zone*/temp; do
  [ -e "$zone" ] && read -r temperature <"$zone" && break
done 2>/dev/null

wan_in= wan_out= disk_used=
set -- $(
  /usr/sbin/nft list counters table inet commons
  exec /usr/bin/stat -f -c 'disk %S %b %f' /
)
while [ $# -gt 0 ]; do
  case $1 in
    wan_in) wan_in=$6 ;;
    wan_out) wan_out=$6 ;;
    disk) disk_used=$(($2 * ($3 - $4))) ;;
  esac
  shift
done
if [ -z "$wan_in" ] || [ -z "$wan_out" ] || [ -z "$disk_used" ]; then
  answer '503 Service Unavailable' '{"error":"the firewall keeps no counters"}'
fi

json="{\\"v\\":1,\\"boot\\":\\"$boot\\",\\"wan_in_bytes\\":$wan_in,\\"wan_out_bytes\\":$wan_out"
json="$json,\\"disk_used_bytes\\":$disk_used,\\"temperature_milli_c\\":$temperature"
json="$json,\\"users\\":$users,\\"posts\\":$posts"
answer '200 OK' "$json,\\"host\\":\\"$host\\"}"
`;

const socketUnit = `[Unit]
Description=Commons counters for the meter

[Socket]
ListenStream=${countersPort}
Accept=yes
MaxConnections=16
MaxConnectionsPerSource=4

[Install]
WantedBy=sockets.target
`;

/** Counters need CAP_NET_ADMIN to be read. */
const serviceUnit = ({ runAs }: CountersSource): string => `[Unit]
Description=Commons counters, one answer
CollectMode=inactive-or-failed

[Service]
ExecStart=/usr/local/lib/commons-kit/counters
StandardInput=socket
StandardOutput=socket
StandardError=null
${runAs}
AmbientCapabilities=CAP_NET_ADMIN
CapabilityBoundingSet=CAP_NET_ADMIN
NoNewPrivileges=yes
RuntimeMaxSec=15
MemoryMax=32M
TasksMax=16
LogLevelMax=warning
`;
