// INA226 driver against a chip of registers, and its arithmetic against exact fractions.
import test from 'ava';
import fc from 'fast-check';
import { Ina226, toReading } from '../../firmware/ina226.ts';

const nominal = { id: 0, nanoAmpPerStep: 250_000, offsetNanoAmp: 0, nanoVoltPerStep: 1_250_000 };

/** Registers, a pointer, and big-endian words. */
class FakeChip {
  registers = new Map([[0x00, 0x4127], [0x01, 0], [0x02, 0], [0x06, 0], [0xfe, 0x5449]]);
  async transfer(address: number, bytes: Buffer, count: number): Promise<Buffer> {
    if (address !== 0x40) throw new Error('no answer');
    if (bytes.length === 3) this.registers.set(bytes[0], bytes.readUInt16BE(1));
    const word = Buffer.alloc(2);
    word.writeUInt16BE(this.registers.get(bytes[0]) ?? 0);
    return word.subarray(0, count);
  }
}

test('sets the chip up, waits for a window, reads, and sets up again after a reset', async (t) => {
  const chip = new FakeChip();
  const driver = new Ina226(chip, nominal);
  t.is(await driver.read(), null);
  t.is(chip.registers.get(0), 0x4e9f);
  t.is(await driver.read(), null, 'no window has finished');
  chip.registers.set(0x06, 8).set(0x01, 4000).set(0x02, 9600);
  t.deepEqual(await driver.read(), { microW: 12_000_000, overRange: false });
  chip.registers.set(0x00, 0x4127);
  t.is(await driver.read(), null);
  chip.registers.set(0x00, 0x4127).set(0xfe, 0x1234);
  await t.throwsAsync(driver.read(), { message: /another chip/ });
});

test('power is within 1 µW and half a step of µA and µV of the exact product', (t) => {
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 32766 }),
      fc.integer({ min: 0, max: 28799 }),
      fc.integer({ min: 200_000, max: 300_000 }),
      (shunt, bus, nanoAmpPerStep) => {
        const { microW } = toReading(shunt, bus, { ...nominal, nanoAmpPerStep });
        const exact = (shunt * nanoAmpPerStep * 1e-9) * (bus * 1.25e-3) * 1e6;
        t.true(Math.abs(microW - exact) <= 1 + bus * 1.25e-3 * 0.5, `${microW} ${exact}`);
      },
    ),
  );
});

test('a negative current counts as none; clipped readings say so', (t) => {
  t.is(toReading(-50, 9600, nominal).microW, 0);
  t.true(toReading(32767, 9600, nominal).overRange);
  t.true(toReading(-32768, 9600, nominal).overRange);
  t.true(toReading(100, 28800, nominal).overRange);
  t.is(toReading(0, 9600, { ...nominal, offsetNanoAmp: 1_000_000 }).microW, 12_000);
});
