import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import test from 'ava';

import { Secret } from '../../../../provisioner/node/secret.ts';
import { passwordHash, repairKey, serverFile, snacHash } from '../../../../provisioner/node/snac/server.ts';
import { textOf } from '../../../../provisioner/node/step.ts';
import { desired, freshFacts } from './toy-node.ts';

test('hashes passwords as snac does', (t) => {
  // snac2 2.75: `snac adduser` printed this password, and wrote this into user.json.
  t.is(
    snacHash('2670a9e8', 'alice', '/FumrFYnImSqAZHa'),
    '2670a9e8:c2fa3f1190aa0200f53a1d771a269f1bea7631dd',
  );
  const hash = passwordHash('alice', new Secret('open sesame')).reveal();
  t.is(hash, snacHash(hash.slice(0, 8), 'alice', 'open sesame'));
});

test('keeps what snac and Debian say in server.json, and its own order', (t) => {
  const file = serverFile(desired, freshFacts().server, []);
  t.deepEqual(JSON.parse(textOf(file!.content)), {
    ...freshFacts().server,
    host: 'alice.test',
    prefix: '',
  });
  t.is(serverFile(desired, JSON.parse(textOf(file!.content)), ['alice']), undefined);
});

test('cuts stray bytes off behind the public key, and nothing else', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'commons-key-'));
  t.teardown(() => rm(dir, { recursive: true, force: true }));
  const key = (tail: string) =>
    Buffer.from(
      `{\n    "secret": "-----BEGIN PRIVATE KEY-----\\nAA\\n-----END PRIVATE KEY-----\\n",\n` +
        `    "public": "-----BEGIN PUBLIC KEY-----\\nBB\\n-----END PUBLIC KEY-----\\n${tail}"\n}`,
      'latin1',
    );
  for (const tail of ['', 'O\\u0010V', '\x90;V', 'a\\"b']) {
    await writeFile(join(dir, 'key.json'), key(tail));
    execFileSync('/bin/sh', ['-c', repairKey(dir)]);
    t.deepEqual(await readFile(join(dir, 'key.json')), key(''));
  }
});
