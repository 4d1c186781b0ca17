// Takes the bench's key off a node, wherever it opens an account. Pure.

import type { NodeKind } from '../../node/configure.ts';
import { quote } from '../../node/script.ts';

export interface Withdrawal {
  /** The bench's, as in authorized_keys(5). */
  publicLine: string;
}

export interface WithdrawalFacts {
  /** Files that hold the key. */
  keyIn: string[];
}

/** Wherever Debian's SSH server looks by default, and where its administrators tell it to look. */
const places = '/root/.ssh/* /home/*/.ssh/* /var/lib/*/.ssh/* /etc/ssh/authorized_keys*';

export const withdrawal: NodeKind<Withdrawal, WithdrawalFacts> = {
  name: 'withdrawal',
  facts: ({ publicLine }) => ({
    keyIn: {
      script: `grep -lsF -e ${quote(keyOf(publicLine))} -- ${places}\ntrue`,
      parse: (text) => text.split('\n').filter((path) => path !== ''),
    },
  }),
  plan: ({ publicLine }, { keyIn }) =>
    keyIn.map((path) => ({
      name: `Remove the bench’s key from ${path}`,
      because: 'it lets the bench in',
      command: removeCommand(keyOf(publicLine), quote(path)),
    })),
};

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
