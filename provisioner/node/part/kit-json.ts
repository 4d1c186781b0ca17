// kit.json in each generation of a backup (backup.ts): whose it is, what of the node makes a new drive
// that home, and the sums of the archives. This file writes it; restore/kit-json.ts reads it. Written
// last: an archive that it does not name is no part of the backup. One line, whose last member is the
// SHA-256 of all before its comma. It holds keys and hashes: root's alone. Pure: a piece of shell.

/** What kit.json says of the kit, and takes along of the node itself. */
export interface BackedUpKit {
  kit: string;
  /** The image's name. */
  kind: string;
  domain: string;
  owner: string;
  /** Small files that make the node this home; patterns of the shell's, absolute. */
  identity: string[];
}

export const hostKeyPath = '/etc/ssh/ssh_host_ed25519_key';

/** Of any kit: its SSH host key, and the hashes of its owner's recovery codes. */
export const ownIdentity = [hostKeyPath, '/var/lib/commons-kit/recovery/codes'];

/** What a generation's folder holds besides kit.json. */
export interface Contents {
  /** Patterns of the shell's. */
  files: string[];
  /** Shell that prints the size of all that they give back. */
  dataBytes: string;
}

/** `describe FOLDER`, for a backup program: it fails by that one's `fail`. */
export const describe = (of: BackedUpKit, { files, dataBytes }: Contents): string => `
# Whose backup it is, what of the node makes a new drive that home, and the sums of the archives. A
# sum stays as it was first: an archive that changed since is not to be called good.
describe() {
  owner=${of.owner}
  text="{\\"format\\":1,\\"kit\\":\\"${of.kit}\\",\\"kind\\":\\"${of.kind}\\""
  text="$text,\\"domain\\":\\"${of.domain}\\",\\"owner\\":\\"$owner\\""
  data_bytes=$(${dataBytes})
  text="$text,\\"made_at\\":$(date +%s),\\"data_bytes\\":$data_bytes"
  text="$text,\\"parts\\":[$(parts "$1")],\\"identity\\":[$(identity_files)]"
  text="$text,\\"logins\\":{$(logins)},\\"once\\":[$(once_done)]"
  case $text in *'"sha256":""'*) fail 'an archive cannot be read' ;; esac
  sum=$(printf %s "$text" | sha256sum | cut -d ' ' -f 1)
  printf '%s,"sha256":"%s"}\\n' "$text" "$sum" >"$1/kit.new"
  sync "$1/kit.new"
  mv "$1/kit.new" "$1/kit.json"
}

parts() {
  for file in ${files.map((pattern) => `"$1"/${pattern}`).join(' ')}; do
    head="{\\"name\\":\\"\${file##*/}\\",\\"bytes\\":$(stat -c %s "$file"),\\"sha256\\":"
    sum=$(sed -n "s/.*$head\\"\\([0-9a-f]\\{64\\}\\)\\".*/\\1/p" "$1/kit.json" 2>/dev/null) || sum=
    [ -n "$sum" ] || sum=$(sha256sum <"$file" | cut -d ' ' -f 1)
    printf '%s"%s"}\\n' "$head" "$sum"
  done | paste -s -d ,
}

# Some kilobytes: what is larger is no key.
identity_files() {
  for file in ${of.identity.join(' ')}; do
    [ -f "$file" ] && [ "$(stat -c %s "$file")" -le 65536 ] || continue
    case $file in *[!A-Za-z0-9._/@+=' '-]*) continue ;; esac
    printf '{"path":"%s",%s,"content":"%s"}\\n' "$file" \\
      "$(stat -c '"mode":"%a","owner":"%U:%G"' "$file")" "$(base64 -w 0 "$file")"
  done | paste -s -d ,
}

# Hashes as they stand in the system's own file: a directory has its own. An account that is locked,
# or has no passphrase, has none.
logins() {
  for user in "$owner" root; do
    sed -n "s/^\\($user\\):\\(\\$[^:]*\\):.*/\\"\\1\\":\\"\\2\\"/p" /etc/shadow
  done | paste -s -d ,
}

# What was done once for all, and must not be done again on a new drive.
once_done() {
  applied=/var/lib/commons-kit/applied
  (cd "$applied" 2>/dev/null && grep -lx once -- *) | sed 's/.*/"&"/' | paste -s -d ,
}`;
