// A certificate from a public authority by ACME (RFC 8555): the node obtains it itself, by http-01
// (§ 8.3) through its own web server, and renews it a month before its end, with nobody's help. On
// a bench no authority can reach it, so that nothing here is a condition of configuring: until the
// first certificate comes, the campaign's is served, and the owner's page says so. Pure: texts and
// facts. In /var/lib/commons-kit/:
//
//   served.pem         chain and key in one file: they change by one rename
//   acme/              uacme's: the account's key, keys and certificates
//   acme-obtained      there has been one: the campaign's is not served again while it is there
//   certificate.json   {"v":1,"obtained_at":S|null,"tried_at":S,"error":"words"|null}

import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { installPackages } from '../operation/packages.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import { quote } from '../script.ts';
import type { FileWrite, Step } from '../step.ts';

export interface Acme {
  /** RFC 8555 § 7.1.1: the URL of the authority's directory. */
  directory: string;
  /** An e-mail address that the authority may write to. */
  contact?: string;
}

export const acmePackages = ['uacme'];
export const acmeTimer = 'commons-certificate.timer';
export const servedPath = '/var/lib/commons-kit/served.pem';
export const acmeAccountPath = '/var/lib/commons-kit/certificate.json';
const program = '/usr/local/sbin/commons-certificate';
const hook = '/usr/local/lib/commons-kit/acme-challenge';
const web = '/var/lib/commons-kit/acme-web';
/** What a new drive goes on with; patterns of the shell's. */
export const acmeKept = [
  servedPath,
  ...['acme-obtained', 'acme/*/*', 'acme/private/*/*'].map((path) => `/var/lib/commons-kit/${path}`),
];
const campaigns = { certificate: '/etc/commons-kit/tls.crt', key: '/etc/commons-kit/tls.key' };

/** For nginx's server on port 80; nothing but tokens (base64url, RFC 8555 § 8.3) is ever there. */
export const challengeLocation = `    location ^~ /.well-known/acme-challenge/ {
        alias ${web}/;
        default_type application/octet-stream;
    }
`;

export function acmeFiles(acme: Acme, domain: string): FileWrite[] {
  const units = '/etc/systemd/system';
  const file = (path: string, mode: string, content: string): FileWrite => ({
    ...{ path, mode, content },
    owner: 'root:root',
  });
  return [
    file(program, '0755', obtain(acme, domain)),
    file(hook, '0755', challenge),
    file(`${units}/commons-certificate.service`, '0644', serviceUnit),
    file(`${units}/${acmeTimer}`, '0644', timerUnit),
  ];
}

/** Before the web server is told of its site: it does not start without the file. */
export function servedSteps(certificate: FileWrite[], facts: AcmeFacts): Step[] {
  return effect(
    {
      id: 'served',
      name: 'Serve the campaign’s certificate until a public authority’s comes',
      dependsOn: certificate,
      command: `if [ ! -e /var/lib/commons-kit/acme-obtained ] || [ ! -s ${servedPath} ]; then
  cat ${campaigns.certificate} ${campaigns.key} |
    install -D -m 0600 /dev/stdin ${servedPath}.new
  mv -f ${servedPath}.new ${servedPath}
fi`,
      amiss: facts.served ? undefined : 'nothing is there to be served',
    },
    facts,
  );
}

export interface AcmeFacts {
  files: FileStates;
  stamps: Stamps;
  units: UnitStates;
  packages: string[];
  served: boolean;
}

export function acmeSteps(ours: FileWrite[], facts: AcmeFacts): Step[] {
  return [
    ...installPackages(acmePackages, facts.packages),
    ...writeFiles('Write what obtains certificates', ours, facts.files),
    ...effect(
      {
        id: 'acme',
        name: 'Obtain and renew the certificate by itself',
        dependsOn: ours,
        command: `install -d -m 0755 ${web}
systemctl daemon-reload
${enableCommand(acmeTimer, 'start')}`,
        amiss: unitAmiss(acmeTimer, facts.units),
      },
      facts,
    ),
  ];
}

const obtain = ({ directory, contact }: Acme, domain: string): string => `#!/bin/sh
# Obtains this node's certificate by ACME, renews it a month before its end, and has it served.
# Written by kit configure: changes made here are undone by its next run.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077

directory=${quote(directory)}
contact=${quote(contact ?? '')}
domain=${domain}
home=/var/lib/commons-kit
store=$home/acme
served=${servedPath}
account=${acmeAccountPath}
error=

main() {
  exec 9>/run/lock/commons-certificate
  flock -n 9 || { echo 'another one is under way' >&2; exit 1; }
  trap 'tell $?' EXIT
  mkdir -p "$store"
  if [ ! -e "$store/private/key.pem" ]; then
    told=$(uacme -y -c "$store" -a "$directory" new $contact 2>&1) || refuse 'no account'
  fi
  status=0
  told=$(uacme -o -t EC -c "$store" -a "$directory" -h ${hook} issue "$domain" 2>&1) || status=$?
  # 1: what there is is good for more than a month.
  [ "$status" -le 1 ] || refuse 'no certificate'
  serve
}

# What the client said last says most.
refuse() {
  echo "$told" >&2
  error="$1: $(echo "$told" | sed -n 's/^uacme: //p' | tail -n 2 | tr '\\n' ' ')"
  exit 1
}

# Looked at before it is served: a chain for this name, of this key, that has begun.
serve() {
  chain=$store/$domain/cert.pem
  key=$store/private/$domain/key.pem
  cat "$chain" "$key" >"$served.new"
  openssl x509 -in "$chain" -noout -checkend 0 >/dev/null ||
    { error='the certificate is over'; exit 1; }
  openssl x509 -in "$chain" -noout -checkhost "$domain" | grep -q 'does match' ||
    { error='the certificate is for another name'; exit 1; }
  [ "$(openssl x509 -in "$chain" -noout -pubkey)" = "$(openssl pkey -in "$key" -pubout)" ] ||
    { error='the certificate is of another key'; exit 1; }
  sync "$served.new"
  if cmp -s "$served.new" "$served"; then rm "$served.new"; else
    mv -f "$served.new" "$served"
    : >"$home/acme-obtained"
    nginx -t -q
    systemctl reload-or-restart nginx.service
  fi
}

tell() {
  [ "$1" -eq 0 ] || [ -n "$error" ] || error="status $1: see journalctl -u commons-certificate"
  obtained=null
  [ ! -e "$home/acme-obtained" ] || obtained=$(stat -c %Y "$served")
  words=null
  [ -z "$error" ] || words="\\"$(printf %s "$error" | tr -d '"\\\\' | tr '\\n\\t' '  ')\\""
  printf '{"v":1,"obtained_at":%s,"tried_at":%s,"error":%s}\\n' \\
    "$obtained" "$(date +%s)" "$words" >"$account.new"
  chmod 644 "$account.new"
  mv "$account.new" "$account"
}

main
`;

/** uacme calls it so: begin|done|failed METHOD IDENTIFIER TOKEN KEY-AUTHORIZATION. */
const challenge = `#!/bin/sh
# Puts an answer to an authority's challenge where the web server shows it, and takes it away again.
set -eu
[ "$2" = http-01 ] || exit 1
case $4 in '' | *[!A-Za-z0-9_-]*) exit 1 ;; esac
case $1 in
  begin)
    umask 022
    mkdir -p ${web}
    printf %s "$5" >"${web}/$4"
    ;;
  done | failed) rm -f "${web}/$4" ;;
esac
`;

const serviceUnit = `[Unit]
Description=Certificate of this node, by ACME
Wants=network-online.target
After=network-online.target nginx.service

[Service]
Type=oneshot
ExecStart=${program}
`;

/**
 * Soon after each start, since that is when a kit comes home, and four times a day: authorities
 * allow some failures an hour (Let's Encrypt: five), and a name may take hours to be found.
 */
const timerUnit = `[Unit]
Description=Certificate of this node, looked after four times a day

[Timer]
OnBootSec=5min
OnCalendar=*-*-* 00/6:00
RandomizedDelaySec=2h

[Install]
WantedBy=timers.target
`;
