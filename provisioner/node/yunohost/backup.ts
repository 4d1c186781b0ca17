// Nightly backups of a YunoHost, by its own command: its people, its settings, its applications as
// each of them wants to be kept. An archive counts when it could be unpacked whole and holds what
// YunoHost says of it; only then do older ones go. Each is a generation for `kit restore` as well
// (part/kit-json.ts), which takes no room: links beside what makes a new drive this home. It is put
// back by YunoHost's own command (restoration.ts). Pure: the program's text.
//
//   /home/yunohost.backup/archives/commons-20261126-033000.tar, .info.json    YunoHost's own
//   /var/backups/commons-kit/20261126T033000Z/yunohost.tar, info.json, kit.json

import type { FileWrite } from '../step.ts';
import { backupStore, filesAround } from '../part/backup.ts';
import { describe, ownIdentity } from '../part/kit-json.ts';
import { secondDrive } from '../part/second-drive.ts';
import { ours } from './certificate.ts';
import type { YunohostHome } from './desired.ts';

export const archiveStore = '/home/yunohost.backup/archives';

export function yunohostBackupFiles(desired: YunohostHome): FileWrite[] {
  return filesAround(program(desired));
}

/** What a new drive needs to be the same home, besides the archive: patterns of the shell's. */
export const yunohostIdentity = (domain: string): string[] => [
  ...ownIdentity,
  ...['crt', 'key', 'ca'].map((name) => `${ours(domain)}/${name}.pem`),
];

const contents = {
  files: ['yunohost.tar*', 'info.json'],
  // `prove` has just unpacked it.
  dataBytes: 'echo "$unpacked"',
};

const program = ({ hostname: kit, domain, owner }: YunohostHome): string => `#!/bin/sh
# Backups of this YunoHost. Written by kit configure: changes made here are undone by its next run.
#
#   commons-backup make     a new archive, proven; then all but the last two of ours are deleted
#   commons-backup list     what there is
#   commons-backup prove    unpacks the latest into a folder apart, and looks whether all is there
#
# To put one back on this node: yunohost backup restore NAME. On a new drive: kit restore.
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

archives=${archiveStore}
store=${backupStore}
state=/var/lib/commons-kit/backup.json
proofs=/var/lib/commons-kit/backup-proven
scratch=/var/lib/commons-kit/backup-proof
kept=2
error=
${secondDrive}

main() {
  mkdir -p "$archives" "$store" "$proofs" "\${state%/*}"
  exec 9>/run/lock/commons-backup
  flock -w 900 9 || { echo 'another one is under way' >&2; exit 1; }
  trap 'leave $?' EXIT
  trap 'exit 129' HUP INT TERM
  case "\${1-}" in
    make) verb=make; make ;;
    list) ours ;;
    prove) verb=prove; prove "$(ours | tail -n 1)" ;;
    *) sed -n '3,9s/^# \\{0,1\\}//p' "$0" >&2; exit 2 ;;
  esac
}

leave() {
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

# Names are times in UTC: in their order, the last is the latest. Of one that was cut off while it
# was written, YunoHost has no account beside it.
ours() {
  for file in "$archives"/commons-*.tar*; do
    name=\${file##*/}
    name=\${name%%.tar*}
    [ ! -s "$archives/$name.info.json" ] || echo "$name"
  done
}

make() {
  for file in "$archives"/commons-*.tar*; do
    name=\${file##*/}
    [ -s "$archives/\${name%%.tar*}.info.json" ] || rm -f "$file"
  done
  name=commons-$(date -u +%Y%m%d-%H%M%S)
  said=$(yunohost --timeout 3600 backup create --name "$name" 2>&1) || true
  [ -s "$archives/$name.info.json" ] ||
    fail "YunoHost made none: $(printf %s "$said" | tail -n 1)"
  sync
  prove "$name"
  keep "$name"
  ours | head -n -$kept | while read -r old; do
    yunohost --timeout 3600 backup delete "$old" >/dev/null
    rm -f "$proofs/$old"
  done
  ls "$store" | head -n -$kept | while read -r old; do
    rm -rf "\${store:?}/$old"
  done
  copy_to_second_drive
}

# The same archive under the name that kit restore knows: a link, where the file system lets it.
keep() {
  name=$(generation_of "$1")
  rm -rf "$store"/.new-*
  fresh=$store/.new-$name
  mkdir "$fresh"
  for file in "$archives/$1".tar* "$archives/$1.info.json"; do
    other=yunohost\${file#"$archives/$1"}
    [ "$other" != yunohost.info.json ] || other=info.json
    ln -L "$file" "$fresh/$other" 2>/dev/null || cp "$file" "$fresh/$other"
  done
  describe "$fresh"
  sync
  rm -rf "\${store:?}/$name"
  mv "$fresh" "$store/$name"
}

# commons-20261126-033000 → 20261126T033000Z
generation_of() {
  echo "$1" | sed 's/^commons-\\([0-9]*\\)-\\([0-9]*\\)$/\\1T\\2Z/'
}
${describe(
  { ...{ kit, kind: 'yunohost', domain, owner }, identity: yunohostIdentity(domain) },
  contents,
)}

# As large again, for as long as it is looked at.
prove() {
  [ -n "$1" ] || fail 'there is no backup yet'
  rm -rf "$scratch"
  mkdir -p "$scratch"
  archive=$(ls "$archives/$1".tar*)
  needed=$(($(du -k "$archive" | cut -f 1) * 2 + 100000))
  free=$(df -k --output=avail "$scratch" | tail -n 1)
  [ "$free" -gt "$needed" ] || fail "no room: $needed KB needed, $((free)) KB free"
  tar -xf "$archive" -C "$scratch" || fail "the backup $1 does not give back what was in it"
  missing=$(python3 - "$scratch" <<'PYTHON'
import json, os, sys
top = sys.argv[1]
told = json.load(open(top + "/info.json"))
def holds(path):
    return any(files for _, _, files in os.walk(os.path.join(top, path)))
missing = [app for app in told["apps"] if not holds(f"apps/{app}/settings")]
if told["system"] and not (holds("conf") or holds("data")):
    missing.append("the system")
print(", ".join(missing))
PYTHON
  ) || fail "the backup $1 does not say what is in it"
  [ -z "$missing" ] || fail "the backup $1 does not give back $missing"
  unpacked=$(du -sb "$scratch" | cut -f 1)
  date +%s >"$proofs/$1"
  sync "$proofs/$1"
}

tell() {
  name=$(ours | tail -n 1)
  made=null bytes=0 count=$(ours | wc -l) proven=null
  if [ -n "$name" ]; then
    made=$(stat -c %Y "$archives/$name.info.json")
    bytes=$(cat "$archives/$name".tar* | wc -c)
    [ ! -s "$proofs/$name" ] || proven=$(cat "$proofs/$name")
  fi
  words=null
  [ -z "$error" ] || words="\\"$(printf %s "$error" | tr -d '"\\\\' | tr '\\n\\t\\033' '   ')\\""
  printf '{"v":1,"made_at":%s,"bytes":%s,"archives":%s,"proven_at":%s,' \\
    "$made" "$bytes" "$count" "$proven" >"$state.new"
  printf '"second_drive":%s,"error":%s}\\n' "$copied" "$words" >>"$state.new"
  chmod 644 "$state.new"
  sync "$state.new"
  mv "$state.new" "$state"
}

main "$@"
`;
