import test from 'ava';

import { FactError } from '../../../../provisioner/node/fact.ts';
import { unitAmiss, unitStates } from '../../../../provisioner/node/operation/units.ts';

const text = `enabled nginx.service
enabled snac2.service
Id=nginx.service
ActiveState=active
Job=

Id=snac2.service
ActiveState=failed
Job=

Id=nftables.service
ActiveState=active
Job=214`;

test('tells what keeps a unit from running, now or after a reboot', (t) => {
  const states = unitStates([]).parse(text, 0);
  t.is(unitAmiss('nginx.service', states), undefined);
  t.is(unitAmiss('snac2.service', states), 'snac2.service is failed');
  t.is(unitAmiss('nftables.service', states), 'nftables.service is not started at boot');
  t.is(unitAmiss('other.service', states), 'other.service is unknown');
});

test('a systemd that does not answer is no fact', (t) => {
  t.throws(() => unitStates([]).parse('', 1), { instanceOf: FactError });
});
