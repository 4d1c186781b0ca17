// What obtains certificates, run by the real shell with the real openssl in a folder that stands for
// the node's root; uacme, nginx and systemctl are small programs. test/acme.ts has the real ones.

import 'reflect-metadata';

import { spawnSync } from 'node:child_process';
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import test, { type ExecutionContext } from 'ava';

import { certify, makeAuthority, makeKey } from '../../../../provisioner/campaign/ca.ts';
import { acmeFiles, servedSteps } from '../../../../provisioner/node/part/acme.ts';
import { textOf } from '../../../../provisioner/node/step.ts';
import { seededRandom } from '../../../helpers/bench.ts';

const random = seededRandom('acme');
const deps = { random, now: Date.now };
const authorityKey = makeKey(random);
const authority = {
  keyPem: authorityKey,
  certificatePem: await makeAuthority('Test', ['test'], { ...deps, keyPem: authorityKey }),
};
const issue = (domain: string) => certify(domain, authority, { ...deps, keyPem: makeKey(random) });
const [first, second, other] = await Promise.all(
  ['alice.test', 'alice.test', 'bob.test'].map(issue),
);

function node(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'acme-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const at = (path: string): string => join(root, path);
  const put = (path: string, text: string, mode = 0o644): void => {
    mkdirSync(dirname(at(path)), { recursive: true });
    writeFileSync(at(path), text);
    chmodSync(at(path), mode);
  };
  mkdirSync(at('lock'));
  put('bin/systemctl', `#!/bin/sh\necho "$*" >>${root}/told\n`, 0o755);
  put('bin/nginx', '#!/bin/sh\n', 0o755);
  const files = acmeFiles({ directory: 'https://acme.test/dir', contact: 'a@alice.test' }, 'alice.test');
  for (const { path, content } of files) {
    const text = textOf(content)
      .replaceAll('/var/lib/commons-kit', at('state'))
      .replaceAll('/run/lock', at('lock'))
      .replaceAll('/usr/local/lib', at('lib'))
      .replace('PATH=/usr/sbin', `PATH=${at('bin')}:/usr/sbin`);
    put(path, text, 0o755);
  }
  const store = at('state/acme');
  put('state/served.pem', 'the campaign’s');
  return {
    at,
    /** uacme's account, and its answer to `issue`. */
    uacme(status: number, made?: { certificatePem: string; keyPem: string }, said = ''): void {
      if (made !== undefined) {
        put('made/cert.pem', made.certificatePem);
        put('made/key.pem', made.keyPem);
      }
      put('bin/uacme', `#!/bin/sh
echo "$*" >>${root}/asked
case "$*" in
  *\\ new\\ *) mkdir -p ${store}/private; : >${store}/private/key.pem; exit 0 ;;
esac
printf '%s\\n' "${said}" >&2
[ ${status} != 0 ] || {
  mkdir -p ${store}/alice.test ${store}/private/alice.test
  cp ${root}/made/cert.pem ${store}/alice.test/
  cp ${root}/made/key.pem ${store}/private/alice.test/
}
exit ${status}
`, 0o755);
    },
    run: () => spawnSync('/bin/sh', [at('usr/local/sbin/commons-certificate')], { encoding: 'utf8' }),
    challenge: (...words: string[]) =>
      spawnSync('/bin/sh', [at('usr/local/lib/commons-kit/acme-challenge'), ...words]).status,
    served: () => readFileSync(at('state/served.pem'), 'utf8'),
    account: () => JSON.parse(readFileSync(at('state/certificate.json'), 'utf8')),
    told: () => (existsSync(at('told')) ? readFileSync(at('told'), 'utf8').trim().split('\n') : []),
    asked: () => readFileSync(at('asked'), 'utf8').trim().split('\n'),
  };
}

test('obtained once, served, kept, renewed', (t) => {
  const n = node(t);
  n.uacme(0, first);
  const ran = n.run();
  t.is(ran.status, 0, ran.stderr);
  t.is(n.served(), first.certificatePem + first.keyPem);
  t.is(statSync(n.at('state/served.pem')).mode & 0o777, 0o600);
  t.like(n.account(), { v: 1, error: null });
  t.true(n.account().obtained_at > 0);
  n.uacme(1);
  t.is(n.run().status, 0);
  t.is(n.served(), first.certificatePem + first.keyPem);
  n.uacme(0, second);
  t.is(n.run().status, 0);
  t.is(n.served(), second.certificatePem + second.keyPem);
  t.deepEqual(n.told(), Array(2).fill('reload-or-restart nginx.service'));
  t.is(n.asked().filter((words) => / new a@alice\.test$/.test(words)).length, 1);
});

/** What an authority may answer that must not be served. */
const refusals: [about: string, set: (n: ReturnType<typeof node>) => void, error: RegExp][] = [
  ['a refusal', (n) => n.uacme(2, undefined, 'uacme: the \\"server\\" said no'), /^no certificate: the server said no/],
  ['a certificate for another name', (n) => n.uacme(0, other), /another name/],
  ['a certificate of another key', (n) => n.uacme(0, { ...first, keyPem: second.keyPem }), /another key/],
];
for (const [about, set, error] of refusals) {
  test(`${about}: what was served stays`, (t) => {
    const n = node(t);
    set(n);
    t.not(n.run().status, 0);
    t.is(n.served(), 'the campaign’s');
    t.is(n.account().obtained_at, null);
    t.regex(n.account().error, error);
    t.deepEqual(n.told(), []);
    n.uacme(0, first);
    t.is(n.run().status, 0);
    t.is(n.account().error, null);
  });
}

test('the campaign’s is served until there is another, and again where that was lost', (t) => {
  const root = mkdtempSync(join(tmpdir(), 'served-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const facts = { files: {}, stamps: {}, units: {}, packages: [], served: false };
  const [{ command }] = servedSteps([], facts);
  const path = (name: string): string => join(root, name);
  const serve = (): string => {
    const script = command!
      .replaceAll('/var/lib/commons-kit', root)
      .replaceAll('/etc/commons-kit', root);
    t.is(spawnSync('/bin/sh', ['-euc', script]).status, 0);
    return readFileSync(path('served.pem'), 'utf8');
  };
  writeFileSync(path('tls.crt'), 'certificate\n');
  writeFileSync(path('tls.key'), 'key\n');
  t.is(serve(), 'certificate\nkey\n');
  t.is(statSync(path('served.pem')).mode & 0o777, 0o600);
  writeFileSync(path('tls.crt'), 'renewed\n');
  t.is(serve(), 'renewed\nkey\n');
  writeFileSync(path('acme-obtained'), '');
  writeFileSync(path('served.pem'), 'public');
  t.is(serve(), 'public');
  rmSync(path('served.pem'));
  t.is(serve(), 'renewed\nkey\n');
});

test('an answer to a challenge stands while it is asked for, and is nothing but a token', (t) => {
  const n = node(t);
  t.is(n.challenge('begin', 'http-01', 'alice.test', 'to-ken_1', 'to-ken_1.print'), 0);
  t.is(readFileSync(n.at('state/acme-web/to-ken_1'), 'utf8'), 'to-ken_1.print');
  t.is(n.challenge('done', 'http-01', 'alice.test', 'to-ken_1', 'to-ken_1.print'), 0);
  t.false(existsSync(n.at('state/acme-web/to-ken_1')));
  t.is(n.challenge('begin', 'dns-01', 'alice.test', 'token', 'x'), 1);
  t.is(n.challenge('begin', 'http-01', 'alice.test', '../token', 'x'), 1);
});
