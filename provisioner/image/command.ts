// `kit image`: the command line of this folder.

import { Command } from 'commander';
import { createOutput } from '../terminal.ts';
import { buildImage, type BuiltImage } from './build.ts';

export function commands(): Command[] {
  return [imageCommand()];
}

export function imageCommand(): Command {
  return new Command('image').description('make images for nodes').addCommand(buildCommand());
}

function buildCommand(): Command {
  return new Command('build')
    .description('build an image from Debian packages')
    .argument('<name>', 'a folder of images/')
    .option('--arch <arch>', "Debian's name of the architecture", 'amd64')
    .option('--out <dir>', 'where the image goes', 'built')
    .option('--cache <dir>', "packages between builds (default: the user's cache folder)")
    .option('--frozen', "refuse any package that is not in the image's packages.lock", false)
    .option('--root-tar', 'also leave the root file system as a tar beside it', false)
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const built = await buildImage(
        {
          name,
          arch: options.arch,
          outDir: options.out,
          cacheDir: options.cache,
          frozen: options.frozen,
          keepRootTar: options.rootTar,
        },
        (event) => output.event(event),
      );
      output.result(built, summary(built));
    });
}

function summary(built: BuiltImage): string {
  const mib = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [
    `${built.image}`,
    `  ${built.packages} packages, ${mib(built.sizeBytes)}, of which ${mib(built.mappedBytes)}` +
      ` are written to a drive; ${mib(built.zstSizeBytes)} compressed; ${built.seconds} s`,
  ].join('\n');
}
