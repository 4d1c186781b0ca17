import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import test from 'ava';

import type { KitError } from '../../../provisioner/errors.ts';
import { configureNode } from '../../../provisioner/node/configure.ts';
import { printPlan } from '../../../provisioner/node/plan.ts';
import { startStandIn, type StandIn } from './stand-in.ts';
import { password, toy, toyDesired } from './toy.ts';

const configure = (node: StandIn, changes = {}, options = {}) =>
  configureNode(toy, toyDesired(node, changes), { kit: 'alice', address: node.address, ...options });

const runs = (node: StandIn) => readFile(join(node.dir, 'runs'), 'utf8');

test('configures, proves it, and then has nothing to do in one round trip', async (t) => {
  const node = await startStandIn(t);
  const first = await configure(node);
  t.deepEqual(
    first.plan.steps.map(({ name }) => name),
    ['Write the greeting', 'Write the password', 'Follow them'],
  );
  t.is(first.roundTrips, 3);
  t.is(await readFile(join(node.dir, 'etc/greeting'), 'utf8'), 'hello\n');
  t.is(await readFile(join(node.dir, 'input'), 'utf8'), `${password}\n`);
  t.is((await stat(join(node.dir, 'etc/password'))).mode & 0o777, 0o600);
  const second = await configure(node);
  t.is(second.plan.steps.length, 0);
  t.is(second.roundTrips, 1);
  t.is(await runs(node), 'ran\n');
});

test('an effect follows a change, and only a change', async (t) => {
  const node = await startStandIn(t);
  await configure(node);
  const { plan } = await configure(node, { greeting: 'good day' });
  t.deepEqual(
    plan.steps.map(({ name, because }) => [name, because]),
    [
      ['Write the greeting', `${node.dir}/etc/greeting differs`],
      ['Follow them', 'what it depends on changed'],
    ],
  );
});

/** As somebody would who changes a file on the node, and has it loaded. */
const spoil = (node: StandIn) => writeFile(join(node.dir, 'etc/greeting'), 'bonjour\n');

test('an effect follows when a file is put back that somebody changed', async (t) => {
  const node = await startStandIn(t);
  await configure(node);
  await spoil(node);
  const { plan } = await configure(node);
  t.deepEqual(plan.steps.map(({ name }) => name), ['Write the greeting', 'Follow them']);
  t.is(await runs(node), 'ran\nran\n');
  t.is((await configure(node)).plan.steps.length, 0);
});

test('and when the run that put it back went no further', async (t) => {
  const node = await startStandIn(t);
  await configure(node);
  await spoil(node);
  const path = join(node.dir, 'etc/password');
  await rename(path, `${path}.kept`);
  await mkdir(path);
  t.like(await t.throwsAsync(configure(node)), { code: 'step-failed' });
  await rm(path, { recursive: true });
  await rename(`${path}.kept`, path);
  const { plan } = await configure(node);
  t.deepEqual(plan.steps.map(({ name, because }) => [name, because]), [['Follow them', 'not done yet']]);
});

test('a drive that cannot be read is told before anything is done, whatever the facts say', async (t) => {
  const node = await startStandIn(t);
  const said = 'sha256sum: /etc/greeting: Input/output error';
  node.behave.edit = (script) => script.replace('ask() {', `ask() {\necho '${said}' >&2`);
  t.like(await t.throwsAsync(configure(node)), { code: 'drive-faulty', got: said });
  t.is(node.scripts.length, 1);
  delete node.behave.edit;
  t.is((await configure(node)).plan.steps.length, 3);
});

test('a dry run shows everything but secrets, and changes nothing', async (t) => {
  const node = await startStandIn(t);
  const { plan } = await configure(node, {}, { dryRun: true });
  const text = printPlan(plan);
  t.regex(text, /write .*\/etc\/greeting \(0644 .*, 6 bytes, sha256 5891b5b522d5df08…\)/);
  t.true(text.includes('| hello'));
  t.is(text.split('| ‹secret›').length, 3);
  t.false(text.includes(password));
  t.false(JSON.stringify(plan).includes(password));
  t.false(existsSync(join(node.dir, 'etc')));
});

test('nothing but a shell is ever on a command line', async (t) => {
  const node = await startStandIn(t);
  await configure(node);
  t.deepEqual(new Set(node.commands), new Set(['/bin/sh -s']));
});

test('another host key stops everything before authentication', async (t) => {
  const [node, stranger] = [await startStandIn(t), await startStandIn(t)];
  const address = { ...node.address, port: stranger.address.port };
  const error = await t.throwsAsync(configure(node, {}, { address, patienceMs: 60_000 }));
  t.like(error, { code: 'host-key-mismatch' });
  t.is(stranger.logins, 0);
});

test('a node that refuses the bench’s key is told apart', async (t) => {
  const [node, stranger] = [await startStandIn(t), await startStandIn(t)];
  const address = { ...node.address, loginKeyPem: stranger.address.loginKeyPem };
  t.like(await t.throwsAsync(configure(node, {}, { address })), { code: 'login-refused' });
});

test('a node that is not there, and one that says nothing', async (t) => {
  const silent = createServer().listen(0, '127.0.0.1');
  await once(silent, 'listening');
  const node = await startStandIn(t);
  const address = { ...node.address, port: (silent.address() as AddressInfo).port };
  const options = { address, openTimeoutMs: 200 };
  t.like(await t.throwsAsync(configure(node, {}, options)), { code: 'node-too-slow' });
  silent.close();
  t.like(await t.throwsAsync(configure(node, {}, { address })), { code: 'node-unreachable' });
});

test('a node whose name nobody knows: say where it is', async (t) => {
  const node = await startStandIn(t);
  const connect = () => {
    const socket = new PassThrough();
    process.nextTick(() => socket.destroy(new Error('getaddrinfo ENOTFOUND alice.test')));
    return socket;
  };
  const error = await t.throwsAsync(configure(node, {}, { connect }), { code: 'node-unreachable' });
  t.regex((error as KitError).hint!, /set `address`/);
});

test('a connection that drops between steps is taken up again, and all of it is done', async (t) => {
  const node = await startStandIn(t);
  let drops = 0;
  node.behave.dropAt = (output) => output.includes(' end 0 0\n') && drops++ === 0;
  // How far the node got on its own before the drop reached it is not ours to say.
  await configure(node);
  t.true(drops > 0);
  t.is((await configure(node)).plan.steps.length, 0);
});

test('a connection that always drops ends in its own error', async (t) => {
  const node = await startStandIn(t);
  node.behave.dropAt = () => true;
  t.like(await t.throwsAsync(configure(node)), { code: 'connection-lost' });
});

test('a step that fails names itself without secrets; the next run goes on from there', async (t) => {
  const node = await startStandIn(t);
  const command = `echo "cannot log in with $(cat ${node.dir}/input)"; false`;
  const error = await t.throwsAsync(configure(node, { command }));
  t.like(error, { code: 'step-failed', message: 'alice: “Follow them” failed' });
  t.true((error as Error & { got: string }).got.includes('cannot log in with ‹secret›'));
  const { plan } = await configure(node);
  t.deepEqual(
    plan.steps.map(({ name, because }) => [name, because]),
    [['Follow them', 'not done yet']],
  );
});

test('a node that undoes what was done is an error', async (t) => {
  const node = await startStandIn(t);
  const error = await t.throwsAsync(configure(node, { command: `rm ${node.dir}/etc/greeting` }));
  const got = `Write the greeting (${node.dir}/etc/greeting is missing); Follow them (what it depends on changed)`;
  t.like(error, { code: 'plan-not-empty', got });
});

test('garbage in place of facts is no facts', async (t) => {
  const node = await startStandIn(t);
  node.behave.instead = '\x00\xff<html>welcome to the captive portal</html>';
  t.like(await t.throwsAsync(configure(node)), { code: 'facts-cut-short' });
});

test('a second configuration at the same time gives up', async (t) => {
  const node = await startStandIn(t);
  node.behave.edit = (script) =>
    script.replace('flock -w 60 9', `exec 8>${node.dir}/lock; flock 8; flock -n 9`);
  t.like(await t.throwsAsync(configure(node)), { code: 'node-busy' });
});
