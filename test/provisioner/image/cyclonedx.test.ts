// The judge is CycloneDX's own library with the schema that the standard publishes; purls are read
// back by purl's own library.

import { Spec, Validation } from '@cyclonedx/cyclonedx-library';
import test from 'ava';
import fc from 'fast-check';
import { PackageURL } from 'packageurl-js';
import {
  type BilledPackage,
  cycloneDxDocument,
  type CycloneDxImage,
} from '../../../provisioner/image/cyclonedx.ts';

const validator = new Validation.JsonStrictValidator(Spec.Version.v1dot6);

const image: CycloneDxImage = {
  name: 'yunohost',
  arch: 'amd64',
  releases: { root: 'bookworm', boot: 'trixie' },
  rawSha256: 'ab'.repeat(32),
  createdS: 1_764_000_000,
};

const packages: BilledPackage[] = [
  {
    role: 'root',
    name: 'libstdc++6',
    version: '12.2.0-14+deb12u1',
    arch: 'amd64',
    sha256: '01'.repeat(32),
    sourceName: 'gcc-12',
    homepage: 'http://gcc.gnu.org/',
    summary: 'GNU Standard C++ Library v3',
  },
  {
    role: 'root',
    name: 'mount',
    version: '1:2.38.1~rc1-5',
    arch: 'amd64',
    sha256: '02'.repeat(32),
    sourceName: 'util-linux',
    summary: 'tools for mounting and manipulating filesystems',
  },
  {
    role: 'root',
    name: 'yunohost',
    version: '12.1.25',
    arch: 'all',
    sha256: '03'.repeat(32),
    sourceName: 'yunohost',
    homepage: 'https://yunohost.org/',
    summary: 'manageable and configured self-hosting server',
    vendor: 'yunohost',
  },
  {
    role: 'boot',
    name: 'shim-signed',
    version: '1.51~1+deb13u1+16.1-2~deb13u1',
    arch: 'amd64',
    sha256: '04'.repeat(32),
    sourceName: 'shim-signed',
    summary: 'Secure Boot chain-loading bootloader',
  },
];

interface Component {
  'bom-ref': string;
  name: string;
  version: string;
  purl: string;
  hashes: { alg: string; content: string }[];
}

function componentsOf(text: string): Component[] {
  return JSON.parse(text).components;
}

test('the standard’s own validator accepts the document, and notices a spoilt one', async (t) => {
  const text = cycloneDxDocument(image, packages);
  t.is(await validator.validate(text), null);
  const spoils: [string, string][] = [
    ['"SHA-256"', '"SHA-257"'],
    ['urn:uuid:', 'uuid:'],
    ['"operating-system"', '"operating system"'],
    ['"bom-ref"', '"bom-reference"'],
  ];
  for (const [from, to] of spoils) {
    t.not(await validator.validate(text.replace(from, to)), null, to);
  }
});

test('every package is in it once, with its hash', (t) => {
  const components = componentsOf(cycloneDxDocument(image, packages));
  t.deepEqual(
    components.map(({ name, version, hashes }) => ({ name, version, sha256: hashes[0].content })),
    packages.map(({ name, version, sha256 }) => ({ name, version, sha256 })),
  );
  t.is(new Set(components.map((item) => item['bom-ref'])).size, packages.length);
});

test('purls name vendor and release of each role', (t) => {
  const components = componentsOf(cycloneDxDocument(image, packages));
  t.deepEqual(
    components.map(({ purl }) => purl),
    [
      'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=bookworm',
      'pkg:deb/debian/mount@1:2.38.1~rc1-5?arch=amd64&distro=bookworm',
      'pkg:deb/yunohost/yunohost@12.1.25?arch=all&distro=bookworm',
      'pkg:deb/debian/shim-signed@1.51~1%2Bdeb13u1%2B16.1-2~deb13u1?arch=amd64&distro=trixie',
    ],
  );
});

test('whatever Debian may call a package or a version, the document is valid', async (t) => {
  // Debian Policy § 5.6.7 (names) and § 5.6.12 (versions).
  const named = fc.record({
    role: fc.constantFrom('root' as const, 'boot' as const),
    name: fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,30}$/),
    version: fc.stringMatching(/^([0-9]:)?[0-9][A-Za-z0-9.+~-]{0,30}$/),
    arch: fc.constantFrom('amd64', 'arm64', 'all'),
    sha256: fc.stringMatching(/^[0-9a-f]{64}$/),
    sourceName: fc.stringMatching(/^[a-z0-9][a-z0-9+.-]{1,30}$/),
    summary: fc.string(),
  });
  const several = fc.uniqueArray(named, { maxLength: 5, selector: ({ name }) => name });
  await fc.assert(
    fc.asyncProperty(several, async (all) => {
      const text = cycloneDxDocument(image, all);
      t.is(await validator.validate(text), null);
      for (const [at, { purl }] of componentsOf(text).entries()) {
        const read = PackageURL.fromString(purl);
        t.is(read.name, all[at].name);
        t.is(read.version, all[at].version);
        const distro = image.releases[all[at].role];
        t.deepEqual({ ...read.qualifiers }, { arch: all[at].arch, distro });
      }
    }),
    { numRuns: 50 },
  );
});

test('the same image has the same serial number; another image another', (t) => {
  const serial = (changed: Partial<CycloneDxImage>) =>
    JSON.parse(cycloneDxDocument({ ...image, ...changed }, packages)).serialNumber;
  t.is(cycloneDxDocument(image, packages), cycloneDxDocument(image, packages));
  t.not(serial({}), serial({ rawSha256: 'cd'.repeat(32) }));
  t.not(serial({}), serial({ arch: 'arm64' }));
});
