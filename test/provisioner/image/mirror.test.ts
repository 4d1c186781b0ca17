import test from 'ava';
import { parseDeb822, parseList } from '../../../provisioner/image/mirror.ts';

test('one-line sources: options and comments are skipped, sources of source code too', (t) => {
  const text = `# a mirror
deb [arch=amd64 signed-by=/k.gpg] http://mirror.test/debian bookworm main contrib # near
deb-src http://mirror.test/debian bookworm main
#deb http://other.test/debian bookworm main
deb http://mirror.test/security bookworm-security main
`;
  t.deepEqual(parseList(text), [
    {
      uris: ['http://mirror.test/debian'],
      suites: ['bookworm'],
      components: ['main', 'contrib'],
    },
    {
      uris: ['http://mirror.test/security'],
      suites: ['bookworm-security'],
      components: ['main'],
    },
  ]);
});

test('deb822 sources: several stanzas, folded fields, comments, switched off ones', (t) => {
  const text = `Types: deb deb-src
# a comment
URIs: http://mirror.test/debian
Suites: bookworm
 bookworm-updates
Components: main

Enabled: no
Types: deb
URIs: http://off.test/debian
Suites: bookworm
Components: main
`;
  t.deepEqual(parseDeb822(text), [
    {
      uris: ['http://mirror.test/debian'],
      suites: ['bookworm', 'bookworm-updates'],
      components: ['main'],
    },
  ]);
});
