// What `kit check` asks of a node over SSH, all in one round trip. Pure: commands and parsers.

import { FactError, type Fact, type FactsOf } from '../node/fact.ts';
import { unitStates, type UnitStates } from '../node/operation/units.ts';
import { firewallLoaded } from '../node/snac/firewall.ts';
import { units } from '../node/snac/facts.ts';

export interface NodeFacts {
  /** Unix time, milliseconds. */
  clockMs: number;
  /** 32 hex digits. */
  bootId: string;
  disk: { sizeBytes: number; freeBytes: number };
  /** The root partition and the disk it stands on; undefined where there is none to be seen. */
  partition: { startBytes: number; sizeBytes: number; diskBytes: number } | undefined;
  firstBoot: FirstBoot | undefined;
  /** Whether the EFI system partition's bytes hold the host key; undefined: could not be read. */
  hostKeyOnEsp: boolean | undefined;
  firewallLoaded: boolean;
  units: UnitStates;
}

/** /var/lib/commons-kit/first-boot.json, written by the image's first boot. */
export interface FirstBoot {
  version: number;
  appliedAt: string;
  applied: string[];
  failed: { setting: string; reason: string }[];
}

/** @param hostKeyPem secret: travels within the script on standard input, and is only compared */
export function nodeFacts(hostKeyPem: string): FactsOf<NodeFacts> {
  return {
    clockMs: { script: 'date +%s%3N', parse: (text) => wholeNumber(text) },
    bootId: {
      script: 'cat /proc/sys/kernel/random/boot_id',
      parse: (text) => text.replaceAll('-', ''),
    },
    disk: {
      script: 'df -B1 --output=size,avail / | tail -n 1',
      parse(text) {
        const [sizeBytes, freeBytes] = text.trim().split(/\s+/).map(wholeNumber);
        return { sizeBytes, freeBytes };
      },
    },
    partition,
    firstBoot: {
      script: 'cat /var/lib/commons-kit/first-boot.json',
      parse: (text, exitCode) => (exitCode === 0 ? readFirstBoot(text) : undefined),
    },
    hostKeyOnEsp: espSearch(hostKeyPem),
    firewallLoaded: { script: 'nft list table inet commons', parse: firewallLoaded },
    units: unitStates(Object.values(units)),
  };
}

/** From sysfs, in sectors of 512 bytes whatever the drive's own are. */
const partition: Fact<NodeFacts['partition']> = {
  script: `source=$(findmnt -no SOURCE /)
name=\${source##*/}
[ -e "/sys/class/block/$name/partition" ] || exit 1
cd "$(readlink -f "/sys/class/block/$name")"
cat start size ../size`,
  parse(text, exitCode) {
    if (exitCode !== 0) return undefined;
    const bytes = text.split('\n').map((line) => wholeNumber(line) * 512);
    const [startBytes, sizeBytes, diskBytes] = bytes;
    return { startBytes, sizeBytes, diskBytes };
  },
};

/** GPT's type of an EFI system partition (UEFI 2.10, table 5.7). */
const espType = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';

/**
 * Read as the block device has it, around the page cache. The lines of the key's file after the
 * second hold its private section (ssh-key.ts). Zero bytes end grep's lines here: a mostly empty
 * partition would be one endless line otherwise.
 */
function espSearch(hostKeyPem: string): Fact<boolean | undefined> {
  const body = hostKeyPem.split('\n').filter((line) => line !== '' && !line.startsWith('-----'));
  return {
    script: `esp=$(lsblk -rno PATH,PARTTYPE | sed -n 's/ ${espType}$//p' | head -n 1)
[ -b "$esp" ] || exit 2
sync
dd if="$esp" bs=1M iflag=direct | grep -zqaF -f /dev/fd/3 3<<'KEY'
${body.slice(2).join('\n')}
KEY`,
    parse(_, exitCode) {
      if (exitCode > 1) return undefined;
      return exitCode === 0;
    },
  };
}

function readFirstBoot(text: string): FirstBoot {
  try {
    const value = JSON.parse(text) as FirstBoot;
    if (Array.isArray(value.applied) && Array.isArray(value.failed)) return value;
  } catch {
    // Told below, like JSON of another shape.
  }
  throw new FactError('first-boot.json with applied and failed', text);
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text.trim())) throw new FactError('a whole number', text);
  return Number(text);
}
