// The command line as used: a server in a process of its own, the operator and the auditor beside
// it.

import test from 'ava';
import type { ExecutionContext } from 'ava';
import type { ChildProcess } from 'node:child_process';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdirSync, readdirSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { fileURLToPath } from 'node:url';
import { main } from '../../ledger/main.ts';
import { enrolMeter, openTestLedger, temporaryDir, VOLUNTEER } from '../helpers/ledger-folder.ts';
import { createLargeLog, publishedAt } from '../helpers/large-log.ts';
import { killUnderLoad } from '../helpers/killed-ledger.ts';
import { createMeter, createVolunteer } from '../helpers/meter.ts';
import { chance } from './ask/homes.ts';

const OTHER_VOLUNTEER = createVolunteer('bob');
const MAIN = fileURLToPath(new URL('../../ledger/main.ts', import.meta.url));

interface Outcome {
  status: number;
  out: string;
  err: string;
}

/** Runs a command in this process. */
async function ledger(...args: string[]): Promise<Outcome> {
  const said = { stdout: '', stderr: '' };
  const stream = (name: keyof typeof said): Writable => new Writable({
    decodeStrings: false,
    write(text: string, _encoding, done) {
      said[name] += text;
      done();
    },
  });
  const status = await main(args, { stdout: stream('stdout'), stderr: stream('stderr') });
  return { status, out: said.stdout, err: said.stderr };
}

interface Serving {
  child: ChildProcess;
  url: string;
  vkey: string;
}

/** Starts `ledger serve` and waits for it to listen. */
function serve(t: ExecutionContext, ...args: string[]): Promise<Serving> {
  return start(t, 'serve', ...args);
}

async function start(t: ExecutionContext, command: string, ...args: string[]): Promise<Serving> {
  const child = spawn(process.execPath, [MAIN, command, '--port', '0', '--json', ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  t.teardown(() => child.kill('SIGKILL'));
  const [line] = (await once(createInterface(child.stdout!), 'line')) as [string];
  return { child, ...(JSON.parse(line) as { url: string; vkey: string }) };
}

test('serve, admit beside it, policy, audit by folder and by URL, a clean end', async (t) => {
  const { dir, remove } = temporaryDir();
  // Longer than a Unix socket's name may be.
  const deep = join(dir, 'a-folder-with-a-long-name-'.repeat(5));
  mkdirSync(deep, { recursive: true });
  const socket = join(deep, 'http.sock');
  const origin = ['--origin', 'ledger.example/commons'];
  const { child, url } = await serve(t, '--dir', deep, ...origin, '--listen-unix', socket);

  t.is((await ledger('admit', VOLUNTEER.text, '--dir', deep)).out, 'Admitted.\n');
  const again = await ledger('admit', VOLUNTEER.text, '--dir', deep, '--json');
  t.deepEqual(JSON.parse(again.out), { isNew: false });
  const policy = await ledger('policy', '--dir', deep);
  t.regex(policy.out, /^log ledger\.example\/commons\+[0-9a-f]{8}\+\S+\nquorum none\n$/);
  const policyFile = join(dir, 'policy');
  writeFileSync(policyFile, policy.out);
  for (const source of [deep, join(deep, 'public'), url]) {
    const audit = await ledger('audit', source, '--policy', policyFile, '--json');
    t.is(audit.status, 0, audit.err);
    t.like(JSON.parse(audit.out), { ok: true, vouched: true, size: 1, volunteers: 1, findings: [] });
  }
  const unvouched = await ledger('audit', url);
  t.is(unvouched.status, 1);
  t.regex(unvouched.out, /^consistent, key unvouched: /);

  const second = await ledger('serve', '--dir', deep, '--port', '0');
  t.is(second.status, 1);
  t.regex(second.err, new RegExp(`ledger-in-use[^]*process ${child.pid}`));
  const { port } = new URL(url);
  const third = await ledger('serve', '--dir', join(dir, 'other'), '--port', port);
  t.is(third.status, 1);
  t.regex(third.err, new RegExp(`Port ${port} is in use[^]*process ${child.pid}`));

  child.kill('SIGTERM');
  t.deepEqual(await once(child, 'exit'), [0, null]);
  t.is((await ledger('rebuild', '--dir', deep)).out, 'Projections grown again from 1 entries.\n');
  remove();
});

test('an audit that is killed at any time goes on with what it kept, and says the same', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const log = await createLargeLog(3, 100);
  for (const [path, bytes] of publishedAt(log, log.entries.length)) {
    mkdirSync(dirname(join(dir, 'log', path)), { recursive: true });
    writeFileSync(join(dir, 'log', path), bytes);
  }
  writeFileSync(join(dir, 'policy'), log.policy);
  const words = ['audit', join(dir, 'log'), '--policy', join(dir, 'policy'), '--json'];
  const kept = [...words, '--state', join(dir, 'kept')];
  for (let change = 1; change <= 12; change++) {
    let seen = 0;
    const child = spawn(process.execPath, [MAIN, ...kept], { stdio: 'ignore' });
    // Names come and go in this folder as what is kept is written.
    const watcher = watch(dir, () => void (++seen === change && child.kill('SIGKILL')));
    await once(child, 'exit');
    watcher.close();
  }
  const ended = await ledger(...kept);
  t.deepEqual(ended, { ...await ledger(...words), status: 0 });
  t.deepEqual(await ledger(...kept), ended);
  t.deepEqual(readdirSync(dir).sort(), ['kept', 'log', 'policy']);

  const foreign = await ledger('audit', join(dir, 'log'), '--state', join(dir, 'kept'));
  t.is(foreign.status, 2);
  t.regex(foreign.err, /state-foreign/);
  t.is((await ledger('audit', join(dir, 'log'), '--structure', '--state', 'x')).status, 2);
});

test('a tampered folder fails the audit, and says where', async (t) => {
  const { dir, remove } = temporaryDir();
  const made = await openTestLedger(dir);
  const meter = createMeter('alice');
  await enrolMeter(made, meter);
  await made.submitBatch(meter.batch());
  await made.close();
  const policyFile = join(dir, 'policy');
  writeFileSync(policyFile, (await ledger('policy', '--dir', dir)).out);
  const good = await ledger('audit', dir, '--policy', policyFile);
  t.is(good.status, 0);
  t.regex(good.out, /audit passed[^]*1 kits, 0 prices, 1 batches[^]*measured 0\.006 kWh/);
  const bundle = join(dir, 'public/tile/entries/000.p/3');
  writeFileSync(bundle, readFileSync(bundle).map((byte, i) => (i === 10 ? byte ^ 1 : byte)));
  const bad = await ledger('audit', dir, '--policy', policyFile);
  t.is(bad.status, 1);
  t.regex(bad.out, /^AUDIT FAILED[^]*FAILED root \(checkpoint\)/);
  remove();
});

test('a reader who goes away is no failure', async (t) => {
  const child = spawn(process.execPath, [MAIN, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [status] = await once(child, 'close');
  t.is(stderr, '');
  t.is(status, 0);
});

test('a clock for try-outs', async (t) => {
  const { dir, remove } = temporaryDir();
  const startMs = Date.UTC(2026, 4, 1);
  const { child, url } = await serve(t, '--dir', dir, '--clock', `${startMs},${Date.now()},10`);
  const about = (await (await fetch(`${url}v1/ledger`)).json()) as { now: number; rate: number };
  t.is(about.rate, 10);
  t.true(about.now >= startMs && about.now < startMs + 3_600_000);
  child.kill('SIGINT');
  t.deepEqual(await once(child, 'exit'), [0, null]);
  remove();
});

test('usage errors are 2, failures 1, each with its words', async (t) => {
  const { dir, remove } = temporaryDir();
  writeFileSync(join(dir, 'policy'), 'quorum all\n');
  const cases: [number, RegExp, string[]][] = [
    [2, /unknown command/, ['frobnicate']],
    [2, /missing required argument/, ['audit']],
    [1, /no-ledger[^]*hint: +Start it once/, ['admit', VOLUNTEER.text, '--dir', join(dir, 'misspelt')]],
    [2, /bad-volunteer-key[^]*expected: commons-volunteer-ed25519/, ['admit', 'x', '--dir', dir]],
    [2, /bad-port/, ['serve', '--port', 'x', '--dir', dir]],
    [2, /bad-clock/, ['serve', '--clock', '1,2', '--dir', dir]],
    [2, /bad-origin/, ['serve', '--origin', 'a b', '--port', '0', '--dir', dir]],
    [2, /no-log/, ['audit', join(dir, 'nothing')]],
    [2, /no-policy/, ['audit', 'http://127.0.0.1:1/', '--policy', join(dir, 'nothing')]],
    [2, /malformed-policy/, ['audit', 'http://127.0.0.1:1/', '--policy', join(dir, 'policy')]],
    [1, /no-ledger[^]*hint/, ['rebuild', '--dir', join(dir, 'nothing')]],
    [1, /no-ledger/, ['policy', '--dir', join(dir, 'nothing')]],
    [1, /unreachable|fetch failed/, ['audit', 'http://127.0.0.1:1/']],
  ];
  const outcomes = await Promise.all(cases.map(([, , args]) => ledger(...args)));
  for (const [i, [status, words, args]] of cases.entries()) {
    t.is(outcomes[i].status, status, args.join(' '));
    t.regex(outcomes[i].err, words);
  }
  remove();
});

test('a port taken by somebody else is named', async (t) => {
  const { dir, remove } = temporaryDir();
  const other = createServer().listen(0, '127.0.0.1');
  t.teardown(() => other.close());
  await once(other, 'listening');
  const { port } = other.address() as AddressInfo;
  const { status, err } = await ledger('serve', '--dir', dir, '--port', String(port));
  t.is(status, 1);
  t.regex(err, new RegExp(`process ${process.pid}`));
  t.regex(err, /^note: this log is called ledger\.test\/commons, for life[^]*--origin NAME/);
  // It has its name by now.
  const again = await ledger('serve', '--dir', dir, '--port', String(port));
  t.notRegex(again.err, /for life/);
  remove();
});

test('killed under load, it loses no acknowledged batch and counts none twice', async (t) => {
  const { dir, remove } = temporaryDir();
  const seed = Date.now() % 2 ** 31;
  t.log(`seed ${seed}`);
  const kills = { dir, kills: 3, random: chance(seed), height: 5 } as const;
  t.true(await killUnderLoad(kills) > 0);
  remove();
});

test('a ledger with a witness of its policy: cosigned, audited by a quorum, and not put back', async (t) => {
  const { dir, remove } = temporaryDir();
  t.teardown(remove);
  const [home, policyFile, old] = ['ledger', 'policy', 'old'].map((name) => join(dir, name));
  await (await openTestLedger(home)).close();
  t.is((await ledger('admit', VOLUNTEER.text, '--dir', home)).status, 0);
  const log = (await ledger('policy', '--dir', home)).out.split('\n')[0];
  writeFileSync(policyFile, `${log}\nquorum none\n`);
  const folder = join(dir, 'witness');
  const witness = await start(t, 'witness', '--dir', folder, '--policy', policyFile);
  writeFileSync(policyFile, `${log}\nwitness w ${witness.vkey} ${witness.url}\nquorum w\n`);
  t.is((await ledger('audit', home, '--policy', policyFile)).status, 1, 'not cosigned yet');
  cpSync(home, old, { recursive: true });

  const { child, url } = await serve(t, '--dir', home, '--policy', policyFile);
  const audit = await ledger('audit', url, '--policy', policyFile);
  t.is(audit.status, 0, audit.out);
  t.true(audit.out.includes('cosigned by w'));
  child.kill('SIGTERM');
  await once(child, 'exit');
  t.is((await ledger('admit', OTHER_VOLUNTEER.text, '--dir', home)).status, 0);
  const again = await serve(t, '--dir', home, '--policy', policyFile);
  again.child.kill('SIGTERM');
  await once(again.child, 'exit');

  const putBack = await ledger('serve', '--dir', old, '--port', '0', '--policy', policyFile);
  t.is(putBack.status, 1);
  t.true(putBack.err.includes('error[witness-disagrees]'), putBack.err);
  const heads = await (await fetch(`${witness.url}heads`)).json() as { heads: { size: number }[] };
  t.is(heads.heads[0].size, 2);
});
