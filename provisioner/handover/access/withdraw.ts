// Takes the bench's key off a node, wherever it opens an account or could come back from. Pure.

import { espSearch } from '../../check/esp-search.ts';
import { KitError } from '../../errors.ts';
import type { NodeKind } from '../../node/configure.ts';
import { FactError } from '../../node/fact.ts';
import { quote } from '../../node/script.ts';

export interface Withdrawal {
  /** The bench's, as in authorized_keys(5). */
  publicLine: string;
}

export interface WithdrawalFacts {
  /** Files that hold the key. */
  keyIn: string[];
  /** Settings of the SSH server that let in whom no file names. */
  otherWays: string[];
  /** What of the key the boot partition still holds; undefined: there is none to be read. */
  onEsp: string[] | undefined;
}

/** Wherever Debian's SSH server looks by default; what its own settings name is asked of it. */
const places = '/root/.ssh/* /home/*/.ssh/* /var/lib/*/.ssh/* /etc/ssh/authorized_keys*';

const effective = 'sshd -T -C user=root,host=bench,addr=127.0.0.1';

export const withdrawal: NodeKind<Withdrawal, WithdrawalFacts> = {
  name: 'withdrawal',
  facts: ({ publicLine }) => ({
    keyIn: {
      script: findScript(quote(keyOf(publicLine))),
      parse: (text) => text.split('\n').filter((path) => path !== ''),
    },
    otherWays: {
      script: effective,
      parse(text, exitCode) {
        if (exitCode !== 0) throw new FactError('sshd -T to tell its settings', `exit ${exitCode}`);
        return text.match(/^(authorizedkeyscommand|trustedusercakeys) (?!none$).+$/gm) ?? [];
      },
    },
    onEsp: espSearch([{ name: 'the bench’s key', lines: [keyOf(publicLine)] }]),
  }),
  plan({ publicLine }, { keyIn, otherWays, onEsp }) {
    if (otherWays.length > 0) throw letInOtherwise(otherWays);
    if (onEsp !== undefined && onEsp.length > 0) throw wouldComeBack();
    return lastTheBenchs(keyIn).map((path) => ({
      name: `Remove the bench’s key from ${path}`,
      because: 'it lets the bench in',
      command: removeCommand(keyOf(publicLine), quote(path)),
    }));
  },
};

/** sshd_config(5), AuthorizedKeysFile: %h, %u, %U and %% stand for something; else it is below home. */
function findScript(key: string): string {
  return `patterns=$(${effective} | sed -n 's/^authorizedkeysfile //p')
{
  for path in ${places}; do echo "$path"; done
  getent passwd | while IFS=: read -r name password uid gid about home shell; do
    for pattern in $patterns; do
      echo "$pattern" | sed "s|%h|$home|g; s|%u|$name|g; s|%U|$uid|g; s|%%|%|g; s|^[^/]|$home/&|"
    done
  done
} | sort -u | while IFS= read -r path; do
  if [ -f "$path" ]; then grep -lsF -e ${key} -- "$path"; fi
done
true`;
}

/** The one that the bench comes in by goes last: once it is shut out, no other file is left. */
function lastTheBenchs(paths: string[]): string[] {
  const isBenchs = (path: string): boolean => path.startsWith('/root/');
  return [...paths.filter((path) => !isBenchs(path)), ...paths.filter(isBenchs)];
}

/** grep: 1 says that no line is left, which is how it should be. */
function removeCommand(key: string, path: string): string {
  return `cp -p -- ${path} ${path}.kit-new
grep -vF -e ${quote(key)} -- ${path} >${path}.kit-new || [ $? = 1 ]
sync ${path}.kit-new
mv -f -- ${path}.kit-new ${path}
sync`;
}

/** `ssh-ed25519 AAAA… comment` → `AAAA…`: options and comments may have been changed. */
function keyOf(publicLine: string): string {
  return publicLine.split(' ')[1];
}

function letInOtherwise(otherWays: string[]): KitError {
  return new KitError({
    code: 'let-in-otherwise',
    message: 'The node’s SSH server asks others than its files whom to let in',
    expected: 'neither AuthorizedKeysCommand nor TrustedUserCAKeys',
    got: otherWays.join('; '),
    hint: 'Take these out of the node’s sshd_config, or the bench might still be let in.',
  });
}

function wouldComeBack(): KitError {
  return new KitError({
    code: 'bench-key-on-esp',
    message: 'The bench’s key is still on the node’s boot partition',
    expected: 'a first boot that wiped /kit there',
    got: 'the key: a next boot could let the bench in again',
    hint: 'Reboot the node, and say it again.',
  });
}
