# A pseudo-terminal for a test: prints its name, then carries bytes between its far end and standard
# input and output. It is gone when standard input ends.
use strict;
use warnings;
use Fcntl;
use IO::Select;

my ($TIOCSPTLCK, $TIOCGPTN) = (0x40045431, 0x80045430);    # asm-generic/ioctls.h
sysopen(my $far, '/dev/ptmx', O_RDWR | O_NOCTTY) or die "ptmx: $!";
my $unlocked = pack('i', 0);
ioctl($far, $TIOCSPTLCK, $unlocked) or die "unlock: $!";
my $number = pack('i', 0);
ioctl($far, $TIOCGPTN, $number) or die "number: $!";
my $name = '/dev/pts/' . unpack('i', $number);

# Held open, so that the terminal outlives whoever closes it, as a plugged-in board does.
sysopen(my $held, $name, O_RDWR | O_NOCTTY) or die "$name: $!";
system("stty raw -echo <$name") == 0 or die 'stty';
syswrite(STDOUT, "$name\n");

my $ready = IO::Select->new($far, \*STDIN);
while (1) {
    for my $from ($ready->can_read) {
        my $count = sysread($from, my $bytes, 65536);
        exit unless $count;
        my $to = $from == $far ? \*STDOUT : $far;
        for (my $at = 0; $at < $count;) {
            $at += syswrite($to, $bytes, $count - $at, $at) // die "write: $!";
        }
    }
}
