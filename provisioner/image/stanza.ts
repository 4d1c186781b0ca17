// Debian packages as apt tells of them: stanzas of "Name: value" lines (deb-control(5)). Pure.

/** A package in one version, as the mirror's signed index vouches for it. */
export interface Package {
  name: string;
  version: string;
  /** Of the package: `all` where it serves every machine. */
  arch: string;
  /** Of its archive, the .deb. */
  sha256: string;
}

/** What a bill of materials tells besides. */
export interface DescribedPackage extends Package {
  sourceName: string;
  homepage?: string;
  summary: string;
}

/** Stanzas with a SHA256 field each. A package that two suites carry counts once. */
export function parseStanzas(text: string): DescribedPackage[] {
  const packages = splitStanzas(text).map(describe);
  const byKey = new Map(packages.map((item) => [packageKey(item), item]));
  return [...byKey.values()].sort(byName);
}

export function splitStanzas(text: string): string[] {
  return text.split(/\n\n+/).filter((stanza) => stanza.startsWith('Package: '));
}

function describe(stanza: string): DescribedPackage {
  return {
    name: required(stanza, 'Package'),
    version: required(stanza, 'Version'),
    arch: required(stanza, 'Architecture'),
    sha256: required(stanza, 'SHA256'),
    sourceName: field(stanza, 'Source')?.split(' ')[0] ?? required(stanza, 'Package'),
    homepage: field(stanza, 'Homepage'),
    summary: field(stanza, 'Description(?:-en)?') ?? required(stanza, 'Package'),
  };
}

export function field(stanza: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, 'm').exec(stanza)?.[1];
}

function required(stanza: string, name: string): string {
  const value = field(stanza, name);
  if (value === undefined) throw new Error(`apt tells of no ${name} in: ${stanza.slice(0, 80)}`);
  return value;
}

/** Names one version of a package for one machine. */
export function packageKey({ name, version, arch }: Omit<Package, 'sha256'>): string {
  return `${name} ${version} ${arch}`;
}

/** The name of its archive, as apt gives it: no colon, which some file systems refuse. */
export function archiveName({ name, version, arch }: Package): string {
  return `${name}_${version.replaceAll(':', '%3a')}_${arch}.deb`;
}

function byName(a: Package, b: Package): number {
  return a.name < b.name ? -1 : 1;
}
