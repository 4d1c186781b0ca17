// A snac node as far as its facts tell: a fresh one, and what steps make of it. Steps are read, not
// run; what their commands do to units, accounts and clocks is said here once.

import type { SnacDesired } from '../../../../provisioner/node/snac/desired.ts';
import { units, type SnacFacts } from '../../../../provisioner/node/snac/facts.ts';
import { Secret } from '../../../../provisioner/node/secret.ts';
import { digestOf, type Step } from '../../../../provisioner/node/step.ts';

export const desired: SnacDesired = {
  hostname: 'alice',
  domain: 'alice.test',
  owner: 'alice',
  ownerPassphrase: new Secret('lusab-babad-gutih-tugad-dabod'),
  timezone: 'Europe/Vienna',
  caCertificate: 'the authority\n',
  certificate: 'the certificate\n',
  certificateKey: new Secret('the key of the certificate\n'),
  ledger: 'http://ledger.test',
};

/** As the image boots: snac as Debian's package leaves it. */
export function freshFacts(): SnacFacts {
  return {
    missingPrograms: [],
    hostname: 'alice',
    localtime: '/usr/share/zoneinfo/Etc/UTC',
    resolvers: ['127.0.0.53'],
    files: {},
    stamps: {},
    units: {
      [units.nginx]: { enabled: true, active: 'active' },
      [units.snac]: { enabled: true, active: 'active' },
      [units.firewall]: { enabled: false, active: 'inactive' },
      [units.counters]: { enabled: false, active: 'inactive' },
      [units.upgrades]: { enabled: true, active: 'active' },
      [units.backup]: { enabled: false, active: 'inactive' },
    },
    caTrusted: false,
    firewallLoaded: false,
    packages: [],
    served: false,
    welcomePage: true,
    server: {
      host: 'localhost',
      prefix: '/social',
      address: '127.0.0.1',
      port: 8001,
      layout: 2.7,
      protocol: 'https',
    },
    users: {},
  };
}

export function afterSteps(before: SnacFacts, steps: Step[]): SnacFacts {
  const facts = structuredClone(before);
  for (const { files = [], command = '' } of steps) {
    for (const { path, mode, owner, content } of files) {
      facts.files[path] = { digest: digestOf(content), mode: mode.replace(/^0/, ''), owner };
      if (path.endsWith('server.json')) facts.server = JSON.parse(content as string);
    }
    const stamp = /printf '%s\\n' (\w+).* >\S+\/\.new\nmv -f \S+\/\.new \S+\/(\S+)/.exec(command);
    if (stamp) facts.stamps[stamp[2]] = stamp[1];
    for (const [, unit] of command.matchAll(/systemctl (?:re)?(?:start|load-or-restart) (\S+)/g)) {
      facts.units[unit] = { enabled: true, active: 'active' };
    }
    const installed = /apt-get install .* (\S+)$/m.exec(command);
    if (installed) facts.packages.push(installed[1]);
    if (command.includes('served.pem')) facts.served = true;
    const timezone = /ln -sfn (\S+) /.exec(command);
    if (timezone) facts.localtime = timezone[1];
    if (command.includes('update-ca-certificates')) facts.caTrusted = true;
    if (command.includes('nft -f')) facts.firewallLoaded = true;
    if (command.includes('sites-enabled/default')) facts.welcomePage = false;
    if (command.includes('/proc/sys/kernel/hostname')) facts.hostname = desired.hostname;
    const account = /snac adduser \S+ (\S+)/.exec(command);
    if (account) facts.users[account[1]] = true;
  }
  return facts;
}
