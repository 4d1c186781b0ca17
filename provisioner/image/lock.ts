// packages.lock: what an image is made of, so that anybody can make the same bytes again. This file
// owns its format. Pure.
//
//   # a comment
//   epoch SECONDS                     Unix time that every file of the image carries
//   ROLE NAME VERSION ARCH SHA256 [REPOSITORY]   one line a package, sorted, parted by a space
//
//   ROLE: root  in the root file system
//         boot  its files stand on the ESP or before the first partition
//         tool  laid out the drive; none of its files are in the image
//   REPOSITORY: as image.toml names it; left out for Debian's own archive

import { KitError } from '../errors.ts';
import { packageKey, type Package } from './stanza.ts';

export const roles = ['root', 'boot', 'tool'] as const;
export type Role = (typeof roles)[number];

export interface LockedPackage extends Package {
  role: Role;
  /** Undefined: Debian's own archive. */
  repository?: string;
}

export interface Lock {
  epochS: number;
  packages: LockedPackage[];
}

/** The lock's text; {@link parseLock} gives the same lock, sorted. */
export function formatLock({ epochS, packages }: Lock): string {
  return `epoch ${epochS}\n${packages.map(lineOf).sort().join('\n')}\n`;
}

function lineOf({ role, name, version, arch, sha256, repository }: LockedPackage): string {
  const from = repository === undefined ? '' : ` ${repository}`;
  return `${role} ${name} ${version} ${arch} ${sha256}${from}`;
}

const packageLine = new RegExp(
  `^(${roles.join('|')}) ([a-z0-9][a-z0-9+.-]+) ([A-Za-z0-9.+:~-]+) ([a-z0-9-]+) ([0-9a-f]{64})` +
    '(?: ([a-z0-9][a-z0-9-]*))?$',
);

/** @throws KitError `lock-malformed` */
export function parseLock(text: string, file: string): Lock {
  const [head = '', ...lines] = text.split('\n').filter((line) => !/^(#|$)/.test(line));
  const epoch = /^epoch (\d{1,11})$/.exec(head);
  if (epoch === null) throw malformed(file, 'a first line "epoch SECONDS"', head);
  const packages = lines.map((line): LockedPackage => {
    const parts = packageLine.exec(line);
    if (parts === null) throw malformed(file, 'ROLE NAME VERSION ARCH SHA256', line);
    const [, role, name, version, arch, sha256, repository] = parts;
    const item = { role: role as Role, name, version, arch, sha256 };
    return repository === undefined ? item : { ...item, repository };
  });
  return { epochS: Number(epoch[1]), packages };
}

export interface LockChange {
  role: Role;
  name: string;
  /** Versions; undefined where the package is not there. The same twice: other bytes. */
  from?: string;
  to?: string;
}

/** What parts two locks, by name; empty when they are made of the same packages. */
export function compareLocks(from: Lock, to: Lock): LockChange[] {
  const keyOf = ({ role, name, arch }: LockedPackage) => `${role} ${name} ${arch}`;
  const before = new Map(from.packages.map((item) => [keyOf(item), item]));
  const after = new Map(to.packages.map((item) => [keyOf(item), item]));
  const keys = [...new Set([...before.keys(), ...after.keys()])].sort();
  return keys.flatMap((key) => {
    const [old, now] = [before.get(key), after.get(key)];
    if (old?.version === now?.version && old?.sha256 === now?.sha256) return [];
    const { role, name } = (now ?? old) as LockedPackage;
    return [{ role, name, from: old?.version, to: now?.version }];
  });
}

export function changeText({ role, name, from, to }: LockChange): string {
  if (from === undefined) return `+ ${role} ${name} ${to}`;
  if (to === undefined) return `- ${role} ${name} ${from}`;
  return from === to ? `! ${role} ${name} ${to}: other bytes` : `~ ${role} ${name} ${from} → ${to}`;
}

/** @throws KitError `lock-differs` unless the root file system holds what the lock says, no more */
export function requireInstalled(lock: Lock, installed: readonly Omit<Package, 'sha256'>[]): void {
  const locked = new Set(lock.packages.filter(({ role }) => role === 'root').map(packageKey));
  const found = new Set(installed.map(packageKey));
  const absent = [...locked.difference(found)];
  const unlocked = [...found.difference(locked)];
  if (absent.length + unlocked.length === 0) return;
  throw new KitError({
    code: 'lock-differs',
    message: 'the root file system is made of other packages than the lock holds',
    expected: absent.slice(0, 5).join('; ') || 'nothing beyond the lock',
    got: unlocked.slice(0, 5).join('; ') || 'packages of the lock left out',
    hint: 'The image’s packages were changed: renew its lock with `kit image update`.',
  });
}

function malformed(file: string, expected: string, got: string): KitError {
  return new KitError({
    code: 'lock-malformed',
    message: `${file} is not a packages.lock`,
    expected,
    got: got.slice(0, 200),
    hint: 'Make it again with `kit image update`, or take it from where the image comes from.',
    exitCode: 2,
  });
}
