// Set-up: makes sure that the pinned npm packages and the Debian packages that a purpose needs are
// there, and installs what is missing after saying what, how much and why. Plain JavaScript for any
// Node from 18 on, because it runs before anything is installed. A second run installs nothing.

import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { createInterface } from 'node:readline/promises';

const ROOT = new URL('../', import.meta.url);
const STAMP = new URL('node_modules/.set-up', ROOT);

/**
 * Brings the machine to where a purpose of needs.json ("start", "test" …) can be served.
 * @param {string | undefined} purpose undefined: what every command needs
 * @returns {Promise<number>} 0 ready, 1 an installation failed, 2 the user must install something
 */
export async function setUp(purpose) {
  // Debian's first: the Node that npm brings does not start without its library, and from then on
  // npm finds that Node before the machine's own.
  const needs = needsOf(purpose);
  const missing = Object.keys(needs.packages).filter((name) => !isInstalled(name));
  const status = missing.length === 0 ? 0 : await installDebianPackages(missing, needs);
  if (status !== 0) return status;
  return npmPackagesAreCurrent() || installNpmPackages() ? 0 : 1;
}

function npmPackagesAreCurrent() {
  return existsSync(STAMP) && readFileSync(STAMP, 'utf8') === lockDigest();
}

function lockDigest() {
  const lock = readFileSync(new URL('package-lock.json', ROOT));
  return createHash('sha256').update(lock).digest('hex');
}

/** The stamp is written last, so that an interrupted installation is done again. */
function installNpmPackages() {
  say('Set-up: installing the pinned npm packages into node_modules (460 MB, under a minute).');
  // npm puts its own path here; outside npm, the one on PATH is as good.
  const viaNpm = process.env.npm_execpath;
  const command = viaNpm ? process.execPath : 'npm';
  const args = [...(viaNpm ? [viaNpm] : []), 'ci', '--no-progress', '--loglevel=error'];
  const { status } = spawnSync(command, args, { cwd: ROOT, stdio: ['ignore', 2, 2] });
  if (status !== 0) {
    say('error[npm-install]: `npm ci` failed; its own words are above.');
    return false;
  }
  linkNode();
  writeFileSync(STAMP, lockDigest());
  return true;
}

/** npm 9, Debian 12's, links no program called `node`; scripts and `env node` need it there. */
function linkNode() {
  const link = new URL('node_modules/.bin/node', ROOT);
  if (existsSync(link)) return;
  symlinkSync(`../node-linux-${process.arch}/bin/node`, link);
}

function needsOf(purpose) {
  const all = JSON.parse(readFileSync(new URL('needs.json', import.meta.url), 'utf8'));
  const { packages, minutes } = all[purpose ?? 'always'];
  return { packages: { ...all.always.packages, ...packages }, minutes };
}

async function installDebianPackages(missing, needs) {
  const line = `apt-get install -y --no-install-recommends ${missing.join(' ')}`;
  say('Set-up: these Debian packages are missing:');
  for (const name of missing) say(`  ${name.padEnd(24)} ${needs.packages[name]}`);
  const sudo = process.getuid?.() === 0 ? [] : ['sudo'];
  if (sudo.length > 0 && !(await mayUseSudo())) {
    say(`Install them, then try again:\n  sudo ${line}`);
    return 2;
  }
  if (!run([...sudo, 'apt-get', 'update', '-qq'])) {
    say('error[apt-update]: `apt-get update` failed; is the network there?');
    return 1;
  }
  say(`${sizeOf(missing)}; about ${needs.minutes} min.`);
  if (run([...sudo, 'env', 'DEBIAN_FRONTEND=noninteractive', ...line.split(' ')])) return 0;
  say(`error[apt-install]: could not install them. By hand:\n  sudo ${line}`);
  return 1;
}

async function mayUseSudo() {
  if (!process.stdin.isTTY || !process.stderr.isTTY) return false;
  const ask = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await ask.question('Install them with sudo? [y/N] ');
  ask.close();
  return /^y(es)?$/i.test(answer.trim());
}

/** What apt itself says of the download and the disk, for instance "Need to get 84 MB …". */
function sizeOf(names) {
  const args = ['install', '--assume-no', '--no-install-recommends', ...names];
  const { stdout } = spawnSync('apt-get', args, { encoding: 'utf8', env: cLocale() });
  const lines = (stdout ?? '').split('\n').filter((l) => /^(Need to get|After this)/.test(l));
  return lines.length > 0 ? lines.join(' ').trim() : 'Size unknown';
}

function isInstalled(name) {
  const args = ['-W', '-f', '${db:Status-Status}', name];
  return spawnSync('dpkg-query', args, { encoding: 'utf8' }).stdout === 'installed';
}

/** apt's chatter goes to stderr: stdout belongs to the command that follows. */
function run([command, ...args]) {
  return spawnSync(command, args, { stdio: ['inherit', 2, 2], env: cLocale() }).status === 0;
}

function cLocale() {
  return { ...process.env, LC_ALL: 'C.UTF-8' };
}

function say(line) {
  process.stderr.write(`${line}\n`);
}
