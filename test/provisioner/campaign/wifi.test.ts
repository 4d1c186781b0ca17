import { PassThrough, Readable } from 'node:stream';

import test from 'ava';

import { findKit } from '../../../provisioner/campaign/campaign.ts';
import {
  readPassphrase, wifiOf, wifiPassphrase, withNetwork, withoutNetwork,
} from '../../../provisioner/campaign/wifi.ts';
import { identityFiles } from '../../../provisioner/drive/identity-files.ts';
import { secretTraces } from '../../../provisioner/drive/kit-secrets.ts';
import { KitError } from '../../../provisioner/errors.ts';
import { campaignText, makeBench } from '../../helpers/bench.ts';

/** A terminal: what is typed, and all that is shown. */
function terminal(typed: string[]) {
  const input = Object.assign(new PassThrough(), {
    isTTY: true,
    raw: [] as boolean[],
    setRawMode: (raw: boolean) => input.raw.push(raw),
  });
  /** At each question, whether what is typed then is echoed. */
  const echoing: boolean[] = [];
  const output = new PassThrough();
  let shown = '';
  output.on('data', (chunk) => {
    shown += chunk;
    if (String(chunk).endsWith(': ')) echoing.push(input.raw.at(-1) !== true);
  });
  // A line comes when it is asked for, as from fingers.
  let asked = 0;
  output.on('data', () => asked < typed.length && input.write(typed[asked++]));
  return { keyboard: { input, output }, raw: input.raw, echoing, shown: () => shown };
}

const piped = (text: string) => ({
  input: Readable.from(text === '' ? [] : [text]),
  output: new PassThrough(),
});

test('a passphrase is asked for twice, and never shown', async (t) => {
  const { keyboard, shown, raw, echoing } = terminal(['open sesamX\x7fe\r', 'open sesame\r']);
  t.is(await readPassphrase('Home', keyboard), 'open sesame');
  t.is(shown(), 'Passphrase of “Home”: \nOnce more: \n');
  t.deepEqual(raw, [true, false, true, false]);
  t.deepEqual(echoing, [false, false], 'who types before the question has ended is not shown either');
});

test('it is one line of standard input where there is no terminal', async (t) => {
  t.is(await readPassphrase('Home', piped(' open sesame\n')), ' open sesame');
  t.is(await readPassphrase('Home', piped('x'.repeat(63))), 'x'.repeat(63));
});

for (const [about, text] of [
  ['too short', 'seven77\n'],
  ['too long', 'x'.repeat(64)],
  ['not ASCII', 'pässword'],
  ['two lines', 'one line\ntwo lines\n'],
  ['nothing', ''],
]) {
  test(`${about}: refused, and not repeated in the error`, async (t) => {
    const error = await t.throwsAsync(readPassphrase('Home', piped(text)), { instanceOf: KitError });
    t.is(error.code, 'passphrase-invalid');
    t.false(text !== '' && JSON.stringify(error).includes(text.trim()));
  });
}

test('two that differ, and a Ctrl-C, keep nothing and give the terminal back', async (t) => {
  const slip = terminal(['open sesame\r', 'open sesam\r']);
  await t.throwsAsync(readPassphrase('Home', slip.keyboard), { code: 'passphrases-differ' });
  const gone = terminal(['open\x03']);
  await t.throwsAsync(readPassphrase('Home', gone.keyboard), { code: 'answers-ended' });
  t.deepEqual(gone.raw, [true, false]);
});

const wifiText = campaignText.replace(
  'owner = "alice"',
  'owner = "alice"\nnetwork = { wifi = { ssid = "Home", country = "AT" } }',
);

test('a kit with Wi-Fi is not flashed before its passphrase is there', async (t) => {
  const bench = await makeBench(wifiText);
  try {
    const alice = findKit(bench.campaign, 'alice');
    const files = async () => {
      const kit = await bench.secrets.kit(alice);
      return identityFiles(bench.campaign, alice, { kit, campaign: await bench.secrets.campaign() });
    };
    await t.throwsAsync(files(), { instanceOf: KitError, code: 'wifi-passphrase-missing' });
    const first = await bench.secrets.kit(alice);
    await bench.secrets.keepWifi(alice, { ssid: 'Home', passphrase: 'open sesame' });
    t.is((await files()).get('wifi'), 'country=AT\nssid=Home\npassphrase=open sesame\n');
    const kept = await bench.secrets.kit(alice);
    t.deepEqual({ ...kept, wifi: undefined }, { ...first, wifi: undefined });

    const moved = { ...alice, network: { wifi: { ssid: 'New', country: 'AT' } } };
    const error = t.throws(() => wifiPassphrase(moved, kept), { instanceOf: KitError });
    t.is(error.code, 'wifi-passphrase-missing');
    t.regex(error.got ?? '', /“Home”/);
  } finally {
    bench.remove();
  }
});

test('its passphrase is among what must not be found later, as it was written', async (t) => {
  const bench = await makeBench(wifiText);
  try {
    const alice = findKit(bench.campaign, 'alice');
    t.is(secretTraces(await bench.secrets.kit(alice)).length, 1);
    await bench.secrets.keepWifi(alice, { ssid: 'Home', passphrase: 'open sesame' });
    const kit = await bench.secrets.kit(alice);
    const files = identityFiles(bench.campaign, alice, {
      ...{ kit, campaign: await bench.secrets.campaign() },
    });
    const all = [...files.values()].join('\n').split('\n');
    const traces = secretTraces(kit);
    t.deepEqual(traces.map(({ name }) => name), ['host key', 'Wi-Fi passphrase']);
    for (const line of traces.flatMap(({ lines }) => lines)) t.true(all.includes(line));
    for (const line of traces[0].lines) t.true(kit.sshHostKey.privatePem.includes(line));
  } finally {
    bench.remove();
  }
});

test('other networks are kept beside the home’s own: added, changed, forgotten, three at most', async (t) => {
  const bench = await makeBench(wifiText);
  try {
    const alice = findKit(bench.campaign, 'alice');
    const kept = async () => (await bench.secrets.kit(alice)).moreWifi;
    t.is(await kept(), undefined);
    let others = withNetwork('Home', [], { ssid: 'Guest', passphrase: 'one for all' });
    others = withNetwork('Home', others, { ssid: 'Barn', passphrase: 'hay and straw' });
    others = withNetwork('Home', others, { ssid: 'Guest', passphrase: 'all for one' });
    await bench.secrets.keepMoreWifi(alice, others);
    t.deepEqual(await kept(), [
      { ssid: 'Barn', passphrase: 'hay and straw' }, { ssid: 'Guest', passphrase: 'all for one' },
    ]);
    const three = withNetwork('Home', others, { ssid: 'Mill', passphrase: 'water wheel' });
    const fourth = { ssid: 'Pond', passphrase: 'frogs at night' };
    t.throws(() => withNetwork('Home', three, fourth), { code: 'wifi-too-many' });
    t.throws(() => withNetwork('Home', [], { ssid: 'Home', passphrase: 'open sesame' }), {
      code: 'wifi-named-twice',
    });
    t.deepEqual(withoutNetwork(three, 'Barn').map(({ ssid }) => ssid), ['Guest', 'Mill']);
    t.throws(() => withoutNetwork(three, 'Pond'), { code: 'wifi-unknown' });
  } finally {
    bench.remove();
  }
});

test('a kit on a cable has no passphrase to give', async (t) => {
  const bench = await makeBench();
  try {
    const bob = findKit(bench.campaign, 'bob');
    t.throws(() => wifiOf(bob, bench.campaign), { instanceOf: KitError, code: 'no-wifi' });
    t.is(wifiPassphrase(bob, {}), undefined);
  } finally {
    bench.remove();
  }
});
