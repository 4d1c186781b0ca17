// Run as a process of its own by the writer's test: writes an image to a file as if it were a block
// device, or as the file that it is, and kills itself with SIGKILL at its N-th transfer, a write
// half done. Arguments: IMAGE DRIVE KIND N. Prints how many transfers there were if it lived.

import { dirname } from 'node:path';

import { realClock } from '../../provisioner/drive/clock.ts';
import { openImage } from '../../provisioner/drive/image.ts';
import { openMedium } from '../../provisioner/drive/medium.ts';
import { openSource } from '../../provisioner/drive/source.ts';
import { writeDrive } from '../../provisioner/drive/write.ts';

/** @param beforeTransfer told of each; `half` lets half of a write through */
export async function writeToFile(
  job: { image: string; drive: string; kind: 'block' | 'file'; sizeBytes: number },
  beforeTransfer: (half: () => Promise<void>) => Promise<void> = async () => {},
) {
  const source = await openSource(await openImage(job.image), dirname(job.drive));
  const opened = await openMedium(job.drive, 0);
  const medium = { ...opened, sizeBytes: job.sizeBytes };
  const { file } = opened;
  const [write, read, datasync] = [file.write, file.read, file.datasync].map((f) => f.bind(file));
  const nothing = async () => {};
  Object.assign(file, {
    async write(bytes: Uint8Array, from: number, size: number, at: number) {
      const half = Math.floor(size / 2 / 4096) * 4096;
      await beforeTransfer(async () => void (await (write as Function)(bytes, from, half, at)));
      return (write as Function)(bytes, from, size, at);
    },
    async read(...args: unknown[]) {
      await beforeTransfer(nothing);
      return (read as Function)(...args);
    },
    async datasync() {
      await beforeTransfer(nothing);
      return (datasync as Function)();
    },
  });
  try {
    return await writeDrive({
      ...{ source, medium, kind: job.kind, clock: realClock, saveEveryMs: 0 },
      ...{ identity: new Map([['hostname', 'alice\n']]), random: (size) => new Uint8Array(size).fill(7) },
      onProgress: () => {},
    });
  } finally {
    await file.close();
    await source.close();
  }
}

if (import.meta.main) {
  const [image, drive, kind, fatal] = process.argv.slice(2);
  let count = 0;
  const job = { image, drive, kind: kind as 'block' | 'file', sizeBytes: 20 << 20 };
  await writeToFile(job, async (half) => {
    if (++count !== Number(fatal)) return;
    await half();
    process.kill(process.pid, 'SIGKILL');
    await new Promise(() => {}); // Nothing more is done by a dead process.
  });
  console.log(count);
}
