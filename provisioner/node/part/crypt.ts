// Passphrases and codes as crypt(5) keeps them, hashed on the node: by perl, whose base is on every
// Debian, and the C library behind its crypt. What is hashed comes on standard input, never as an
// argument. Pure: pieces of shell.

/** How crypt(5) writes a method's setting: what it begins with, and how many letters of salt. */
const settings = {
  /** 5000 rounds, as Debian's own passwords have them. */
  sha512crypt: { prefix: '$6$', saltLetters: 16 },
  /** Cost 10, as GoToSocial asks. */
  bcrypt: { prefix: '$2b$10$', saltLetters: 22 },
};

/** Prints a hash for each line of standard input, each with a salt of its own. */
export function cryptCommand(method: keyof typeof settings): string {
  const { prefix, saltLetters } = settings[method];
  return `perl -e '
open(my $random, "<:raw", "/dev/urandom") or die;
my @letters = split //, "./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
while (my $text = <STDIN>) {
  chomp $text;
  sysread($random, my $bytes, ${saltLetters}) == ${saltLetters} or die "no randomness";
  my $salt = join "", map { $letters[ord($_) % 64] } split //, $bytes;
  my $hash = crypt($text, q(${prefix}) . $salt) // "";
  die "no ${method}" unless index($hash, q(${prefix})) == 0;
  print "$hash\\n";
}'`;
}
