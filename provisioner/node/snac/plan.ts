// A snac node's plan: what follows from the desired state and the facts, in the order in which it
// must be done. Every part can be repeated, and done after having been cut off anywhere. Pure.

import type { NodeKind } from '../configure.ts';
import { effect } from '../operation/effect.ts';
import { writeFiles } from '../operation/files.ts';
import { enableCommand, unitAmiss } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';
import { acmeFiles, acmeSteps, servedSteps } from '../part/acme.ts';
import { backupFiles, backupSteps } from '../part/backup.ts';
import { countersFiles, countersSteps } from '../part/counters.ts';
import { firewallFile, firewallSteps } from '../part/firewall.ts';
import { refuseMissing } from '../part/programs.ts';
import { statusFile } from '../part/status.ts';
import { timezoneSteps } from '../part/timezone.ts';
import { caFile, trustSteps } from '../part/trust.ts';
import { upgradesFile, upgradesSteps } from '../part/upgrades.ts';
import type { SnacHome } from './desired.ts';
import { snacFacts, units, welcomePagePath, type SnacFacts } from './facts.ts';
import { certificateKeyPath, certificatePath, nginxSite } from './nginx.ts';
import { snacBackedUp, snacCounted } from './server.ts';
import { snacSteps } from './service.ts';

export const snac: NodeKind<SnacHome, SnacFacts> = {
  name: 'snac',
  facts(desired) {
    const paths = Object.values(files(desired, [])).flat().map(({ path }) => path);
    return snacFacts(paths, desired);
  },
  plan(desired, facts) {
    refuseMissing(facts.missingPrograms, { node: desired.hostname, image: 'snac' });
    const ours = files(desired, facts.resolvers);
    return [
      ...timezoneSteps(desired.timezone, facts),
      ...names(ours.names, desired, facts),
      ...trustSteps(caFile(desired.caCertificate), facts),
      ...firewallSteps(facts),
      ...snacSteps(desired, facts),
      ...web(ours, desired, facts),
      ...countersSteps(ours.counters, facts),
      ...upgradesSteps(facts),
      ...backupSteps(ours.backup, facts),
      ...(desired.acme === undefined ? [] : acmeSteps(ours.acme, facts)),
    ];
  },
};

const webServices = [units.snac, units.nginx];

/** Every file that is wholly ours, by what it is for. */
function files(desired: SnacHome, resolvers: string[]): Record<string, FileWrite[]> {
  const { hostname, domain } = desired;
  const file = (path: string, content: FileWrite['content'], mode = '0644'): FileWrite => ({
    path,
    mode,
    owner: 'root:root',
    content,
  });
  return {
    names: [file('/etc/hostname', `${hostname}\n`), file('/etc/hosts', hosts(hostname, domain))],
    trust: [caFile(desired.caCertificate)],
    firewall: [firewallFile],
    certificate: [
      file(certificatePath, desired.certificate),
      file(certificateKeyPath, desired.certificateKey, '0600'),
    ],
    site: [file('/etc/nginx/conf.d/commons-kit.conf', nginxSite({ ...desired, resolvers }))],
    counters: [
      ...countersFiles(snacCounted),
      statusFile({ domain, services: webServices, ...(desired.acme && { acme: true }) }),
    ],
    acme: desired.acme === undefined ? [] : acmeFiles(desired.acme, domain),
    upgrades: [upgradesFile],
    backup: backupFiles(snacBackedUp(desired)),
  };
}

function names(ours: FileWrite[], desired: SnacHome, facts: SnacFacts): Step[] {
  const written = writeFiles('Write the host name and /etc/hosts', ours, facts.files);
  if (facts.hostname === desired.hostname) return written;
  const command = 'cat /etc/hostname >/proc/sys/kernel/hostname';
  const because = `it is ${facts.hostname}`;
  return [...written, { name: `Take the host name ${desired.hostname}`, because, command }];
}

function web(ours: Record<string, FileWrite[]>, desired: SnacHome, facts: SnacFacts): Step[] {
  const removed: Step[] = facts.welcomePage
    ? [
        {
          name: 'Remove Debian’s welcome page',
          because: 'it answers in place of snac',
          command: `rm -f ${welcomePagePath}`,
        },
      ]
    : [];
  return [
    ...writeFiles(`Write ${desired.domain}’s certificate`, ours.certificate, facts.files),
    ...writeFiles('Write the web server’s site', ours.site, facts.files),
    ...removed,
    ...(desired.acme === undefined ? [] : servedSteps(ours.certificate, facts)),
    ...effect(
      {
        id: 'nginx',
        name: 'Serve the domain',
        dependsOn: [...ours.certificate, ...ours.site, ...ours.trust],
        command: `nginx -t -q\n${enableCommand(units.nginx, 'reload-or-restart')}`,
        amiss: facts.welcomePage ? 'another site is served' : unitAmiss(units.nginx, facts.units),
      },
      facts,
    ),
  ];
}

function hosts(hostname: string, domain: string): string {
  return `127.0.0.1 localhost
127.0.1.1 ${domain} ${hostname}
::1 localhost ip6-localhost ip6-loopback
ff02::1 ip6-allnodes
ff02::2 ip6-allrouters
`;
}
