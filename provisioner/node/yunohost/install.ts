// YunoHost's packages, where the image has not brought them: from the repository that apt knows,
// with the answers that YunoHost's own installer gives. Pure.

import { KitError } from '../../errors.ts';
import type { Step } from '../step.ts';
import type { YunohostHome } from './desired.ts';
import { isKnownVersion, type YunohostState } from './state.ts';

const packages = 'postfix yunohost yunohost-admin yunohost-portal';
const selections = '/usr/lib/commons-kit/debconf-selections';

/** @throws KitError `yunohost-version`, `yunohost-missing` */
export function installSteps(
  desired: YunohostHome,
  facts: { yunohost: YunohostState; installable: boolean },
): Step[] {
  const { version } = facts.yunohost;
  if (version !== undefined) {
    if (!isKnownVersion(version)) throw otherVersion(desired, version);
    return [];
  }
  if (!facts.installable) throw missing(desired);
  return [
    {
      name: 'Install YunoHost',
      because: 'its packages are not there',
      command: `apt-get -q update
[ ! -e ${selections} ] || debconf-set-selections ${selections}
apt-get -q -y install ${packages}
command -v yunohost`,
      timeoutS: 7200,
    },
  ];
}

function otherVersion({ hostname }: YunohostHome, version: string): KitError {
  return new KitError({
    code: 'yunohost-version',
    message: `${hostname} has a YunoHost that kit does not know`,
    expected: 'YunoHost 12.1 to 13',
    got: version,
    hint: 'Upgrade it by `yunohost tools upgrade system` on the node, or flash kit’s own image.',
  });
}

function missing({ hostname }: YunohostHome): KitError {
  return new KitError({
    code: 'yunohost-missing',
    message: `${hostname} has no YunoHost, and apt knows no repository of it`,
    expected: 'the `yunohost` image',
    got: 'another system',
    hint: 'Build the image again and flash the drive.',
  });
}
