// What is said to owners, in their language: texts/LANGUAGE.toml, one file a language, all with the
// same keys and the same {placeholders}. This file owns their form; who lays them out on paper or
// sends them to a node owns the place.

import { readdir, readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';

import { parse } from 'smol-toml';
import * as v from 'valibot';

const text = v.pipe(v.string(), v.nonEmpty());
const three = v.tuple([text, text, text]);
const texts = <K extends string>(...keys: K[]) =>
  v.strictObject(Object.fromEntries(keys.map((key) => [key, text])) as Record<K, typeof text>);

const schema = v.strictObject({
  cover: texts('title', 'made_by'),
  plug: v.strictObject({
    title: text,
    steps: three,
    router: text,
    node: text,
    meter: text,
    supply: text,
    patience: text,
  }),
  screen: v.strictObject({
    title: text,
    /** What the meter's screen says, and what it means. */
    meanings: v.pipe(v.array(v.tuple([text, text])), v.minLength(1), v.maxLength(6)),
    /** What to do about everything else that it may say. */
    other: text,
    button: text,
    light: text,
  }),
  login: texts(
    ...(['title', 'address', 'user', 'passphrase', 'passphrase_where', 'handle', 'health'] as const),
    ...(['warning', 'change'] as const),
  ),
  help: texts('title', 'nobody', 'ledger', 'ledger_code'),
  sealed: v.strictObject({
    title: text,
    what: text,
    fold: three,
    unbroken: text,
    print_word: text,
    passphrase: text,
    passphrase_code: text,
    where_used: text,
    codes: text,
    codes_how: text,
    new_passphrase: text,
    owner_key: text,
    owner_key_how: text,
    keep: text,
  }),
  recover: texts(
    ...(['greeting', 'ask_code', 'mistyped', 'wrong', 'offer', 'ask_passphrase'] as const),
    ...(['differs', 'done', 'failed'] as const),
  ),
});

export type Texts = v.InferOutput<typeof schema>;

export interface OwnerTexts {
  texts: Texts;
  /** The language that they are in. */
  language: string;
  /** A word to the volunteer when it is not the one that was asked for. */
  notice?: string;
}

const folder = fileURLToPath(new URL('texts/', import.meta.url));
const fallback = 'en';

/** Texts in a language as the campaign names it; `pt-BR` may be had as `pt`, anything as English. */
export async function ownerTexts(wanted: string): Promise<OwnerTexts> {
  const known = await languages();
  const [plain] = wanted.split('-');
  const language = [wanted, plain, fallback].find((candidate) => known.includes(candidate))!;
  const texts = await readTexts(language);
  if (language !== fallback || plain === fallback) return { texts, language };
  const notice = `nobody has written the leaflet in “${wanted}” (there is ${known.join(', ')}): it is in English`;
  return { texts, language, notice };
}

export async function languages(): Promise<string[]> {
  const files = await readdir(folder);
  return files.map((file) => file.replace(/\.toml$/, '')).sort();
}

/** @throws TypeError naming what a file of ours lacks */
export async function readTexts(language: string): Promise<Texts> {
  const outcome = v.safeParse(schema, parse(await readFile(`${folder}${language}.toml`, 'utf8')));
  if (outcome.success) return outcome.output;
  const [issue] = outcome.issues;
  throw new TypeError(`texts/${language}.toml, ${v.getDotPath(issue)}: ${issue.message}`);
}

/** A text with its {placeholders} filled. */
export function fill(template: string, values: Readonly<Record<string, unknown>>): string {
  return template.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    if (typeof value !== 'string') throw new TypeError(`no value for {${name}}`);
    return value;
  });
}
