// A board is flashed, starts what its flash holds, and is paired, all over one pseudo-terminal.

import test from 'ava';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { decode } from 'cborg';
import { verifyEnrolment } from '../../../ledger/verify/enrolment.ts';
import { findKit } from '../../../provisioner/campaign/campaign.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { flashMeters } from '../../../provisioner/meter/flash.ts';
import { pairMeter } from '../../../provisioner/meter/pair.ts';
import { ROM_BAUD } from '../../../provisioner/meter/rom-loader.ts';
import { openSerialLine } from '../../../provisioner/meter/serial-line.ts';
import { openUsbPort } from '../../../provisioner/meter/usb-port.ts';
import { makeBench } from '../../helpers/bench.ts';
import { startFakeBoard } from '../../helpers/fake-board.ts';
import { serveRuntime, standInRuntime } from '../../helpers/stand-in-runtime.ts';
import { usbMeter } from '../../helpers/usb-meter.ts';

const ORIGIN = 'ledger.test/commons';

test('from an empty board to an enrolled meter', async (t) => {
  const bench = await makeBench();
  t.teardown(() => bench.remove());
  const trouble: string[] = [];
  const server = await serveRuntime(bench.dir, standInRuntime());
  t.teardown(() => server.stop());
  const board = await startFakeBoard({ program: usbMeter(bench.dir, (words) => trouble.push(words)) });
  t.teardown(() => board.stop());
  const firmware = await buildFirmware();
  const alice = findKit(bench.campaign, 'alice');
  await flashMeters(
    [{ kit: alice, port: board.path }],
    { board: 'xiao-esp32c3', baud: ROM_BAUD, stub: true, reset: true },
    {
      ...{ fetch, cacheDir: bench.dir, pinsPath: server.pinsPath, record: bench.record, firmware },
      ...{ say: () => {}, setModemLines: board.setModemLines },
    },
  );

  const line = await openSerialLine(board.path, ROM_BAUD, board);
  t.teardown(() => line.close());
  const port = await openUsbPort(line, 30_000);
  t.teardown(port.close);
  const recipient = await identityToRecipient(await generateX25519Identity());
  const ledger = (async (_url: string, init?: { body?: Uint8Array }) => {
    if (init?.body === undefined) return Response.json({ origin: ORIGIN, age_recipient: recipient });
    const [enrolment] = decode(init.body) as [Uint8Array];
    const { meterId } = verifyEnrolment(enrolment, ORIGIN);
    return Response.json({ meter: Buffer.from(meterId).toString('hex'), index: 3 }, { status: 201 });
  }) as unknown as typeof fetch;
  const paired = await pairMeter(bench, alice, {
    port,
    options: {
      ...{ firmwareHash: firmware.hash, keyHeight: 5, limitMs: 60_000 },
      wifi: [
        { ssid: 'Riverside', passphrase: 'under the bridge' },
        { ssid: 'Hill', passphrase: 'over the valley' },
      ],
    },
    deps: { fetch: ledger, random: (sizeBytes) => new Uint8Array(sizeBytes).fill(9), say: () => {} },
  });
  t.like(paired, { entry: 3, assurance: 'bench-usb' });
  t.is(paired.firmwareHash, Buffer.from(firmware.hash).toString('hex'));
  t.is(bench.record.lastDone('alice', 'pair')!.detail['meter'], paired.meter);
  const store = board.flash.subarray(0x1c0000, 0x200000);
  t.true(store.includes('wifi_ssid') && store.includes('Riverside'));
  t.true(store.includes('Hill\0over the valley'));
  t.deepEqual(trouble, []);
});

test('a port without a meter is said so', async (t) => {
  const board = await startFakeBoard({ mute: true });
  t.teardown(() => board.stop());
  const line = await openSerialLine(board.path, ROM_BAUD, board);
  t.teardown(() => line.close());
  t.like(await t.throwsAsync(openUsbPort(line, 300)), { code: 'meter-no-runtime' });
});
