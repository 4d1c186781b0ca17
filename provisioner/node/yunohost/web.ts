// The meter's relay within YunoHost's nginx. Asked by an address, nginx takes its default server,
// whose folder is open to others' files; asked by the domain, the server that YunoHost writes, and
// writes again whenever it likes: a hook of its configuration adds the relay to it. Pure.

import type { Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { relay, relayZone } from '../part/relay.ts';
import type { FileWrite, Step } from '../step.ts';
import type { YunohostHome } from './desired.ts';
import { refusalFailures, session } from './session.ts';

export const webUnit = 'nginx.service';

const relayPath = '/etc/nginx/commons-kit/relay.conf';
const included = `include ${relayPath};`;

export function webFiles({ ledger }: YunohostHome, resolvers: string[]): FileWrite[] {
  const file = (path: string, content: string, mode = '0644'): FileWrite => ({
    ...{ path, mode, content },
    owner: 'root:root',
  });
  return [
    file('/etc/nginx/conf.d/commons-kit.conf', `# Written by kit configure.\n${relayZone}\n`),
    file(relayPath, `# Written by kit configure.\n${relay({ ledger, resolvers })}`),
    file('/etc/nginx/conf.d/default.d/commons-kit.conf', `${included}\n`),
    file('/etc/yunohost/hooks.d/conf_regen/50-nginx', hook, '0755'),
  ];
}

/**
 * Runs beside YunoHost's own hook for nginx, after it: `pre "" "" FOLDER`, the folder holding what
 * is about to be installed. Only the servers of port 80 include the challenge of ACME.
 */
const hook = `#!/bin/bash
# Adds the meter's relay to each domain's server of port 80. Written by kit configure.
set -eu
[ "$1" = pre ] || exit 0
for site in "$4"/etc/nginx/conf.d/*.conf; do
  grep -q '${included}' "$site" ||
    sed -i 's#^ *include /etc/nginx/conf.d/acme-challenge.conf.inc;#&\\n    ${included}#' "$site"
done
`;

export function webSteps(
  ours: FileWrite[],
  facts: { files: FileStates; stamps: Stamps; relayed: boolean },
): Step[] {
  return [
    ...writeFiles('Write the meter’s relay to the ledger', ours, facts.files),
    ...effect(
      {
        id: 'relay',
        name: 'Relay the meter to the ledger',
        dependsOn: ours,
        command: `${session}
nginx -t -q
ynh tools regen-conf nginx
grep -qF '${included}' /etc/nginx/conf.d/*.*.conf || explain
nginx -t -q
systemctl reload-or-restart ${webUnit}`,
        timeoutS: 600,
        failures: refusalFailures,
        amiss: facts.relayed ? undefined : 'YunoHost’s server for the domain has no relay',
      },
      facts,
    ),
  ];
}

/** YunoHost's server for the domain includes the relay. */
export function relayed(domain: string): Fact<boolean> {
  return {
    script: `grep -qF '${included}' /etc/nginx/conf.d/${domain}.conf`,
    parse: (_, exitCode) => exitCode === 0,
  };
}
