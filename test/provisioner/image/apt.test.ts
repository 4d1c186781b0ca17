import test from 'ava';
import { parseSimulation, parseUris } from '../../../provisioner/image/apt.ts';

test('a simulation names what would be installed, in which version', (t) => {
  const text = `Inst gcc-14-base (14.2.0-19 Debian:13.8/stable [amd64])
Inst libc6 (2.41-12+deb13u5 Debian:13.8/stable [amd64]) []
Inst zlib1g:arm64 [1:1.2] (1:1.3 Debian:13.8/stable, Debian-Security:13/stable [arm64])
Conf libc6 (2.41-12+deb13u5 Debian:13.8/stable [amd64])
`;
  t.deepEqual(parseSimulation(text), [
    'gcc-14-base=14.2.0-19',
    'libc6=2.41-12+deb13u5',
    'zlib1g=1:1.3',
  ]);
});

test('addresses are known by the digest of what lies there', (t) => {
  const sha256 = '222f1f296cb91a67323fdca0e37c4f34a7be78d14de043f15b2f76acdd8750a9';
  const uri = 'http://mirror.test/pool/main/n/nginx/nginx_1.26.3-3%2bdeb13u10_amd64.deb';
  const text = `'${uri}' nginx_1.26.3-3+deb13u10_amd64.deb 613548 SHA256:${sha256}\n`;
  t.deepEqual([...parseUris(text)], [[sha256, uri]]);
});
