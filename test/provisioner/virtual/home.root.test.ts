// The trial home for real: its names, its way to the ledger, and that nothing of it stays.

import { execFile, execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync } from 'node:fs';
import { createServer } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import test from 'ava';
import { LEDGER_ADDRESS, PEER_ADDRESS, startHome } from '../../../provisioner/virtual/home.ts';

test('names, the way to the ledger, the way in, and an end without remains', async (t) => {
  const dir = mkdtempSync(join(tmpdir(), 'home-'));
  const ledgerSocket = join(dir, 'ledger.sock');
  const ledger = createServer((_, response) => response.end('the ledger')).listen(ledgerSocket);
  await once(ledger, 'listening');
  const home = await startHome({
    ...{ dir, ledgerSocket, peerDomain: 'bob.test', ledgerDomain: 'ledger.test' },
    node: { mac: '52:54:00:12:34:56', name: 'alice', domain: 'alice.test' },
  });
  // Not synchronously: the ledger that is asked lives in this very process.
  const inside = async (...command: string[]): Promise<string> => {
    const [program, ...words] = home.enter(command);
    return (await promisify(execFile)(program, words)).stdout.trim();
  };
  t.regex(await inside('getent', 'hosts', 'bob.test'), new RegExp(`^${PEER_ADDRESS}\\s`));
  t.false(execFileSync('ip', ['-o', 'link']).includes('node0'), 'the bench has no such link');

  const ask = `const r = await fetch('http://ledger.test/'); console.log(await r.text())`;
  const node = [process.execPath, '--input-type=module', '-e', ask];
  t.is(await inside(...node), 'the ledger');
  await home.setLedgerReach(false);
  await t.throwsAsync(inside(...node));
  await home.setLedgerReach(true);
  t.is(await inside(...node), 'the ledger');

  const way = await home.way(LEDGER_ADDRESS, 80);
  const socket = way();
  socket.write('GET / HTTP/1.0\r\n\r\n');
  let answer = '';
  for await (const chunk of socket) answer += chunk;
  t.true(answer.endsWith('the ledger'));

  const [program, ...words] = home.enter(['sleep', '1000']);
  const sleeper = spawn(program, words);
  const pid = sleeper.pid as number;
  await home.stop();
  t.true(existsSync(`/proc/${pid}`), 'commands inside are their starter’s to end');
  sleeper.kill('SIGKILL');
  await once(sleeper, 'exit');
  ledger.close();
});
