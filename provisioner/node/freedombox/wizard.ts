// FreedomBox's first-boot wizard, gone through by HTTP on the node itself: its secret, the owner as
// administrator, no backports. What it made is then looked for where FreedomBox keeps it. A wizard
// that was cut off with the owner half made is set back and gone through again. Pure: the commands'
// texts. Neither secret nor passphrase is in an argument: curl reads them from files that only root
// may read, in memory, removed at the end.

import { effect } from '../operation/effect.ts';
import type { Step, StepFailure } from '../step.ts';
import { ownersSecret } from '../snac/desired.ts';
import type { FreedomboxHome } from './desired.ts';
import type { FreedomboxFacts } from './facts.ts';
import { asRoot, databasePath, ownerAmiss, stateScript } from './state.ts';

/** Port of Debian's package; Apache is one of the things that it has yet to set up. */
const base = 'http://127.0.0.1:8000/plinth';
const exitCodes = { unready: 75, refused: 76, locked: 77 };

/** Applications that it needs itself are set up first: minutes on a small or emulated node. */
export const firstSetupS = 1800;

export const unready: Record<number, StepFailure> = {
  [exitCodes.unready]: {
    code: 'freedombox-unready',
    expected: `FreedomBox’s own first setup to end within ${firstSetupS / 60} minutes`,
    hint: 'Look at `journalctl -u plinth` on the node: it says what it tries again and again.',
  },
};

const failures: Record<number, StepFailure> = {
  ...unready,
  [exitCodes.refused]: {
    code: 'wizard-refused',
    expected: 'FreedomBox to take what its form was filled with',
    hint: 'Its own words are above: an owner’s name may be taken or reserved. Mend the campaign.',
  },
  [exitCodes.locked]: {
    code: 'owner-locked',
    expected: 'the passphrase from the kit’s secrets to log in',
    hint: 'The owner has changed it: let them add the domain under System, Name Services.',
  },
};

/**
 * Once made, the account is the owner's: nothing that is seen later makes this due again.
 * @throws KitError `owner-secrets-unknown`
 */
export function wizardSteps(desired: FreedomboxHome, facts: FreedomboxFacts): Step[] {
  const { owner } = desired;
  const id = `freedombox-${owner}`;
  const made = facts.stamps[id] !== undefined;
  return effect(
    {
      id,
      name: `Go through FreedomBox’s wizard, with ${owner} as its owner`,
      dependsOn: 'once',
      command: wizardCommand(owner),
      ...(!made && { input: ownersSecret(desired, 'owner') }),
      timeoutS: firstSetupS + 600,
      failures,
      amiss: made ? undefined : ownerAmiss(facts.freedombox),
    },
    facts,
  );
}

/**
 * Its first setup takes a domain from /etc/hosts, and cuts the host name off if the domain begins
 * with it: of “alice.example.org” on the host alice it keeps “example.org”, which is not the kit's.
 */
export function domainSteps(desired: FreedomboxHome, facts: FreedomboxFacts): Step[] {
  const { domain, hostname, owner, ownerPassphrase } = desired;
  const [first, ...rest] = domain.split('.');
  const cut = first === hostname ? rest.join('.') : undefined;
  const { completed, domains } = facts.freedombox;
  const isKnown = domains.includes(domain);
  const isCut = cut !== undefined && domains.includes(cut);
  if (isKnown && !isCut) return [];
  // What came back from a backup is as its owner had it.
  if (ownerPassphrase === undefined) return [];
  const wrong = isKnown ? `it believes to be ${cut} as well` : 'it does not know it';
  const login = `fill accounts/login/ -d username=${owner} \\
    --data-urlencode password@$work/passphrase`;
  const removal = `if ${knows(owner, cut ?? '')}; then
  ${login} || locked
  fill sys/names/domains/${cut}/delete/ || refuse "$(errors)"
fi`;
  return [
    {
      name: `Tell FreedomBox its domain, ${domain}`,
      because: completed ? wrong : 'it is not set up',
      command: `${session}
locked() { echo 'its login refuses the passphrase'; exit ${exitCodes.locked}; }
systemctl start plinth.service
ready
if ! ${knows(owner, domain)}; then
  ${login} || locked
  fill sys/names/domains/ -d domain-add-domain_name=${domain} || refuse "$(errors)"
fi
${cut === undefined ? '' : removal}
${knows(owner, domain)} || refuse 'the domain was not kept'`,
      input: ownerPassphrase,
      failures,
    },
  ];
}

const knows = (owner: string, domain: string): string =>
  `(\n${stateScript(owner)}\n) | head -n 1 | grep -qF '"${domain}"'`;

/** Past this, a plinth whose first setup has yet to begin would be no plinth. */
const begunS = 600;

/** A browser's part: cookies, the page it came from; and `ready`, which waits for a first page. */
export const browser = `umask 077
work=$(mktemp -d /run/commons-plinth.XXXXXX)
trap 'rm -rf "$work"' EXIT
ask() {
  curl -sS -m 300 -b $work/jar -c $work/jar -e ${base}/ -o $work/page -w '%{http_code}' "$@"
}
# While its first setup runs, every address shows how far that is; but its pages are there for some
# seconds before it begins. What it did since it was started it says in the journal, which forgets.
over() {
  run=$(systemctl show -P InvocationID plinth.service)
  said=$(journalctl -q -o cat -g '^Setup finished' "_SYSTEMD_INVOCATION_ID=$run") || true
  [ -n "$said" ] && return 0
  aged=$(ps -o etimes= -p "$(systemctl show -P MainPID plinth.service)" || echo 0)
  [ "$aged" -ge ${begunS} ]
}
waited=0
ready() {
  until over && got=$(ask ${base}/firstboot/welcome/ 2>/dev/null) &&
    { [ "$got" = 302 ] || grep -q csrfmiddlewaretoken $work/page; }; do
    waited=$((waited + 5))
    [ $waited -lt ${firstSetupS} ] ||
      { echo 'its first setup does not end'; exit ${exitCodes.unready}; }
    sleep 5
  done
}`;

/** What fills forms: the form's token, and the passphrase, which is on standard input. */
const session = `${browser}
tr -d '\\n' >$work/passphrase
refuse() {
  printf 'FreedomBox refuses: %s\\n' "$1"
  exit ${exitCodes.refused}
}
# Django's forms: 302 is success, 200 the form again with what is wrong.
fill() {
  path=$1
  shift
  got=$(ask ${base}/$path)
  [ "$got" = 302 ] && return 0
  sed -n 's/.*name="csrfmiddlewaretoken" value="\\([^"]*\\)".*/\\1/p' $work/page |
    head -n 1 | tr -d '\\n' >$work/token
  [ "$(ask --data-urlencode csrfmiddlewaretoken@$work/token "$@" ${base}/$path)" = 302 ]
}
errors() {
  sed -n '/errorlist\\|invalid-feedback\\|alert-danger/,/<\\/ul>\\|<\\/div>/p' $work/page |
    sed 's/<[^>]*>//g' | tr -s ' \\n' ' ' | head -c 300
}`;

function wizardCommand(owner: string): string {
  return `${session}
look() {
  (
${stateScript(owner)}
  ) >$work/state || true
}
is() { head -n 1 $work/state | grep -q "\\"$1\\": true"; }
has() { grep -q "^$1: " $work/state; }
whole() {
  look
  is completed && is account && is accountAdmin && has uid && has memberUid
}
# As if it had never been begun.
set_back() {
  systemctl stop plinth.service
  python3 - ${owner} <<'PYTHON'
${setBack}PYTHON
  for group in $(${asRoot('ldapsearch')} -LLL -b dc=thisbox '(memberUid=${owner})' dn |
    sed -n 's/^dn: //p'); do
    printf 'dn: %s\\nchangetype: modify\\ndelete: memberUid\\nmemberUid: ${owner}\\n' "$group" |
      ${asRoot('ldapmodify')} >/dev/null
  done
  if has uid; then ${asRoot('ldapdelete')} 'uid=${owner},ou=users,dc=thisbox'; fi
  systemctl start plinth.service
  ready
}
go_through() {
  tr -d '\\n' </var/lib/plinth/firstboot-wizard-secret >$work/secret
  fill firstboot/welcome/ --data-urlencode secret@$work/secret || refuse "$(errors)"
  fill users/firstboot/ -d username=${owner} -d email= \\
    --data-urlencode password1@$work/passphrase --data-urlencode password2@$work/passphrase ||
    refuse "$(errors)"
  fill sys/upgrades/firstboot/backports/ || refuse "$(errors)"
  ask ${base}/ >/dev/null
  whole || refuse "its wizard ended, with this: $(tr '\\n' ' ' <$work/state)"
}
systemctl start plinth.service
ready
if ! whole; then
  # At its end without anybody: a power cut can leave that too, and it would let nobody in for ever.
  if is account || has uid || { is completed && ! is others; }; then set_back; fi
  go_through
fi`;
}

/** The database's part. */
const setBack = `import sqlite3, sys
db = sqlite3.connect("${databasePath}", timeout=20)
with db:
    mine = "(SELECT id FROM auth_user WHERE username = ?)"
    for table in ("auth_user_groups", "auth_user_user_permissions", "plinth_userprofile"):
        db.execute("DELETE FROM " + table + " WHERE user_id IN " + mine, sys.argv[1:])
    db.execute("DELETE FROM auth_user WHERE username = ?", sys.argv[1:])
    db.execute("""DELETE FROM plinth_kvstore WHERE key IN
        ('firstboot_completed', 'firstboot_welcome', 'users_firstboot', 'backports_wizard')""")
`;
