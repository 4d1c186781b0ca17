// Where a YunoHost's numbers of users and posts come from: of snac, its folders, as on a node of
// snac's own; of GoToSocial, its NodeInfo. Pure.

import type { CountersSource } from '../part/counters.ts';
import { snacCountedIn } from '../snac/server.ts';
import type { YunohostHome } from './desired.ts';

/** As YunoHost's package of snac lays it out (its manifest's data_dir and system_user). */
export const snacApp = {
  ...{ folder: '/home/yunohost.app/snac', user: 'snac', program: '/var/www/snac/snac' },
};

export function counted({ app, domain }: YunohostHome): CountersSource {
  return app === 'snac' ? snacCountedIn(snacApp.folder, snacApp.user) : byNodeInfo(domain);
}

/**
 * NodeInfo 2.0: `"usage":{"users":{"total":N,…},"localPosts":N}`. Its certificate is not looked at:
 * the question does not leave the node, and all of it is the node's own claim.
 */
const byNodeInfo = (domain: string): CountersSource => ({
  accounts: `told=$(/usr/bin/curl -sk -m 5 --resolve ${domain}:443:127.0.0.1 \\
  https://${domain}/nodeinfo/2.0) || told=
number() { expr "$told" : ".*\\"$1\\":\\([0-9]*\\)" || echo 0; }
case $told in *'"usage"'*) users=$(number total) posts=$(number localPosts) ;; esac`,
  runAs: 'DynamicUser=yes',
});
