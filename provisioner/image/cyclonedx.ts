// The image's bill of materials as CycloneDX 1.6 JSON (ECMA-424,
// https://cyclonedx.org/docs/1.6/json/). Pure: the same packages and time give the same text.
//
// Licences are not claimed: Debian's copyright files, which the image keeps, are for reading, and
// a list that nobody has read would only look like knowledge.

import { derivedUuid } from './layout.ts';
import type { Role } from './lock.ts';
import type { DescribedPackage } from './stanza.ts';

export interface CycloneDxImage {
  name: string;
  arch: string;
  /** Debian's code name of what each role's packages are taken from. */
  releases: Record<BilledPackage['role'], string>;
  /** Of the raw image. */
  rawSha256: string;
  createdS: number;
}

/** A package whose files are in the image. */
export interface BilledPackage extends DescribedPackage {
  role: Exclude<Role, 'tool'>;
  /** Whose archive it comes from, in purl's words; "debian" if left out. */
  vendor?: string;
}

/** The document's text. */
export function cycloneDxDocument(
  image: CycloneDxImage,
  packages: readonly BilledPackage[],
): string {
  const fullName = `${image.name}-${image.arch}`;
  const whole = `image:${fullName}`;
  const components = packages.map((item) => component(item, image.releases[item.role]));
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${derivedUuid(`cyclonedx/${fullName}/${image.rawSha256}`)}`,
    version: 1,
    metadata: {
      timestamp: new Date(image.createdS * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
      tools: { components: [{ type: 'application', name: 'commons-kit' }] },
      component: {
        type: 'operating-system',
        'bom-ref': whole,
        name: fullName,
        version: image.releases.root,
        hashes: [sha256(image.rawSha256)],
      },
    },
    components,
    // Every package and no other: apt was asked, nothing was guessed from files.
    compositions: [{ aggregate: 'complete', assemblies: [whole] }],
  };
  return `${JSON.stringify(document, undefined, 1)}\n`;
}

function component(item: BilledPackage, release: string): object {
  const { role, name, arch, version } = item;
  return {
    type: 'library',
    // A package may be in the root file system and on the boot partition, in two versions.
    'bom-ref': `${role}:${name}:${arch}:${version}`,
    name,
    version,
    description: item.summary,
    hashes: [sha256(item.sha256)],
    purl: debPurl(item, release),
    ...(item.homepage ? { externalReferences: [{ type: 'website', url: item.homepage }] } : {}),
    properties: [
      { name: 'commons-kit:role', value: role },
      { name: 'commons-kit:source', value: item.sourceName },
    ],
  };
}

/** Of the .deb as the archive's signed index states it. */
function sha256(content: string): object {
  return { alg: 'SHA-256', content };
}

/** purl-spec, type "deb": qualifiers sorted by name; a colon is never escaped (§ "Encoding"). */
function debPurl({ name, version, arch, vendor = 'debian' }: BilledPackage, distro: string) {
  const escaped = (text: string) => encodeURIComponent(text).replaceAll('%3A', ':');
  return `pkg:deb/${vendor}/${escaped(name)}@${escaped(version)}?arch=${arch}&distro=${distro}`;
}
