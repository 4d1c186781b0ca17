// The backup program, run by the real shell with the real tar, zstd and sha256sum, in a folder that
// stands for the node's root: made, changed, proven, restored; and cut off, spoiled, without room.

import test, { type ExecutionContext } from 'ava';
import { spawnSync } from 'node:child_process';
import {
  chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync,
  statSync, utimesSync, writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { judgeBackup } from '../../../../provisioner/check/backup.ts';
import { backupAccount, backupFiles } from '../../../../provisioner/node/part/backup.ts';
import { textOf } from '../../../../provisioner/node/step.ts';
import { readKitJson } from '../../../../provisioner/restore/kit-json.ts';
import { sha256 } from '../../../helpers/tiny-image.ts';

function node(t: ExecutionContext) {
  const root = mkdtempSync(join(tmpdir(), 'backup-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  const at = (path: string): string => join(root, path);
  for (const folder of ['data/user/alice', 'bin', 'lock', 'state']) mkdirSync(at(folder), { recursive: true });
  // What systemctl is told, in order.
  writeFileSync(at('bin/systemctl'), `#!/bin/sh\necho "$*" >>${root}/told\n`);
  chmodSync(at('bin/systemctl'), 0o755);
  writeFileSync(at('shadow'), 'alice:$y$j9T$salt/.$hash:20000:0:99999:7:::\n');
  writeFileSync(at('key'), 'of the host\n', { mode: 0o600 });
  const identity = [at('key'), at('keys/*')];
  const of = { kit: 'alice', kind: 'snac', domain: 'alice.test', owner: 'alice', identity };
  const [program] = backupFiles({ paths: ['data'], services: ['x.service'], of });
  const text = textOf(program.content)
    .replaceAll('/var/backups/commons-kit', at('store'))
    .replaceAll('/var/lib/commons-kit', at('state'))
    .replaceAll('/run/lock', at('lock'))
    // The system's own passphrases stay out of it.
    .replaceAll('/etc/shadow', at('shadow'))
    .replaceAll('/dev/disk/by-label/COMMONS-BACKUP', at('drive'))
    .replaceAll('/run/commons-backup-drive', at('second'))
    .replaceAll('cd /', `cd ${root}`)
    .replaceAll('-C / ', `-C ${root} `)
    .replaceAll('"/$path', `"${root}/$path`)
    .replace('PATH=/usr/sbin', `PATH=${at('bin')}:/usr/sbin`);
  writeFileSync(at('commons-backup'), text);
  const put = (path: string, content: string): void => writeFileSync(at(`data/${path}`), content);
  const read = (path: string): string => readFileSync(at(`data/${path}`), 'utf8');
  put('server.json', '{}');
  put('user/alice/user.json', 'one');
  return {
    ...{ root, at, put, read },
    run(...words: string[]) {
      const env = { ...process.env };
      return spawnSync('/bin/sh', [at('commons-backup'), ...words], { encoding: 'utf8', env });
    },
    account: () => backupAccount.parse(readFileSync(at('state/backup.json'), 'utf8'), 0)!,
    told: () => readFileSync(at('told'), 'utf8').trim().split('\n'),
    generations: () => readdirSync(at('store')).sort(),
  };
}

test('a second drive gets a copy of the latest, and keeps two; one that takes none is told', (t) => {
  const { at, run, generations, account } = node(t);
  for (const name of ['mount', 'umount']) {
    writeFileSync(at(`bin/${name}`), `#!/bin/sh\necho "${name} $*" >>${at('told')}\n`);
    chmodSync(at(`bin/${name}`), 0o755);
  }
  writeFileSync(at('drive'), '');
  const copies = at('second/commons-kit');
  for (const old of ['20200101T000000Z', '20200102T000000Z']) mkdirSync(join(copies, old), { recursive: true });
  t.is(run('make').status, 0);
  const [name] = generations();
  t.deepEqual(readdirSync(copies).sort(), ['20200102T000000Z', name]);
  const files = readdirSync(join(at('store'), name));
  t.true(files.includes('kit.json'));
  t.deepEqual(readdirSync(join(copies, name)).sort(), files.sort());
  for (const file of files) {
    t.deepEqual(readFileSync(join(copies, name, file)), readFileSync(join(at('store'), name, file)), file);
  }
  t.like(account(), { error: null, secondDrive: true });
  t.regex(readFileSync(at('told'), 'utf8'), /^mount -o nosuid,nodev,noexec \S+\/drive \S+\/second$/m);

  rmSync(copies, { recursive: true });
  writeFileSync(copies, 'no folder');
  t.not(run('make').status, 0);
  t.like(account(), { secondDrive: false });
  t.regex(account().error!, /./);
  t.is(readFileSync(at('told'), 'utf8').match(/^umount /gm)?.length, 2, 'it is let go of all the same');
});

test('made, proven, and told', (t) => {
  const n = node(t);
  const made = n.run('make');
  t.is(made.stderr, '');
  t.is(made.status, 0);
  t.deepEqual(n.told(), ['stop x.service', 'start x.service']);
  const [name] = n.generations();
  t.deepEqual(readdirSync(n.at(`store/${name}`)).sort(),
    ['0.tar.zst', '1.tar.zst', 'kit.json', 'manifest', 'proven', 'snapshot']);
  const account = n.account();
  t.like(account, { error: null, secondDrive: false });
  t.is(judgeBackup(account, Date.now()).state, 'ok');
  t.regex(n.run('list').stdout, /archives .* proven: yes/);
});

test('kit.json names the kit, what makes it this home, and its archives as they were first', (t) => {
  const n = node(t);
  mkdirSync(n.at('state/applied'));
  writeFileSync(n.at('state/applied/owner-alice'), 'once\n');
  writeFileSync(n.at('state/applied/nginx'), `${'a'.repeat(64)}\n`);
  mkdirSync(n.at('keys'));
  writeFileSync(n.at('keys/Home Net.psk'), '');
  t.is(n.run('make').status, 0);
  const [name] = n.generations();
  const read = () => readKitJson(readFileSync(n.at(`store/${name}/kit.json`)), 'kit.json');
  const { identity, parts, madeAtS, dataBytes, seal, ...rest } = read();
  t.deepEqual(rest, {
    ...{ kit: 'alice', kind: 'snac', domain: 'alice.test', owner: 'alice' },
    ...{ logins: { alice: '$y$j9T$salt/.$hash' }, once: ['owner-alice'] },
  });
  t.deepEqual(identity.map(({ path, mode, content }) => [path, mode, String(content)]), [
    [n.at('key'), '600', 'of the host\n'], [n.at('keys/Home Net.psk'), '644', ''],
  ]);
  t.true(Math.abs(madeAtS - Date.now() / 1000) < 100 && dataBytes > 0);
  t.is(statSync(n.at(`store/${name}/kit.json`)).mode & 0o777, 0o600);
  t.deepEqual(parts.map((part) => part.name), ['0.tar.zst', '1.tar.zst', 'manifest']);
  for (const part of parts) {
    const bytes = readFileSync(n.at(`store/${name}/${part.name}`));
    t.deepEqual(part, { name: part.name, bytes: bytes.length, sha256: sha256(bytes) });
  }
  // What has rotted since is not called good by the next night.
  writeFileSync(n.at(`store/${name}/0.tar.zst`), Buffer.alloc(parts[0].bytes));
  t.is(n.run('make').status, 0);
  const next = read();
  t.deepEqual(next.parts.map((part) => part.name), ['0.tar.zst', '1.tar.zst', '2.tar.zst', 'manifest']);
  t.deepEqual(next.parts[0], parts[0]);
  t.not(next.seal, seal);
});

test('one that came from another drive is followed by a whole one', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  const [name] = n.generations();
  rmSync(n.at(`store/${name}/snapshot`));
  n.put('user/alice/user.json', 'two');
  t.is(n.run('make').status, 0);
  t.is(n.generations().length, 2);
  t.is(n.run('restore').status, 0);
  t.is(n.read('user/alice/user.json'), 'two');
});

test('each night adds what changed; restored, all is as it was, what went away too', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  n.put('user/alice/user.json', 'two');
  n.put('user/alice/note', 'a post');
  rmSync(n.at('data/server.json'));
  t.is(n.run('make').status, 0);
  t.is(n.generations().length, 1);
  n.put('user/alice/user.json', 'spoiled');
  n.put('user/alice/stray', 'x');
  const restored = n.run('restore');
  t.is(restored.stderr, '');
  t.is(restored.status, 0);
  t.is(n.read('user/alice/user.json'), 'two');
  t.is(n.read('user/alice/note'), 'a post');
  t.deepEqual(readdirSync(n.at('data/user/alice')).sort(), ['note', 'user.json']);
  t.false(existsSync(n.at('data/server.json')));
  const [aside] = readdirSync(n.root).filter((entry) => entry.startsWith('data.before-restore-'));
  t.is(readFileSync(n.at(`${aside}/user/alice/user.json`), 'utf8'), 'spoiled');
});

test('after a week a whole one; two are kept', (t) => {
  const n = node(t);
  for (let night = 0; night < 18; night++) {
    n.put('user/alice/user.json', `night ${night}`);
    const made = n.run('make');
    t.is(made.status, 0, made.stderr);
    setBack(n, night);
  }
  t.is(n.generations().length, 2);
  t.is(n.run('restore').status, 0);
  t.is(n.read('user/alice/user.json'), 'night 17');
});

/** Names are seconds of UTC: the latest becomes one of a year of its own, long ago. */
function setBack({ at, generations }: ReturnType<typeof node>, night: number): void {
  const last = generations().at(-1)!;
  if (last.startsWith('1')) return;
  renameSync(at(`store/${last}`), at(`store/1${String(night).padStart(3, '0')}${last.slice(4)}`));
}

test('after a clock that was ahead was set right, backups go on and are told', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  const [name] = n.generations();
  renameSync(n.at(`store/${name}`), n.at(`store/9${name.slice(1)}`));
  const [archive] = ['1.tar.zst'].map((file) => n.at(`store/9${name.slice(1)}/${file}`));
  utimesSync(archive, 7e9, 7e9);
  t.is(n.run('prove').status, 0);
  t.like(judgeBackup(n.account(), Date.now()), { state: 'failed' });
  t.regex(judgeBackup(n.account(), Date.now()).measured, /in the future$/);
  n.put('user/alice/user.json', 'two');
  t.is(n.run('make').status, 0);
  t.regex(n.generations().join(), /^2\d+T\d+Z$/);
  t.is(judgeBackup(n.account(), Date.now()).state, 'ok');
  t.is(n.run('restore').status, 0);
  t.is(n.read('user/alice/user.json'), 'two');
});

test('a spoiled archive is found, told, and its service runs', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  const [name] = n.generations();
  const bytes = readFileSync(n.at(`store/${name}/0.tar.zst`));
  bytes[bytes.length >> 1] ^= 0xff;
  writeFileSync(n.at(`store/${name}/0.tar.zst`), bytes);
  t.not(n.run('prove').status, 0);
  const check = judgeBackup(n.account(), Date.now());
  t.is(check.state, 'failed');
  t.not(check.advice, '');
});

test('a file that the archives do not give back is found', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  const [name] = n.generations();
  const manifest = n.at(`store/${name}/manifest`);
  writeFileSync(manifest, readFileSync(manifest, 'utf8').replace(/^[0-9a-f]{4}/, '0000'));
  t.not(n.run('prove').status, 0);
  t.regex(n.account().error!, /does not give back/);
});

test('cut off by SIGKILL at any command, the next run is whole', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  n.put('user/alice/user.json', 'two');
  const text = readFileSync(n.at('commons-backup'), 'utf8');
  // One cut before each line of what makes a backup.
  const body = text.split('\n');
  const from = body.indexOf('make() {');
  const to = body.indexOf('# A whole one and the proof of it take each at most what is there.');
  let cuts = 0;
  for (let line = from + 1; line < to; line++) {
    if (!/^ {2,6}[a-z]/.test(body[line]) || /^\s*(else|fi|done|esac)/.test(body[line])) continue;
    const cut = [...body];
    cut.splice(line, 0, 'kill -9 $$');
    writeFileSync(n.at('cut'), cut.join('\n'));
    if (spawnSync('/bin/sh', [n.at('cut'), 'make']).signal === 'SIGKILL') cuts++;
    const after = n.run('make');
    t.is(after.status, 0, `${body[line]}: ${after.stderr}`);
    t.is(n.account().error, null);
  }
  t.true(cuts > 15, `${cuts} cuts`);
  t.is(n.run('restore').status, 0);
  t.is(n.read('user/alice/user.json'), 'two');
});

test('without room nothing is begun, and what there is stays', (t) => {
  const n = node(t);
  t.is(n.run('make').status, 0);
  const names = n.generations();
  const text = readFileSync(n.at('commons-backup'), 'utf8');
  writeFileSync(n.at('commons-backup'), text
    .replace('most_changes=6', 'most_changes=0')
    .replace("free=$(df -k --output=avail \"$store\" | tail -n 1)", 'free=5'));
  t.not(n.run('make').status, 0);
  t.deepEqual(n.generations(), names);
  const check = judgeBackup(n.account(), Date.now());
  t.like(check, { state: 'failed' });
  t.regex(check.measured, /no room: \d+ KB needed, 5 KB free/);
  t.regex(check.advice, /larger drive/);
});

test('nothing to restore, and another word, are said', (t) => {
  const n = node(t);
  t.regex(n.run('restore').stderr, /there is no backup yet/);
  t.regex(n.run('restore', '2026').stderr, /there is no backup 2026/);
  t.is(n.run('frobnicate').status, 2);
  t.is(n.read('user/alice/user.json'), 'one');
});

const nowMs = Date.UTC(2026, 10, 26);
const well = { madeAtS: nowMs / 1000 - 3600, bytes: 2e6, provenAtS: nowMs / 1000 - 86_400, secondDrive: true, error: null };

test('an account is judged by its ages', (t) => {
  t.is(judgeBackup(well, nowMs).measured, 'made 1 h ago, 2.0 MB on a second drive as well; restored and compared');
  t.is(judgeBackup({ ...well, madeAtS: nowMs / 1000 - 200_000 }, nowMs).state, 'failed');
  t.is(judgeBackup({ ...well, provenAtS: null }, nowMs).state, 'failed');
  t.is(judgeBackup({ ...well, provenAtS: 0 }, nowMs).state, 'failed');
  t.is(judgeBackup({ ...well, madeAtS: null }, nowMs).state, 'failed');
  t.is(judgeBackup(undefined, nowMs).state, 'unknown');
});
