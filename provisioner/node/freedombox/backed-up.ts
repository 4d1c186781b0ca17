// What of a FreedomBox nobody could make anew: the fediverse server's data, its web interface's
// database, its users' directory and their homes. Applications that its owner adds keep theirs
// elsewhere: FreedomBox's own backups know them. Pure.

import type { BackedUp } from '../part/backup.ts';
import { ownIdentity } from '../part/kit-json.ts';
import { certificateKeyPath, certificatePath } from '../snac/nginx.ts';
import { snacData, snacUnit } from '../snac/server.ts';
import type { FreedomboxHome } from './desired.ts';

/** What a new drive needs to be the same home, besides those. */
export const freedomboxIdentity = [...ownIdentity, certificatePath, certificateKeyPath];

/**
 * The directory's settings (slapd.d) belong to its data: each names the other's parts. Its lock.mdb
 * changes without a new time, and LMDB makes it anew. What asks the directory for users' names
 * (nslcd) starts anew with it: by itself it would take ten seconds to find it back, and nobody could
 * log in meanwhile.
 */
export function freedomboxBackedUp({ hostname: kit, domain, owner }: FreedomboxHome): BackedUp {
  return {
    paths: [snacData.slice(1), 'var/lib/plinth', 'etc/ldap/slapd.d', 'var/lib/ldap/data.mdb', 'home'],
    services: ['slapd.service', 'nslcd.service', 'plinth.service', snacUnit],
    of: { ...{ kit, kind: 'freedombox', domain, owner }, identity: freedomboxIdentity },
  };
}
