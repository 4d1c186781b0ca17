import test from 'ava';
import { archs, boards, gaugesSquareMm, nets, parts, steps, SUPPLIES } from '../../../hardware/draw/data.ts';
import { isMadeIn, terminalLabel, wiringFor, type BoardName } from '../../../hardware/draw/data.ts';
import { boardDefinition, compileBoard, findBoard } from '../../../provisioner/meter/board.ts';

test('pins are the chip’s to use, do not decide how it boots, and serve one thing each', (t) => {
  for (const [name, { arch, pins }] of Object.entries(boards)) {
    const { usable, strapping } = archs[arch as keyof typeof archs];
    const gpios = Object.values(pins).map(({ gpio }) => gpio);
    for (const gpio of gpios) {
      t.true(usable.includes(gpio), `${name}: ${gpio}`);
      t.false(strapping.includes(gpio), `${name}: ${gpio}`);
    }
    t.is(new Set(gpios).size, gpios.length, name);
  }
});

test('the runtime and the wiring take their pins from the same table', async (t) => {
  for (const [name, { pins }] of Object.entries(boards)) {
    const board = await findBoard(name);
    const definition = boardDefinition(board);
    t.like(definition, {
      i2c: { pinSDA: pins.sda.gpio, pinSCL: pins.scl.gpio },
      services: [
        { service: 'button', name: 'button', pin: pins.button.gpio },
        { service: 'lightBulb', name: 'light', pin: pins.led.gpio },
      ],
    });
    t.false('led' in definition, 'the runtime would blink with the meter’s light');
    t.is(terminalLabel(name as BoardName, 'board', 'sda'), pins.sda.label);
    t.is(Buffer.from(await compileBoard(board)).toString('latin1', 0, 4), 'DCFG');
  }
});

for (const supply of SUPPLIES) {
  test(`${supply}: every terminal is wired, each to one net, and each end exists`, (t) => {
    const { modules, wires } = wiringFor(supply);
    const netOf = new Map<string, string>();
    for (const { from, to, net } of wires) {
      t.truthy(nets[net], net);
      for (const end of [from, to]) {
        t.is(netOf.get(end) ?? net, net, `${end} is on two nets`);
        netOf.set(end, net);
      }
    }
    const terminals = modules.flatMap(({ id, left, right }) =>
      [...left, ...right].map((terminal) => `${id}.${terminal}`),
    );
    const spare = supply === 'usb-c' ? ['ground.d'] : [];
    t.deepEqual([...netOf.keys(), ...spare].sort(), terminals.sort());
  });

  test(`${supply}: all that the node draws goes through fuse and shunt in thick wire`, (t) => {
    const { wires } = wiringFor(supply);
    const next = (terminal: string): string[] =>
      wires.filter(({ from, gauge }) => from === terminal && gauge === 'power').map(({ to }) => to);
    const through: Record<string, string[]> = {
      'fuse.in': ['fuse.out'],
      'spliceIn.a': ['spliceIn.b'],
      'sensor.IN+': ['sensor.IN−'],
      'spliceOut.a': ['spliceOut.c'],
    };
    const path = ['supply.+'];
    for (let at = path; at.length > 0; at = at.flatMap((end) => through[end] ?? next(end))) {
      path.push(...at);
    }
    t.true(path.includes('fuse.out') && path.includes('sensor.IN−') && path.includes('node.+'));
    t.true(gaugesSquareMm.power >= 1.5);
    t.is(wires.filter(({ uncut }) => uncut).map(({ net }) => net).join(), 'ground');
  });

  test(`${supply}: the meter is fed before the shunt, behind a fuse of its own`, (t) => {
    const { wires } = wiringFor(supply);
    const feed = wires.find(({ to }) => to === 'polyfuse.in')!;
    t.is(feed.from, 'spliceIn.c');
    const nodeSide = wires.filter(({ net }) => net === 'node+').flatMap(({ from, to }) => [from, to]);
    t.false(nodeSide.some((end) => /^(board|converter|polyfuse|diode)\./.test(end)));
  });

  test(`${supply}: every wire is made in a step, every module is in the bill`, (t) => {
    const { modules, wires } = wiringFor(supply);
    for (const wire of wires) {
      t.is(steps.filter((step) => isMadeIn(step, wire)).length, 1, `${wire.from} ${wire.to}`);
    }
    const bought = parts.filter((part) => part.for.includes(supply)).map(({ id }) => id);
    const asPart: Record<string, string> = { spliceIn: 'splice', spliceOut: 'splice' };
    for (const { id } of modules.filter(({ id }) => id !== 'supply' && id !== 'node')) {
      t.true(bought.includes(asPart[id] ?? id), id);
    }
  });
}
