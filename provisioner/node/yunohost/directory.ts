// YunoHost's directory (LDAP), where its domains and people are, asked as root. It answers before
// the postinstall is done, when YunoHost's own command refuses to. Pure: commands and a parser.

import { asRoot } from '../freedombox/state.ts';

const base = 'dc=yunohost,dc=org';

export const personDn = (name: string): string => `uid=${name},ou=users,${base}`;

export interface Directory {
  domains: string[];
  people: string[];
  /** Those in the group of administrators. */
  admins: string[];
  /** Those in the group of everybody: joined last. */
  everybody: string[];
}

export const directoryScript = `${asRoot('ldapsearch')} -LLL -o ldif-wrap=no -b ${base} \\
  '(|(objectClass=mailDomain)(objectClass=mailAccount)(cn=admins)(cn=all_users))' \\
  virtualdomain uid memberUid`;

/** LDIF (RFC 2849) as far as OpenLDAP prints it for names: `attribute: value`, entries apart. */
export function readDirectory(ldif: string): Directory {
  const found: Directory = { domains: [], people: [], admins: [], everybody: [] };
  for (const entry of ldif.split(/\n\n+/)) {
    const values = (attribute: string): string[] =>
      [...entry.matchAll(new RegExp(`^${attribute}: (.+)$`, 'gm'))].map(([, value]) => value);
    const [dn = ''] = values('dn');
    if (dn.endsWith(`,ou=domains,${base}`)) found.domains.push(...values('virtualdomain'));
    if (dn.endsWith(`,ou=users,${base}`)) found.people.push(...values('uid'));
    if (dn === `cn=admins,ou=groups,${base}`) found.admins.push(...values('memberUid'));
    if (dn === `cn=all_users,ou=groups,${base}`) found.everybody.push(...values('memberUid'));
  }
  return found;
}

/** Shell functions that look. @param names plain words */
export function looking({ domain, owner }: { domain: string; owner: string }): string {
  return `ldap() {
  ${asRoot('ldapsearch')} -LLL -o ldif-wrap=no -b ${base} "$1" dn 2>/dev/null | grep -q '^dn: '
}
has_domain() { ldap '(&(objectClass=mailDomain)(virtualdomain=${domain}))'; }
has_owner() { ldap '(&(objectClass=mailAccount)(uid=${owner}))'; }
owner_whole() {
  has_owner && ldap '(&(cn=admins)(memberUid=${owner}))' &&
    ldap '(&(cn=all_users)(memberUid=${owner}))'
}`;
}

/**
 * Shell that takes a half-made owner and a domain out again, as if they had never been begun. That
 * a group never had the owner is no failure: ldapmodify calls it one.
 */
export function settingBack({ domain, owner }: { domain: string; owner: string }): string {
  const remove = asRoot('ldapdelete');
  return `leave() {
  printf 'dn: cn=%s,ou=groups,${base}\\nchangetype: modify\\ndelete: %s\\n%s: %s\\n' \
    "$1" "$2" "$2" "$3" | ${asRoot('ldapmodify')} >/dev/null 2>&1 || true
}
for group in admins all_users; do
  leave $group memberUid ${owner}
  leave $group member ${personDn(owner)}
done
! ldap '(&(objectClass=posixGroup)(cn=${owner}))' || ${remove} cn=${owner},ou=groups,${base}
! has_owner || ${remove} ${personDn(owner)}
! has_domain || ${remove} virtualdomain=${domain},ou=domains,${base}`;
}
