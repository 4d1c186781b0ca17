// Debian's SSH server, asked what it would do: whom it lets in from where, by what, and where it
// looks for keys (sshd(8), -T and -C). Its own word counts, since others write its configuration:
// FreedomBox restricts logins by group, YunoHost writes all of it anew. Pure: facts and parsers.

import { FactError, type Fact } from '../fact.ts';
import type { FileWrite, StepFailure } from '../step.ts';

/** What hand-over gives the server to read. */
export const accessPath = '/etc/ssh/sshd_config.d/commons-kit-owner.conf';

/** How a kind's SSH server comes to read that file. */
export interface SshdReading {
  /** What has to be there besides. */
  files: FileWrite[];
  /** POSIX shell; safe to repeat. */
  command: string;
  timeoutS?: number;
  failures?: Record<number, StepFailure>;
}

/**
 * Debian's own configuration includes it. Restarted, since systemd then waits until it listens, as
 * it does not for a reload; connections that are open stay so.
 */
export const debiansReading: SshdReading = { files: [], command: 'sshd -t\nsystemctl restart ssh' };

/** Somebody within the home's network, and somebody anywhere else (RFC 5737, documentation). */
const from = { home: '192.168.1.2', elsewhere: '203.0.113.2' };

const says = (user: string, address: string): string =>
  `sshd -T -C "user=${user},host=bench,addr=${address}"`;

/** What the server does with this user when they come from home, as `keyword value` lines. */
export function atHome(user: string): Fact<string[]> {
  return {
    script: says(user, from.home),
    parse(text, exitCode) {
      if (exitCode !== 0) throw unasked(exitCode);
      return text.split('\n');
    },
  };
}

/** Settings by which it lets in whom no file names. */
export const otherWays: Fact<string[]> = {
  script: says('root', from.home),
  parse(text, exitCode) {
    if (exitCode !== 0) throw unasked(exitCode);
    return text.match(/^(authorizedkeyscommand|trustedusercakeys) (?!none$).+$/gm) ?? [];
  },
};

function unasked(exitCode: number): FactError {
  return new FactError('sshd -T to tell its settings', `exit ${exitCode}`);
}

/**
 * Shell that prints every path where the server looks for keys. sshd_config(5), AuthorizedKeysFile:
 * %h, %u, %U and %% stand for something; else it is below home.
 */
export const keyPaths = `patterns=$(${says('root', from.home)} | sed -n 's/^authorizedkeysfile //p')
getent passwd | while IFS=: read -r name password uid gid about home shell; do
  for pattern in $patterns; do
    echo "$pattern" | sed "s|%h|$home|g; s|%u|$name|g; s|%U|$uid|g; s|%%|%|g; s|^[^/]|$home/&|"
  done
done`;

/**
 * Keys and accounts, but for those that are known, that the server lets in: in words for people.
 * @param key the middle of a known key's line @param users whose passphrases are known
 */
export function othersLetIn({ key, users }: { key: string; users: string[] }): Fact<string[]> {
  return {
    script: `{
${keyPaths}
} | sort -u | while IFS= read -r path; do
  [ -f "$path" ] || continue
  grep -vF -e '${key}' -- "$path" | sed -n "s|^[[:space:]]*\\([^#[:space:]]\\)|key $path \\1|p"
done
getent passwd | while IFS=: read -r name password uid gid about home shell; do
  case $name in ${users.join(' | ')}) continue ;; esac
  case $shell in */nologin | */false) continue ;; esac
  # Who is in no file of this system's has a passphrase elsewhere, such as in a directory.
  if grep -q "^$name:" /etc/passwd; then
    case $(grep "^$name:" /etc/shadow | cut -d : -f 2) in '!'* | '*'*) continue ;; esac
  fi
  echo "account $name"
  echo "groups $(id -Gn "$name")"
  for address in ${Object.values(from).join(' ')}; do
    echo from
    ${says('$name', '$address')} | grep -E '${asked}'
  done
done
true`,
    parse: readOthers,
  };
}

const asked = '^(passwordauthentication|kbdinteractiveauthentication|allow(users|groups)) ';

function readOthers(text: string): string[] {
  const keys = [...text.matchAll(/^key (\S+) (.+)$/gm)].map(([, path, line]) => {
    const found = /([\w@.-]+) [A-Za-z0-9+/=]{40,} ?(.*)$/.exec(line) ?? [];
    const [, type = 'a key', comment = ''] = found;
    return `${path}: ${type} ${comment}`.trim();
  });
  const accounts = text.split(/^account /m).slice(1).flatMap((told) => {
    const [head, ...places] = told.split(/^from$/m);
    const [name, groups = ''] = head.split('\n');
    const belongs = groups.split(' ').slice(1);
    const isIn = places.some((settings) => letsIn(settings, { name, belongs }));
    return isIn ? [`account ${name}`] : [];
  });
  return [...keys, ...accounts];
}

/** Whom it denies by name or group counts as let in: nobody is to be overlooked. */
function letsIn(settings: string, { name, belongs }: { name: string; belongs: string[] }): boolean {
  const values = (keyword: string): string[] =>
    [...settings.matchAll(new RegExp(`^${keyword} (.*)$`, 'gm'))].flatMap(([, value]) =>
      value.trim().split(/\s+/));
  const byPassphrase = ['passwordauthentication', 'kbdinteractiveauthentication']
    .some((keyword) => values(keyword).includes('yes'));
  const users = values('allowusers').map((pattern) => pattern.split('@')[0]);
  const groups = values('allowgroups');
  return byPassphrase
    && (users.length === 0 || users.some((pattern) => fits(name, pattern)))
    && (groups.length === 0 || belongs.some((one) => groups.some((pattern) => fits(one, pattern))));
}

/** ssh_config(5), PATTERNS: `*` and `?`. */
function fits(word: string, pattern: string): boolean {
  const escaped = pattern.replace(/[.+^${}()|[\]\\]/g, '\\$&');
  return new RegExp(`^${escaped.replaceAll('*', '.*').replaceAll('?', '.')}$`).test(word);
}
