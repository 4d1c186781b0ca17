// The kit's domain and its owner, where they are missing after the postinstall: made by YunoHost's
// own commands, whose status is not asked. `user create` ends with 1 and the user is there; `domain
// add` ends with 1 and leaves a folder of certificates without a domain (FACTS). Pure.

import { KitError } from '../../errors.ts';
import { ownersSecret } from '../snac/desired.ts';
import type { Step } from '../step.ts';
import type { AppState } from './app-state.ts';
import type { YunohostHome } from './desired.ts';
import { looking } from './directory.ts';
import { fullName } from './postinstall.ts';
import { passphrase, refusalFailures, session } from './session.ts';
import type { YunohostState } from './state.ts';

interface AccountFacts {
  yunohost: YunohostState;
  apps: AppState[];
}

/** @throws KitError `domain-in-use` */
export function accountSteps(desired: YunohostHome, facts: AccountFacts): Step[] {
  const { domain, owner } = desired;
  const { directory, mainDomain } = facts.yunohost;
  const steps: Step[] = [];
  const add = (name: string, because: string, command: string): void => {
    steps.push({
      ...{ name, because, timeoutS: 1800, failures: refusalFailures },
      command: `${session}\n${looking(desired)}\n${command}`,
      input: ownersSecret(desired, 'domain or its owner’s account'),
    });
  };
  if (!directory.domains.includes(domain)) {
    refuseMove(desired, facts);
    const command = `ynh domain add ${domain} --ignore-dyndns\nhas_domain || explain`;
    add(`Add the domain ${domain}`, 'YunoHost does not know it', command);
  }
  if (mainDomain !== domain) {
    const command = `ynh domain main-domain -n ${domain}
[ "$(head -n 1 /etc/yunohost/current_host)" = ${domain} ] || explain`;
    add(`Make ${domain} the main domain`, `it is ${mainDomain ?? 'not set'}`, command);
  }
  if (!directory.people.includes(owner)) {
    const command = `ynh user create ${owner} -F '${fullName(owner)}' -d ${domain} -p ${passphrase}
has_owner || explain
${makeAdmin(owner)}`;
    add(`Make the owner’s account, ${owner}`, 'there is no such account', command);
  }
  return steps;
}

const makeAdmin = (owner: string): string =>
  `owner_whole || ynh user group add admins ${owner}\nowner_whole || explain`;

/** People on other servers know an application's accounts by their domain. */
function refuseMove({ domain, hostname }: YunohostHome, { apps, yunohost }: AccountFacts): void {
  if (apps.length === 0) return;
  throw new KitError({
    code: 'domain-in-use',
    message: `${hostname} already serves ${apps.map(({ id }) => id).join(', ')} at another domain`,
    expected: domain,
    got: yunohost.directory.domains.join(', '),
    hint: 'A server’s domain cannot change under its users: put the old one back, or flash anew.',
  });
}
