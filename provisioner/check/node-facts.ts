// What `kit check` asks of a node over SSH, all in one round trip. Pure: commands and parsers.

import type { SecretTrace } from '../drive/kit-secrets.ts';
import { FactError, type Fact, type FactsOf } from '../node/fact.ts';
import { unitStates, type UnitStates } from '../node/operation/units.ts';
import type { Inspection } from '../node/kinds.ts';
import { espSearch } from './esp-search.ts';

/** What is asked of a node of any kind: whether it came to life as the kit that it was made for. */
export interface BootFacts {
  /** Unix time, milliseconds. */
  clockMs: number;
  /** 32 hex digits. */
  bootId: string;
  disk: { sizeBytes: number; freeBytes: number };
  /** The root partition and the disk it stands on; undefined where there is none to be seen. */
  partition: { startBytes: number; sizeBytes: number; diskBytes: number } | undefined;
  firstBoot: FirstBoot | undefined;
  /** Secrets that the boot partition's bytes still hold; undefined: it could not be read. */
  secretsOnEsp: string[] | undefined;
}

export interface NodeFacts extends BootFacts {
  firewallLoaded: boolean;
  units: UnitStates;
}

/** /var/lib/commons-kit/first-boot.json, written by the image's first boot. */
export interface FirstBoot {
  /** Of the folder /kit/ that was read. */
  version: string;
  appliedAt: string;
  applied: string[];
  failed: { setting: string; reason: string }[];
}

export function nodeFacts(
  traces: SecretTrace[],
  { firewall, units }: Pick<Inspection, 'firewall' | 'units'>,
): FactsOf<NodeFacts> {
  return {
    ...bootFacts(traces),
    firewallLoaded: firewall,
    units: unitStates(units),
  };
}

/** @param traces secret: they travel within the script on standard input, and are only compared */
export function bootFacts(traces: SecretTrace[]): FactsOf<BootFacts> {
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
    secretsOnEsp: espSearch(traces),
  };
}

/** From sysfs, in sectors of 512 bytes whatever the drive's own are. */
const partition: Fact<BootFacts['partition']> = {
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
