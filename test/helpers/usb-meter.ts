// The meter's program as it runs on a board: the real runtime, from what the board's flash holds,
// with its chips, behind the USB bridge. The bridge is deaf and dumb after each start until it is
// told otherwise (jacdac-c, source/jd_usb.c). Writes of the runtime go back to flash.

import { join } from 'node:path';
import { createButton } from '../../provisioner/virtual/button.ts';
import { openFram } from '../../provisioner/virtual/fram.ts';
import { createI2cBus, type I2cChip } from '../../provisioner/virtual/i2c.ts';
import { createI2cService } from '../../provisioner/virtual/i2c-service.ts';
import { createIna226 } from '../../provisioner/virtual/ina226.ts';
import { createJacdacBus, type BusClient } from '../../provisioner/virtual/jacdac-bus.ts';
import type { FrameParts } from '../../provisioner/virtual/jacdac.ts';
import { createLight } from '../../provisioner/virtual/light.ts';
import { createSsd1306 } from '../../provisioner/virtual/ssd1306.ts';
import { startVm } from '../../provisioner/virtual/vm-host.ts';
import { LAYOUT } from '../../provisioner/meter/board.ts';
import { encodeUsb, usbReader } from '../../provisioner/meter/usb-bridge.ts';
import type { FakeBoardOptions } from './fake-board.ts';

const BRIDGE = '4a1af61800000000';
const DEVICE_ID = '00c0ffee00c0ffee';

/** @param onTrouble hears panics and failures @param memory whether an FRAM is wired to it */
export function usbMeter(
  dir: string,
  onTrouble: (words: string) => void,
  memory = true,
): NonNullable<FakeBoardOptions['program']> {
  return (flash, send) => {
    const fram = openFram(join(dir, 'fram.bin'));
    const sensor = createIna226({
      ...{ sense: () => ({ shuntNanoV: 5_000_000, busMicroV: 12_000_000 }), stepMs: 0n },
      onTruth: () => {},
    });
    const chips = new Map<number, I2cChip>([[0x3c, createSsd1306()], [0x40, sensor]]);
    if (memory) chips.set(0x50, fram);
    const i2c = createI2cBus(chips);
    let [forwarding, logging, resetting, stopped] = [false, false, false, false];
    const fromBench: FrameParts[] = [];
    const usb: BusClient = {
      hear: (frame) => void (forwarding && send(encodeUsb(frame))),
      take: () => fromBench.splice(0),
    };
    const services = [createI2cService(i2c), createButton(), createLight(() => {})];
    const bus = createJacdacBus('0011223344556677', services, [usb]);
    const { address, sizeBytes } = LAYOUT.fstor;
    const startMs = 1_767_225_600_000;
    const start = () =>
      startVm(
        {
          ...{ deviceId: DEVICE_ID, clock: { startMs, realStartMs: Date.now(), rate: 1 }, nowMs: startMs },
          flash: flash.subarray(address, address + sizeBytes),
          flashBytes: sizeBytes,
        },
        {
          exchange: (frames, atMs) => bus.exchange(frames, atMs),
          console(line) {
            // Its last words (runtime, jd_impl_em.c): the machine ends itself, a chip starts anew.
            if (/target reset/.test(line)) resetting = true;
            if (logging) send(Buffer.from(`${line}\r\n`));
          },
          flash: (image) => void flash.fill(0xff, address, address + sizeBytes).set(image, address),
          panic: (code) => void (code !== 0 && onTrouble(`panic ${code}`)),
          tap: () => {},
          failed: (error) =>
            resetting ? void restart() : onTrouble(`${error.message}: ${error.got}`),
        },
      );
    const boot = () => {
      [forwarding, logging, resetting] = [false, false, false];
      const vm = start();
      i2c.powerOn(startMs);
      bus.powerOn(startMs);
      return vm;
    };
    let vm = boot();
    const restart = async (): Promise<void> => {
      await vm.cutPower();
      i2c.powerOff(startMs);
      if (!stopped) vm = boot();
    };
    const read = usbReader({
      line: () => {},
      frame(frame) {
        if (frame.isMulticast && frame.deviceId === BRIDGE) {
          const { command } = frame.packets[0]!;
          if (command === 0x81) forwarding = true;
          if (command === 0x83) logging = true;
          return;
        }
        fromBench.push(frame);
        vm.poke();
      },
    });
    return {
      hear: read,
      async stop() {
        stopped = true;
        await vm.cutPower();
        fram.close();
      },
    };
  };
}
