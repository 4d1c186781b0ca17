// What docs/nodes.md says of faults is what `npm run test:node` asks of `kit check`, done to a real node.

import { readFileSync } from 'node:fs';

import test from 'ava';

import { faults, type Scene } from '../node/faults.ts';

test('docs/nodes.md lists each fault, the checks that fail, and the advice', (t) => {
  const list = faults({ node: {}, ledger: {} } as Scene);
  const rows = list.map(({ about, fails, advice }) =>
    `| ${about} | ${fails.map((name) => `\`${name}\``).join(', ')} | ${advice} |`);
  const page = readFileSync(new URL('../../docs/nodes.md', import.meta.url), 'utf8');
  const [, table] = page.split('| what goes wrong | fails | what it advises |\n|---|---|---|\n');
  t.deepEqual(table?.split('\n\n')[0].split('\n'), rows);
});
