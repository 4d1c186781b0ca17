// Looks for a kit's secrets on its node's boot partition, as the block device has it: around the
// page cache, which may hold zeros where the drive does not. The secrets go in on standard input
// and come back as their names alone. Pure: a script and its parser.

import type { SecretTrace } from '../drive/kit-secrets.ts';
import { FactError, type Fact } from '../node/fact.ts';

/** What the boot partition of the drive with the root is told by: GPT's type, or MBR's. */
const espTypes = ['c12a7328-f81f-11d2-ba4b-00a0c93ec93b', '0xef', '0xc'];

const unreadable = 'unreadable';

/**
 * Names of the secrets that are still there; undefined where no boot partition could be read to its
 * end. Each is a pass of its own, so that what is found has a name. The patterns are lines on a
 * descriptor: no argument, no file. Zero bytes end grep's lines: a mostly empty partition would be
 * one endless line otherwise.
 */
export function espSearch(traces: SecretTrace[]): Fact<string[] | undefined> {
  const searches = traces.map(({ name, lines }, index) => {
    if (lines.length === 0 || lines.some((line) => line.length < 8 || line.includes('\n'))) {
      // grep finds an empty pattern everywhere, and a short one by chance.
      throw new RangeError(`expected lines of at least 8 characters for ${name}`);
    }
    const end = `SECRET_${index}`;
    return `search ${index} <<'${end}'\n${lines.join('\n')}\n${end}`;
  });
  return {
    script: `source=$(findmnt -no SOURCE /)
disk=$(lsblk -no PKNAME "$source" | head -n 1)
esp=$(lsblk -rno PATH,PARTTYPE "/dev/$disk" | while read -r path type; do
  case $type in ${espTypes.join('|')}) echo "$path"; break ;; esac
done)
[ -b "$esp" ] || { echo ${unreadable}; exit; }
sync
search() {
  said=$({ { dd if="$esp" bs=1M iflag=direct; echo "read $?" >&4; } |
    { grep -zqaF -f /dev/fd/5; echo "found $?" >&4; }; } 4>&1 5<&0)
  case $said in
    *'found 0'*) echo "secret $1" ;;
    *'read 0'*'found 1'*) ;;
    *) echo ${unreadable} ;;
  esac
}
${searches.join('\n')}`,
    parse(text) {
      const lines = text.split('\n').filter((line) => line !== '');
      if (lines.includes(unreadable)) return undefined;
      return lines.map((line) => {
        const trace = traces[Number(/^secret (\d+)$/.exec(line)?.[1])];
        if (trace === undefined) throw new FactError('names of secrets', line);
        return trace.name;
      });
    },
  };
}
