import test from 'ava';

import { fill, languages, ownerTexts, readTexts } from '../../../provisioner/handover/texts.ts';

/** `plug.steps.0` → its {placeholders}, sorted: a language may order them as it likes. */
function placeholders(value: unknown, path = ''): Record<string, string> {
  if (typeof value === 'string') return { [path]: (value.match(/\{\w+\}/g) ?? []).sort().join() };
  return Object.assign(
    {},
    ...Object.entries(value as object).map(([key, inner]) => placeholders(inner, `${path}.${key}`)),
  );
}

test('every language has the same keys and the same placeholders', async (t) => {
  const english = placeholders(await readTexts('en'));
  for (const language of await languages()) {
    t.deepEqual(placeholders(await readTexts(language)), english, language);
  }
});

test('a language is taken as it is, then without its region, then in English with a word about it', async (t) => {
  t.like(await ownerTexts('de'), { language: 'de', notice: undefined });
  t.like(await ownerTexts('de-AT'), { language: 'de', notice: undefined });
  t.like(await ownerTexts('en-GB'), { language: 'en', notice: undefined });
  const { language, notice } = await ownerTexts('fi');
  t.is(language, 'en');
  t.regex(notice!, /“fi”.*de, en/);
});

test('placeholders are filled, and none is left', (t) => {
  t.is(fill('ssh {user}@{kit}', { user: 'a', kit: 'b', more: 'c' }), 'ssh a@b');
  t.throws(() => fill('{who}', {}), { instanceOf: TypeError, message: /who/ });
});
