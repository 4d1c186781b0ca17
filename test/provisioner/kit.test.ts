// The command line as a person mistypes it and a script reads it: every mistake is one error with
// a code, what was expected and got, and what to try; it exits with 2 and changes nothing.

import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import test from 'ava';

const KIT = fileURLToPath(new URL('../../provisioner/kit.ts', import.meta.url));

interface Said {
  status: number;
  stdout: string;
  stderr: string;
  /** What lies in the folder afterwards, the user's home included. */
  left: string[];
}

/** Runs kit in a folder of its own that is also its user's home. */
async function kit(
  args: string[], campaign?: string, files: Record<string, string> = {},
): Promise<Said> {
  const cwd = mkdtempSync(join(tmpdir(), 'kit-words-'));
  if (campaign !== undefined) writeFileSync(join(cwd, 'campaign.toml'), campaign);
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(cwd, name)), { recursive: true });
    writeFileSync(join(cwd, name), content);
  }
  const env = { PATH: process.env['PATH'], HOME: cwd };
  try {
    return await new Promise((resolve) => {
      execFile(process.execPath, [KIT, ...args], { cwd, env }, (error, stdout, stderr) => {
        const left = readdirSync(cwd, { recursive: true }) as string[];
        resolve({ status: error === null ? 0 : Number(error.code), stdout, stderr, left });
      });
    });
  } finally {
    rmSync(cwd, { recursive: true });
  }
}

const aCampaign = `name = "R"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "snac"
arch = "amd64"
timezone = "UTC"
[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
`;

const mistakes: [code: string, ...words: string[]][] = [
  ['command-missing'],
  ['command-missing', 'meter'],
  ['unknown-command', 'flahs'],
  ['unknown-option', 'drives', '--frob'],
  ['missing-argument', 'meter', 'pair'],
  ['excess-arguments', 'drives', '/dev/null'],
  ['missing-mandatory-option-value', 'flash', 'alice'],
  ['option-missing-argument', 'flash', 'alice', '--drive'],
  ['invalid-argument', 'make', 'alice', '--until', 'nothing'],
  ['size-invalid', 'flash', 'alice', '--drive', 'x', '--size', '3Q'],
  ['invalid-argument', 'configure', 'alice', '--wait', 'long'],
  ['invalid-argument', 'handover', 'alice', '--wait', 'long'],
  ['invalid-argument', 'restore', 'alice', '--from', 'x', '--wait', '-1'],
  ['invalid-argument', 'price', '31.45', 'EUR', '--from', '2027-02-30'],
  ['conflicting-option', 'wifi', 'alice', '--also', 'A', '--forget', 'B'],
  ['answer-missing', 'new'],
  ['image-unknown', 'image', 'build', '../etc'],
  ['image-arch-unknown', 'image', 'build', 'snac', '--arch', 'sparc'],
  ['campaign-unreadable', 'label', 'alice'],
];

for (const [code, ...words] of mistakes) {
  test(`kit ${words.join(' ')}: ${code}`, async (t) => {
    const { status, stdout, left } = await kit(['--json', ...words]);
    const { error } = JSON.parse(stdout);
    t.is(error.code, code);
    t.deepEqual(Object.keys(error), ['code', 'message', 'expected', 'got', 'hint']);
    t.is(status, 2);
    t.deepEqual(left, []);
  });
}

const kitNames: [code: string, ...words: string[]][] = [
  ['unknown-kit', 'flash', 'carol', '--drive', 'x'],
  ['drives-do-not-match', 'flash', 'alice', '--drive', 'x', 'y'],
  ['unknown-kit', 'configure', 'alice', 'carol'],
  ['unknown-kit', 'make', 'carol'],
];

test('a kit that the campaign lacks: no key and no record is made', async (t) => {
  for (const [code, ...words] of kitNames) {
    const { status, stdout, left } = await kit(['--json', ...words], aCampaign);
    t.is(JSON.parse(stdout).error.code, code);
    t.is(status, 2);
    t.deepEqual(left, ['campaign.toml']);
  }
});

test('nobody to ask: a kit is not begun, its image least of all', async (t) => {
  const { status, stdout, left } = await kit(['--json', 'make', 'alice', '--drive', 'x'], aCampaign);
  t.is(JSON.parse(stdout).error.code, 'confirmation-needed');
  t.is(status, 2);
  t.false(left.some((name) => /^(built|x$)/.test(name)));
});

test('a campaign that another key has sealed: no new key is made', async (t) => {
  const sealed = { 'secrets/_campaign.age': 'sealed' };
  const { status, stdout, left } = await kit(['--json', 'label', 'alice'], aCampaign, sealed);
  t.is(JSON.parse(stdout).error.code, 'identity-missing');
  t.is(status, 2);
  t.deepEqual(left.sort(), ['campaign.toml', 'secrets', 'secrets/_campaign.age']);
});

test('a person reads the same of a mistake, and nothing on stdout', async (t) => {
  const { status, stdout, stderr } = await kit(['drives', '--frob']);
  t.is(status, 2);
  t.is(stdout, '');
  t.is(stderr, `error[unknown-option]: The command line is not as it should be
  expected: kit drives [options]
  got:      unknown option '--frob'
  hint:     See kit drives --help.
`);
});

test('help tells sizes as people say them', async (t) => {
  const { stdout } = await kit(['flash', '--help']);
  t.regex(stdout, /\(default:\s+4G\)/);
});

test('help of a command tells what all of them take', async (t) => {
  const { stdout } = await kit(['flash', '--help']);
  for (const option of ['--json', '--campaign', '--identity']) t.true(stdout.includes(option), option);
});

test('which kit this is', async (t) => {
  const { status, stdout } = await kit(['--version']);
  t.is(status, 0);
  t.regex(stdout, /^\d+\.\d+\.\d+\n$/);
});

test('help is no mistake', async (t) => {
  const { status, stdout, stderr } = await kit(['meter', 'pair', '--help']);
  t.is(status, 0);
  t.regex(stdout, /Usage: kit meter pair/);
  t.is(stderr, '');
});

test('a reader who goes away is no failure', async (t) => {
  const child = spawn(process.execPath, [KIT, '--help'], { stdio: ['ignore', 'pipe', 'pipe'] });
  child.stdout.destroy();
  let stderr = '';
  child.stderr.on('data', (chunk) => (stderr += chunk));
  const [status] = await once(child, 'close');
  t.is(stderr, '');
  t.is(status, 0);
});

test('what the system refuses is told without a stack', async (t) => {
  const words = ['--name', 'R', '--ledger', 'http://ledger.test', '--kit', 'alice:alice.test'];
  const { status, stdout } = await kit(['--json', 'new', '--campaign', '/dev/null/x', ...words]);
  const { error } = JSON.parse(stdout);
  t.is(status, 1);
  t.is(error.code, 'refused-by-system');
  t.regex(error.got, /^ENOTDIR/);
  t.regex(error.message, /\/dev\/null\/x$/, 'by the name that was asked for');
  t.deepEqual(Object.keys(error), ['code', 'message', 'expected', 'got', 'hint']);
});
