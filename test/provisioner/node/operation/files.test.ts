import test from 'ava';

import { FactError } from '../../../../provisioner/node/fact.ts';
import { fileStates, writeFiles } from '../../../../provisioner/node/operation/files.ts';
import { digestOf } from '../../../../provisioner/node/step.ts';

const file = { path: '/etc/a', mode: '0644', owner: 'root:root', content: 'a\n' };
const { parse } = fileStates([file.path]);
const digest = digestOf(file.content);
const state = { digest, mode: '644', owner: 'root:root' };

test('reads what sha256sum and stat say, and takes nothing else', (t) => {
  t.deepEqual(parse(`${digest}  /etc/a\n644 root:root /etc/a`, 0), { '/etc/a': state });
  t.deepEqual(parse('', 0), {});
  t.throws(() => parse('Segmentation fault', 0), { instanceOf: FactError });
});

test('writes what differs, saying how', (t) => {
  const why = (changes: Partial<typeof state> | undefined): string | undefined =>
    writeFiles('Write', [file], changes ? { '/etc/a': { ...state, ...changes } } : {})[0]?.because;
  t.is(why({}), undefined);
  t.is(why(undefined), '/etc/a is missing');
  t.is(why({ digest: digestOf('b\n') }), '/etc/a differs');
  t.is(why({ mode: '600' }), '/etc/a has mode 600');
  t.is(why({ owner: 'www-data:root' }), '/etc/a belongs to www-data:root');
});

test('refuses text that a here-document would change', (t) => {
  t.throws(() => writeFiles('Write', [{ ...file, content: 'a' }], {}), { instanceOf: TypeError });
});
