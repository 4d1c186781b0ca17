// What gives a snac account its owner's new passphrase on the node itself, when a recovery code was
// used (handover/access/). Pure: the text of a program that the node runs as root.

import type { Handover } from '../kinds.ts';
import { countersPort } from '../part/firewall.ts';
import { debiansReading } from '../part/sshd.ts';
import type { FileWrite } from '../step.ts';
import { putPasswordHash, snacData } from './server.ts';

export const snacHandover: Handover = {
  files: (folder) => [snacPassphraseHook(folder)],
  logins: (owner) => [`${owner}/admin`],
  healthPort: countersPort,
  sshd: debiansReading,
};

/**
 * `snac OWNER`, the passphrase on standard input. snac reads user.json at each request.
 * @param place its data, and whose they are, where that is not Debian's package's
 */
export function snacPassphraseHook(
  folder: string,
  { data = snacData, user = 'debian-snac' }: { data?: string; user?: string } = {},
): FileWrite {
  const content = script({ data, owner: `${user}:${user}` });
  return { path: `${folder}/snac`, mode: '0755', owner: 'root:root', content };
}

/** The hash as server.ts makes it at the bench: NONCE:SHA1(NONCE:USER:PASSWORD). */
const script = ({ data, owner }: { data: string; owner: string }): string => `#!/bin/sh
# Gives the fediverse account of $1 the passphrase on standard input. Written by kit handover.
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
IFS= read -r passphrase
user=${data}/user/$1
nonce=$(od -An -N4 -tx1 /dev/urandom | tr -d ' \\n')
digest=$(printf '%s' "$nonce:$1:$passphrase" | sha1sum | cut -d ' ' -f 1)
echo "$nonce:$digest" | {
${putPasswordHash('$user', owner)}
}
`;
