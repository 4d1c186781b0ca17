import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type ExecutionContext } from 'ava';
import { LAYOUT } from '../../../provisioner/meter/board.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { makeStore } from '../../../provisioner/meter/flash-image.ts';
import { ROM_BAUD } from '../../../provisioner/meter/rom-loader.ts';
import { selftest, unfit } from '../../../provisioner/meter/selftest.ts';
import { openSerialLine } from '../../../provisioner/meter/serial-line.ts';
import { openUsbPort } from '../../../provisioner/meter/usb-port.ts';
import { startFakeBoard } from '../../helpers/fake-board.ts';
import { usbMeter } from '../../helpers/usb-meter.ts';

const LIMITS = { bootLimitMs: 30_000, listenMs: 100 };

async function runningMeter(t: ExecutionContext, memory = true) {
  const dir = mkdtempSync(join(tmpdir(), 'kit-selftest-'));
  const { bytecode, hash } = await buildFirmware();
  const flash = Buffer.alloc(0x400000, 0xff);
  flash.set(await makeStore(bytecode), LAYOUT.fstor.address);
  const trouble: string[] = [];
  const program = usbMeter(dir, (words) => trouble.push(words), memory);
  const board = await startFakeBoard({ flash, program });
  const line = await openSerialLine(board.path, ROM_BAUD, board);
  await line.setModemLines({ dtr: false, rts: true });
  await line.setModemLines({ dtr: false, rts: false });
  const port = await openUsbPort(line, 30_000);
  t.teardown(async () => {
    port.close();
    await line.close();
    await board.stop();
    rmSync(dir, { recursive: true });
  });
  return { port, trouble, firmware: Buffer.from(hash).toString('hex') };
}

test.serial('a sound meter: its program, its memory, that it keeps, no faults', async (t) => {
  const { port, trouble, firmware } = await runningMeter(t);
  const findings = await selftest(port, { ...LIMITS, firmware });
  t.deepEqual(findings.map(({ check, ok }) => [check, ok]), [
    ...[['program', true], ['memory', true], ['memory keeps', true], ['no faults', true]],
  ] as never);
  t.deepEqual(trouble, []);
});

test.serial('another program, and no memory: each with its advice', async (t) => {
  const { port, trouble } = await runningMeter(t, false);
  const findings = await selftest(port, { ...LIMITS, bootLimitMs: 2000, firmware: '00'.repeat(32) });
  t.deepEqual(findings.map(({ check, ok }) => [check, ok]), [['program', false], ['memory', false]]);
  const error = unfit('alice', findings);
  t.regex(error.hint!, /kit meter flash.*FRAM at 0x50.*SDA and SCL/);
  t.deepEqual(trouble, []);
});
