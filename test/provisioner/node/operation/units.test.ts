import test from 'ava';

import { FactError } from '../../../../provisioner/node/fact.ts';
import { unitAmiss, unitStates } from '../../../../provisioner/node/operation/units.ts';

const text = `Id=nginx.service
ActiveState=active
UnitFileState=enabled

Id=snac2.service
ActiveState=failed
UnitFileState=enabled

Id=nobody.service
ActiveState=inactive
UnitFileState=`;

test('tells what keeps a unit from running', (t) => {
  const states = unitStates([]).parse(text, 0);
  t.is(unitAmiss('nginx.service', states), undefined);
  t.is(unitAmiss('snac2.service', states), 'snac2.service is failed');
  t.is(unitAmiss('nobody.service', states), 'nobody.service is not there');
  t.is(unitAmiss('other.service', states), 'other.service is not there');
});

test('a systemd that does not answer is no fact', (t) => {
  t.throws(() => unitStates([]).parse('', 1), { instanceOf: FactError });
});
