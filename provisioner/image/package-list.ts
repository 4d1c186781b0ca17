// What an image is made of: each package with its version and the SHA-256 of its archive, read
// from what apt itself knows of them, and written as packages.lock. Pure.
//
//   packages.lock: one package a line, sorted, fields parted by a space:
//     ROLE NAME VERSION ARCH SHA256        ROLE: root (in the root file system) | boot (on the ESP)

export type Role = 'root' | 'boot';

export interface Package {
  name: string;
  version: string;
  arch: string;
  /** Of the .deb, as the mirror's signed index states it. */
  sha256: string;
  sourceName: string;
  homepage?: string;
  summary: string;
}

/** The stanzas that `apt-cache show` prints. A package that two suites carry counts once. */
export function parseStanzas(text: string): Package[] {
  const packages = text
    .split(/\n\n+/)
    .filter((stanza) => stanza.startsWith('Package: '))
    .map(parseStanza);
  const keyOf = (item: Package) => `${item.name} ${item.version} ${item.arch}`;
  const byKey = new Map(packages.map((item) => [keyOf(item), item]));
  return [...byKey.values()].sort((a, b) => (a.name < b.name ? -1 : 1));
}

function parseStanza(stanza: string): Package {
  const field = (name: string): string | undefined =>
    new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1];
  const required = (name: string): string => {
    const value = field(name);
    if (value === undefined) throw new Error(`apt tells of no ${name} in: ${stanza.slice(0, 80)}`);
    return value;
  };
  const name = required('Package');
  return {
    name,
    version: required('Version'),
    arch: required('Architecture'),
    sha256: required('SHA256'),
    sourceName: field('Source')?.split(' ')[0] ?? name,
    homepage: field('Homepage'),
    summary: field('Description(?:-en)?') ?? name,
  };
}

export type RoledPackage = Package & { role: Role };

/** The lock's text. */
export function formatLock(packages: readonly RoledPackage[]): string {
  const lines = packages.map(
    ({ role, name, version, arch, sha256 }) => `${role} ${name} ${version} ${arch} ${sha256}`,
  );
  return `${lines.sort().join('\n')}\n`;
}

export interface LockDifference {
  /** In the image, but not (so) in the lock. */
  unlocked: string[];
  /** In the lock, but not (so) in the image. */
  absent: string[];
}

/** What parts a lock from the packages of a build; empty lists when nothing does. */
export function compareLock(lock: string, packages: readonly RoledPackage[]): LockDifference {
  const lines = (text: string) => new Set(text.split('\n').filter((line) => line !== ''));
  const locked = lines(lock);
  const built = lines(formatLock(packages));
  return { unlocked: [...built.difference(locked)], absent: [...locked.difference(built)] };
}

/** The archives that went in and are not, byte for byte, what the index vouches for. */
export function unvouched(
  packages: readonly Package[],
  archiveSha256s: ReadonlySet<string>,
): Package[] {
  return packages.filter(({ sha256 }) => !archiveSha256s.has(sha256));
}
