// The owner's page, made by the real shell with the real openssl and sed: a folder stands for the
// node's root, and three small programs for what systemctl, journalctl and stat would say.

import 'reflect-metadata';

import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

import { X509CertificateGenerator } from '@peculiar/x509';
import test, { type ExecutionContext } from 'ava';

import { statusFile } from '../../../../provisioner/node/part/status.ts';
import { textOf } from '../../../../provisioner/node/step.ts';

const nowS = Math.floor(Date.now() / 1000);
const day = 86_400;

const keys = await crypto.subtle.generateKey(
  { name: 'ECDSA', namedCurve: 'P-256' },
  false,
  ['sign', 'verify'],
);
const certificates = new Map(
  await Promise.all([100.5, 60.5, 20.5, -1].map(async (days): Promise<[number, string]> => {
    const made = await X509CertificateGenerator.createSelfSigned({
      name: 'CN=alice.test',
      notBefore: new Date(2020, 0),
      notAfter: new Date((nowS + days * day) * 1000),
      keys,
      signingAlgorithm: { name: 'ECDSA', hash: 'SHA-256' },
    });
    return [days, made.toString('pem')];
  })),
);

/** A node on which all is well. */
function wellNode(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'status-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const put = (path: string, content: string): void => {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  };
  const program = (name: string, text: string): void => {
    put(`usr/local/bin/${name}`, `#!/bin/sh\n${text}\n`);
    chmodSync(join(root, `usr/local/bin/${name}`), 0o755);
  };
  const node = {
    root,
    put,
    /** Units that are down. */
    down: (...units: string[]) => program('systemctl', `case " ${units.join(' ')} " in *" $3 "*) exit 3 ;; esac`),
    acked: (ageS: number) => program('journalctl', `echo '${nowS - ageS}.123456 alice commons_relay: 200'`),
    silent: () => program('journalctl', 'exit 1'),
    /** Of 8,000,000 blocks of 4 KiB. */
    free: (blocks: number) => program('stat', `echo 4096 8000000 ${blocks}`),
    /** That runs out `days` from now; the real openssl reads it. */
    certificate: (days: number) => put('etc/commons-kit/tls.crt', certificates.get(days)!),
    backup: (account: object | string) =>
      put('var/lib/commons-kit/backup.json', typeof account === 'string' ? account : JSON.stringify({ v: 1, ...account })),
    /** 32 GB, up for ten days. */
    drive(name: string, told: { life?: string; end?: string; writtenGB: number }): void {
      put(`sys/block/${name}/size`, '62500000\n');
      put(`sys/block/${name}/stat`, `  1 2 3 4 5 6 ${(told.writtenGB * 1e9) / 512} 8 9 10 11\n`);
      put(`sys/block/${name}/device/type`, 'SD\n');
      if (told.life) put(`sys/block/${name}/device/life_time`, `${told.life}\n`);
      if (told.end) put(`sys/block/${name}/device/pre_eol_info`, `${told.end}\n`);
    },
    page(acme?: true): Page {
      const services = ['snac2.service', 'nginx.service'];
      const source = { domain: 'alice.test', services, ...(acme && { acme }) };
      const script = textOf(statusFile(source, root).content);
      const { stdout, stderr, status } = spawnSync('/bin/sh', ['-s'], { input: script });
      t.is(stderr.toString(), '');
      t.is(status, 0);
      return pageOf(t, stdout);
    },
  };
  node.down();
  node.acked(600);
  node.free(4_000_000);
  node.certificate(100.5);
  node.backup({ made_at: nowS - 30_000, bytes: 2e6, archives: 3, proven_at: nowS - 3.2 * day | 0, second_drive: false, error: null });
  put('proc/uptime', `${10 * day}.53 123.4\n`);
  put('sys/block/loop0/size', '100\n');
  put('sys/block/sda/size', '0\n');
  put('sys/block/sda/device/type', 'empty reader\n');
  node.drive('mmcblk0', { writtenGB: 5 });
  return node;
}

interface Page {
  head: string;
  /** Title → state, words, advice. */
  rows: Record<string, string[]>;
}

function pageOf(t: ExecutionContext, answer: Buffer): Page {
  const end = answer.indexOf('\r\n\r\n');
  const body = answer.subarray(end + 4);
  const length = /^Content-Length: (\d+)$/m.exec(answer.subarray(0, end).toString())?.[1];
  t.is(Number(length), body.length, 'Content-Length counts bytes');
  const html = body.toString();
  const rows = [...html.matchAll(/<li class=(\w+)><h2>(.*?)<\/h2><p>(.*?)<\/p>(?:<p class=do>([^]*?)<\/p>)?<\/li>/g)];
  t.is(rows.length, html.split('<li').length - 1);
  t.false(html.includes('\\'), 'a line of the shell’s that was continued within quotes');
  return {
    head: /<h1>(.*?)<\/h1>/.exec(html)![1],
    rows: Object.fromEntries(rows.map(([, state, title, ...words]) => [title, [state, ...words.filter(Boolean)]])),
  };
}

test('all is well', (t) => {
  t.deepEqual(wellNode(t).page(), {
    head: 'All is well',
    rows: {
      'Your server': ['good', '<a href="https://alice.test/">alice.test</a> is running.'],
      Certificate: ['good', 'Good for 100 days.'],
      Space: ['good', '16.3 GB of 32.7 GB free.'],
      Backup: ['good', 'Made 8 hours ago; tried out 3 days ago.'],
      Meter: ['good', 'Its last report arrived 10 minutes ago.'],
      'Drive mmcblk0': ['good', 'It does not tell how worn it is. 0.4 GB are written to it each day.'],
    },
  });
});

type Node = ReturnType<typeof wellNode>;

/** What is wrong → the row that tells it, its state, and words of it. */
const faults: [string, (node: Node) => void, string, string, RegExp][] = [
  ['snac is down', (n) => n.down('snac2.service'), 'Your server', 'bad', /^Not running: snac2.service\.$/],
  ['both are down', (n) => n.down('snac2.service', 'nginx.service'), 'Your server', 'bad', /snac2.service nginx.service/],
  ['the certificate runs out', (n) => n.certificate(60.5), 'Certificate', 'warn', /runs out in 60 days/],
  ['the certificate ran out', (n) => n.certificate(-1), 'Certificate', 'bad', /has run out/],
  ['no certificate', (n) => rmSync(join(n.root, 'etc/commons-kit/tls.crt')), 'Certificate', 'bad', /cannot be read/],
  ['a torn certificate', (n) => n.put('etc/commons-kit/tls.crt', 'torn'), 'Certificate', 'bad', /cannot be read/],
  ['little space', (n) => n.free(790_000), 'Space', 'warn', /3\.2 GB of 32\.7 GB free/],
  ['no space', (n) => n.free(100_000), 'Space', 'bad', /may be lost/],
  ['no backup', (n) => rmSync(join(n.root, 'var/lib/commons-kit/backup.json')), 'Backup', 'warn', /none yet\.$/],
  ['torn account', (n) => n.backup('{"v":1,"ma'), 'Backup', 'warn', /none yet/],
  ['an old backup', (n) => n.backup({ made_at: nowS - 5 * day - 9, proven_at: nowS - 6 * day, error: null }), 'Backup', 'warn', /is 5 days ago/],
  ['an unproven backup', (n) => n.backup({ made_at: nowS - 60, proven_at: null, error: null }), 'Backup', 'warn', /not yet tried out/],
  ['a failed backup', (n) => n.backup({ made_at: nowS - day, proven_at: 1, error: 'no room: <5> KB & less' }), 'Backup', 'bad', /failed: no room: &lt;5&gt; KB &amp; less\. .*24 hours ago/],
  ['a backup from the future', (n) => n.backup({ made_at: nowS + day, proven_at: nowS, error: null }), 'Backup', 'warn', /from the future: the clock was changed/],
  ['a backup from a minute ahead', (n) => n.backup({ made_at: nowS + 60, proven_at: nowS, error: null }), 'Backup', 'good', /^Made just now/],
  ['a meter heard in the future', (n) => n.acked(-4 * 3600), 'Meter', 'warn', /from the future: the clock was changed/],
  ['a meter never heard', (n) => n.silent(), 'Meter', 'warn', /has not reported/],
  ['a silent meter', (n) => n.acked(4 * 3600), 'Meter', 'warn', /4 hours ago/],
  ['a pace too fast', (n) => n.drive('mmcblk0', { writtenGB: 150 }), 'Drive mmcblk0', 'warn', /^14\.9 GB .* lasts about 1 year\.$/],
  ['eMMC half worn', (n) => n.drive('mmcblk0', { life: '0x01 0x05', end: '0x01', writtenGB: 5 }), 'Drive mmcblk0', 'good', /At most 50 % worn/],
  ['eMMC nearly worn', (n) => n.drive('mmcblk0', { life: '0x09 0x02', end: '0x01', writtenGB: 5 }), 'Drive mmcblk0', 'warn', /nearly worn out/],
  ['eMMC used up', (n) => n.drive('mmcblk0', { life: '0x0b 0x01', end: '0x01', writtenGB: 5 }), 'Drive mmcblk0', 'bad', /is worn out/],
  ['eMMC short of spares', (n) => n.drive('mmcblk0', { life: '0x01 0x01', end: '0x02', writtenGB: 5 }), 'Drive mmcblk0', 'warn', /nearly worn out/],
  ['eMMC out of spares', (n) => n.drive('mmcblk0', { life: '0x01 0x01', end: '0x03', writtenGB: 5 }), 'Drive mmcblk0', 'bad', /is worn out/],
  ['eMMC that tells nothing', (n) => n.drive('mmcblk0', { life: '0x00 0x00', end: '0x00', writtenGB: 5 }), 'Drive mmcblk0', 'good', /does not tell/],
  ['just started', (n) => n.put('proc/uptime', '60.1 1.0\n'), 'Drive mmcblk0', 'good', /does not tell how worn it is\. $/],
  ['no drive', (n) => rmSync(join(n.root, 'sys'), { recursive: true }), 'Drive', 'unseen', /cannot be seen/],
];

for (const [about, spoil, title, state, words] of faults) {
  test(about, (t) => {
    const node = wellNode(t);
    spoil(node);
    const { head, rows } = node.page();
    const amiss = state === 'warn' || state === 'bad';
    t.is(head, amiss ? 'One thing needs you' : 'All is well');
    t.is(rows[title][0], state);
    t.regex(rows[title][1], words);
    t.is(rows[title].length, amiss ? 3 : 2, 'what is amiss says what to do');
  });
}

test('a certificate that the node obtains by itself: not yet, and why; then as any other', (t) => {
  const node = wellNode(t);
  node.put('var/lib/commons-kit/served.pem', certificates.get(60.5)!);
  t.regex(node.page(true).rows['Certificate'][1], /^No public authority has given one yet\.$/);
  const account = { v: 1, obtained_at: null, tried_at: nowS, error: 'no certificate: <timeout>' };
  node.put('var/lib/commons-kit/certificate.json', JSON.stringify(account));
  const [state, words, advice] = node.page(true).rows['Certificate'];
  t.is(state, 'warn');
  t.is(words, 'No public authority has given one yet: no certificate: &lt;timeout&gt;.');
  t.regex(advice, /ports 80 and 443/);
  const obtained = { ...account, obtained_at: nowS - day, error: null };
  node.put('var/lib/commons-kit/certificate.json', JSON.stringify(obtained));
  t.deepEqual(node.page(true).rows['Certificate'], ['good', 'Good for 60 days.']);
  node.put('var/lib/commons-kit/served.pem', certificates.get(-1)!);
  t.is(node.page(true).rows['Certificate'][0], 'bad');
});

test('two things', (t) => {
  const node = wellNode(t);
  node.silent();
  node.free(1);
  t.is(node.page().head, '2 things need you');
});
