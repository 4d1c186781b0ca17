// Nightly backups on the node's own drive, and on a second one where its owner plugs one in: against
// mistakes and damage, and with the second drive against the loss of the first. A generation is one
// whole archive and the changes of the nights after it, as GNU tar keeps them: a card wears by what
// changed, not by what is there. Each generation is proven by restoring it. Pure: texts and facts.
//
//   /var/backups/commons-kit/TIME/   0.tar.zst, 1.tar.zst …, snapshot, manifest (SHA-256), proven,
//                                    kit.json: whose it is, and what makes a new drive that home
//   /var/lib/commons-kit/backup.json {"v":1,"made_at":S,"bytes":N,"archives":N,"proven_at":S|null,
//                                     "second_drive":bool,"error":"words"|null}

import { FactError, type Fact } from '../fact.ts';
import { effect, type Stamps } from '../operation/effect.ts';
import { writeFiles, type FileStates } from '../operation/files.ts';
import { enableCommand, unitAmiss, type UnitStates } from '../operation/units.ts';
import type { FileWrite, Step } from '../step.ts';
import { describe, type BackedUpKit } from './kit-json.ts';
import { secondDrive } from './second-drive.ts';

export const backupTimer = 'commons-backup.timer';
export const backupProgram = '/usr/local/sbin/commons-backup';
export const backupStore = '/var/backups/commons-kit';

export interface BackedUp {
  /** What is kept, below /. */
  paths: string[];
  /** Stand still while the last changes are copied. */
  services: string[];
  of: BackedUpKit;
}

export function backupFiles(what: BackedUp): FileWrite[] {
  return filesAround(program(what));
}

/** Shell that puts a generation back on a drive that is new: what stood in its place goes. */
export function putBackCommand({ paths }: BackedUp, generation: string): string {
  const aside = paths.map((path) => `/${path}.before-restore-*`).join(' ');
  return `${backupProgram} restore ${generation}\nrm -rf ${aside}`;
}

/** @param content of a program that knows `make`, and keeps the account that is described above */
export function filesAround(content: string): FileWrite[] {
  const units = '/etc/systemd/system';
  const file = (path: string, mode: string, text: string): FileWrite => ({
    ...{ path, mode, content: text },
    owner: 'root:root',
  });
  return [
    file(backupProgram, '0755', content),
    file(`${units}/commons-backup.service`, '0644', serviceUnit),
    file(`${units}/${backupTimer}`, '0644', timerUnit),
  ];
}

export function backupSteps(
  ours: FileWrite[],
  facts: { files: FileStates; stamps: Stamps; units: UnitStates },
): Step[] {
  return [
    ...writeFiles('Write the backup program', ours, facts.files),
    ...effect(
      {
        id: 'backup',
        name: 'Make a backup, restore it to compare, and make one each night',
        dependsOn: ours,
        command: `systemctl daemon-reload
${backupProgram} make
${enableCommand(backupTimer, 'start')}`,
        timeoutS: 600,
        amiss: unitAmiss(backupTimer, facts.units),
      },
      facts,
    ),
  ];
}

/** The node's own account of its backups. */
export interface BackupAccount {
  /** Unix time, seconds; null: none was ever made. */
  madeAtS: number | null;
  bytes: number;
  /** When the latest generation was restored and compared; null: not yet. */
  provenAtS: number | null;
  /** Whether the last one is on a second drive as well. */
  secondDrive: boolean;
  /** Why the last attempt failed; null: it did not. */
  error: string | null;
}

/** Undefined where the node keeps no backups. */
export const backupAccount: Fact<BackupAccount | undefined> = {
  script: 'cat /var/lib/commons-kit/backup.json',
  parse(text, exitCode) {
    if (exitCode !== 0) return undefined;
    try {
      const { made_at, bytes, proven_at, second_drive, error } = JSON.parse(text);
      return {
        ...{ madeAtS: made_at, bytes, provenAtS: proven_at, secondDrive: second_drive, error },
      };
    } catch {
      throw new FactError('JSON of the last backup', text);
    }
  },
};

const contents = {
  files: ['*.tar.zst', 'manifest'],
  dataBytes: 'cd / && du -sbc $paths | tail -n 1 | cut -f 1',
};

const program = ({ paths, services, of }: BackedUp): string => `#!/bin/sh
# Backups of this node. Written by kit configure: changes made here are undone by its next run.
#
#   commons-backup make             the changes since the last one; each week a whole one
#   commons-backup list             what there is
#   commons-backup prove            restores the latest into a folder apart, and compares
#   commons-backup restore [NAME]   puts everything back as it was; what is there now is kept beside it
set -eu
export LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin
umask 077

store=${backupStore}
state=/var/lib/commons-kit/backup.json
scratch=/var/lib/commons-kit/backup-proof
paths='${paths.join(' ')}'
services='${services.join(' ')}'
kept=2
most_changes=6
stopped=
error=
${secondDrive}

main() {
  mkdir -p "$store" "\${state%/*}"
  exec 9>/run/lock/commons-backup
  flock -w 900 9 || { echo 'another one is under way' >&2; exit 1; }
  trap 'leave $?' EXIT
  trap 'exit 129' HUP INT TERM
  case "\${1-}" in
    make) make ;;
    list) list ;;
    prove) prove "$(latest)" ;;
    restore) restore "\${2-$(latest)}" ;;
    *) sed -n '3,8s/^# \\{0,1\\}//p' "$0" >&2; exit 2 ;;
  esac
}

# Whatever happens, the services run again, and what went wrong is told.
leave() {
  [ -z "$stopped" ] || systemctl start $services
  leave_second_drive
  rm -rf "$scratch"
  [ "$1" -eq 0 ] || [ -n "$error" ] || error="status $1: see journalctl -u commons-backup"
  case "\${verb-}" in make | prove) tell ;; esac
}

fail() {
  error=$1
  echo "$1" >&2
  exit 1
}

# Names are times in UTC: in their order, the last is the latest.
generations() {
  for folder in "$store"/[0-9]*; do
    [ -d "$folder" ] && echo "\${folder##*/}"
  done
  return 0
}

latest() {
  generations | tail -n 1
}

archives() {
  ls "$store/$1" | grep -c '\\.tar\\.zst$' || true
}

make() {
  verb=make
  rm -rf "$store"/.new-*
  date_back
  name=$(latest)
  # One that came from another drive has no snapshot: tar would not know what changed.
  if [ -n "$name" ] && [ -e "$store/$name/snapshot" ] &&
    [ "$(archives "$name")" -le "$most_changes" ]; then
    hold
    archive "$store/$name" "$(archives "$name")"
    go_on
    describe "$store/$name"
  else
    begin
  fi
  copy_to_second_drive
}

# A clock that was set back leaves generations of the future, which would stay the latest for ever:
# they take the last seconds' names, in their order.
date_back() {
  at=$(($(date +%s) - 60))
  limit=$(stamp $((at + 360)))
  generations | while read -r each; do
    [ "$each" \\> "$limit" ] || continue
    mv "$store/$each" "$store/$(stamp "$at")"
    at=$((at + 1))
  done
}

stamp() {
  date -u -d "@$1" +%Y%m%dT%H%M%SZ
}

# The whole while everything runs, then with the services stopped what changed meanwhile, and the sums
# of all files as they are then.
begin() {
  refuse_full
  at=$(date +%s)
  while [ -e "$store/$(stamp "$at")" ]; do at=$((at + 1)); done
  name=$(stamp "$at")
  fresh=$store/.new-$name
  mkdir "$fresh"
  archive "$fresh" 0
  hold
  archive "$fresh" 1
  (cd / && find $paths -type f -print0 | sort -z | xargs -0r sha256sum) >"$fresh/manifest"
  go_on
  describe "$fresh"
  sync
  mv "$fresh" "$store/$name"
  prove "$name"
  generations | head -n -$kept | while read -r old; do
    rm -rf "$store/$old"
  done
}

hold() {
  systemctl stop $services
  stopped=yes
}

go_on() {
  systemctl start $services
  stopped=
}

# tar's snapshot file says what it has seen: kept only with the archive that it belongs to. Status 1
# is a file that changed while it was read, which the next archive holds as it is then.
archive() {
  rm -f "$1/snapshot.new" "$1/part"
  [ ! -e "$1/snapshot" ] || cp "$1/snapshot" "$1/snapshot.new"
  status=0
  tar -c -C / -f "$1/part" -I 'zstd -q' --listed-incremental="$1/snapshot.new" $paths || status=$?
  [ "$status" -le 1 ] || fail "tar ended with status $status"
  zstd -q -t "$1/part"
  sync "$1/part" "$1/snapshot.new"
  mv "$1/part" "$1/$2.tar.zst"
  mv "$1/snapshot.new" "$1/snapshot"
}
${describe(of, contents)}

# A whole one and the proof of it take each at most what is there.
refuse_full() {
  needed=$(($(cd / && du -skc $paths | tail -n 1 | cut -f 1) * 2 + 100000))
  free=$(df -k --output=avail "$store" | tail -n 1)
  [ "$free" -gt "$needed" ] || fail "no room: $needed KB needed, $((free)) KB free"
}

# tar removes again what a later archive no longer has.
unpack() {
  at=0
  while [ -e "$store/$1/$at.tar.zst" ] && [ "$at" -lt "$3" ]; do
    tar -x -p -C "$2" -f "$store/$1/$at.tar.zst" --listed-incremental=/dev/null ||
      fail "the backup $1 does not give back what was in it"
    at=$((at + 1))
  done
  [ "$at" -gt 0 ] || fail "there is no backup $1"
}

prove() {
  verb=\${verb-prove}
  [ -n "$1" ] || fail 'there is no backup yet'
  rm -rf "$scratch"
  mkdir -p "$scratch"
  unpack "$1" "$scratch" 2
  (cd "$scratch" && sha256sum -c --quiet --strict "$store/$1/manifest") >&2 ||
    fail "the backup $1 does not give back what was in it"
  found=$(cd "$scratch" && find $paths -type f | wc -l)
  listed=$(wc -l <"$store/$1/manifest")
  [ "$found" -eq "$listed" ] || fail "the backup $1 gives back $found files of $listed"
  date +%s >"$store/$1/proven"
  sync "$store/$1/proven"
}

# Everything goes back at once, or stays as it was.
restore() {
  [ -n "$1" ] && [ -d "$store/$1" ] || fail "there is no backup \${1:-yet}: see commons-backup list"
  rm -rf "$store/.restoring"
  mkdir "$store/.restoring"
  unpack "$1" "$store/.restoring" 1000
  hold
  before=before-restore-$(date -u +%Y%m%dT%H%M%SZ)
  for path in $paths; do
    [ -e "$store/.restoring/$path" ] || continue
    [ ! -e "/$path" ] || mv "/$path" "/$path.$before"
    mv "$store/.restoring/$path" "/$path"
  done
  rm -rf "$store/.restoring"
  sync
  go_on
  echo "restored $1; what was there is in /\${paths%% *}.$before"
}

list() {
  generations | while read -r each; do
    proven=no
    [ ! -e "$store/$each/proven" ] || proven=yes
    echo "$each  $(archives "$each") archives  $(du -sk "$store/$each" | cut -f 1) KB  proven: $proven"
  done
}

tell() {
  name=$(latest)
  made=null bytes=0 count=0 proven=null
  if [ -n "$name" ]; then
    count=$(archives "$name")
    made=$(stat -c %Y "$store/$name/$((count - 1)).tar.zst")
    bytes=$(du -sb "$store/$name" | cut -f 1)
    [ ! -e "$store/$name/proven" ] || proven=$(cat "$store/$name/proven")
  fi
  words=null
  [ -z "$error" ] || words="\\"$(printf %s "$error" | tr -d '"\\\\' | tr '\\n\\t' '  ')\\""
  printf '{"v":1,"made_at":%s,"bytes":%s,"archives":%s,"proven_at":%s,"second_drive":%s,"error":%s}\\n' \\
    "$made" "$bytes" "$count" "$proven" "$copied" "$words" >"$state.new"
  chmod 644 "$state.new"
  sync "$state.new"
  mv "$state.new" "$state"
}

main "$@"
`;

const serviceUnit = `[Unit]
Description=Backup of this node

[Service]
Type=oneshot
ExecStart=${backupProgram} make
Nice=15
IOSchedulingClass=idle
`;

/** At night, and after a night without power as soon as there is some again. */
const timerUnit = `[Unit]
Description=Backup of this node, each night

[Timer]
OnCalendar=*-*-* 03:30
RandomizedDelaySec=30min
Persistent=true

[Install]
WantedBy=timers.target
`;
