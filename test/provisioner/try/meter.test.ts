import test from 'ava';
import { newestOf } from '../../../provisioner/try/meter.ts';

const header =
  'start,end,energy_micro_wh,up_s,down_s,unknown_s,claimed_wan_in_bytes,claimed_wan_out_bytes';

test('the newest record is the last line, by the names in the header', (t) => {
  const csv = `${header}\r\na,b,1,2,3,4,5,6\r\na,b,10,20,30,40,50,60\r\n`;
  t.deepEqual(newestOf(csv), {
    ...{ energyMicroWh: 10, upS: 20, downS: 30, unknownS: 40, wanInBytes: 50, wanOutBytes: 60 },
  });
});

test('no lines, no record', (t) => {
  t.is(newestOf(`${header}\r\n`), undefined);
});
