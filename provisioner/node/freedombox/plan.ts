// A FreedomBox node's plan: what follows from the desired state and the facts, in the order in
// which it must be done. FreedomBox keeps what is its own (network, firewall, upgrades, its users);
// kit adds. Pure.

import type { NodeKind } from '../configure.ts';
import { backupFiles, backupSteps } from '../part/backup.ts';
import { countersFiles, countersSteps } from '../part/counters.ts';
import { lineFiles, lineSteps } from '../part/line.ts';
import { refuseMissing } from '../part/programs.ts';
import { timezoneSteps } from '../part/timezone.ts';
import { caFile, trustSteps } from '../part/trust.ts';
import { snacCounted } from '../snac/server.ts';
import { snacSteps } from '../snac/service.ts';
import type { Step } from '../step.ts';
import { apacheFiles, apacheSteps } from './apache.ts';
import type { FreedomboxHome } from './desired.ts';
import { freedomboxBackedUp } from './backed-up.ts';
import { freedomboxFacts, type FreedomboxFacts } from './facts.ts';
import { firewallSteps, zoneSteps } from './firewall.ts';
import { domainSteps, wizardSteps } from './wizard.ts';

export const freedombox: NodeKind<FreedomboxHome, FreedomboxFacts> = {
  name: 'freedombox',
  facts(desired) {
    const { certificate, web } = apacheFiles(desired);
    const trusted = caFile(desired.caCertificate);
    const ours = [trusted, ...lineFiles, ...certificate, ...web];
    const services = [...countersFiles(snacCounted), ...backupFiles(freedomboxBackedUp(desired))];
    const paths = [...ours, ...services].map(({ path }) => path);
    return freedomboxFacts(paths, desired);
  },
  plan(desired, facts) {
    refuseMissing(facts.missingPrograms, { node: desired.hostname, image: 'freedombox' });
    const trusted = caFile(desired.caCertificate);
    return [
      ...timezoneSteps(desired.timezone, facts),
      ...hostname(desired, facts),
      ...trustSteps(trusted, facts),
      // The kit's port to others is shut to strangers by the wizard's secret alone: first of all.
      ...wizardSteps(desired, facts),
      ...domainSteps(desired, facts),
      ...lineSteps(facts),
      ...zoneSteps(facts),
      ...firewallSteps(facts),
      ...snacSteps(desired, facts),
      ...apacheSteps(desired, trusted, facts),
      ...countersSteps(countersFiles(snacCounted), facts),
      ...backupSteps(backupFiles(freedomboxBackedUp(desired)), facts),
    ];
  },
};

/** /etc/hosts is left alone: FreedomBox takes names at 127.0.1.1 there for domains of its own. */
function hostname(desired: FreedomboxHome, facts: FreedomboxFacts): Step[] {
  if (facts.hostname === desired.hostname) return [];
  return [
    {
      name: `Take the host name ${desired.hostname}`,
      because: `it is ${facts.hostname}`,
      command: `hostnamectl set-hostname ${desired.hostname}`,
    },
  ];
}
