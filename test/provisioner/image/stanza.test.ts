import test from 'ava';
import { archiveName, parseStanzas } from '../../../provisioner/image/stanza.ts';

const a = 'a'.repeat(64);
const b = 'b'.repeat(64);
const stanzas = `Package: snac2
Version: 2.75-1
Architecture: amd64
Source: snac2 (2.75)
Homepage: https://codeberg.org/grunfink/snac2
Description-en: Simple ActivityPub instance
 More of it.
SHA256: ${a}

Package: libstdc++6
Source: gcc-14
Version: 14.2.0-19
Architecture: amd64
Description: GNU C++ library
SHA256: ${b}

Package: snac2
Version: 2.75-1
Architecture: amd64
SHA256: ${a}
`;

test('packages come sorted, each once, with their source', (t) => {
  const packages = parseStanzas(stanzas);
  t.deepEqual(packages.map(({ name }) => name), ['libstdc++6', 'snac2']);
  t.is(packages[0].sourceName, 'gcc-14');
  t.is(packages[0].summary, 'GNU C++ library');
});

test('a stanza without a digest is refused', (t) => {
  const stanza = 'Package: x\nVersion: 1\nArchitecture: all\n';
  t.throws(() => parseStanzas(stanza), { message: /SHA256/ });
});

test('an archive is named as apt names it', (t) => {
  const item = { name: 'zlib1g', version: '1:1.3.1+really', arch: 'amd64', sha256: a };
  t.is(archiveName(item), 'zlib1g_1%3a1.3.1+really_amd64.deb');
});
