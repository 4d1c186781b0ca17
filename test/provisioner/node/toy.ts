// The smallest kind of node: a file, a secret file, and an effect that follows both.

import type { NodeKind } from '../../../provisioner/node/configure.ts';
import { effect, stamps, type Stamps } from '../../../provisioner/node/operation/effect.ts';
import { fileStates, writeFiles } from '../../../provisioner/node/operation/files.ts';
import type { FileStates } from '../../../provisioner/node/operation/files.ts';
import { Secret } from '../../../provisioner/node/secret.ts';
import type { FileWrite } from '../../../provisioner/node/step.ts';
import type { StandIn } from './stand-in.ts';

export interface ToyDesired {
  dir: string;
  owner: string;
  greeting: string;
  password: Secret;
  /** What the effect runs besides keeping its input. */
  command: string;
}

export interface ToyFacts {
  files: FileStates;
  stamps: Stamps;
}

export const password = 'correct horse battery staple';

export function toyDesired({ dir, owner }: Pick<StandIn, 'dir' | 'owner'>, changes: Partial<ToyDesired> = {}): ToyDesired {
  const secret = new Secret(password);
  return { dir, owner, greeting: 'hello', password: secret, command: ':', ...changes };
}

export const toy: NodeKind<ToyDesired, ToyFacts> = {
  name: 'toy',
  facts: (desired) => ({
    files: fileStates(filesOf(desired).map(({ path }) => path)),
    stamps: { ...stamps, script: stamps.script },
  }),
  plan(desired, facts) {
    const [greeting, secret] = filesOf(desired);
    return [
      ...writeFiles('Write the greeting', [greeting], facts.files),
      ...writeFiles('Write the password', [secret], facts.files),
      ...effect(
        {
          id: 'toy',
          name: 'Follow them',
          dependsOn: [greeting, secret],
          command: `cat >${desired.dir}/input\necho ran >>${desired.dir}/runs\n${desired.command}`,
          input: desired.password,
        },
        facts,
      ),
    ];
  },
};

function filesOf({ dir, owner, greeting, password: secret }: ToyDesired): FileWrite[] {
  return [
    { path: `${dir}/etc/greeting`, mode: '0644', owner, content: `${greeting}\n` },
    { path: `${dir}/etc/password`, mode: '0600', owner, content: new Secret(`${secret.reveal()}\n`) },
  ];
}
