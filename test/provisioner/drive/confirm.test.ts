import { PassThrough } from 'node:stream';

import test from 'ava';

import { confirmErasure, confirmWipe } from '../../../provisioner/drive/confirm.ts';
import type { FlashPlan } from '../../../provisioner/drive/job.ts';
import { KitError } from '../../../provisioner/errors.ts';

const plans: FlashPlan[] = [
  {
    ...{ kit: 'alice', drive: '/dev/sdb', kind: 'block', sizeBytes: 32e9 },
    ...{ model: 'Ultra Fit', serial: '4C53', contents: '1 partition: vfat "HOLIDAY"' },
  },
];

/** Asks somebody who says this; undefined: hangs up. */
function ask(answer: string | undefined) {
  const input = new PassThrough();
  const output = new PassThrough();
  let heard = '';
  output.on('data', (words: Buffer) => (heard += words));
  input.end(answer === undefined ? '' : `${answer}\n`);
  const asking = { yes: false, interactive: true, input, output };
  return { done: confirmErasure(plans, asking), heard: () => heard };
}

test('a person sees what will be lost, and only yes is yes', async (t) => {
  const { done, heard } = ask('yes');
  await done;
  for (const word of ['alice', '/dev/sdb', 'Ultra Fit', '4C53', '32.0 GB', 'ERASES', 'HOLIDAY']) {
    t.true(heard().includes(word), word);
  }
  for (const answer of ['y', 'no', '', 'yes please']) {
    const error = await t.throwsAsync(ask(answer).done, { instanceOf: KitError });
    t.is(error.code, 'not-confirmed', answer);
  }
});

test('hanging up is no', async (t) => {
  const error = await t.throwsAsync(ask(undefined).done, { instanceOf: KitError });
  t.is(error.code, 'not-confirmed');
});

test('nobody there: refused, unless told before', async (t) => {
  const streams = { input: new PassThrough(), output: new PassThrough() };
  await confirmErasure(plans, { yes: true, interactive: false, ...streams });
  const refused = confirmErasure(plans, { yes: false, interactive: false, ...streams });
  const error = await t.throwsAsync(refused, { instanceOf: KitError });
  t.is(error.code, 'confirmation-needed');
  t.is(error.exitCode, 2);
});

test('a drive that the record does not know is wiped by somebody who was shown it', async (t) => {
  const streams = { input: new PassThrough(), output: new PassThrough() };
  const said = { yes: true, interactive: false, ...streams };
  const plan = { ...plans[0], note: 'NOT KNOWN as alice’s' };
  await t.throwsAsync(confirmWipe({ plan, known: false }, said), { code: 'drive-unknown' });
  await t.notThrowsAsync(confirmWipe({ plan, known: true }, said));
  let heard = '';
  streams.output.on('data', (words: Buffer) => (heard += words));
  streams.input.end('yes\n');
  await confirmWipe({ plan, known: false }, { ...said, yes: false, interactive: true });
  t.regex(heard, /NOT KNOWN as alice’s[^]*Wipe all of it\? Type yes/);
});
