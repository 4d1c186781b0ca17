// Who has a TCP port: for the one error message that everybody meets. Reads /proc, changes nothing.

import { readdirSync, readFileSync, readlinkSync } from 'node:fs';

const LISTEN = '0A';

/**
 * "process 1234: node server.js", or undefined if /proc does not say (another user's process, say).
 */
export function ownerOfPort(port: number): string | undefined {
  const tables = ['/proc/net/tcp', '/proc/net/tcp6'];
  const inodes = new Set(tables.flatMap((table) => listeners(table, port)));
  if (inodes.size === 0) return undefined;
  for (const pid of readdirSync('/proc').filter((name) => /^\d+$/.test(name))) {
    if (socketsOf(pid).some((inode) => inodes.has(inode))) {
      const words = read(`/proc/${pid}/cmdline`).split('\0').join(' ');
      return `process ${pid}: ${words.slice(0, 80).trim()}`;
    }
  }
  return undefined;
}

function listeners(table: string, port: number): string[] {
  const wanted = port.toString(16).toUpperCase().padStart(4, '0');
  return read(table)
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1]?.endsWith(`:${wanted}`) && fields[3] === LISTEN)
    .map((fields) => fields[9]);
}

function socketsOf(pid: string): string[] {
  return namesIn(`/proc/${pid}/fd`).flatMap((fd) => {
    const match = /^socket:\[(\d+)\]$/.exec(linkAt(`/proc/${pid}/fd/${fd}`));
    return match ? [match[1]] : [];
  });
}

// What is not ours to look into, or is gone by now, is not the one that we can name.

function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function linkAt(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return '';
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, 'latin1');
  } catch {
    // No IPv6, or no /proc: nothing to name.
    return '';
  }
}
