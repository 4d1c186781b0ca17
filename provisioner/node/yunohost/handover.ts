// What a YunoHost needs to become its owner's: programs that give the directory's account, which
// all of YunoHost logs in by, and the application's a new passphrase when a recovery code was used;
// and a hook of YunoHost's configuration, which writes sshd's anew whenever it likes and reads no
// file beside it (FACTS). Pure: texts of files and a command.

import type { Campaign, YunohostApp } from '../../campaign/campaign.ts';
import type { Handover } from '../kinds.ts';
import { asRoot } from '../freedombox/state.ts';
import { cryptCommand } from '../part/crypt.ts';
import { accessPath, type SshdReading } from '../part/sshd.ts';
import { snacPassphraseHook } from '../snac/passphrase.ts';
import type { FileWrite } from '../step.ts';
import { intoGotosocial } from './app.ts';
import { snacApp } from './counted.ts';
import { personDn } from './directory.ts';
import { refusalFailures, session } from './session.ts';

export function yunohostHandover({ yunohost: { app } }: Campaign): Handover {
  return {
    files: (folder) => [
      ...applicationFiles(app, folder),
      program(`${folder}/yunohost`, intoDirectory),
    ],
    logins: (owner) => ['yunohost/admin/', 'yunohost/sso/', applicationLogin(app, owner)],
    sshd: yunohostsReading,
  };
}

const file = (path: string, content: string, mode = '0644'): FileWrite => ({
  ...{ path, content, mode, owner: 'root:root' },
});
const program = (path: string, content: string): FileWrite => file(path, content, '0755');

function applicationFiles(app: YunohostApp, folder: string): FileWrite[] {
  if (app === 'gotosocial') return [program(`${folder}/gotosocial`, gotosocialProgram)];
  const { folder: data, user } = snacApp;
  const dropIn = '/etc/systemd/system/commons-recovery@.service.d/yunohost.conf';
  return [snacPassphraseHook(folder, { data, user }), file(dropIn, seesData)];
}

/** The recovery service sees no home folders (recovery-programs.ts): snac's data is among them. */
const seesData = `# Written by kit handover.
[Service]
ProtectHome=tmpfs
BindPaths=${snacApp.folder}
`;

const applicationLogin = (app: YunohostApp, owner: string): string =>
  app === 'snac' ? `${owner}/admin` : 'settings';

const head = (what: string): string => `#!/bin/sh
# Gives ${what} of $1 the passphrase on standard input. Written by kit handover.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
`;

const gotosocialProgram = `${head('GoToSocial’s account')}${intoGotosocial('$1')}\n`;

/** As YunoHost keeps it (utils/password.py): `{CRYPT}`, then SHA-512 crypt(5). */
const intoDirectory = `${head('the directory’s account')}hash=$(${cryptCommand('sha512crypt')})
[ -n "$hash" ]
${asRoot('ldapmodify')} >/dev/null <<LDIF
dn: ${personDn('$1')}
changetype: modify
replace: userPassword
userPassword: {CRYPT}$hash
LDIF
`;

const included = `Include ${accessPath}`;

/**
 * Runs beside YunoHost's own hook for ssh, after it: `pre "" "" FOLDER`, the folder holding what is
 * about to be installed. At the top: the first value that sshd reads is the one that holds.
 */
const hook = `#!/bin/bash
# Has the SSH server read whom its owner lets in. Written by kit handover.
set -eu
[ "$1" = pre ] || exit 0
config="$4"/etc/ssh/sshd_config
grep -qxF '${included}' "$config" || sed -i '1i ${included}' "$config"
`;

/** A file that somebody has changed by hand YunoHost leaves alone, and says so with status 0. */
const yunohostsReading: SshdReading = {
  files: [program('/etc/yunohost/hooks.d/conf_regen/50-ssh', hook)],
  command: `${session}
ynh tools regen-conf ssh
grep -qxF '${included}' /etc/ssh/sshd_config || explain
sshd -t
systemctl restart ssh`,
  timeoutS: 600,
  failures: refusalFailures,
};
