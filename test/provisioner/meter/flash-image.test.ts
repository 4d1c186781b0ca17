import test from 'ava';
import { LAYOUT } from '../../../provisioner/meter/board.ts';
import { buildFirmware } from '../../../provisioner/meter/build.ts';
import { composeFlash, makeStore } from '../../../provisioner/meter/flash-image.ts';
import { loadVm } from '../../../provisioner/virtual/vm-module.ts';
import { standInRuntime } from '../../helpers/stand-in-runtime.ts';

test('the store is the same bytes each time, and the runtime runs the program from it', async (t) => {
  const { bytecode } = await buildFirmware();
  const store = await makeStore(bytecode);
  t.deepEqual(await makeStore(bytecode), store);
  const lines: string[] = [];
  let nowMs = 0;
  const vm = await loadVm(() => nowMs);
  vm.flashSize = LAYOUT.fstor.sizeBytes;
  vm.flashLoad = () => store;
  vm.flashSave = vm.sendPacket = vm.error = vm.panicHandler = () => {};
  vm.dmesg = (line) => lines.push(line);
  vm.devsSetDeviceId('00000000000000aa');
  for (; nowMs < 3000; nowMs++) vm._jd_em_process();
  t.true(lines.some((line) => line.includes(`${bytecode.length}`) || /start/i.test(line)), lines.join('\n'));
  t.false(lines.some((line) => /formatting/.test(line)), lines.join('\n'));
});

test('an image that is no runtime, or has other partitions, is refused', async (t) => {
  const { bytecode } = await buildFirmware();
  const board = new Uint8Array(16);
  const refuse = async (bend: (image: Uint8Array) => Uint8Array | void): Promise<void> => {
    const image = standInRuntime();
    const runtime = bend(image) ?? image;
    const error = await t.throwsAsync(composeFlash({ runtime, board, bytecode }));
    t.like(error, { code: 'runtime-unusable' });
  };
  await refuse((image) => void (image[0] = 0));
  await refuse((image) => void (image[0x8000 + 4 * 32 + 6] = 0x1d));
  await refuse((image) => image.subarray(0, 0x7000));
  await refuse((image) => new Uint8Array(Buffer.concat([image, new Uint8Array(0x1c0000)])));
  const large = composeFlash({ runtime: standInRuntime(), board: new Uint8Array(0x2001), bytecode });
  t.like(await t.throwsAsync(large), { code: 'runtime-unusable' });
});
