// What puts a backup back on a new drive's node, once its archives have arrived: the data first,
// then the files and logins that make it this home, and the marks last. Until the last mark stands,
// all of it is done again; once it does, nothing is, ever again. Pure. It never puts anything back
// onto a node that somebody lives on: what is there would be lost.

import { KitError } from '../errors.ts';
import type { NodeKind } from '../node/configure.ts';
import { stamps, type Stamps } from '../node/operation/effect.ts';
import { fileStates, writeFiles, type FileStates } from '../node/operation/files.ts';
import type { Restoration } from '../node/kinds.ts';
import { backupStore } from '../node/part/backup.ts';
import { Secret } from '../node/secret.ts';
import type { Step } from '../node/step.ts';
import type { IdentityFile, KitJson } from './kit-json.ts';

export interface PutBack {
  kit: string;
  /** The generation's name. */
  name: string;
  backup: KitJson;
  /** Of kit.json's files those that neither the drive nor configuring brings. */
  files: IdentityFile[];
  restoration: Pick<Restoration, 'files' | 'accounts' | 'putBack'>;
}

export interface PutBackFacts {
  files: FileStates;
  stamps: Stamps;
  accounts: string[];
}

const marks = '/var/lib/commons-kit/applied';
/** Both hold the seal of the backup that they are about. */
const [begun, ended] = ['restoring', 'restored'];
/** A slow card unpacks this much in a second. */
const slowestBytesPerS = 500_000;

/** Where a generation's files come to, until all of them are there. */
export const comingFolder = (name: string): string => `${backupStore}/.coming-${name}`;

export const putBack: NodeKind<PutBack, PutBackFacts> = {
  name: 'restore',
  facts: ({ restoration }) => ({
    files: fileStates(restoration.files.map(({ path }) => path)),
    stamps,
    accounts: restoration.accounts,
  }),
  plan(desired, facts) {
    const { backup, restoration } = desired;
    if (isPutBack(desired, facts)) return [];
    return [
      ...writeFiles('Write what putting it back needs', restoration.files, facts.files),
      begin(backup),
      takeIn(desired),
      unpack(desired),
      ...writeIdentity(desired.files),
      ...openLogins(backup),
      end(backup),
    ];
  },
};

/**
 * Whether this very backup was put back before.
 * @throws KitError `node-inhabited` where it may not be
 */
export function isPutBack(
  { kit, backup }: Pick<PutBack, 'kit' | 'backup'>,
  { stamps: stamped, accounts }: Pick<PutBackFacts, 'stamps' | 'accounts'>,
): boolean {
  if (stamped[ended] === backup.seal) return true;
  if (stamped[ended] !== undefined) throw inhabited(kit, 'another backup, put back before');
  if (accounts.length === 0 || stamped[begun] === backup.seal) return false;
  throw inhabited(kit, `accounts: ${accounts.join(', ')}`);
}

const because = 'the drive is new';

function begin({ seal }: KitJson): Step {
  return { name: 'Begin to put the backup back', because, command: mark(begun, seal) };
}

function takeIn({ name, backup }: PutBack): Step {
  const sums = backup.parts.map((part) => `${part.sha256}  ${part.name}`).join('\n');
  const [coming, there] = [comingFolder(name), `${backupStore}/${name}`];
  return {
    name: `Take in the backup ${name}`,
    because,
    command: `if [ -e ${coming}/kit.json ]; then
  (cd ${coming} && sha256sum -c --quiet --strict) <<'SUMS'
${sums}
SUMS
  rm -rf ${there}
  mv ${coming} ${there}
  rm -rf ${backupStore}/.coming-*
  sync
fi
[ -e ${there}/kit.json ]`,
    timeoutS: 120 + secondsFor(backup),
  };
}

function unpack({ name, backup, restoration }: PutBack): Step {
  const { timeoutS, ...work } = restoration.putBack(name);
  return {
    ...{ name: 'Put back what its archives hold', because, ...work },
    timeoutS: timeoutS + secondsFor(backup),
  };
}

function secondsFor({ dataBytes, parts }: KitJson): number {
  const archived = parts.reduce((sum, { bytes }) => sum + bytes, 0);
  return Math.ceil((dataBytes + archived) / slowestBytesPerS);
}

/** A path may hold spaces: it stands last. */
function writeIdentity(files: IdentityFile[]): Step[] {
  if (files.length === 0) return [];
  const lines = files.map(({ mode, owner, content, path }) =>
    `${mode} ${owner} ${content.toString('base64') || '-'} ${path}\n`);
  return [
    {
      name: 'Put back the files that make it this home',
      because,
      command: `umask 077
while read -r mode owner content path; do
  mkdir -p "\${path%/*}"
  if [ "$content" = - ]; then content=; fi
  printf %s "$content" | base64 -d >"$path.kit-new"
  chown "$owner" "$path.kit-new"
  chmod "$mode" "$path.kit-new"
  mv -fT "$path.kit-new" "$path"
done`,
      input: new Secret(lines.join('')),
    },
  ];
}

/** By their hashes: what they are, nobody but the owner knows. */
function openLogins({ owner, logins }: KitJson): Step[] {
  const lines = Object.entries(logins).map(([user, hash]) => `${user}:${hash}\n`);
  if (lines.length === 0) return [];
  const made = `useradd --create-home --shell /bin/bash ${owner}`;
  const user = `id -u ${owner} >/dev/null 2>&1 || ${made}\n`;
  return [
    {
      name: `Put back the passphrases of ${Object.keys(logins).join(', ')}`,
      because,
      command: `${owner in logins ? user : ''}chpasswd --encrypted`,
      input: new Secret(lines.join('')),
    },
  ];
}

function end({ seal, once }: KitJson): Step {
  const done = once.map((stamp) => mark(stamp, 'once'));
  const command = [...done, 'sync', mark(ended, seal), `rm -f ${marks}/${begun}`].join('\n');
  return { name: 'Note that all of it is back', because, command };
}

/** As effect.ts stamps: whole or absent. */
function mark(name: string, value: string): string {
  return `mkdir -p ${marks}
echo ${value} >${marks}/.new
mv -f ${marks}/.new ${marks}/${name}`;
}

function inhabited(kit: string, got: string): KitError {
  return new KitError({
    code: 'node-inhabited',
    message: `Somebody lives on the node that answers for ${kit}`,
    expected: 'a node that has just been written anew',
    got,
    hint: 'Nothing was changed. To go back on a living node, run `commons-backup restore` on it.',
  });
}
