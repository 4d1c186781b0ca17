// The engine against a YunoHost that lies as the real one does, by Debian's own sshd, with its plug
// pulled: whatever is left, the next run completes it, and the one after has nothing to do.

import test, { type ExecutionContext } from 'ava';

import { configureKits } from '../../../../provisioner/node/configure-kits.ts';
import { createOutput } from '../../../../provisioner/terminal.ts';
import { makeBench } from '../../../helpers/bench.ts';
import { makeYunohostMachine } from '../../../helpers/yunohost-machine.ts';

test('probe', async (t) => {
  const bench = await makeBench(`name = "Riverside"
ledger = "http://ledger.test"
ledger_origin = "ledger.test/commons"
image = "yunohost"
arch = "amd64"
timezone = "Europe/Vienna"
[[kit]]
name = "alice"
domain = "alice.test"
owner = "alice"
address = "10.79.${process.pid % 256}.2"
`);
  const secrets = await bench.secrets.kit(bench.campaign.kits[0]);
  const { benchLogin } = await bench.secrets.campaign();
  const machine = makeYunohostMachine({ hostname: 'alice', hostKeyPem: secrets.sshHostKey.privatePem, benchLine: benchLogin.publicLine });
  t.teardown(() => machine.end());
  await machine.boot();
  for (let i = 0; i < 2; i++) {
    const [result] = await configureKits(bench.campaign.kits, bench, createOutput({}), { patienceMs: 5000 });
    console.log(result.error ?? result.outcome!.plan.steps.map((s) => s.name), result.outcome?.roundTrips, result.outcome?.elapsedMs);
  }
  console.log(machine.read('var/lib/stand-in/race'), machine.read('var/lib/stand-in/points'));
  t.pass();
});
