// YunoHost's postinstall: once, by its own command, and then looked for where YunoHost keeps it. A
// power cut leaves it in one of three ways, each with its own repair (FACTS): cut off before its
// user was whole, what is there is taken back and all of it done again; half-way, what it would
// have done next is done; marked as done but not configured, the configuration is written again.
// Until it is marked, YunoHost's API is shut: whoever on the network reaches that could do it. Pure.

import { KitError } from '../../errors.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import { ownersSecret } from '../snac/desired.ts';
import type { Step } from '../step.ts';
import type { YunohostHome } from './desired.ts';
import { looking, settingBack } from './directory.ts';
import { apiListens } from './race.ts';
import { openCode, passphrase, refusalFailures, session } from './session.ts';
import { configuredScript, markPath, stageOf } from './state.ts';
import type { Stage, YunohostState } from './state.ts';

const stampId = 'yunohost-postinstall';

/** 90 s on a PC (FACTS); some twenty times as long on an emulated node. */
const timeoutS = 3600;

export function isPostinstalled(facts: { stamps: Stamps; yunohost: YunohostState }): boolean {
  return facts.yunohost.marked && facts.stamps[stampId] !== undefined;
}

/** @throws KitError `postinstall-foreign` */
export function postinstallSteps(
  desired: YunohostHome,
  facts: { stamps: Stamps; files: FileStates; yunohost: YunohostState },
): Step[] {
  if (isPostinstalled(facts)) return [];
  const stage = stageOf(facts.yunohost, desired);
  if (facts.yunohost.marked) refuseForeign(desired, facts.yunohost);
  const { name, because, command } = works(desired)[stage];
  return effect(
    {
      id: stampId,
      name,
      dependsOn: 'once',
      command: `${session}\n${looking(desired)}\n${seen(desired)}\n${command}`,
      input: ownersSecret(desired, 'postinstall'),
      timeoutS,
      failures: refusalFailures,
      amiss: because,
    },
    facts,
  );
}

interface Work {
  name: string;
  because: string;
  command: string;
}

function works(desired: YunohostHome): Record<Stage, Work> {
  const { owner } = desired;
  const finish = `Finish YunoHost’s postinstall, for ${owner}`;
  return {
    untouched: {
      name: `Do YunoHost’s postinstall, with ${owner} as its owner`,
      because: 'it was not begun',
      command: fromTheStart(desired),
    },
    begun: {
      name: `Take back YunoHost’s postinstall and do it again, with ${owner} as its owner`,
      because: 'it was cut off before its user was whole',
      command: `${shut}\n${settingBack(desired)}\n${fromTheStart(desired)}`,
    },
    'half-way': {
      name: finish,
      because: 'it was cut off half-way',
      command: `${shut}\n${markIt}\n${configure}`,
    },
    marked: {
      name: finish,
      because: 'it was cut off before the configuration was written',
      command: configure,
    },
    done: { name: finish, because: 'how it ended was not seen', command: configure },
  };
}

const shut = `! ${apiListens} || { echo 'yunohost-api answers'; exit ${openCode}; }`;

function fromTheStart({ domain, owner }: YunohostHome): string {
  return `${shut}
ynh tools postinstall -d ${domain} -u ${owner} -F '${fullName(owner)}' -p ${passphrase} \\
  --ignore-dyndns --force-diskspace --i-have-read-terms-of-services
postinstalled || explain`;
}

/** In the postinstall's own order: root's password is the administrator's before the mark is set. */
const markIt = `{ printf root:; cat $work/passphrase; } | chpasswd
mkdir -p ${markPath.slice(0, markPath.lastIndexOf('/'))}
: >${markPath}
sync ${markPath}`;

const configure = `systemctl --no-reload enable -q nftables
ynh tools regen-conf ssh --force
ynh tools regen-conf --force
systemctl is-active -q nftables || systemctl start nftables
postinstalled || explain`;

function seen({ domain }: YunohostHome): string {
  return `postinstalled() {
  [ -e ${markPath} ] && has_domain && owner_whole || return 1
  ls /etc/systemd/system/*.wants/nftables.service >/dev/null 2>&1 || return 1
  (
${configuredScript(domain)}
  true
  ) >$work/configured
  [ $(wc -l <$work/configured) -eq 3 ]
}`;
}

/** YunoHost wants one, and kit knows none: letters and digits, in words (its pattern_fullname). */
export function fullName(owner: string): string {
  const words = owner.split('_').filter((word) => word !== '');
  return words.map((word) => word[0].toUpperCase() + word.slice(1)).join(' ');
}

/** Marked, but not by kit: its API is open to the whole network until then. */
function refuseForeign(desired: YunohostHome, { directory }: YunohostState): void {
  const { domain, owner, hostname } = desired;
  if (directory.admins.includes(owner) && directory.domains.includes(domain)) return;
  throw new KitError({
    code: 'postinstall-foreign',
    message: `YunoHost on ${hostname} was set up by somebody else`,
    expected: `${owner} as administrator, ${domain} as domain`,
    got: [directory.admins, directory.domains].map((names) => names.join(', ') || 'none').join('; '),
    hint: 'Whoever reached it first on its network may have done it. Flash its drive again.',
  });
}
