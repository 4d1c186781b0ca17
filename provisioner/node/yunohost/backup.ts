// Nightly backups of a YunoHost, by its own command: its people, its settings, its applications as
// each of them wants to be kept. An archive counts when it could be unpacked whole and holds what
// YunoHost says of it; only then do older ones go. It is put back by YunoHost's own command,
// `yunohost backup restore NAME`. Pure: the program's text; part/backup.ts has what is around it.

import type { FileWrite } from '../step.ts';
import { filesAround } from '../part/backup.ts';

export function yunohostBackupFiles(): FileWrite[] {
  return filesAround(program);
}

const program = `#!/bin/sh
# Backups of this YunoHost. Written by kit configure: changes made here are undone by its next run.
#
#   commons-backup make     a new archive, proven; then all but the last two of ours are deleted
#   commons-backup list     what there is
#   commons-backup prove    unpacks the latest into a folder apart, and looks whether all is there
#
# To put one back: yunohost backup restore NAME
set -eu
export LC_ALL=C PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
umask 077

archives=/home/yunohost.backup/archives
state=/var/lib/commons-kit/backup.json
proofs=/var/lib/commons-kit/backup-proven
scratch=/var/lib/commons-kit/backup-proof
kept=2
error=

main() {
  mkdir -p "$archives" "$proofs" "\${state%/*}"
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
  ours | head -n -$kept | while read -r old; do
    yunohost --timeout 3600 backup delete "$old" >/dev/null
    rm -f "$proofs/$old"
  done
}

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
  printf '"second_drive":false,"error":%s}\\n' "$words" >>"$state.new"
  chmod 644 "$state.new"
  sync "$state.new"
  mv "$state.new" "$state"
}

main "$@"
`;
