// What a FreedomBox needs to become its owner's: a program that gives its two accounts (the web
// interface's, and the directory's, which all else logs in by) a new passphrase when a recovery code
// was used, and leave for the login that takes codes. Pure: texts of files.

import type { Handover } from '../kinds.ts';
import { debiansReading } from '../part/sshd.ts';
import { snacPassphraseHook } from '../snac/passphrase.ts';
import { snacPrefix } from './desired.ts';
import { asRoot, databasePath } from './state.ts';

export const freedomboxHandover: Handover = {
  files: (folder) => [
    { path: `${folder}/freedombox`, mode: '0755', owner: 'root:root', content: passphraseProgram },
    snacPassphraseHook(folder),
    { path: accessFile, mode: '0644', owner: 'root:root', content: access },
  ],
  logins: (owner) => ['plinth/', `${snacPrefix.slice(1)}/${owner}/admin`],
  sshd: debiansReading,
};

/** access.conf(5): before 50freedombox.conf, by which it may keep all but administrators out. */
const accessFile = '/etc/security/access.d/40-commons-kit.conf';
const access = `# Written by kit handover: the login that takes recovery codes.
+:recover:ALL
`;

/**
 * The web interface's hash as Django 4.2 keeps one, `pbkdf2_sha256$ITERATIONS$SALT$BASE64`; it takes
 * any number of iterations, and makes it anew at the next login where it wants another. The
 * passphrase comes on standard input, and goes to the directory through a file in memory.
 */
const passphraseProgram = `#!/bin/sh
# Gives FreedomBox's accounts of $1 the passphrase on standard input. Written by kit handover.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077
work=$(mktemp -d /run/commons-passphrase.XXXXXX)
trap 'rm -rf "$work"' EXIT
IFS= read -r passphrase
printf %s "$passphrase" >"$work/passphrase"
dn=$(${asRoot('ldapsearch')} -LLL -b dc=thisbox "(&(objectClass=posixAccount)(uid=$1))" dn |
  sed -n 's/^dn: //p')
[ -n "$dn" ]
${asRoot('ldappasswd')} -T "$work/passphrase" "$dn"
python3 - "$1" "$work/passphrase" <<'PYTHON'
import base64, hashlib, secrets, sqlite3, sys
user, path = sys.argv[1:]
iterations, salt = 600000, secrets.token_hex(11)
with open(path, "rb") as file:
    digest = hashlib.pbkdf2_hmac("sha256", file.read(), salt.encode(), iterations)
kept = "pbkdf2_sha256$%d$%s$%s" % (iterations, salt, base64.b64encode(digest).decode())
db = sqlite3.connect("${databasePath}", timeout=20)
with db:
    changed = db.execute("UPDATE auth_user SET password = ? WHERE username = ?", (kept, user))
sys.exit(0 if changed.rowcount == 1 else 1)
PYTHON
`;
