// How the owner's page looks: for a phone held in one hand, by day and by night; states are told by
// a sign as well as by a colour. No double quote, dollar sign, backquote or backslash may be in it:
// the shell prints it.

export const statusStyle = `
:root { color-scheme: light dark; --paper: #f6f4ef; --card: #fff; --ink: #23211d; --soft: #69645b;
  --good: #2c6e49; --warn: #8a5300; --bad: #a92a23; }
@media (prefers-color-scheme: dark) { :root { --paper: #181715; --card: #24221f; --ink: #efece5;
  --soft: #a8a297; --good: #7fc79a; --warn: #efb45c; --bad: #ff8d84; } }
* { box-sizing: border-box; margin: 0; }
body { background: var(--paper); color: var(--ink); font: 1.0625rem/1.45 system-ui, sans-serif; }
main { max-width: 36rem; margin: 0 auto; padding: 2rem 1rem; }
header { padding: 0 .25rem 1.25rem; }
h1 { font-size: 1.9rem; line-height: 1.15; letter-spacing: -.01em; }
header p, footer, .unseen p { color: var(--soft); }
ul { list-style: none; padding: 0; display: grid; gap: .625rem; }
li { position: relative; background: var(--card); border-radius: .75rem;
  padding: .875rem 1rem .875rem 3.1rem; overflow-wrap: anywhere; }
li::before { position: absolute; left: 1rem; top: .8rem; width: 1.5rem; height: 1.5rem;
  border-radius: 50%; background: var(--mark); color: var(--card); font-weight: 700;
  line-height: 1.5rem; text-align: center; content: '✓'; }
li.unseen::before { content: '?'; }
li.warn::before, li.bad::before { content: '!'; }
.good { --mark: var(--good); } .warn { --mark: var(--warn); } .bad { --mark: var(--bad); }
.unseen { --mark: var(--soft); }
h2 { font-size: 1.0625rem; }
header.good h1, header.warn h1, .warn h2, .bad h2 { color: var(--mark); }
.do { margin-top: .5rem; padding-top: .5rem; border-top: 1px solid var(--paper); }
a { color: inherit; }
footer { padding: 1.25rem .25rem; font-size: .875rem; }
`;
