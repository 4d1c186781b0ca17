// A node stopped dead and awaited, played by connections that tell boot ids.

import test from 'ava';

import { checkRestart, type Open } from '../../../provisioner/check/restart.ts';
import { KitError } from '../../../provisioner/errors.ts';
import type { NodeConnection } from '../../../provisioner/node/connection.ts';

const lost = new KitError({ code: 'connection-lost', message: 'It is gone' });

/** Each connection says the next of `says`, or throws it. */
function nodeSaying(says: (string | Error)[]): { open: Open; scripts: string[]; left(): number } {
  const scripts: string[] = [];
  let opened = 0;
  const open: Open = async () => {
    opened++;
    return {
      async run(script) {
        scripts.push(script);
        const next = says.shift() ?? new Error('asked once too often');
        if (typeof next !== 'string') throw next;
        return { stdout: `${next}\n`, stderr: '', exitCode: 0 };
      },
      send: async () => undefined, roundTrips: 1,
      close: () => void opened--,
    } satisfies NodeConnection;
  };
  return { open, scripts, left: () => opened };
}

test('a node that comes up again under another boot id is well', async (t) => {
  const node = nodeSaying(['before', 'before', lost, 'after']);
  const found = await checkRestart(node.open);
  t.is(found.state, 'ok');
  t.regex(found.measured, /^stopped dead, and back within \d+ s$/);
  t.regex(node.scripts[0], /sysrq-trigger/);
  t.false(node.scripts.slice(1).some((script) => script.includes('sysrq')));
  t.is(node.left(), 0);
});

test('a node that stays away fails with the reason', async (t) => {
  const unreachable = new KitError({ code: 'node-unreachable', message: 'Nobody answers' });
  const node = nodeSaying(['before', unreachable]);
  const found = await checkRestart(node.open);
  t.is(found.state, 'failed');
  t.regex(found.measured, /Nobody answers/);
  t.regex(found.advice, /screen or console/);
  t.is(node.left(), 0);
});
