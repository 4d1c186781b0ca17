// A YunoHost node's plan: what follows from the desired state and the facts, in the order in which
// it must be done. YunoHost keeps what is its own (host name, firewall, sshd, nginx's servers, its
// people); kit adds, by YunoHost's own ways. Pure.

import type { NodeKind } from '../configure.ts';
import { backupSteps } from '../part/backup.ts';
import { countersFiles, countersSteps } from '../part/counters.ts';
import { lineFiles, lineSteps } from '../part/line.ts';
import { refuseMissing } from '../part/programs.ts';
import { timezoneSteps } from '../part/timezone.ts';
import { caFile, trustSteps } from '../part/trust.ts';
import { upgradesFile, upgradesSteps } from '../part/upgrades.ts';
import type { FileWrite } from '../step.ts';
import { accountSteps } from './account.ts';
import { appSteps } from './app.ts';
import { yunohostBackupFiles } from './backup.ts';
import { campaignSteps, certificateFiles, letsencryptSteps } from './certificate.ts';
import { counted } from './counted.ts';
import type { YunohostHome } from './desired.ts';
import { diagnosisSteps } from './diagnosis.ts';
import { yunohostFacts, type YunohostFacts } from './facts.ts';
import { firewallFile, firewallSteps } from './firewall.ts';
import { installSteps } from './install.ts';
import { isPostinstalled, postinstallSteps } from './postinstall.ts';
import { apiSteps, shutSteps } from './race.ts';
import { webFiles, webSteps } from './web.ts';

export const yunohost: NodeKind<YunohostHome, YunohostFacts> = {
  name: 'yunohost',
  facts(desired) {
    const paths = Object.values(files(desired, [])).flat().map(({ path }) => path);
    return yunohostFacts(paths, desired);
  },
  plan(desired, facts) {
    refuseMissing(facts.missingPrograms, { node: desired.hostname, image: 'yunohost' });
    const done = isPostinstalled(facts);
    const ours = files(desired, done ? facts.resolvers : ownResolver);
    return [
      // A port open to strangers first; nothing before the postinstall may depend on the network.
      ...shutSteps(facts),
      ...installSteps(desired, facts),
      ...timezoneSteps(desired.timezone, facts),
      ...trustSteps(caFile(desired.caCertificate), facts),
      ...postinstallSteps(desired, facts),
      ...(done ? accountSteps(desired, facts) : []),
      ...apiSteps(facts),
      ...lineSteps(facts),
      ...firewallSteps(facts),
      ...campaignSteps(desired, facts),
      ...webSteps(ours.web, facts),
      ...appSteps(desired, facts),
      ...countersSteps(ours.counters, facts),
      ...upgradesSteps(facts),
      ...backupSteps(ours.backup, facts),
      ...diagnosisSteps(facts),
      ...letsencryptSteps(desired, facts),
    ];
  },
};

/** The postinstall makes YunoHost's own dnsmasq the node's name server. */
const ownResolver = ['127.0.0.1'];

/** Every file that is wholly ours, by what it is for. */
function files(desired: YunohostHome, resolvers: string[]): Record<string, FileWrite[]> {
  return {
    trust: [caFile(desired.caCertificate)],
    line: lineFiles,
    firewall: [firewallFile],
    web: webFiles(desired, resolvers),
    certificate: certificateFiles(desired),
    counters: countersFiles(counted(desired)),
    upgrades: [upgradesFile],
    backup: yunohostBackupFiles(desired),
  };
}
