// `kit new`'s work: a few answers, from a person or from flags, become a commented campaign.toml.
// The text goes through the same check as any campaign before it is written; an existing file is
// never touched.

import { existsSync } from 'node:fs';
import { createInterface, type Interface } from 'node:readline/promises';
import type { Readable, Writable } from 'node:stream';

import * as v from 'valibot';

import { KitError } from '../errors.ts';
import { parseCampaign, type Campaign } from './campaign.ts';
import { createDurably } from './durable.ts';
import { domainName, hostLabel, ledgerUrl, timeZone, title, userName } from './names.ts';

export interface Answers {
  name?: string;
  ledger?: string;
  image?: string;
  arch?: string;
  timezone?: string;
  /** Whom owners call; empty: room on the leaflet to write it by hand. */
  contact?: string;
  /** `NAME:DOMAIN` or `NAME:DOMAIN:OWNER` */
  kits: string[];
}

export interface Person {
  input: Readable;
  output: Writable;
}

/**
 * Writes `file`.
 * @param person who is asked for what the flags left out; undefined when nobody is there
 * @throws KitError `campaign-exists`, `answer-missing`, `answers-ended`, and those of parseCampaign
 */
export async function newCampaign(
  file: string,
  answers: Answers,
  person: Person | undefined,
): Promise<{ kits: string[] }> {
  // Before anybody is asked; a file that comes meanwhile is seen at the end.
  if (existsSync(file)) throw campaignExists(file);
  const complete = person === undefined ? refuseGaps(answers) : await ask(answers, person);
  const text = campaignText(complete);
  const { kits } = parseUnwritten(text, file);
  if (await createDurably(file, text)) return { kits: kits.map(({ name }) => name) };
  throw campaignExists(file);
}

/** The campaign's own rules; but what they refuse is no line of a file yet. */
function parseUnwritten(text: string, file: string): Campaign {
  try {
    return parseCampaign(text, file);
  } catch (error) {
    if (!(error instanceof KitError)) throw error;
    const hint = 'Nothing was written. Say it otherwise: kit new --help.';
    const { code, message, expected, got, exitCode } = error;
    throw new KitError({ code, message, expected, got, hint, exitCode, cause: error });
  }
}

type Complete = Required<Answers>;

function refuseGaps(answers: Answers): Complete {
  const { name, ledger, kits } = answers;
  const gaps = [!name && '--name', !ledger && '--ledger', kits.length === 0 && '--kit'];
  const missing = gaps.filter((gap) => gap !== false);
  if (name && ledger && kits.length > 0) return withDefaults({ ...answers, name, ledger });
  throw new KitError({
    code: 'answer-missing',
    message: 'Without a terminal, every answer must be a flag',
    expected: '--name NAME --ledger URL --kit NAME:DOMAIN[:OWNER] …',
    got: `no ${missing.join(', no ')}`,
    hint: 'Add the flags, or run kit new in a terminal.',
    exitCode: 2,
  });
}

async function ask(answers: Answers, person: Person): Promise<Complete> {
  const lines = createInterface({ input: person.input, output: person.output });
  const question = asker(lines, person.output);
  try {
    const name = answers.name ?? (await question('Name of the community', title));
    const ledger = answers.ledger ?? (await question('Address of the ledger', ledgerUrl));
    const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
    const timezone = answers.timezone ?? (await question('Time zone', timeZone, zone));
    const contact = answers.contact
      ?? (await question('Whom owners call (nothing: written by hand)', orNothing(title)));
    const kits = answers.kits.length > 0 ? answers.kits : await askKits(question);
    return withDefaults({ ...answers, name, ledger, timezone, contact, kits });
  } finally {
    lines.close();
  }
}

async function askKits(question: Question): Promise<string[]> {
  const kits: string[] = [];
  const taken = new Set<string>();
  for (;;) {
    const first = kits.length === 0;
    const ownName = unlike(taken, hostLabel);
    const name = first
      ? await question('Name of the first kit', ownName)
      : await question('Name of the next kit (nothing: that was all)', orNothing(ownName));
    if (name === '') return kits;
    const domain = await question(`Domain of ${name}`, unlike(taken, domainName));
    taken.add(name).add(domain);
    const owner = await question(`User name of its owner`, userName, userNameFrom(name));
    kits.push([name, domain, owner].join(':'));
  }
}

type Rule = v.GenericSchema<unknown, string>;

/** Said at once: at the end all answers would be lost for it. A name has no dot, a domain has. */
function unlike(taken: Set<string>, rule: Rule): Rule {
  return v.pipe(rule, v.check((text) => !taken.has(text), 'one that no other kit has'));
}

const orNothing = (rule: Rule): Rule => v.union([v.literal(''), rule]);
type Question = (words: string, rule: Rule, usual?: string) => Promise<string>;

/** Asks until the answer passes the campaign's own rule. */
function asker(lines: Interface, output: Writable): Question {
  const ended = new AbortController();
  lines.once('close', () => ended.abort());
  return async (words, rule, usual) => {
    for (;;) {
      const prompt = usual === undefined ? `${words}: ` : `${words} [${usual}]: `;
      const line = await lines.question(prompt, { signal: ended.signal }).catch(() => {
        throw answersEnded(words);
      });
      const outcome = v.safeParse(rule, line.trim() || (usual ?? ''));
      if (outcome.success) return outcome.output;
      output.write(`  expected ${outcome.issues[0].message}\n`);
    }
  };
}

function withDefaults(answers: Answers & { name: string; ledger: string }): Complete {
  const { timeZone: zone } = Intl.DateTimeFormat().resolvedOptions();
  const { image = 'snac', arch = 'amd64', timezone = zone, contact = '' } = answers;
  return { ...answers, image, arch, timezone, contact };
}

/** A kit may begin with a digit, a user may not. */
function userNameFrom(kit: string): string {
  return kit.replace(/-/g, '_').replace(/^[^a-z]+/, '') || 'owner';
}

/** JSON's strings are TOML's basic strings: control characters are refused by the rules. */
const quote = (text: string): string => JSON.stringify(text);

function campaignText(answers: Complete): string {
  const { name, ledger, image, arch, timezone, contact, kits } = answers;
  const host = URL.parse(ledger)?.host ?? ledger;
  const called = contact === '' ? '# contact = "Robin, 01 234 567"' : `contact = ${quote(contact)}`;
  return `# A campaign: one barn-raising and its kits. docs/campaign.md explains every key.
# Secrets are never in here: they are made by kit, and kept encrypted in secrets/.

name = ${quote(name)}

# Where the meters report, and the name that the ledger's log goes by.
ledger = ${quote(ledger)}
ledger_origin = ${quote(`${host}/commons`)}

# What is written to the drives.
image = ${quote(image)}
arch = ${quote(arch)}
timezone = ${quote(timezone)}

# Whom owners call: printed on their leaflets. Without it there is room to write it by hand.
${called}

# One [[kit]] for each home. Further keys: language, network, publish, address, ssh_port.
${kits.map(kitText).join('\n')}`;
}

function kitText(kit: string): string {
  const [name, domain = '', ...more] = kit.split(':');
  const owner = more.length === 0 ? userNameFrom(name) : more.join(':');
  return `[[kit]]
name = ${quote(name)}
domain = ${quote(domain)}
owner = ${quote(owner)}
language = "en"
# "dhcp", or { address = "192.168.1.10/24", gateway = "192.168.1.1", dns = ["192.168.1.1"] },
# or { wifi = { ssid = "Home", country = "AT" } }, with or without these three.
network = "dhcp"
# Which readings everybody may see: "none", "batch" (all), "hour" or "day" (the last of each).
publish = "day"
`;
}

function campaignExists(file: string): KitError {
  return new KitError({
    code: 'campaign-exists',
    message: `${file} is there already`,
    expected: 'no campaign yet, or another name for the new one',
    got: 'an existing file, left as it is',
    hint: 'Edit it, or write another with --campaign FILE.',
    exitCode: 2,
  });
}

function answersEnded(words: string): KitError {
  return new KitError({
    code: 'answers-ended',
    message: 'Nothing was written',
    expected: `an answer to “${words}”`,
    got: 'the end of the input',
    hint: 'Start again, or give the answers as flags: kit new --help.',
    exitCode: 2,
  });
}
