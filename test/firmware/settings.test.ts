// The bench's settings: each key by its bytes, and an error that names the one that is wrong.
import test from 'ava';
import { readPairing } from '../../firmware/settings.ts';

const paired: Record<string, Buffer> = {
  ledger: Buffer.from('http://ledger.test'), origin: Buffer.from('ledger.test/commons'),
  node: Buffer.from('alice.test'), pairkey: Buffer.alloc(32, 1), entropy: Buffer.alloc(32, 2),
  nonce: Buffer.alloc(32, 3),
};
const read = (settings: Record<string, Buffer>) => readPairing(async (key) => settings[key] ?? null);

test('unpaired, paired with defaults, paired in full', async (t) => {
  t.is(await read({}), null);
  t.like(await read(paired), {
    ledger: 'http://ledger.test', origin: 'ledger.test/commons', node: 'alice.test',
    intervalS: 900, batchS: 3600, probeS: 30, height: 5, firmwareHash: Buffer.alloc(32),
    calibration: { id: 0, nanoAmpPerStep: 250_000, offsetNanoAmp: 0, nanoVoltPerStep: 1_250_000 },
  });
  const times = Buffer.alloc(12);
  [60, 300, 10].forEach((seconds, i) => times.writeUInt32LE(seconds, 4 * i));
  const calib = Buffer.alloc(16);
  calib.writeUInt32LE(7, 0);
  calib.writeUInt32LE(249_731, 4);
  calib.writeInt32LE(-1200, 8);
  calib.writeUInt32LE(1_250_100, 12);
  t.like(await read({ ...paired, times, calib, height: Buffer.of(10), patience: Buffer.of(50) }), {
    patienceS: 50,
    intervalS: 60, batchS: 300, probeS: 10, height: 10,
    calibration: { id: 7, nanoAmpPerStep: 249_731, offsetNanoAmp: -1200, nanoVoltPerStep: 1_250_100 },
  });
});

test('Wi-Fi networks: as many as the list has, to its end', async (t) => {
  const list = (...values: string[]) =>
    Object.fromEntries(values.map((value, i) => [`net${i + 1}`, Buffer.from(value)]));
  const networks = async (settings: Record<string, Buffer>) =>
    (await read({ ...paired, ...settings }))?.networks;
  const [home, guest] = [{ ssid: 'Café', passphrase: 'open sesame' }, { ssid: 'G', passphrase: '' }];
  t.deepEqual(await networks({}), []);
  t.deepEqual(await networks(list('Café\0open sesame', 'G\0')), [home, guest]);
  // One that was there before a shorter list was written.
  t.deepEqual(await networks(list('Café\0open sesame', '\0', 'Old\0passphrase')), [home]);
  t.is((await networks(list('a\0b', 'c\0d', 'e\0f', 'g\0h', 'i\0j')))?.length, 4);
  await t.throwsAsync(networks(list('no passphrase')), { message: /^setting net1: / });
});

test('wrong settings are named', async (t) => {
  const { node, ...rest } = paired;
  t.truthy(node);
  await t.throwsAsync(read(rest), { message: 'setting node: missing' });
  for (const key of ['pairkey', 'entropy', 'nonce'])
    await t.throwsAsync(read({ ...paired, [key]: Buffer.alloc(31) }), {
      message: `setting ${key}: expected 32 bytes, got 31`,
    });
  await t.throwsAsync(read({ ...paired, height: Buffer.of(15) }), { message: /height/ });
  await t.throwsAsync(read({ ...paired, times: Buffer.alloc(12) }), { message: /times/ });
  await t.throwsAsync(read({ ...paired, calib: Buffer.alloc(15) }), { message: /calib/ });
});
