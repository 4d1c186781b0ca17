import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';

import test, { type ExecutionContext } from 'ava';

import { readCampaign } from '../../../provisioner/campaign/campaign.ts';
import { newCampaign } from '../../../provisioner/campaign/new-campaign.ts';
import { KitError } from '../../../provisioner/errors.ts';

const withFile = test.macro(
  async (t, body: (t: ExecutionContext, file: string) => Promise<void>) => {
    const dir = mkdtempSync(join(tmpdir(), 'kit-new-'));
    try {
      await body(t, join(dir, 'campaign.toml'));
    } finally {
      rmSync(dir, { recursive: true });
    }
  },
);

const ledger = 'https://ledger.example.org/';

/** Somebody who answers each question with the next line, and then hangs up. */
function personWho(...answers: string[]) {
  const input = new PassThrough();
  const output = new PassThrough();
  let heard = '';
  output.on('data', (words: Buffer) => {
    heard += words;
    if (!/: $/.test(String(words))) return;
    if (answers.length > 0) input.write(`${answers.shift()}\n`);
    else input.end();
  });
  return { person: { input, output }, heard: () => heard };
}

test('flags alone make a campaign that reads back', withFile, async (t, file) => {
  const name = 'The "Ríver" side \\ community';
  const kits = ['alice:alice.example.org', '3-oaks:oaks.example.org:vera'];
  const timezone = 'Europe/Vienna';
  const made = await newCampaign(file, { name, ledger, timezone, kits }, undefined);
  t.deepEqual(made.kits, ['alice', '3-oaks']);
  const campaign = await readCampaign(file);
  t.is(campaign.name, name);
  t.is(campaign.ledger, 'https://ledger.example.org');
  t.is(campaign.ledgerOrigin, 'ledger.example.org/commons');
  t.is(campaign.image, 'snac');
  t.is(campaign.contact, undefined);
  t.deepEqual(campaign.kits.map(({ owner }) => owner), ['alice', 'vera']);
});

test('a person is asked, and asked again until the answer fits', withFile, async (t, file) => {
  const { person, heard } = personWho(
    ...['Riverside', 'ledger', ledger, '', 'Robin, 01 "234"'],
    ...['Alice', 'alice', 'alice.example.org', ''],
    ...['bob', 'bob', 'bob.example.org', 'robert', ''],
  );
  await newCampaign(file, { kits: [] }, person);
  const { kits, timezone, contact } = await readCampaign(file);
  t.is(contact, 'Robin, 01 "234"');
  t.deepEqual(kits.map(({ name, owner }) => `${name} ${owner}`), ['alice alice', 'bob robert']);
  t.is(timezone, Intl.DateTimeFormat().resolvedOptions().timeZone);
  t.true(heard().includes('expected an http:// or https:// address'));
  t.true(heard().includes('expected a DNS label'));
});

test('a name or a domain that another kit has is asked for again', withFile, async (t, file) => {
  const { person, heard } = personWho(
    ...['Riverside', ledger, '', '', 'alice', 'alice.example.org', ''],
    ...['alice', 'bob', 'alice.example.org', 'bob.example.org', '', ''],
  );
  await newCampaign(file, { kits: [] }, person);
  const { kits } = await readCampaign(file);
  t.deepEqual(kits.map(({ domain }) => domain), ['alice.example.org', 'bob.example.org']);
  t.is(heard().match(/expected one that no other kit has/g)?.length, 2);
});

test('a person who goes away leaves nothing behind', withFile, async (t, file) => {
  const { person } = personWho('Riverside', ledger);
  const asking = newCampaign(file, { kits: [] }, person);
  t.is((await t.throwsAsync(asking, { instanceOf: KitError })).code, 'answers-ended');
  t.throws(() => readFileSync(file), { message: /ENOENT/ });
});

test('without a person every gap is named', withFile, async (t, file) => {
  const making = newCampaign(file, { name: 'Riverside', kits: [] }, undefined);
  const error = await t.throwsAsync(making, { instanceOf: KitError });
  t.is(error.code, 'answer-missing');
  t.is(error.got, 'no --ledger, no --kit');
});

test('an answer that a campaign may not hold writes nothing', withFile, async (t, file) => {
  for (const kit of ['alice', 'alice:alice.example.org:', 'alice:alice.example.org:bob:more']) {
    const making = newCampaign(file, { name: 'R', ledger, kits: [kit] }, undefined);
    const error = await t.throwsAsync(making, { instanceOf: KitError });
    t.is(error.code, 'campaign-invalid');
    t.regex(error.hint!, /Nothing was written.*--help/, 'there is no file to mend');
    t.throws(() => readFileSync(file), { message: /ENOENT/ });
  }
});

test('an existing campaign is never touched', withFile, async (t, file) => {
  writeFileSync(file, 'mine');
  const making = newCampaign(file, { name: 'R', ledger, kits: ['a:a.example.org'] }, undefined);
  t.is((await t.throwsAsync(making, { instanceOf: KitError })).code, 'campaign-exists');
  t.is(readFileSync(file, 'utf8'), 'mine');

  // Nobody is asked for what will not be written.
  const { person, heard } = personWho();
  const asking = newCampaign(file, { kits: [] }, person);
  t.is((await t.throwsAsync(asking, { instanceOf: KitError })).code, 'campaign-exists');
  t.is(heard(), '');
});
