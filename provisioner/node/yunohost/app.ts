// The application that serves the fediverse, from YunoHost's catalogue, at the root of the kit's
// domain; and its owner's account there with the passphrase that the bench made. An installation
// that was cut off is taken away and made again, but only where kit began it: what the owner
// installed is never removed. Pure.

import { KitError } from '../../errors.ts';
import type { YunohostApp } from '../../campaign/campaign.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import type { FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import { cryptCommand } from '../part/crypt.ts';
import type { Secret } from '../secret.ts';
import { ownersSecret } from '../snac/desired.ts';
import { passwordHash, putPasswordHash } from '../snac/server.ts';
import type { Step } from '../step.ts';
import { begunMark, type AppState } from './app-state.ts';
import { snacApp } from './counted.ts';
import type { YunohostHome } from './desired.ts';
import { passphraseQuoted, refusalFailures, session } from './session.ts';

interface AppFacts {
  stamps: Stamps;
  files: FileStates;
  units: UnitStates;
  apps: AppState[];
  appBegun: string | undefined;
}

/** Downloads and compiles, on a small machine. */
const timeoutS = 3600;

export const appUnit = (app: YunohostApp): string => `${app}.service`;

/** @throws KitError `app-elsewhere` */
export function appSteps(desired: YunohostHome, facts: AppFacts): Step[] {
  const { app } = desired;
  const listed = facts.apps.find(({ id }) => id === app);
  const begun = facts.appBegun === app;
  if (listed !== undefined && listed.domainPath !== desired.domain) throw elsewhere(desired, listed);
  const installed: Step[] = listed !== undefined && !begun
    ? []
    : [
        {
          name: `Install ${app}, with an account for ${desired.owner}`,
          because: begun ? 'its installation was cut off' : 'it is not there',
          command: installCommand(desired),
          input: accountSecret(desired),
          timeoutS,
          failures: refusalFailures,
        },
      ];
  return [
    ...installed,
    ...effect(
      {
        id: `yunohost-app-${app}`,
        name: `Start ${app}`,
        dependsOn: 'once',
        command: enableCommand(appUnit(app), 'restart'),
        amiss: unitAmiss(appUnit(app), facts.units),
      },
      facts,
    ),
  ];
}

/** Until the account has its passphrase, the mark stays: what a cut leaves is made anew. */
function installCommand(desired: YunohostHome): string {
  const { app, domain, owner } = desired;
  const catalog = '/var/cache/yunohost/repo/default.json';
  return `${session}
listed() { [ -s /etc/yunohost/apps/${app}/settings.yml ]; }
# A status of 0 says nothing about the catalogue: what was downloaded does.
if [ ! -s ${catalog} ]; then
  ynh tools update apps
  [ -s ${catalog} ] || explain
fi
if listed && [ -e ${begunMark(app)} ]; then
  ynh app remove ${app} --purge
  ! listed || explain
fi
mkdir -p /var/lib/commons-kit
: >${begunMark(app)}
sync ${begunMark(app)}
mv $work/passphrase $work/account
${throwaway}
ynh app install ${app} --force --args '${argumentsOf(app, { domain, owner })}'
[ $status -eq 0 ] && listed && systemctl is-active -q ${appUnit(app)} || explain
{
${giveAccount(desired)}
} <$work/account
rm -f ${begunMark(app)}`;
}

/**
 * YunoHost keeps what it was told at installation, passwords too, and gotosocial's script hands
 * its own on as an argument: both see one that is replaced at once and that nobody knows.
 */
const throwaway = `random=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \\n')
echo "Aa1-$random" >$work/passphrase`;

/** As the manifests of snac_ynh and gotosocial_ynh ask. */
function argumentsOf(
  app: YunohostApp,
  { domain, owner }: { domain: string; owner: string },
): string {
  if (app === 'snac') return `domain=${domain}&path=/&admin=${owner}`;
  return `domain=${domain}&admin=${owner}&email=${owner}@${domain}&password=${passphraseQuoted}`
    + '&accounts_registration_open=0&accounts_reason_required=1';
}

/** snac's is made into its hash at the bench, as on a node of snac's own. */
function accountSecret(desired: YunohostHome): Secret {
  const passphrase = ownersSecret(desired, 'application');
  return desired.app === 'snac' ? passwordHash(desired.owner, passphrase) : passphrase;
}

function giveAccount({ app, owner }: YunohostHome): string {
  const { folder, user } = snacApp;
  if (app === 'gotosocial') return intoGotosocial(owner);
  return putPasswordHash(`${folder}/user/${owner}`, `${user}:${user}`);
}

/**
 * Gives an account of GoToSocial the passphrase on standard input. Its own command takes passwords
 * as arguments alone; its table keeps bcrypt's hash, and psql reads that from its standard input.
 */
export const intoGotosocial = (owner: string): string => `hash=$(${cryptCommand('bcrypt')})
changed=$(runuser -u postgres -- psql -qAt -v ON_ERROR_STOP=1 -d gotosocial <<SQL
UPDATE users SET encrypted_password = '$hash' WHERE account_id =
  (SELECT id FROM accounts WHERE username = '${owner}' AND domain IS NULL) RETURNING 'changed';
SQL
)
[ "$changed" = changed ] || { echo "gotosocial has no account of ${owner}"; exit 1; }`;

function elsewhere({ app, domain, hostname }: YunohostHome, listed: AppState): KitError {
  return new KitError({
    code: 'app-elsewhere',
    message: `${app} on ${hostname} stands at another address`,
    expected: domain,
    got: listed.domainPath || 'no address',
    hint: 'Its accounts are known by that address: choose it as the kit’s domain, or flash anew.',
  });
}
