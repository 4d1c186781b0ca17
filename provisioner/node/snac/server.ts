// snac itself: its server.json, its users, and the owner made without a terminal. Pure.

import { createHash } from 'node:crypto';

import { KitError } from '../../errors.ts';
import { type Fact, FactError } from '../fact.ts';
import { enableCommand } from '../operation/units.ts';
import { acmeKept } from '../part/acme.ts';
import type { BackedUp } from '../part/backup.ts';
import { ownIdentity } from '../part/kit-json.ts';
import type { CountersSource } from '../part/counters.ts';
import { statusProgram } from '../part/status.ts';
import { Secret } from '../secret.ts';
import type { FileWrite } from '../step.ts';
import type { SnacHome } from './desired.ts';
import { certificateKeyPath, certificatePath, snacPort } from './nginx.ts';

export const snacUnit = 'snac2.service';
export const snacData = '/var/lib/snac2';
const serverPath = `${snacData}/server.json`;

export type ServerJson = Record<string, unknown>;

export const serverJson: Fact<ServerJson> = {
  script: `cat ${serverPath}`,
  parse(text) {
    try {
      const value: unknown = JSON.parse(text);
      if (typeof value === 'object' && value !== null) return value as ServerJson;
    } catch {
      // Told below, like any other text that is not an object.
    }
    throw new FactError(`an object in ${serverPath}`, text);
  },
};

/** User name → whether it is whole: `snac adduser` writes the key last, and can be cut off. */
export const snacUsers: Fact<Record<string, boolean>> = {
  script: `cd ${snacData}/user && for user in *; do
  [ -d "$user" ] || continue
  whole=no
  [ -s "$user/user.json" ] && [ -s "$user/key.json" ] && whole=yes
  echo "$user $whole"
done`,
  parse: (text) =>
    Object.fromEntries(
      text
        .split('\n')
        .filter((line) => line !== '')
        .map((line) => line.split(' '))
        .map(([user, whole]) => [user, whole === 'yes']),
    ),
};

/** What server.json must say; all else in it is snac's and Debian's. */
export function serverSettings({ domain, prefix = '' }: SnacHome): ServerJson {
  return { host: domain, prefix, address: '127.0.0.1', port: snacPort, protocol: 'https' };
}

/**
 * The whole file with our settings in it, or undefined when it has them.
 * @throws KitError `domain-in-use`: people on other servers know these users by the old domain
 */
export function serverFile(
  desired: SnacHome,
  current: ServerJson,
  users: string[],
): FileWrite | undefined {
  const settings = serverSettings(desired);
  if (Object.entries(settings).every(([key, value]) => current[key] === value)) return undefined;
  const host = String(current['host']);
  if (users.length > 0 && host !== desired.domain) throw domainInUse(desired, host, users);
  return {
    path: serverPath,
    mode: '0660',
    owner: 'debian-snac:debian-snac',
    content: `${JSON.stringify({ ...current, ...settings }, null, 4)}\n`,
  };
}

/**
 * Makes the user if there is none, and gives it the password whose hash is on standard input.
 * `snac adduser` prints a password of its own: never seen by anybody, and replaced at once.
 */
export function ownerCommand(owner: string): string {
  const user = `${snacData}/user/${owner}`;
  return `if [ ! -s ${user}/key.json ]; then
  rm -rf ${user}
  runuser -u debian-snac -- snac adduser ${snacData} ${owner} >/dev/null
fi
${repairKey(user)}
${putPasswordHash(user)}`;
}

/**
 * Shell that gives a user the password whose hash is on standard input.
 * @param user the folder @param owner of the files
 */
export function putPasswordHash(user: string, owner = 'debian-snac:debian-snac'): string {
  return `awk 'NR == FNR { hash = $0; next }
  /"passwd":/ { sub(/"passwd": *"[^"]*"/, "\\"passwd\\": \\"" hash "\\"") } { print }
' - ${user}/user.json >${user}/user.json.kit-new
grep -q '"passwd": "[0-9a-f]*:[0-9a-f]*"' ${user}/user.json.kit-new
chown ${owner} ${user}/user.json.kit-new
chmod 0660 ${user}/user.json.kit-new
mv -f ${user}/user.json.kit-new ${user}/user.json`;
}

/**
 * snac2 2.75 writes a few bytes of stray memory behind the public key's PEM, at times not even
 * UTF-8: other servers then cannot read the actor. Cuts them off; LC_ALL=C lets sed see bytes.
 */
export function repairKey(userFolder: string): string {
  const end = String.raw`s/\(-----END PUBLIC KEY-----\\n\).*"/\1"/`;
  return `LC_ALL=C sed -i '${end}' ${userFolder}/key.json
chmod 0660 ${userFolder}/key.json`;
}

/** The nonce follows from the passphrase, so that the same plan is made every time. */
export function passwordHash(owner: string, passphrase: Secret): Secret {
  const seed = `commons-kit ${owner} ${passphrase.reveal()}`;
  const nonce = createHash('sha256').update(seed).digest('hex').slice(0, 8);
  return new Secret(snacHash(nonce, owner, passphrase.reveal()));
}

/** As snac2 2.75 keeps a password: NONCE:SHA1(NONCE:USER:PASSWORD), its hash_password(). */
export function snacHash(nonce: string, user: string, password: string): string {
  const digest = createHash('sha1').update(`${nonce}:${user}:${password}`).digest('hex');
  return `${nonce}:${digest}`;
}

/** Restarts snac and waits until it listens: systemd calls it started before that (FACTS). */
export function restartCommand(): string {
  const hexPort = snacPort.toString(16).toUpperCase().padStart(4, '0');
  return `${enableCommand(snacUnit, 'restart')}
tries=0
until grep -q ' 0100007F:${hexPort} 00000000:0000 0A ' /proc/net/tcp; do
  tries=$((tries + 1))
  [ $tries -lt 90 ] || { echo 'snac does not listen on port ${snacPort}'; exit 1; }
  sleep 1
done`;
}

function domainInUse(desired: SnacHome, host: string, users: string[]): KitError {
  return new KitError({
    code: 'domain-in-use',
    message: `${desired.hostname} already serves ${users.join(', ')} at another domain`,
    expected: desired.domain,
    got: host,
    hint: 'A server’s domain cannot change under its users: put the old one back, or flash anew.',
  });
}

/**
 * snac's folder is for its user alone; its index of public posts has lines of 33 bytes, the way
 * that its NodeInfo counts posts. The group reads in the journal when the meter last reported.
 */
export function snacCountedIn(folder: string, user: string): CountersSource {
  return {
    accounts: `for file in ${folder}/user/*/user.json; do
  [ -e "$file" ] && users=$((users + 1))
done
for size in $(/usr/bin/stat -c %s ${folder}/user/*/public.idx 2>/dev/null); do
  posts=$((posts + size / 33))
done`,
    runAs: `User=${user}\nSupplementaryGroups=systemd-journal`,
  };
}

export const snacCounted: CountersSource = {
  ...snacCountedIn(snacData, 'debian-snac'),
  page: statusProgram,
};

/** What a new drive needs to be the same home, besides snac's data: patterns of the shell's. */
export const snacIdentity = [
  ...ownIdentity,
  ...[certificatePath, certificateKeyPath],
  ...acmeKept,
  // The home's Wi-Fi (iwd.network(5)), and whose rules for radio hold.
  ...['/var/lib/iwd/*.psk', '/etc/modprobe.d/commons-kit-wifi.conf'],
];

/** Posts, followers, keys, media: what nobody could make anew. */
export function snacBackedUp({ hostname: kit, domain, owner }: SnacHome): BackedUp {
  const of = { ...{ kit, kind: 'snac', domain, owner }, identity: snacIdentity };
  return { paths: [snacData.slice(1)], services: [snacUnit], of };
}
