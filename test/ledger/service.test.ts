// The unit, judged by systemd itself without being installed: how much of the machine it exposes.

import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import test from 'ava';
import { LIMITS } from '../../ledger/limits.ts';
import { SERVER_HEAP } from '../../ledger/server-heap.js';

const UNIT = fileURLToPath(new URL('../../ledger/service/commons-ledger.service', import.meta.url));

/** systemd's own scale: 0 nothing, 10 everything; "OK" ends at 4.9. In tenths. */
const MOST_EXPOSED = 15;

test('the unit exposes at most 1.5 of 10, by systemd-analyze security', async (t) => {
  const { stdout } = await promisify(execFile)('systemd-analyze', [
    'security', '--no-pager', '--offline=true', `--threshold=${MOST_EXPOSED}`, UNIT,
  ]);
  // Above the threshold it ends with 1, and this line is never reached.
  t.regex(stdout, /Overall exposure level for commons-ledger\.service: \d\.\d OK/);
});

test('the unit runs the server with the heap that its launcher gives it', (t) => {
  const [, command] = /^ExecStart=(.+)$/m.exec(readFileSync(UNIT, 'utf8'))!;
  t.true(command.includes(`/node ${SERVER_HEAP.join(' ')} /`));
});

test('the unit gives more files than the ledger’s limits let be open', (t) => {
  const files = Number(/^LimitNOFILE=(\d+)$/m.exec(readFileSync(UNIT, 'utf8'))![1]);
  t.true(files > 2 * LIMITS.connections + LIMITS.postsInWork);
});
