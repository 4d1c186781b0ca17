// `kit image`: the command line of this folder.

import { randomBytes } from 'node:crypto';
import { userInfo } from 'node:os';
import { resolve } from 'node:path';
import { Command } from 'commander';
import { identityPath, openIdentity, type VolunteerIdentity } from '../campaign/identity.ts';
import { sshEd25519Blob } from '../campaign/ssh-key.ts';
import { createOutput } from '../terminal.ts';
import { buildImage, type BuiltImage, defaultCacheDir, readLock } from './build.ts';
import { readImageFolder } from './folder.ts';
import { exportArchives, fetchArchives, importArchives } from './package-cache.ts';
import { prunePackages } from './prune.ts';
import { allowedSignerLine } from './sshsig.ts';
import { updateLock } from './update.ts';
import { verifyImage } from './verify.ts';

export function commands(): Command[] {
  return [imageCommand()];
}

export function imageCommand(): Command {
  return new Command('image')
    .description('make images for nodes')
    .addCommand(buildCommand())
    .addCommand(updateCommand())
    .addCommand(verifyCommand())
    .addCommand(signerCommand())
    .addCommand(exportCommand())
    .addCommand(importCommand())
    .addCommand(pruneCommand());
}

function ofImage(command: Command): Command {
  return command
    .argument('<name>', 'a folder of images/')
    .option('--arch <arch>', "Debian's name of the architecture", 'amd64')
    .option('--folders <dir>', "where images' folders stand (default: kit's own images/)")
    .option('--cache <dir>', "packages between builds (default: the user's cache folder)");
}

function withOut(command: Command): Command {
  return command.option('--out <dir>', 'where the image goes or lies', 'built');
}

interface ImageOptions {
  arch: string;
  folders?: string;
  cache?: string;
  out: string;
}

function located(name: string, { arch, folders, cache, out }: ImageOptions) {
  return { name, arch, imagesDir: folders, cacheDir: cache, outDir: out };
}

function buildCommand(): Command {
  return withOut(ofImage(new Command('build')))
    .description('build an image from Debian packages')
    .option('--frozen', "build of the image's own packages.lock alone, offline if it is cached", false)
    .option('--lock <file>', 'build of this packages.lock alone')
    .option('--root-tar', 'also leave the root file system as a tar beside it', false)
    .action(async function (this: Command, name: string) {
      const options = this.optsWithGlobals();
      const output = createOutput(options);
      const { frozen, lock: lockFile, rootTar: keepRootTar } = options;
      const signer = () => ownIdentity(options);
      const where = located(name, this.optsWithGlobals<ImageOptions>());
      const job = { ...where, frozen, lockFile, keepRootTar, signer };
      const built = await buildImage(job, (event) => output.event(event));
      output.result(built, summary(built));
    });
}

function ownIdentity({ identity }: { identity?: string }): Promise<VolunteerIdentity> {
  return openIdentity(identityPath(identity, process.env), { random: randomBytes });
}

function summary(built: BuiltImage): string {
  const mib = (bytes: number) => `${Math.round(bytes / 1024 ** 2)} MiB`;
  return [
    `${built.image}`,
    `  ${built.packages} packages, ${mib(built.sizeBytes)}, of which ${mib(built.mappedBytes)}` +
      ` are written to a drive; ${mib(built.zstSizeBytes)} compressed; ${built.seconds} s`,
  ].join('\n');
}

function updateCommand(): Command {
  return ofImage(new Command('update'))
    .description("renew the image's packages.lock, and tell what changed")
    .action(async function (this: Command, name: string) {
      const output = createOutput(this.optsWithGlobals());
      const options = located(name, this.optsWithGlobals<ImageOptions>());
      const update = await updateLock(options, (event) => output.event(event));
      const { changes, lockFile, packages } = update;
      const last = changes.length === 0 ? 'nothing changed' : `${changes.length} changed`;
      output.result(update, [...changes, `${lockFile}: ${packages} packages, ${last}`].join('\n'));
    });
}

function verifyCommand(): Command {
  return withOut(ofImage(new Command('verify')))
    .description('build an image once more from its packages.lock, and compare all bytes')
    .action(async function (this: Command, name: string) {
      const output = createOutput(this.optsWithGlobals());
      const options = located(name, this.optsWithGlobals<ImageOptions>());
      const verified = await verifyImage(options, (event) => output.event(event));
      const { image, rawSha256, seconds } = verified;
      const text = `${image} is what its lock makes (${seconds} s)\n  SHA-256 ${rawSha256}, raw`;
      output.result(verified, text);
    });
}

function signerCommand(): Command {
  return new Command('signer')
    .description('print the public key that your images are signed with')
    .option('--name <name>', 'how others know you', userInfo().username)
    .action(async function (this: Command) {
      const options = this.optsWithGlobals();
      const { publicKey } = await ownIdentity(options);
      const { name } = options;
      const key = `ssh-ed25519 ${sshEd25519Blob(publicKey).toString('base64')}`;
      const allowed = allowedSignerLine({ name, publicKey });
      const text = [
        'In campaign.toml, for those who write your images to drives:',
        `  image_signers = ["${name} ${key}"]`,
        'In a file of allowed signers, for `ssh-keygen -Y verify`:',
        `  ${allowed}`,
      ].join('\n');
      createOutput(options).result({ name, key, allowedSigner: allowed }, text);
    });
}

function exportCommand(): Command {
  return ofImage(new Command('export'))
    .description("put the packages of an image's lock into one file, for benches without a mirror")
    .argument('<file>', 'a tar file to be made')
    .option('--lock <file>', "another lock than the image's own")
    .action(async function (this: Command, name: string, file: string) {
      const options = this.optsWithGlobals<ImageOptions & { lock?: string }>();
      const output = createOutput(this.optsWithGlobals());
      const folder = await readImageFolder(name, options.arch, options.folders);
      const lock = await readLock(options.lock ?? folder.lockFile, folder);
      const archives = await fetchArchives({
        cacheDir: resolve(options.cache ?? defaultCacheDir()),
        packages: lock.packages,
        locate: async () => new Map(),
        report: () => {},
      });
      await exportArchives(archives, file);
      const packages = archives.size;
      output.result({ file: resolve(file), packages }, `${file}: ${packages} packages`);
    });
}

function importCommand(): Command {
  return new Command('import')
    .description('take packages out of such a file into the cache')
    .argument('<file>', 'a file that `kit image export` made')
    .option('--cache <dir>', "packages between builds (default: the user's cache folder)")
    .action(async function (this: Command, file: string) {
      const output = createOutput(this.optsWithGlobals());
      const cacheDir = resolve(this.opts<{ cache?: string }>().cache ?? defaultCacheDir());
      const packages = await importArchives(cacheDir, file);
      output.result({ cache: cacheDir, packages }, `${packages} packages in ${cacheDir}`);
    });
}

function pruneCommand(): Command {
  return withOut(new Command('prune'))
    .description('show which cached packages no lock names any more, and remove them')
    .option('--folders <dir>', "where images' folders stand (default: kit's own images/)")
    .option('--cache <dir>', "packages between builds (default: the user's cache folder)")
    .option('--keep <lock...>', 'keep what these locks name as well')
    .option('--yes', 'remove them')
    .action(async function (this: Command) {
      const options = this.optsWithGlobals();
      const { folders, cache, out, keep, yes } = options;
      const where = { imagesDir: folders, cacheDir: cache, outDir: out };
      const pruned = await prunePackages({ ...where, keep, remove: yes });
      const { superseded, keptArchives, locks } = pruned;
      const mib = Math.round(superseded.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0) / 2 ** 20);
      const text = [
        ...superseded.map(({ archive }) => archive),
        `${superseded.length} of ${keptArchives + superseded.length} packages (${mib} MiB) are in none of ` +
          `${locks.length} locks.`,
        yes ? 'Removed.' : 'Nothing is removed without --yes.',
      ];
      createOutput(options).result(pruned, text.join('\n'));
    });
}
