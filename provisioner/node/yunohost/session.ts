// YunoHost's own command, worked by steps: without a terminal, with a limit on waiting for its lock,
// and with passphrases that no process list shows. What it returns is not believed: a step looks at
// what became of it, and only then are its words searched for why. Pure: shell texts.

import { quote } from '../script.ts';
import type { StepFailure } from '../step.ts';

/** How long somebody else's YunoHost command is waited for: without a limit, for ever (FACTS). */
const lockWaitS = 300;

/** Stand for the first line of a step's standard input, if it has one: as it is, and quoted. */
export const passphrase = '@passphrase@';
export const passphraseQuoted = '@passphrase-quoted@';

/**
 * YunoHost takes passwords as arguments, or asks for them on a terminal alone (moulinette, cli.py:
 * “Not a tty”). Its command is Python: here it is run within a Python whose own arguments hold
 * placeholders, and is told the real ones where no other process sees them.
 */
const become = `import runpy, shutil, sys, urllib.parse
secret = sys.stdin.readline().rstrip("\\n")
known = {"${passphraseQuoted}": urllib.parse.quote(secret, safe=""), "${passphrase}": secret}
words = sys.argv[1:]
for mark, value in known.items():
    words = [word.replace(mark, value) for word in words]
program = shutil.which("yunohost")
if program is None:
    sys.exit("there is no yunohost")
sys.argv = [program, *words]
runpy.run_path(program, run_name="__main__")`;

/** What YunoHost says (locales/en.json of 12.1) when it refuses, and what that means here. */
const refusals: (StepFailure & { words: string })[] = [
  {
    words: 'already a YunoHost operation running',
    code: 'yunohost-busy',
    expected: `YunoHost’s lock to be free within ${lockWaitS} s`,
    hint: 'Somebody works on this node: see `yunohost log list` there, and try again afterwards.',
  },
  {
    words: 'password needs to be at least|most used passwords|password shorter than',
    code: 'passphrase-weak',
    expected: 'a passphrase that is strong enough for YunoHost',
    hint: 'It asks for more than the kit’s secrets have: see its settings, security, passwords.',
  },
  {
    words: 'valid domain name|Unable to create domain|codec can.t encode',
    code: 'domain-refused',
    expected: 'YunoHost to take the kit’s domain',
    hint: 'Mend `domain` in campaign.toml: YunoHost wants a name such as alice.example.org.',
  },
  {
    words: 'list of system users|cannot be used as a username|reserved for the admins',
    code: 'owner-name-taken',
    expected: 'a name that is none of the system’s own users',
    hint: 'Change `owner` in campaign.toml, and make the kit anew: accounts cannot be renamed.',
  },
  {
    words: 'app catalog: |app_catalog|catalog cache is empty|Unable to download',
    code: 'app-catalog-missing',
    expected: 'YunoHost’s catalogue of applications, from the internet',
    hint: 'Give the node a way to the internet, then run the command again: it goes on from here.',
  },
  {
    words: 'Unknown app|[Cc]ould not find app|unknown app',
    code: 'app-unknown',
    expected: 'the campaign’s application in YunoHost’s catalogue',
    hint: 'Choose another in campaign.toml, [yunohost] app.',
  },
  {
    words: 'requires YunoHost >=',
    code: 'yunohost-too-old',
    expected: 'a YunoHost that the application accepts',
    hint: 'Upgrade YunoHost on the node (`yunohost tools upgrade`), or choose another application.',
  },
  {
    words: 'URL is either unavailable, or conflicts',
    code: 'app-place-taken',
    expected: 'nothing else at the root of the kit’s domain',
    hint: 'Move or remove the application that is there, with its owner’s consent.',
  },
  {
    words: '[Nn]ot enough (free |disk )?space|not enough disk|free space|No space left|have enough space',
    code: 'disk-full',
    expected: 'room on the node’s drive',
    hint: 'Use a larger drive, or take something off this one.',
  },
  {
    words: 'no diagnosis result|not seem accessible|[Cc]ertificate install',
    code: 'certificate-refused',
    expected: 'Let’s Encrypt to certify the kit’s domain',
    hint: 'It asks the node at its domain’s public address, on port 80: finish this at home, or take '
      + '[certificates] out of campaign.toml.',
  },
  {
    words: 'Unable to reach LDAP|LDAP service is down',
    code: 'directory-down',
    expected: 'YunoHost’s directory to run',
    hint: 'Look at `journalctl -u slapd` on the node.',
  },
  {
    words: 'comes from a too.old YunoHost',
    code: 'backup-yunohost-older',
    expected: 'a backup that this YunoHost can put back',
    hint: 'It was made by a YunoHost too old for this image: see docs/restore.md, by hand.',
  },
  {
    words: 'archive .* corrupted|Could not load info|Could not open the backup archive',
    code: 'backup-damaged',
    expected: 'an archive that YunoHost can read',
    hint: 'Take an earlier generation: name its folder with --from.',
  },
];

const firstCode = 80;
/** YunoHost said that it was done, and what it should have done is not there. */
const untrueCode = 79;
/** Something answers where YunoHost's postinstall could be done by anybody (race.ts). */
export const openCode = 78;

export const refusalFailures: Record<number, StepFailure> = {
  ...Object.fromEntries(refusals.map(({ words: _, ...failure }, at) => [firstCode + at, failure])),
  [untrueCode]: {
    code: 'yunohost-untrue',
    expected: 'what YunoHost called done to be there',
    hint: 'See `yunohost log list` on the node; run the command again: it goes on from here.',
  },
  [openCode]: {
    code: 'postinstall-open',
    expected: 'nobody else to be able to do the postinstall',
    hint: 'Something keeps yunohost-api running: `systemctl status yunohost-api` on the node.',
  },
};

/**
 * Shell for a step's command. `ynh WORDS…` runs YunoHost and keeps what it says; `explain` ends the
 * step with its words and the exit code of the refusal that they mean. The folder is in memory, and
 * root's alone (mktemp): no umask keeps others out of it, which YunoHost would then inherit.
 */
export const session = `work=$(mktemp -d /run/commons-yunohost.XXXXXX)
trap 'rm -rf "$work"' EXIT
head -n 1 >$work/passphrase
become='${become}'
status=0
ynh() {
  status=0
  python3 -c "$become" --timeout ${lockWaitS} "$@" <$work/passphrase >$work/out 2>$work/err ||
    status=$?
}
explain() {
  cat $work/out $work/err 2>/dev/null | sed 's/\\x1b\\[[0-9;]*m//g' >$work/said
  tail -n 12 $work/said
${refusals.map(toldApart).join('\n')}
  [ $status -ne 0 ] || exit ${untrueCode}
  exit 1
}`;

function toldApart({ words }: { words: string }, at: number): string {
  return `  ! grep -qE ${quote(words)} $work/said || exit ${firstCode + at}`;
}

/** The last line: INFO and SUCCESS lines share standard output with the JSON (FACTS). */
export function lastJson(text: string): unknown {
  return JSON.parse(text.trim().split('\n').at(-1)!);
}
