// Builds DeviceScript programs around the meter's parts, and runs them in the machine with no bus
// and no network: for vectors that must come out alike in the meter and on Node.
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildFirmware } from '../../provisioner/meter/build.ts';
import { loadVm } from '../../provisioner/virtual/vm-module.ts';

const FIRMWARE = fileURLToPath(new URL('../../firmware/', import.meta.url));

/**
 * The bytecode of a program whose files stand beside the firmware's own; `main.ts` is one of them.
 */
export async function buildProgram(files: Record<string, string>): Promise<Uint8Array> {
  const folder = mkdtempSync(join(tmpdir(), 'meter-'));
  try {
    const isSource = (path: string) => path === FIRMWARE || /\.(ts|json)$/.test(path);
    cpSync(FIRMWARE, folder, { recursive: true, filter: isSource });
    for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
    return (await buildFirmware({ folder })).bytecode;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** Runs the program until it prints `end`; its lines, without that one. Throws if it panics. */
export async function runProgram(bytecode: Uint8Array): Promise<string[]> {
  let nowMs = 1000;
  const vm = await loadVm(() => nowMs);
  const lines: string[] = [];
  let panic = 0;
  vm.dmesg = (line) => void lines.push(line.replace(/\x1b\[\d*m/g, '').trim());
  vm.error = (...words) => void lines.push(words.join(' '));
  vm.sendPacket = () => {};
  vm.panicHandler = (code) => void (panic = code);
  vm.flashLoad = () => new Uint8Array(0);
  vm.flashSave = () => {};
  vm.sockIsAvailable = () => false;
  vm.devsSetDeviceId('1989f4eee0ebe206');
  const refused = vm.devsDeploy(bytecode);
  if (refused !== 0) throw new Error(`the machine refuses the program: ${refused}`);
  while (!lines.some((line) => line.endsWith('end')) && nowMs < 600_000) {
    vm._jd_em_process();
    nowMs++;
    if (panic !== 0) throw new Error(`panic ${panic}\n${lines.join('\n')}`);
  }
  return lines.map((line) => line.replace(/^[>*]\s?/, ''));
}
