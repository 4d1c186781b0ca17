// What a recovery code meets on a node: two programs in Perl, because Debian's perl-base is on every
// node and has crypt(3). Pure: their texts.
//
//   recover            what the user `recover` gets instead of a shell; asks, shows, asks again.
//                      Knows nothing and may do nothing but speak to the other one.
//   recovery-service   root, one connection at a time (systemd socket, for `recover` alone):
//                        check CODE             → ok | wrong
//                        use CODE PASSPHRASE    → done CODES-LEFT | wrong | failed
//
// Nothing changes before the owner has typed the new passphrase; a code is spent last, so that a
// power cut at any moment leaves either the old passphrase or one that a code still replaces. Each
// wrong code takes two seconds: 2^45 tries would take two million years.

import { fill, type Texts } from '../texts.ts';

/** The login that takes codes. */
export const recoverUser = 'recover';
export const programFolder = '/usr/local/lib/commons-kit';
export const hookFolder = `${programFolder}/passphrase.d`;
export const codesFile = '/var/lib/commons-kit/recovery/codes';
export const recoverySocket = '/run/commons-kit-recovery.sock';

export function recoverProgram(texts: Texts['recover'], owner: string): string {
  const said = Object.entries(texts).map(
    ([key, text]) => `  ${key} => ${perlString(fill(text, { user: owner }))},`,
  );
  return `#!/usr/bin/perl
# What the user "recover" gets instead of a shell. Written by kit handover.
use strict;
use warnings;
use IO::Socket::UNIX;

my %say = (
${said.join('\n')}
);
# Whoever leaves the table leaves it to others.
alarm 900;
$SIG{PIPE} = 'IGNORE';
$| = 1;
main();

sub main {
    print "$say{greeting}\\n\\n";
    my $code = ask_code();
    my $passphrase = new_passphrase();
    print "\\n$say{offer}\\n\\n    $passphrase\\n\\n";
    for my $try (1 .. 5) {
        my $typed = lc ask($say{ask_passphrase});
        $typed =~ s/^\\s+|\\s+$//g;
        $typed =~ s/[\\s-]+/-/g;
        if ($typed ne $passphrase) { print "$say{differs}\\n"; next }
        my ($verdict, $left) = split ' ', request("use $code $passphrase");
        if ($verdict ne 'done') { print "$say{failed}\\n"; exit 1 }
        print "$say{done} $left\\n";
        exit 0;
    }
    exit 1;
}

sub ask_code {
    for my $try (1 .. 10) {
        my $code = lc ask($say{ask_code});
        $code =~ s/[\\s-]//g;
        if (!well_typed($code)) { print "$say{mistyped}\\n"; next }
        $code = join '-', $code =~ /(.{1,5})/g;
        my $verdict = request("check $code");
        return $code if $verdict eq 'ok';
        print $verdict eq 'wrong' ? "$say{wrong}\\n" : "$say{failed}\\n";
    }
    exit 1;
}

# ISO/IEC 7064 MOD 37-2 over fifteen letters and a digit.
sub well_typed {
    my ($code) = @_;
    return 0 unless $code =~ /^[a-z]{15}[2-9]$/;
    my $sum = 0;
    for my $character (split //, substr($code, 0, 15)) {
        $sum = (($sum + ord($character) - ord('a') + 10) * 2) % 37;
    }
    return ($sum + substr($code, 15)) % 37 == 1;
}

# Five groups of 16 bits, as the bench makes them.
sub new_passphrase {
    open(my $random, '<:raw', '/dev/urandom') or die "no randomness\\n";
    my $bytes = '';
    while (length $bytes < 10) { sysread($random, $bytes, 10 - length $bytes, length $bytes) }
    my @consonants = split //, 'bdfghjklmnprstvz';
    my @vowels = split //, 'aiou';
    return join '-', map {
        $consonants[$_ >> 12] . $vowels[($_ >> 10) & 3] . $consonants[($_ >> 6) & 15]
            . $vowels[($_ >> 4) & 3] . $consonants[$_ & 15]
    } unpack('n5', $bytes);
}

sub ask {
    my ($prompt) = @_;
    print $prompt;
    my $line = <STDIN>;
    if (!defined $line) { print "\\n"; exit 1 }
    return substr($line, 0, 200);
}

# The service takes one connection at a time, and may still be busy with the last.
sub request {
    my ($line) = @_;
    for my $try (1 .. 5) {
        sleep 1 if $try > 1;
        my $socket = IO::Socket::UNIX->new(Peer => '${recoverySocket}') or next;
        $socket->autoflush(1);
        print $socket "$line\\n";
        my $answer = <$socket>;
        next unless defined $answer;
        chomp $answer;
        return $answer;
    }
    return 'silent';
}
`;
}

export function recoveryService(owner: string): string {
  return `#!/usr/bin/perl
# Answers one request about recovery codes, as root, on standard input and output. Written by kit
# handover.
use strict;
use warnings;
use IO::Handle;

my $owner = '${owner}';
my $codes = '${codesFile}';
# The client sends one short line at once; afterwards nothing waits for it.
alarm 10;
$SIG{PIPE} = 'IGNORE';
$| = 1;
my $line = <STDIN> // '';
alarm 0;
print answer($line), "\\n";

sub answer {
    my ($verb, $code, $passphrase) = split ' ', substr($_[0], 0, 200);
    my @hashes = read_hashes();
    my ($mine) = grep { (crypt($code // '', $_) // '') eq $_ } @hashes;
    if (!defined $mine) { sleep 2; return 'wrong' }
    return 'ok' if $verb eq 'check';
    my $group = join '[aiou]', ('[bdfghjklmnprstvz]') x 3;
    return 'failed' unless $verb eq 'use' && ($passphrase // '') =~ /^$group(?:-$group){4}$/;
    return 'failed' unless set_passphrase($passphrase);
    my @left = grep { $_ ne $mine } @hashes;
    return 'failed' unless keep(@left);
    return 'done ' . scalar @left;
}

sub read_hashes {
    open(my $file, '<', $codes) or return ();
    chomp(my @hashes = <$file>);
    return grep { /^\\$6\\$/ } @hashes;
}

# What the image brought (the fediverse account, a directory), then the system's own: root's, and the
# login's where it is no directory's.
sub set_passphrase {
    my ($passphrase) = @_;
    for my $hook (sort glob '${hookFolder}/*') {
        return 0 unless tell_program([$hook, $owner], "$passphrase\\n");
    }
    my $lines = join '', map {"$_:$passphrase\\n"} grep { is_local($_) } $owner, 'root';
    return tell_program(['/usr/sbin/chpasswd'], $lines);
}

sub is_local {
    my ($user) = @_;
    open(my $file, '<', '/etc/passwd') or return 1;
    return scalar grep {/^\\Q$user\\E:/} <$file>;
}

sub tell_program {
    my ($words, $text) = @_;
    open(my $program, '|-', @$words) or return 0;
    print $program $text;
    return close $program;
}

# The old list or the new one, never half of it, also after a power cut.
sub keep {
    my $text = join '', map {"$_\\n"} @_;
    open(my $file, '>', "$codes.new") or return 0;
    chmod 0600, $file;
    print $file $text or return 0;
    $file->flush && $file->sync && close $file or return 0;
    rename "$codes.new", $codes or return 0;
    return system('/usr/bin/sync', $codes) == 0;
}
`;
}

export const socketUnit = `[Unit]
Description=Recovery codes of the owner

[Socket]
ListenStream=${recoverySocket}
SocketUser=${recoverUser}
SocketMode=0600
Accept=yes
# One guess at a time.
MaxConnections=1

[Install]
WantedBy=sockets.target
`;

export const serviceUnit = `[Unit]
Description=Recovery codes of the owner, one request
CollectMode=inactive-or-failed

[Service]
ExecStart=${programFolder}/recovery-service
StandardInput=socket
StandardError=journal
RuntimeMaxSec=60
NoNewPrivileges=yes
PrivateNetwork=yes
PrivateTmp=yes
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectControlGroups=yes
RestrictAddressFamilies=AF_UNIX
`;

/** Between single quotes Perl knows two signs that mean something else. */
function perlString(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}
