// Checkpoints against the example of c2sp.org/tlog-checkpoint.

import test from 'ava';
import { formatCheckpoint, parseCheckpoint } from '../../../ledger/log/checkpoint.ts';
import { parseNote } from '../../../ledger/log/note.ts';

const EXAMPLE = `example.com/behind-the-sofa
20852163
CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

— example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
`;

test('the specification’s example reads, and writes itself', (t) => {
  const { text } = parseNote(new TextEncoder().encode(EXAMPLE));
  const checkpoint = parseCheckpoint(text);
  t.is(checkpoint.origin, 'example.com/behind-the-sofa');
  t.is(checkpoint.size, 20_852_163);
  t.is(formatCheckpoint(checkpoint), text);
  const extended = { ...checkpoint, extensions: ['one', 'two'] };
  t.deepEqual(parseCheckpoint(formatCheckpoint(extended)), extended);
});

test('anything else is refused', (t) => {
  const [origin, size, root] = ['a.test', '7', 'CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I='];
  const lines = (...parts: string[]): string => `${parts.join('\n')}\n`;
  const bad = [
    lines(origin, size), lines('', size, root), lines(origin, `0${size}`, root),
    lines(origin, `+${size}`, root), lines(origin, '9007199254740993', root),
    lines(origin, size, root.slice(1)), lines(origin, size, root.replace('2I=', '2J=')),
    lines(origin, size, root, '', 'x'), lines(origin, size, root).slice(0, -1),
    lines(origin, size, `${root} `),
  ];
  for (const text of bad) {
    t.throws(() => parseCheckpoint(text), { code: 'malformed-checkpoint' }, JSON.stringify(text));
  }
});
