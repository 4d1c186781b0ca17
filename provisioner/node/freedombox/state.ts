// How far FreedomBox's own setup has come, read from where it keeps it: its database and its
// directory. What its pages and exit codes say is not asked: these are what they act on. Pure.

import { FactError, type Fact } from '../fact.ts';
import { quote } from '../script.ts';

export interface FreedomboxState {
  /** The wizard has been gone through. */
  completed: boolean;
  /** Domains that FreedomBox knows as its own. */
  domains: string[];
  owner: OwnerState;
}

/** The wizard makes these one after the other, and can be cut off between them. */
export interface OwnerState {
  /** In the web interface's accounts. */
  account: boolean;
  /** Administrator there. */
  accountAdmin: boolean;
  /** In the directory, which all else logs in by. */
  entry: boolean;
  /** Administrator there. */
  entryAdmin: boolean;
}

export const databasePath = '/var/lib/plinth/plinth.sqlite3';

const unlessNew = `except sqlite3.OperationalError as error:
    if not any(words in str(error) for words in ("unable to open", "no such table")):
        raise
`;

/** Tables and keys of FreedomBox 25.9. Before its first start there is none of them. */
const readDatabase = `import json, sqlite3, sys
told = {"completed": False, "domains": [], "account": False, "accountAdmin": False, "others": False}
try:
    db = sqlite3.connect("file:${databasePath}?mode=ro", uri=True, timeout=20)
    kept = dict(db.execute("SELECT key, value_json FROM plinth_kvstore"))
    told["completed"] = json.loads(kept.get("firstboot_completed", "0")) == 1
    told["domains"] = json.loads(json.loads(kept.get("domains", '"[]"')))
    user = "FROM auth_user u WHERE u.username = ?"
    told["account"] = db.execute("SELECT 1 " + user, sys.argv[1:]).fetchone() is not None
    others = "SELECT 1 FROM auth_user WHERE username != ?"
    told["others"] = db.execute(others, sys.argv[1:]).fetchone() is not None
    admin = user + """ AND EXISTS (SELECT 1 FROM auth_user_groups m JOIN auth_group g
        ON g.id = m.group_id WHERE m.user_id = u.id AND g.name = 'admin')"""
    told["accountAdmin"] = db.execute("SELECT 1 " + admin, sys.argv[1:]).fetchone() is not None
${unlessNew}print(json.dumps(told))
`;

/** Prints the state's parts; for a step's command as well. @param owner a plain word */
export function stateScript(owner: string): string {
  const ask = `${asRoot('ldapsearch')} -LLL -b dc=thisbox`;
  return `python3 - ${quote(owner)} <<'PYTHON'
${readDatabase}PYTHON
${ask} '(&(objectClass=posixAccount)(uid=${owner}))' uid 2>/dev/null | grep '^uid:'
${ask} '(&(objectClass=posixGroup)(cn=admin))' memberUid 2>/dev/null | grep '^memberUid: ${owner}$'
true`;
}

const readAccounts = `import sqlite3
try:
    db = sqlite3.connect("file:${databasePath}?mode=ro", uri=True, timeout=20)
    for name, in db.execute("SELECT username FROM auth_user"):
        print(name)
${unlessNew}`;

/** Names of all who have an account, in either place. */
export const freedomboxAccounts: Fact<string[]> = {
  script: `python3 - <<'PYTHON'
${readAccounts}PYTHON
${asRoot('ldapsearch')} -LLL -b dc=thisbox '(objectClass=posixAccount)' uid 2>/dev/null |
  sed -n 's/^uid: //p'`,
  parse: (text) => [...new Set(text.split('\n').filter((name) => name !== ''))],
};

/** One of OpenLDAP's tools, known to the directory by being root (RFC 4422, EXTERNAL). */
export function asRoot(tool: string): string {
  return `${tool} -Y EXTERNAL -H ldapi:/// -Q`;
}

export function freedomboxState(owner: string): Fact<FreedomboxState> {
  return { script: stateScript(owner), parse: (text) => readState(text, owner) };
}

function readState(text: string, owner: string): FreedomboxState {
  const [json, ...lines] = text.split('\n');
  try {
    const { completed, domains, account, accountAdmin } = JSON.parse(json);
    const entry = lines.includes(`uid: ${owner}`);
    const entryAdmin = lines.includes(`memberUid: ${owner}`);
    return { completed, domains, owner: { account, accountAdmin, entry, entryAdmin } };
  } catch {
    throw new FactError('FreedomBox’s state as JSON', text);
  }
}

/** What is missing of an owner that the wizard has made. */
export function ownerAmiss({ completed, owner }: FreedomboxState): string | undefined {
  if (!owner.account && !owner.entry) return 'there is no such account';
  if (!owner.account || !owner.entry) return 'the account is half made';
  if (!owner.accountAdmin || !owner.entryAdmin) return 'the account is no administrator';
  return completed ? undefined : 'the wizard was not gone through to its end';
}
