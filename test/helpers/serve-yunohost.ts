// YunoHost's stand-in repository as a program of its own, for tests that wait for commands:
//
//   node test/helpers/serve-yunohost.ts DIR
//
// DIR is made, and must be empty. Prints one line when it serves: the folder to give to
// `kit image build yunohost --folders`. Ends when its standard input does.

import { mkdirSync } from 'node:fs';
import { standInYunohost } from './yunohost-stand-in.ts';

const [dir] = process.argv.slice(2);
if (dir === undefined) {
  console.error('error[usage]: node test/helpers/serve-yunohost.ts DIR');
  process.exit(2);
}
mkdirSync(dir, { recursive: true });
const { repository, imagesDir } = await standInYunohost(dir);
console.log(imagesDir);
process.stdin.resume().on('end', () => repository.close());
