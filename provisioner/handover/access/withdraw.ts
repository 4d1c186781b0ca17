// Takes the bench's key off a node, wherever it opens an account or could come back from. Pure.

import { espSearch } from '../../check/esp-search.ts';
import { KitError } from '../../errors.ts';
import type { NodeKind } from '../../node/configure.ts';
import { keyPaths, otherWays, othersLetIn } from '../../node/part/sshd.ts';
import { quote } from '../../node/script.ts';
import { recoverUser } from './recovery-programs.ts';

export interface Withdrawal {
  /** The bench's, as in authorized_keys(5). */
  publicLine: string;
  /** Who is let in afterwards, and root by the same passphrase. */
  owner: string;
}

export interface WithdrawalFacts {
  /** Files that hold the key. */
  keyIn: string[];
  /** Settings of the SSH server that let in whom no file names. */
  otherWays: string[];
  /** Keys and accounts that are neither the bench's nor the owner's. */
  others: string[];
  /** What of the key the boot partition still holds; undefined: there is none to be read. */
  onEsp: string[] | undefined;
}

/** Wherever Debian's SSH server looks by default; what its own settings name is asked of it. */
const places = '/root/.ssh/* /home/*/.ssh/* /var/lib/*/.ssh/* /etc/ssh/authorized_keys*';

export const withdrawal: NodeKind<Withdrawal, WithdrawalFacts> = {
  name: 'withdrawal',
  facts: ({ publicLine, owner }) => ({
    keyIn: {
      script: findScript(quote(keyOf(publicLine))),
      parse: (text) => text.split('\n').filter((path) => path !== ''),
    },
    otherWays,
    others: othersLetIn({ key: keyOf(publicLine), users: [owner, 'root', recoverUser] }),
    onEsp: espSearch([{ name: 'the bench’s key', lines: [keyOf(publicLine)] }]),
  }),
  plan({ publicLine }, { keyIn, otherWays: ways, others, onEsp }) {
    if (ways.length > 0) throw letInOtherwise(ways);
    if (others.length > 0) throw othersIn(others);
    if (onEsp !== undefined && onEsp.length > 0) throw wouldComeBack();
    return lastTheBenchs(keyIn).map((path) => ({
      name: `Remove the bench’s key from ${path}`,
      because: 'it lets the bench in',
      command: removeCommand(keyOf(publicLine), quote(path)),
    }));
  },
};

function findScript(key: string): string {
  return `{
  for path in ${places}; do echo "$path"; done
${keyPaths}
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

function letInOtherwise(ways: string[]): KitError {
  return new KitError({
    code: 'let-in-otherwise',
    message: 'The node’s SSH server asks others than its files whom to let in',
    expected: 'neither AuthorizedKeysCommand nor TrustedUserCAKeys',
    got: ways.join('; '),
    hint: 'Take these out of the node’s sshd_config, or the bench might still be let in.',
  });
}

function othersIn(others: string[]): KitError {
  return new KitError({
    code: 'others-let-in',
    message: 'The node lets in others than its owner',
    expected: 'no key but the bench’s, no account but the owner’s',
    got: others.join('; '),
    hint: 'Nobody may come in whom the owner does not know of: remove these, and say it again.',
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
