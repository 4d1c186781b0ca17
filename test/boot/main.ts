// The boot test: takes built images (and builds those that are missing), and proves of each that a
// kit made of it comes to life in QEMU, keeps no secret on its boot partition, and survives its plug
// being pulled, in its first boot too. Needs QEMU and minutes, so it is no part of `npm test`:
//
//   npm run test:boot -- NAME… [--arch amd64|arm64] [--firmware bios|uefi|secure-boot] [--image FILE]
//
// Prints a line a step, and `N passed, N failed` at the end. Nothing outside its own folder changes.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { describeError } from '../../provisioner/errors.ts';
import { firmwares, type Firmware } from '../../provisioner/virtual/board.ts';
import { bootSteps } from './steps.ts';
import { findImage, type Subject } from './subject.ts';

const options = {
  arch: { type: 'string', default: 'amd64' },
  firmware: { type: 'string' },
  image: { type: 'string' },
  images: { type: 'string', default: 'built' },
  states: { type: 'string', default: '6' },
  'idle-minutes': { type: 'string', default: '0' },
  dir: { type: 'string' },
} as const;

const { values, positionals: names } = parseArgs({ options, allowPositionals: true });
const firmware: string = values.firmware ?? (values.arch === 'amd64' ? 'bios' : 'uefi');
if (names.length === 0 || !isArch(values.arch) || !isFirmware(firmware)) {
  console.error(
    'error[usage]: npm run test:boot -- NAME… [--arch amd64|arm64] ' +
      `[--firmware ${firmwares.join('|')}] [--image FILE] [--images DIR] [--states N] [--dir DIR]`,
  );
  process.exit(2);
}
const stop = new AbortController();
process.once('SIGINT', () => stop.abort()).once('SIGTERM', () => stop.abort());
const counts = { passed: 0, failed: 0 };
for (const name of names) await testImage(name, { arch: values.arch, firmware });
console.log(`${counts.passed} passed, ${counts.failed} failed`);
process.exit(counts.failed === 0 && counts.passed > 0 ? 0 : 1);

/** A step that fails ends the image's test: what follows would only fail for the same reason. */
async function testImage(
  name: string,
  { arch, firmware }: Pick<Subject, 'arch' | 'firmware'>,
): Promise<void> {
  const { images, image: file } = values;
  const dir = await mkdtemp(join(values.dir ?? tmpdir(), `kit-boot-${name}-`));
  const subject: Subject = {
    ...{ name, arch, firmware, dir, signal: stop.signal },
    image: () => findImage({ name, arch, images, file, signal: stop.signal }),
    ...{ states: Number(values.states), idleMinutes: Number(values['idle-minutes']) },
  };
  const { steps, end } = bootSteps(subject);
  try {
    for (const [index, { about, run }] of steps.entries()) {
      const startMs = performance.now();
      const seconds = (): string => `${((performance.now() - startMs) / 1000).toFixed(0)} s`;
      try {
        const detail = await run();
        counts.passed += 1;
        console.log(`ok      ${name}: ${about} (${detail === '' ? '' : `${detail}; `}${seconds()})`);
      } catch (error) {
        counts.failed += 1;
        console.log(`not ok  ${name}: ${about} (${seconds()})`);
        console.log(`  ${describeError(error).replaceAll('\n', '\n  ')}`);
        const rest = steps.slice(index + 1).map((step) => step.about);
        if (rest.length > 0) console.log(`  not tried: ${rest.join('; ')}`);
        return;
      }
    }
  } finally {
    await end();
    await rm(dir, { recursive: true });
  }
}

function isArch(text: string): text is Subject['arch'] {
  return text === 'amd64' || text === 'arm64';
}

function isFirmware(text: string): text is Firmware {
  return (firmwares as readonly string[]).includes(text);
}
