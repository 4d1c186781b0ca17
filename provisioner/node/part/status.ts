// The owner's page, http://NODE:8010/, for the home's own network alone: is all well, and if not,
// what to do. A shell script makes it for each request, started by the counters' socket: nothing
// stays resident, nothing is written, and it answers while the web server is down. Pure: its text.
//
// Never on it: names of people, posts, secrets. It changes nothing.

import type { FileWrite } from '../step.ts';
import { acmeAccountPath, servedPath } from './acme.ts';
import { statusStyle } from './status-style.ts';

export const statusProgram = '/usr/local/lib/commons-kit/status';

/** The journal's word for a batch that the ledger took: one an hour, by nginx (relay.ts). */
export const relayTag = 'commons_relay';

export interface StatusSource {
  domain: string;
  /** Units without which nobody reaches the home. */
  services: string[];
  /** The node obtains its certificate by itself (acme.ts). */
  acme?: true;
}

/** @param root stands for `/`, of files and of /usr/local/bin; empty on a node */
export function statusFile(source: StatusSource, root = ''): FileWrite {
  const content = program(source, root);
  return { path: statusProgram, mode: '0755', owner: 'root:root', content };
}

/**
 * `kit check` asks for as much of the disk. A public certificate that its node did not renew a month
 * before its end is told a week later; the campaign's takes a visit.
 */
const limits = { diskFreePercent: 10, publicDays: 21, campaignDays: 90 };

/**
 * Whole overwrites that a cheap card is trusted with: its flash stands 500 to 1,000, and small
 * writes cost it two or three times their size. An estimate, on the cautious side.
 */
const overwrites = 300;
/** A pace that uses a drive up sooner than this is told. */
const leastYears = 3;

/** An authority that could not reach the node says why: mostly the router, or the domain. */
const obtaining = `  account=$(cat "$root${acmeAccountPath}" 2>/dev/null)
  error=$(printf %s "$account" | sed -n 's/.*"error":"\\([^"]*\\)".*/\\1/p' | escape)
  call='Does your domain lead to your home, and does your router pass ports 80 and 443 on to this
server? It tries again four times a day. If this stays, call whoever made your kit.'
  if [ -z "$(number obtained_at)" ]; then
    row warn 'Certificate' "No public authority has given one yet\${error:+: $error}." "$call"
    return 0
  fi
`;

const program = ({ domain, services, acme }: StatusSource, root: string): string => `#!/bin/sh
# The owner's page, as an HTTP answer on standard output. Written by kit configure.
root='${root}'
export LC_ALL=C PATH=$root/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin

main() {
  rows= amiss=0
  now=$(date +%s)
  server
  certificate
  disk
  backup
  meter
  wear
  answer
}

# row STATE TITLE WORDS [ADVICE]: good, unseen, warn or bad.
row() {
  case $1 in warn | bad) amiss=$((amiss + 1)) ;; esac
  rows="$rows<li class=$1><h2>$2</h2><p>$3</p>\${4:+<p class=do>$4</p>}</li>
"
}

server() {
  down=
  for unit in ${services.join(' ')}; do
    systemctl is-active -q "$unit" || down="$down $unit"
  done
  if [ -z "$down" ]; then
    row good 'Your server' '<a href="https://${domain}/">${domain}</a> is running.'
  else
    row bad 'Your server' "Not running:$down." 'Pull its plug, wait ten seconds, plug it in
again, and look here after five minutes. If this stays, call whoever made your kit.'
  fi
}

certificate() {
  until=$(openssl x509 -noout -enddate -in "$root${acme ? servedPath : '/etc/commons-kit/tls.crt'}" \\
    2>/dev/null) && until=$(date -d "\${until#notAfter=}" +%s) || until=
  call='Call whoever made your kit: they put a new one in.'
${acme ? obtaining : ''}  if [ -z "$until" ]; then
    row bad 'Certificate' 'It cannot be read: browsers and other servers turn away.' "$call"
  elif [ "$until" -le "$now" ]; then
    row bad 'Certificate' 'It has run out: browsers and other servers turn away.' "$call"
  elif [ $((until - now)) -lt $((${acme ? limits.publicDays : limits.campaignDays} * 86400)) ]; then
    row warn 'Certificate' "It runs out in $(ago $((until - now)))." "$call"
  else
    row good 'Certificate' "Good for $(ago $((until - now)))."
  fi
}

disk() {
  set -- $(stat -f -c '%S %b %a' "$root/")
  percent=$(($3 * 100 / $2))
  words="$(gb $(($1 * $3))) of $(gb $(($1 * $2))) free."
  advice='Delete posts with large pictures, or ask whoever made your kit for a larger drive.'
  if [ $percent -lt 3 ]; then
    row bad 'Space' "$words New posts may be lost." "$advice"
  elif [ $percent -lt ${limits.diskFreePercent} ]; then
    row warn 'Space' "$words It is getting tight." "$advice"
  else
    row good 'Space' "$words"
  fi
}

backup() {
  account=$(cat "$root/var/lib/commons-kit/backup.json" 2>/dev/null)
  made=$(number made_at)
  proven=$(number proven_at)
  error=$(printf %s "$account" | sed -n 's/.*"error":"\\([^"]*\\)".*/\\1/p' | escape)
  call='Call whoever made your kit. Until then, what you post now could be lost.'
  if [ -z "$made" ]; then
    row warn 'Backup' "There is none yet\${error:+: $error}." "$call"
  elif [ -n "$error" ]; then
    row bad 'Backup' "The last try failed: $error. The last good one is $(since "$made")." "$call"
  elif ahead "$made"; then
    row warn 'Backup' "The last one is $(since "$made")." \\
      'If this stays for two days, call whoever made your kit.'
  elif [ $((now - made)) -gt 172800 ]; then
    row warn 'Backup' "The last one is $(since "$made")." \\
      'One is made each night: leave the power on. If this stays, call whoever made your kit.'
  elif [ -z "$proven" ]; then
    row warn 'Backup' "Made $(since "$made"), but not yet tried out." "$call"
  else
    row good 'Backup' "Made $(since "$made"); tried out $(since "$proven")."
  fi
}

number() {
  printf %s "$account" | sed -n "s/.*\\"$1\\":\\([0-9][0-9]*\\).*/\\1/p"
}

meter() {
  acked=$(journalctl -q --no-pager -o short-unix -t ${relayTag} -n 1 2>/dev/null)
  acked=\${acked%%.*}
  advice='Is its screen on, and your internet connection? It keeps its readings for weeks, and
sends them once it can.'
  case $acked in
    '' | *[!0-9]*) row warn 'Meter' 'It has not reported through this server yet.' "$advice" ;;
    *)
      if ahead "$acked"; then
        row warn 'Meter' "Its last report is $(since "$acked")." \\
          'Look here again in three hours.'
      elif [ $((now - acked)) -gt 10800 ]; then
        row warn 'Meter' "Its last report arrived $(since "$acked")." "$advice"
      else
        row good 'Meter' "Its last report arrived $(since "$acked")."
      fi
      ;;
  esac
}

# Of each drive: what it says of itself (JESD84-B51, EXT_CSD 267 to 269), and what is written to it.
wear() {
  seen=
  for drive in "$root"/sys/block/*; do
    [ -e "$drive/device" ] && read -r sectors <"$drive/size" && [ "$sectors" -gt 0 ] || continue
    seen=yes
    drive_wear
  done
  [ -n "$seen" ] || row unseen 'Drive' 'How worn it is cannot be seen here.'
}

drive_wear() {
  name=\${drive##*/} life= end= words=
  read -r life end_of 2>/dev/null <"$drive/device/life_time" && [ $((end_of)) -gt $((life)) ] &&
    life=$end_of
  read -r end 2>/dev/null <"$drive/device/pre_eol_info"
  case $life in 0x0[1-9a-bA-B]) ;; *) life= ;; esac
  replace='Ask whoever made your kit for a new drive now, while this one still works.'
  pace
  if [ "\${end:-0x01}" = 0x03 ] || [ $((\${life:-0})) -ge 11 ]; then
    row bad "Drive $name" "It is worn out, as it says itself. $words" "$replace"
  elif [ "\${end:-0x01}" = 0x02 ] || [ $((\${life:-0})) -ge 9 ]; then
    row warn "Drive $name" "It is nearly worn out, as it says itself. $words" "$replace"
  elif [ "\${years:-99}" -lt ${leastYears} ]; then
    row warn "Drive $name" "$words" 'More is written to it than a card stands. Ask whoever made
your kit to look for the reason, and keep your backups.'
  elif [ -n "$life" ]; then
    row good "Drive $name" "At most $((life * 10)) % worn, as it says itself. $words"
  else
    row good "Drive $name" "It does not tell how worn it is. $words"
  fi
}

# Since the last start, once that is a day ago: the first hours write more than any other.
pace() {
  years=
  read -r up _ <"$root/proc/uptime"
  up=\${up%%.*}
  [ "$up" -ge 86400 ] || return 0
  read -r _ _ _ _ _ _ written _ <"$drive/stat"
  daily=$((written * 512 / up * 86400))
  words="$(gb $daily) are written to it each day."
  [ $daily -gt 0 ] || return 0
  years=$((sectors * 512 / daily * ${overwrites} / 365))
  [ $years -ge 20 ] || words="$words At this pace a cheap card lasts about $(count $years year)."
}

gb() {
  echo "$(($1 / 1000000000)).$(($1 / 100000000 % 10)) GB"
}

ago() {
  if [ "$1" -lt 7200 ]; then
    count $(($1 / 60)) minute
  elif [ "$1" -lt 172800 ]; then
    count $(($1 / 3600)) hour
  else
    count $(($1 / 86400)) day
  fi
}

# A clock that was set back makes the past the future. A few minutes are how clocks are set right.
ahead() {
  [ $(($1 - now)) -gt 300 ]
}

since() {
  if ahead "$1"; then
    echo 'from the future: the clock was changed'
  elif [ "$1" -gt "$now" ]; then
    echo 'just now'
  else
    echo "$(ago $((now - $1))) ago"
  fi
}

count() {
  [ "$1" -eq 1 ] && echo "1 $2" || echo "$1 $2s"
}

escape() {
  sed 's/&/\\&amp;/g; s/</\\&lt;/g; s/>/\\&gt;/g'
}

answer() {
  case $amiss in
    0) all=good head='All is well' ;;
    1) all=warn head='One thing needs you' ;;
    *) all=warn head="$amiss things need you" ;;
  esac
  body="<!doctype html>
<html lang=en><meta charset=utf-8><title>$head · ${domain}</title>
<meta name=viewport content='width=device-width,initial-scale=1'>
<style>${statusStyle}</style>
<main><header class=$all><h1>$head</h1><p>${domain}</p></header>
<ul>
$rows</ul>
<footer>As of $(date '+%H:%M, %-d %B %Y'). Seen from your home’s network only.</footer></main>
"
  printf 'HTTP/1.1 200 OK\\r\\nContent-Type: text/html; charset=utf-8\\r\\n'
  printf 'Content-Length: %d\\r\\n' "\${#body}"
  printf 'Cache-Control: no-store\\r\\nX-Content-Type-Options: nosniff\\r\\n'
  printf "Content-Security-Policy: default-src 'none'; style-src 'unsafe-inline'\\r\\n"
  printf 'Connection: close\\r\\n\\r\\n%s' "$body"
}

main
`;
