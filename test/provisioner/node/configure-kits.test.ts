// Several kits at once: each fails alone, each is recorded, and no secret is told.

import { connect } from 'node:net';
import { Writable } from 'node:stream';

import test, { type ExecutionContext } from 'ava';

import { KitError } from '../../../provisioner/errors.ts';
import { configureKits, documentOf, humanOf } from '../../../provisioner/node/configure-kits.ts';
import { createOutput } from '../../../provisioner/terminal.ts';
import { makeBench } from '../../helpers/bench.ts';
import { startStandIn } from './stand-in.ts';

const names = ['alice', 'bob', 'carol'];
const kitText = (name: string): string =>
  `[[kit]]\nname = "${name}"\ndomain = "${name}.test"\nowner = "${name}"\n`;
const campaignText = (image: string): string => `name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "${image}"
arch = "amd64"
timezone = "Europe/Vienna"
${names.map(kitText).join('')}`;

/** What a fresh node answers to each fact of snac; others it answers with nothing. */
const freshAnswers: Record<string, string> = {
  ground: `${Date.now() / 1000 | 0}\nroom /etc 1000000 4096 0 0`,
  hostname: 'alice',
  localtime: '/usr/share/zoneinfo/Etc/UTC',
  resolvers: 'nameserver 127.0.0.53',
  units: 'Id=nginx.service\nActiveState=active\nJob=',
  server: '{"host": "localhost"}',
};

function answerFacts(script: string): string {
  const mark = /commons-[0-9a-f]{24}/.exec(script)![0];
  const asked = [...script.matchAll(/ begin (\w+)\\n/g)].map((match) => match[1]);
  const frames = asked.map((name) => {
    const text = freshAnswers[name] ?? '';
    return `\n${mark} begin ${name}\n${text}\n${mark} end ${text === '' ? 1 : 0}\n`;
  });
  return `${frames.join('')}\n${mark} done\n`;
}

/** alice answers, bob shows a stranger's key, carol is not there. */
async function bench(t: ExecutionContext, image = 'snac', more = '') {
  const made = await makeBench(campaignText(image).replace('[[kit]]', `${more}\n[[kit]]`));
  t.teardown(made.remove);
  const { benchLogin: login } = await made.secrets.campaign();
  const { sshHostKey: hostKey } = await made.secrets.kit(made.campaign.kits[0]);
  const alice = await startStandIn(t, { hostKey, login });
  alice.behave.instead = answerFacts;
  const stranger = await startStandIn(t);
  const ports: Record<string, number> = {
    'alice.test': alice.address.port,
    'bob.test': stranger.address.port,
    'carol.test': 1,
  };
  let printed = '';
  const sink = new Writable({
    write(bytes, _encoding, done) {
      printed += bytes;
      done();
    },
  });
  const deps = { ...made, connect: (host: string) => connect(ports[host], '127.0.0.1') };
  const run = (dryRun: boolean) =>
    configureKits(made.campaign.kits, deps, createOutput({}, { out: sink, err: sink }), { dryRun });
  return { ...made, run, printed: () => printed };
}

test('each kit fails alone, and a dry run leaves no record', async (t) => {
  const { run, record, secrets, campaign, printed } = await bench(t);
  const results = await run(true);
  t.deepEqual(results.map(({ kit }) => kit), names);
  t.true(results[0].outcome!.plan.steps.length > 10);
  t.like(results[1].error, { code: 'host-key-mismatch' });
  t.like(results[2].error, { code: 'node-unreachable' });
  t.deepEqual(names.flatMap((name) => record.history(name)), []);
  const human = humanOf(results, { dryRun: true });
  t.regex(human, /^alice \(snac\): \d+ steps\n/);
  t.true(human.includes('error[host-key-mismatch]'));
  const { ownerPassphrase, tls } = await secrets.kit(campaign.kits[0]);
  const told = human + printed() + JSON.stringify(documentOf(results));
  t.false(told.includes(ownerPassphrase));
  t.false(told.includes(tls.keyPem.split('\n')[1]));
});

test('every run is recorded, with its end', async (t) => {
  const { run, record } = await bench(t);
  const results = await run(false);
  // It says that all is done, and its facts stay as they were.
  t.like(results[0].error, { code: 'plan-not-empty' });
  t.like(record.latest('alice', 'configure'), { status: 'failed', detail: { code: 'plan-not-empty' } });
  t.like(record.latest('bob', 'configure'), { status: 'failed', detail: { code: 'host-key-mismatch' } });
  t.deepEqual(record.history('carol').map(({ status }) => status), ['started', 'failed']);
});

test('an image that nobody has taught kit to configure', async (t) => {
  const { run } = await bench(t, 'tiny');
  const [{ error }] = await run(true);
  t.true(error instanceof KitError);
  t.like(error, { code: 'kind-unknown', exitCode: 2 });
});

const letsencrypt = 'https://acme-v02.api.letsencrypt.org/directory';
const unasked: [image: string, acme: string, contact: string, got: string][] = [
  ['freedombox', letsencrypt, '', letsencrypt],
  ['yunohost', 'https://acme.test/dir', '', 'https://acme.test/dir'],
  ['yunohost', letsencrypt, '\ncontact = "a@alice.test"', 'a@alice.test'],
];
for (const [image, acme, contact, got] of unasked) {
  test(`${image} does not obtain certificates so: ${got}`, async (t) => {
    const { run } = await bench(t, image, `[certificates]\nacme = "${acme}"${contact}`);
    const [{ error }] = await run(true);
    t.like(error, { code: 'acme-unknown', got, exitCode: 2 });
  });
}
