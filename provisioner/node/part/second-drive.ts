// What a backup program does with a second drive, where its owner plugs one in: a copy of the
// latest generation, and as many as are kept on the first. Pure: a piece of shell.

/** The label of such a drive's file system. */
export const backupLabel = 'COMMONS-BACKUP';

/**
 * `copy_to_second_drive` copies `$store/$name`, and fails by `fail`; `$copied` tells of it.
 * Whatever happens, `leave_second_drive` comes last.
 */
export const secondDrive = `
second=/run/commons-backup-drive
label=/dev/disk/by-label/${backupLabel}
mounted=
copied=false

copy_to_second_drive() {
  [ -e "$label" ] || return 0
  mkdir -p "$second"
  mount -o nosuid,nodev,noexec "$label" "$second" || fail 'the second drive could not be mounted'
  mounted=yes
  mkdir -p "$second/commons-kit/$name"
  # The archives first, then kit.json, which says that they are there.
  for file in "$store/$name"/*; do
    [ "\${file##*/}" != kit.json ] || continue
    copy_one "$file"
  done
  sync -f "$second"
  copy_one "$store/$name/kit.json"
  ls -d "$second"/commons-kit/[0-9]* | head -n -$kept | while read -r old; do
    rm -rf "$old"
  done
  sync -f "$second"
  umount "$second"
  mounted=
  copied=true
}

copy_one() {
  copy=$second/commons-kit/$name/\${1##*/}
  cmp -s "$1" "$copy" && return 0
  cp "$1" "$copy.new" && mv "$copy.new" "$copy" || fail 'the second drive is full or failing'
}

leave_second_drive() {
  [ -z "$mounted" ] || umount "$second"
}`;
