// When FreedomBox is taken to be through its own setup, by the shell that asks it: systemd, the journal
// and FreedomBox's pages are played. The pages are there before that setup begins, and a wizard that was
// gone through then would make an owner whom no directory knows.

import { spawnSync } from 'node:child_process';
import test from 'ava';

import { browser } from '../../../../provisioner/node/freedombox/wizard.ts';

interface Played {
  /** Whether this start's journal has the word, from the second look on. */
  saidAtSecond: boolean;
  /** How long plinth has been running. */
  agedS: number;
}

/** @returns how often the page was asked for, and how long was waited */
function waits({ saidAtSecond, agedS }: Played): string {
  const stage = `
mktemp() { echo "$FOLDER"; }
sleep() { waited=$((waited + 400)); }
systemctl() { case "$*" in *InvocationID*) echo 1f ;; *) echo 42 ;; esac; }
ps() { [ "$*" = '-o etimes= -p 42' ] && echo ${agedS}; }
journalctl() {
  case "$*" in *_SYSTEMD_INVOCATION_ID=1f) ;; *) exit 9 ;; esac
  echo . >>"$FOLDER/looks"
  ${saidAtSecond} && [ "$(grep -c . "$FOLDER/looks")" -ge 2 ] && echo 'Setup finished.'
}
curl() {
  echo . >>"$FOLDER/asked"
  echo csrfmiddlewaretoken >"$FOLDER/page"
  printf 200
}
FOLDER=$(command mktemp -d)
${browser}
(ready && echo ready) || true
echo "asked $(grep -c . "$FOLDER/asked" 2>/dev/null || true)"`;
  const { stdout, stderr } = spawnSync('/bin/sh', ['-euc', stage], { encoding: 'utf8' });
  return `${stdout}${stderr}`;
}

test('a page that is there before the first setup begins is not waited for in vain', (t) => {
  t.is(waits({ saidAtSecond: true, agedS: 3 }), 'ready\nasked 1\n');
});

test('without the word it is not through, whatever its pages show', (t) => {
  t.regex(waits({ saidAtSecond: false, agedS: 3 }), /^its first setup does not end\nasked \n$/);
});

test('a journal that has forgotten the word is no reason to wait', (t) => {
  t.is(waits({ saidAtSecond: false, agedS: 700 }), 'ready\nasked 1\n');
});
