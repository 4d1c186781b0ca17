// What `kit check` asks of a node's health: its drive, how it came up, what listens on it. Pure:
// commands and parsers. One of them writes 16 MiB to the drive and removes them: there is no other
// way to know how fast it takes them.

import { FactError, type Fact, type FactsOf } from '../node/fact.ts';
import { takesWrites } from '../node/ground.ts';
import { backupAccount, type BackupAccount } from '../node/part/backup.ts';

export interface HealthFacts {
  /** A time server has been heard. */
  timeSynchronised: boolean;
  /** Since the kernel started. */
  uptimeS: number;
  root: RootState;
  /** What the kernel has said of drives and file systems since it started; the first few lines. */
  kernelTrouble: string[];
  /** Services that systemd could not keep running. */
  failedUnits: string[];
  drive: DriveLife | undefined;
  /** Undefined: not measured, for want of room or of a drive that can be read. */
  speed: DriveSpeed | undefined;
  machine: Machine;
  /** TCP ports that something listens on, for others than the node itself. */
  listening: number[];
  /** Undefined: the node keeps none. */
  backup: BackupAccount | undefined;
}

export interface RootState {
  writable: boolean;
  /** ext4's own count, kept through reboots until fsck clears it; undefined on another sort. */
  errors: number | undefined;
}

export interface DriveLife {
  sort: 'SD card' | 'eMMC' | 'drive';
  /** Of its rated life, percent; undefined where it does not tell. */
  wornPercent: number | undefined;
  /** What it says of itself; undefined where it says nothing. */
  sound: boolean | undefined;
}

/** Bytes a second; 0 where the time was up before it had done its part. */
export interface DriveSpeed {
  readBytesPerS: number;
  writeBytesPerS: number;
}

export interface Machine {
  /** As `uname -m` has it. */
  arch: string;
  model: string;
}

export function healthFacts(): FactsOf<HealthFacts> {
  return {
    timeSynchronised: {
      script: 'timedatectl show -p NTPSynchronized --value',
      parse: (text) => text.trim() === 'yes',
    },
    uptimeS: {
      script: 'read -r up rest </proc/uptime; echo "${up%.*}"',
      parse: (text) => wholeNumber(text),
    },
    root,
    kernelTrouble: {
      script: `journalctl -k -b -q -o cat --no-pager |
  grep -E 'EXT4-fs error|EXT4-fs .*(error count|emounting filesystem read-only)|I/O error' |
  head -n 5`,
      parse: (text) => linesOf(text),
    },
    failedUnits: {
      script: `systemctl list-units --failed --plain --no-legend | while read -r unit rest; do
  echo "$unit"
done`,
      parse: (text) => linesOf(text),
    },
    drive,
    speed,
    machine: {
      script: `uname -m
for file in /proc/device-tree/model /sys/class/dmi/id/product_name; do
  [ -r "$file" ] && { tr -d '\\0' <"$file"; break; }
done`,
      parse(text) {
        const [arch, model = ''] = text.split('\n');
        return { arch, model: model.trim() };
      },
    },
    listening: {
      script: 'cat /proc/net/tcp /proc/net/tcp6 2>/dev/null',
      parse: (text) => listeningPorts(text),
    },
    backup: backupAccount,
  };
}

/** sysfs counts what ext4 keeps in its superblock: s_error_count (fs/ext4/sysfs.c). */
const root: Fact<RootState> = {
  script: `findmnt -no OPTIONS /
name=$(basename "$(readlink -f "$(findmnt -no SOURCE /)")")
cat "/sys/fs/ext4/$name/errors_count" 2>/dev/null || echo none`,
  parse(text) {
    const [options, errors = 'none'] = text.split('\n');
    return { writable: takesWrites(options), errors: errors === 'none' ? undefined : wholeNumber(errors) };
  },
};

/**
 * JEDEC JESD84-B51, EXT_CSD [269:267], as Linux shows it: DEVICE_LIFE_TIME_EST in tenths of the
 * rated life (0x0b: over), for two sorts of memory; PRE_EOL_INFO 1 normal, 2 warning, 3 urgent. SD
 * cards have neither. smartctl tells of the others, where the image has it.
 */
const drive: Fact<HealthFacts['drive']> = {
  script: `disk=$(lsblk -no PKNAME "$(findmnt -no SOURCE /)" | head -n 1)
[ -n "$disk" ] && cd "/sys/class/block/$disk" || exit 1
echo "type $(cat device/type 2>/dev/null)"
[ -e device/life_time ] && echo "life $(cat device/life_time)"
[ -e device/pre_eol_info ] && echo "eol $(cat device/pre_eol_info)"
command -v smartctl >/dev/null && smartctl -j -H -A "/dev/$disk" | tr -d '\\n' | sed 's/^/smart /'
true`,
  parse(text, exitCode) {
    if (exitCode !== 0) return undefined;
    const told = Object.fromEntries(
      linesOf(text).map((line) => [line.split(' ', 1)[0], line.replace(/^\S+ ?/, '')]),
    );
    if (told['type'] === 'SD') return { sort: 'SD card', wornPercent: undefined, sound: undefined };
    if (told['life'] !== undefined) return eMmcLife(told['life'], told['eol']);
    return { sort: 'drive', ...smartLife(told['smart']) };
  },
};

function eMmcLife(life: string, eol: string | undefined): DriveLife {
  const tenths = life.split(' ').map((word) => Number.parseInt(word, 16));
  const wornPercent = Math.max(...tenths.filter(Number.isInteger)) * 10;
  const stage = eol === undefined ? 0 : Number.parseInt(eol, 16);
  return { sort: 'eMMC', wornPercent, sound: stage === 0 ? undefined : stage === 1 };
}

function smartLife(json: string | undefined): Pick<DriveLife, 'wornPercent' | 'sound'> {
  if (json === undefined || json === '') return { wornPercent: undefined, sound: undefined };
  let told: {
    smart_status?: { passed?: boolean };
    nvme_smart_health_information_log?: { percentage_used?: number };
  };
  try {
    told = JSON.parse(json);
  } catch {
    throw new FactError('JSON of smartctl', json);
  }
  const wornPercent = told.nvme_smart_health_information_log?.percentage_used;
  return { wornPercent, sound: told.smart_status?.passed };
}

export const readBytes = 64 * 1024 * 1024;
export const writtenBytes = 16 * 1024 * 1024;
/** Four times the test's size stays free whatever happens. */
const neededBytes = 4 * writtenBytes;
const speedLimitS = 30;

/** Around the page cache, each way. */
const speed: Fact<HealthFacts['speed']> = {
  script: `source=$(findmnt -no SOURCE /)
free=$(df -B1 --output=avail / | tail -n 1)
[ -b "$source" ] && [ "$free" -gt ${neededBytes} ] || exit 1
folder=/var/lib/commons-kit
mkdir -p $folder
file=$folder/speed-test
trap 'rm -f "$file"' EXIT
measure() {
  name=$1
  shift
  start=$(date +%s%N)
  timeout ${speedLimitS} dd bs=1M "$@" && echo "$name $(($(date +%s%N) - start))" ||
    { [ $? = 124 ] && echo "$name slow"; }
}
measure read if="$source" of=/dev/null count=${readBytes / 1048576} iflag=direct
measure write if=/dev/zero of="$file" count=${writtenBytes / 1048576} oflag=direct conv=fsync`,
  parse(text) {
    const took = (name: string) => new RegExp(`^${name} (\\d+|slow)$`, 'm').exec(text)?.[1];
    const [reading, writing] = [took('read'), took('write')];
    if (reading === undefined || writing === undefined) return undefined;
    const rate = (sizeBytes: number, took: string) =>
      took === 'slow' ? 0 : Math.round(sizeBytes / (Number(took) / 1e9));
    return {
      readBytesPerS: rate(readBytes, reading),
      writeBytesPerS: rate(writtenBytes, writing),
    };
  },
};

/** proc(5): local address and port in hexadecimal, state 0A. 127.0.0.0/8 is little-endian there. */
export function listeningPorts(table: string): number[] {
  const rows = table.matchAll(/^\s*\d+: ([0-9A-F]+):([0-9A-F]{4}) [0-9A-F]+:0000 0A /gm);
  const ports = [...rows]
    .filter(([, address]) => !(/^[0-9A-F]{6}7F$/.test(address) || loopback6.test(address)))
    .map(([, , port]) => Number.parseInt(port, 16));
  return [...new Set(ports)].sort((a, b) => a - b);
}

/** ::1, and 127.0.0.0/8 within IPv6. */
const loopback6 = /^(0{24}01000000|0{16}FFFF0000[0-9A-F]{6}7F)$/;

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}

function wholeNumber(text: string): number {
  if (!/^\d+$/.test(text.trim())) throw new FactError('a whole number', text);
  return Number(text);
}
