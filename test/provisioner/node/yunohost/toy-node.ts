// A YunoHost node as far as its facts tell: a fresh one, and what steps make of it. Steps are read,
// not run; what their commands do is said here once.

import type { YunohostDesired } from '../../../../provisioner/node/yunohost/desired.ts';
import { units, type YunohostFacts } from '../../../../provisioner/node/yunohost/facts.ts';
import { digestOf, type Step } from '../../../../provisioner/node/step.ts';
import { desired as snacDesired } from '../snac/toy-node.ts';

export const desired: YunohostDesired = {
  ...snacDesired,
  ...{ app: 'snac', certifiedBy: 'campaign' },
};

const { domain, owner } = desired;
const nobody = { domains: [], people: [], admins: [], everybody: [] };
const made = { domains: [domain], people: [owner], admins: [owner], everybody: [owner] };

/** As kit's image boots: nothing was decided, and the API waits. */
export function freshFacts(): YunohostFacts {
  return {
    missingPrograms: [],
    installable: true,
    localtime: '/usr/share/zoneinfo/Etc/UTC',
    resolvers: ['192.168.1.1'],
    files: {},
    stamps: {},
    units: {
      [units.web]: { enabled: true, active: 'active' },
      [units.firewall]: { enabled: false, active: 'inactive' },
      [units.api]: { enabled: true, active: 'inactive' },
      [units.portal]: { enabled: true, active: 'inactive' },
      [units.line]: { enabled: false, active: 'inactive' },
      [units.counters]: { enabled: false, active: 'inactive' },
      [units.upgrades]: { enabled: true, active: 'active' },
      [units.backup]: { enabled: false, active: 'inactive' },
      'snac.service': { enabled: false, active: 'inactive' },
    },
    caTrusted: true,
    api: { waits: true, listens: false },
    yunohost: {
      version: '12.1.25',
      marked: false,
      directory: nobody,
      configured: { ssh: false, web: false, firewall: false },
    },
    apps: [],
    appBegun: undefined,
    lineCounted: false,
    firewallOpen: false,
    relayed: false,
    certified: 'none',
  };
}

export function afterSteps(before: YunohostFacts, steps: Step[]): YunohostFacts {
  const facts = structuredClone(before);
  for (const { files = [], command = '' } of steps) {
    for (const { path, mode, owner: whose, content } of files) {
      const digest = digestOf(content);
      facts.files[path] = { digest, mode: mode.replace(/^0/, ''), owner: whose };
    }
    const stamp = /printf '%s\\n' (\w+).* >\S+\/\.new\nmv -f \S+\/\.new \S+\/(\S+)/.exec(command);
    if (stamp) facts.stamps[stamp[2]] = stamp[1];
    for (const [, named] of command.matchAll(/systemctl (?:re)?(?:start|load-or-restart) (.+)/g)) {
      for (const unit of named.split(' ')) facts.units[unit] = { enabled: true, active: 'active' };
    }
    const timezone = /ln -sfn (\S+) \/etc\/localtime/.exec(command);
    if (timezone) facts.localtime = timezone[1];
    if (command.includes('systemctl stop yunohost-api')) facts.api = { waits: true, listens: false };
    if (command.includes('apt-get -q -y install')) facts.yunohost.version = '12.1.25';
    if (command.includes('commons-line.service')) facts.lineCounted = true;
    if (command.includes('nft -c -f')) facts.firewallOpen = true;
    if (command.includes('ynh tools regen-conf nginx')) facts.relayed = true;
    if (command.includes('postinstalled || explain')) {
      facts.yunohost = {
        ...{ version: '12.1.25', marked: true, mainDomain: domain, directory: structuredClone(made) },
        configured: { ssh: true, web: true, firewall: true },
      };
      facts.units['nftables.service'] = { enabled: true, active: 'active' };
      facts.resolvers = ['127.0.0.1'];
      facts.certified = 'yunohost';
    }
    if (command.includes('-history/commons-kit /etc')) facts.certified = 'campaign';
    if (command.includes('ynh domain cert install')) facts.certified = 'other';
    const app = /ynh app install (\S+)/.exec(command);
    if (app) {
      facts.apps = [{ id: app[1], version: '1', domainPath: domain }];
      facts.appBegun = undefined;
      facts.units[`${app[1]}.service`] = { enabled: true, active: 'active' };
    }
    const { directory } = facts.yunohost;
    const added = /ynh domain add (\S+)/.exec(command);
    if (added) directory.domains = [...directory.domains, added[1]];
    const main = /ynh domain main-domain -n (\S+)/.exec(command);
    if (main) facts.yunohost.mainDomain = main[1];
    if (command.includes('ynh user create')) facts.yunohost.directory = structuredClone(made);
  }
  return facts;
}
