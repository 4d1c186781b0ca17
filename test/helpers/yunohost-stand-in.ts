// YunoHost's packages as an image sees them: their names, what they need and conflict with, that
// `yunohost` is Essential, and that its postinst makes keys by hooks. Modelled on 12.1; nothing in
// them serves anybody.

import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { imagesDir } from '../../provisioner/image/folder.ts';
import { type DebRepository, serveDebRepository, type StandInPackage } from './deb-repository.ts';

const version = '12.1.25';
const hooks = 'usr/share/yunohost/hooks/conf_regen';

/** Each makes what the real hook of that name makes at random, in its places. */
const initHooks: Record<string, string> = {
  '02-ssl': `set -eu
[ "$1" = init ] || exit 0
certs=/etc/yunohost/certs/yunohost.org
ssl=/usr/share/yunohost/ssl
mkdir -p "$certs" "$ssl/ca"
[ ! -f "$certs/crt.pem" ] || exit 0
openssl req -x509 -newkey rsa:2048 -nodes -batch -subj /CN=yunohost.org \\
  -keyout "$ssl/ca/cakey.pem" -out "$ssl/ca/cacert.pem" 2> /dev/null
cp "$ssl/ca/cacert.pem" "$certs/ca.pem"
cp "$ssl/ca/cacert.pem" "$certs/crt.pem"
cp "$ssl/ca/cakey.pem" "$certs/key.pem"
ln -sf "$certs/ca.pem" /etc/ssl/certs/ca-yunohost_crt.pem
ln -sf "$certs/crt.pem" /etc/ssl/certs/yunohost_crt.pem
ln -sf "$certs/key.pem" /etc/ssl/private/yunohost_key.pem
update-ca-certificates > /dev/null 2>&1
`,
  '06-slapd': `set -eu
[ "$1" = init ] || exit 0
DEBIAN_FRONTEND=noninteractive dpkg-reconfigure slapd
systemctl restart slapd
`,
  '43-dnsmasq': `set -eu
[ "$1" = init ] || exit 0
printf 'nameserver 192.0.2.%s\\n' 1 2 3 4 5 6 7 8 9 | shuf > /etc/resolv.dnsmasq.conf
systemctl restart dnsmasq
`,
};

const api = `[Unit]
Description=stand-in for YunoHost API Server

[Service]
ExecStart=/usr/bin/sleep infinity

[Install]
WantedBy=multi-user.target
`;

export const yunohostPackages: readonly StandInPackage[] = [
  {
    name: 'yunohost',
    version,
    fields: {
      Essential: 'yes',
      Depends: [
        `moulinette (>= 12.1), ssowat (>= 12.0)`,
        'nginx, openssl, ssl-cert, slapd, dnsmasq, resolvconf, fake-hwclock, postsrsd',
      ].join(', '),
      Recommends: 'yunohost-admin (>= 12.1), yunohost-portal (>= 12.1)',
      Conflicts: 'apache2, bind9, iptables-persistent, systemd-resolved',
    },
    files: {
      ...Object.fromEntries(
        Object.entries(initHooks).map(([name, text]) => [`${hooks}/${name}`, text]),
      ),
      'usr/share/yunohost/conf/yunohost-api.service': api,
      'usr/share/yunohost/conf/yunohost-portal-api.service': api,
    },
    postinst: `#!/bin/bash
set -e
if [ "$1" = configure ] && [ ! -f /etc/yunohost/installed ]; then
  mkdir -p /etc/yunohost/apps
  cp /usr/share/yunohost/conf/*.service /etc/systemd/system/
  systemctl enable --quiet yunohost-api.service yunohost-portal-api.service
  for hook in 02-ssl 43-dnsmasq 06-slapd; do bash /${hooks}/$hook init; done
fi
`,
  },
  { name: 'moulinette', version, fields: { Depends: 'python3' } },
  { name: 'ssowat', version, fields: { Depends: 'nginx' } },
  { name: 'yunohost-admin', version },
  { name: 'yunohost-portal', version },
];

export interface StandIn {
  repository: DebRepository;
  /** A copy of images/ whose `yunohost` takes its packages, and its key, from the stand-in. */
  imagesDir: string;
}

/** Serves the packages and points a copy of the image at them. `dir` must be empty. */
export async function standInYunohost(
  dir: string,
  packages: readonly StandInPackage[] = yunohostPackages,
): Promise<StandIn> {
  const made = join(dir, 'repository');
  mkdirSync(made, { recursive: true });
  const repository = await serveDebRepository(made, {
    ...{ suite: 'bookworm', component: 'stable', arches: ['amd64', 'arm64'] },
    packages,
  });
  const images = join(dir, 'images');
  cpSync(imagesDir, images, { recursive: true, verbatimSymlinks: true });
  const file = join(images, 'yunohost', 'image.toml');
  const text = readFileSync(file, 'utf8');
  writeFileSync(file, text.replace(/^uri = .*$/m, `uri = "${repository.uri}"`));
  writeFileSync(join(images, 'yunohost', 'yunohost.asc'), readFileSync(repository.keyFile));
  return { repository, imagesDir: images };
}
