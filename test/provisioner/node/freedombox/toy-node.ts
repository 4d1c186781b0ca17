// A FreedomBox node as far as its facts tell: a fresh one, and what steps make of it. Steps are
// read, not run; what their commands do is said here once.

import type { FreedomboxDesired } from '../../../../provisioner/node/freedombox/desired.ts';
import { units, type FreedomboxFacts } from '../../../../provisioner/node/freedombox/facts.ts';
import { digestOf, type Step } from '../../../../provisioner/node/step.ts';
import { desired as snacDesired } from '../snac/toy-node.ts';

export const desired: FreedomboxDesired = { ...snacDesired, prefix: '/social' };

const nobody = { account: false, accountAdmin: false, entry: false, entryAdmin: false };
const owner = { account: true, accountAdmin: true, entry: true, entryAdmin: true };

/** As the image boots: FreedomBox in the middle of its first setup, snac2 off. */
export function freshFacts(): FreedomboxFacts {
  return {
    missingPrograms: [],
    hostname: 'alice',
    localtime: '/usr/share/zoneinfo/Etc/UTC',
    files: {},
    stamps: {},
    units: {
      [units.plinth]: { enabled: true, active: 'active' },
      [units.apache]: { enabled: true, active: 'active' },
      [units.snac]: { enabled: false, active: 'inactive' },
      [units.firewall]: { enabled: true, active: 'active' },
      [units.line]: { enabled: false, active: 'inactive' },
      [units.counters]: { enabled: false, active: 'inactive' },
      [units.upgrades]: { enabled: true, active: 'active' },
      [units.backup]: { enabled: false, active: 'inactive' },
    },
    caTrusted: true,
    lineCounted: false,
    linesWithoutZone: ['a25663c1-1503-4a73-9d17-a8a16706bddf'],
    firewallOpen: false,
    apacheMissing: ['conf-enabled/snac2.conf'],
    freedombox: { completed: false, domains: [], owner: nobody },
    server: {
      ...{ host: 'localhost', prefix: '/social', address: '127.0.0.1', port: 8001 },
      ...{ layout: 2.7, protocol: 'https' },
    },
    users: {},
  };
}

export function afterSteps(before: FreedomboxFacts, steps: Step[]): FreedomboxFacts {
  const facts = structuredClone(before);
  for (const { files = [], command = '' } of steps) {
    for (const { path, mode, owner: whose, content } of files) {
      const digest = digestOf(content);
      facts.files[path] = { digest, mode: mode.replace(/^0/, ''), owner: whose };
      if (path.endsWith('server.json')) facts.server = JSON.parse(content as string);
    }
    const stamp = /printf '%s\\n' (\w+).* >\S+\/\.new\nmv -f \S+\/\.new \S+\/(\S+)/.exec(command);
    if (stamp) facts.stamps[stamp[2]] = stamp[1];
    for (const [, unit] of command.matchAll(/systemctl (?:re)?(?:start|load-or-restart) (\S+)/g)) {
      facts.units[unit] = { enabled: true, active: 'active' };
    }
    const timezone = /ln -sfn (\S+) /.exec(command);
    if (timezone) facts.localtime = timezone[1];
    if (command.includes('commons-line.service')) facts.lineCounted = true;
    if (command.includes('connection.zone internal')) facts.linesWithoutZone = [];
    if (command.includes('--add-rich-rule')) facts.firewallOpen = true;
    if (command.includes('a2enconf')) facts.apacheMissing = [];
    if (command.includes('hostnamectl')) facts.hostname = desired.hostname;
    if (command.includes('firstboot/welcome')) {
      facts.freedombox = { completed: true, domains: facts.freedombox.domains, owner };
    }
    if (command.includes('domain-add')) facts.freedombox.domains = [desired.domain];
    const account = /snac adduser \S+ (\S+)/.exec(command);
    if (account) facts.users[account[1]] = true;
  }
  return facts;
}
