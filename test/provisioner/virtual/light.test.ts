import test from 'ava';
import { GET_REGISTER, SET_REGISTER } from '../../../provisioner/virtual/jacdac.ts';
import { createLight } from '../../../provisioner/virtual/light.ts';

const BRIGHTNESS = 0x001;
const DIMMABLE = 0x180;

test('the light is lit by any brightness, dark by none and without power, and tells each once', (t) => {
  const changes: [boolean, number][] = [];
  const light = createLight((lit, atMs) => void changes.push([lit, atMs]));
  const set = (brightness: number, atMs: number): void => {
    const data = Uint8Array.of(brightness & 0xff, brightness >> 8);
    t.deepEqual(light.handle(SET_REGISTER | BRIGHTNESS, data, atMs), []);
  };
  set(0, 1);
  set(0xffff, 2);
  set(0x0100, 3);
  const get = GET_REGISTER | BRIGHTNESS;
  t.deepEqual(light.handle(get, new Uint8Array(), 4), [{ command: get, data: Uint8Array.of(0, 1) }]);
  set(0, 5);
  set(1, 6);
  light.powerOff(7);
  light.powerOff(8);
  t.deepEqual(changes, [[true, 2], [false, 5], [true, 6], [false, 7]]);
});

test('it says that it is switched, not dimmed; what it does not know it leaves alone', (t) => {
  const light = createLight(() => t.fail());
  const command = GET_REGISTER | DIMMABLE;
  t.deepEqual(light.handle(command, new Uint8Array(), 0), [{ command, data: Uint8Array.of(0) }]);
  t.deepEqual(light.handle(SET_REGISTER | BRIGHTNESS, Uint8Array.of(1), 0), []);
  t.deepEqual(light.handle(0x80, Uint8Array.of(1, 1), 0), []);
  t.is(light.dueMs(), Infinity);
});
