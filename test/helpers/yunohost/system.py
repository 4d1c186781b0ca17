#!/usr/bin/python3
"""What a YunoHost's system does around it, as far as kit looks: units, LDAP's tools, names.

One program under several names. Units run as far as they matter here: nftables and the tables that
count are the kernel's own, sshd is Debian's, YunoHost's API is a port that listens.
"""

import glob
import os
import re
import signal
import subprocess
import sys
import time

sys.path.insert(0, "/usr/local/lib/stand-in")
from stand_in import directory, exists, keep_hash, read, save, write  # noqa: E402

UNITS = "/etc/systemd/system"
BASE = "dc=yunohost,dc=org"
KNOWN = {
    "ssh.service": "multi-user.target",
    "nginx.service": "multi-user.target",
    "nftables.service": "sysinit.target",
    "yunohost-api.service": "multi-user.target",
    "yunohost-portal-api.service": "multi-user.target",
    "apt-daily-upgrade.timer": "timers.target",
}
# A socket of Accept=yes: PATH USER MODE COMMAND…, one connection at a time.
ACCEPTER = """import os, pwd, socket, subprocess, sys
path, user, mode, *command = sys.argv[1:]
if os.path.exists(path): os.unlink(path)
s = socket.socket(socket.AF_UNIX); s.bind(path)
os.chown(path, pwd.getpwnam(user).pw_uid, 0); os.chmod(path, int(mode, 8)); s.listen()
while True:
    connection, _ = s.accept()
    subprocess.run(command, stdin=connection, stdout=connection)
    connection.close()"""
LISTENER = """import socket, time
s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
s.bind(("127.0.0.1", 6787)); s.listen(); time.sleep(1e9)"""


def main():
    name = os.path.basename(sys.argv[0])
    return {"systemctl": systemctl, "ldapsearch": ldapsearch, "ldapdelete": ldapdelete,
            "ldapmodify": ldapmodify, "hostnamectl": hostnamectl, "nginx": lambda _: 0,
            "update-ca-certificates": update_ca, "init": init, "psql": psql}[name](sys.argv[1:])


def init(_):
    """The first process: everything else ends with it, as when a plug is pulled."""
    for folder in ("/run/sshd", "/run/lock", "/run/units", "/run/slapd"):
        os.makedirs(folder, exist_ok=True)
    subprocess.run(["hostname", read("/etc/hostname").strip()], check=True)
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    for link in sorted(glob.glob(f"{UNITS}/*.wants/*")):
        start(os.path.basename(link))
    while True:
        try:
            os.wait()
        except ChildProcessError:
            time.sleep(0.05)


def systemctl(words):
    quiet = [word for word in words if not word.startswith("-")]
    verb, units = quiet[0], [full(unit) for unit in quiet[1:]]
    if verb == "daemon-reload":
        return 0
    if verb == "show":
        print("\n".join(f"Id={unit}\nActiveState={state(unit)}\nJob=\n" for unit in units))
        return 0
    if verb == "is-active":
        return 0 if all(state(unit) == "active" for unit in units) else 3
    if verb == "cat":
        texts = [read(path) for unit in units for path in files_of(unit)]
        print("\n".join(texts))
        return 0 if texts else 1
    for unit in units:
        act(verb, unit)
    return 0


def full(unit):
    return unit if "." in unit else f"{unit}.service"


def act(verb, unit):
    if verb == "enable":
        enable(unit)
    elif verb == "stop":
        stop(unit)
    elif verb == "start":
        start(unit)
    elif verb in ("restart", "reload-or-restart"):
        stop(unit)
        start(unit)
    elif verb != "reload":
        sys.exit(f"stand-in: systemctl {verb}")


def enable(unit):
    target = KNOWN.get(unit)
    for path in files_of(unit):
        found = re.search(r"^WantedBy=(\S+)$", read(path), re.M)
        target = found[1] if found else target
    if target is None:
        sys.exit(f"Failed to enable unit: Unit file {unit} does not exist.")
    link = f"{UNITS}/{target}.wants/{unit}"
    os.makedirs(os.path.dirname(link), exist_ok=True)
    if not os.path.islink(link):
        os.symlink(f"/usr/lib/systemd/system/{unit}", link)


def files_of(unit):
    return [f"{UNITS}/{unit}"][: exists(f"{UNITS}/{unit}")] + glob.glob(f"{UNITS}/{unit}.d/*.conf")


def state(unit):
    return read(f"/run/units/{unit}") if exists(f"/run/units/{unit}") else "inactive"


def start(unit):
    if state(unit) == "active":
        return
    texts = "\n".join(read(path) for path in files_of(unit))
    conditions = re.findall(r"^ConditionPathExists=(\S+)$", texts, re.M)
    if not all(exists(path) for path in conditions):
        return
    if unit == "ssh.service":
        run_sshd()
    elif unit == "nftables.service":
        if exists("/etc/nftables.conf"):
            subprocess.run(["nft", "-f", "/etc/nftables.conf"], check=True)
    elif unit == "yunohost-api.service":
        spawn(unit, [sys.executable, "-c", LISTENER])
    elif unit.endswith(".socket") and "SocketUser=" in texts:
        spawn(unit, [sys.executable, "-c", ACCEPTER, *accepting(unit, texts)])
    elif unit not in KNOWN and not texts:
        sys.exit(f"Failed to start {unit}: Unit {unit} not found.")
    elif unit.endswith(".service") and "Type=oneshot" in texts:
        for command in re.findall(r"^ExecStart=(.+)$", texts, re.M):
            subprocess.run(command.split(), check=True)
    write(f"/run/units/{unit}", "active")


def accepting(unit, texts):
    service = "\n".join(read(path) for path in files_of(unit.replace(".socket", "@.service")))
    said = [re.search(rf"^{key}=(\S+)$", texts, re.M)[1]
            for key in ("ListenStream", "SocketUser", "SocketMode")]
    return [*said, *re.search(r"^ExecStart=(.+)$", service, re.M)[1].split()]


def stop(unit):
    if exists(f"/run/{unit}.pid"):
        pid = int(read(f"/run/{unit}.pid"))
        try:
            os.kill(pid, signal.SIGTERM)
        except ProcessLookupError:
            pass
        while exists(f"/proc/{pid}/exe"):
            time.sleep(0.01)
        os.unlink(f"/run/{unit}.pid")
    if unit == "nftables.service" and state(unit) == "active":
        subprocess.run(["nft", "flush", "ruleset"], check=True)
    write(f"/run/units/{unit}", "inactive")


def run_sshd():
    """It tells systemd when it listens, and is waited for: here its log tells."""
    log = "/var/log/sshd.log"
    listening = lambda: read(log).count("Server listening") if exists(log) else 0  # noqa: E731
    before = listening()
    subprocess.run(["/usr/sbin/sshd", "-t"], check=True)
    child = spawn("ssh.service", ["/usr/sbin/sshd", "-D", "-E", log])
    while listening() == before:
        if child.poll() is not None:
            sys.exit(f"sshd ended: {read(log)[-300:]}")
        time.sleep(0.01)


def spawn(unit, command):
    """Owned by the first process: a daemon outlives the step that started it."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                             stderr=subprocess.DEVNULL, start_new_session=True, close_fds=True)
    write(f"/run/{unit}.pid", str(child.pid))
    return child


def hostnamectl(words):
    name = [word for word in words if not word.startswith("-")][-1]
    write("/etc/hostname", name + "\n")
    return subprocess.run(["hostname", name]).returncode


def update_ca(_):
    """Debian's takes seconds to go through all authorities: here they are added to one bundle."""
    added = "".join(read(path) for path in glob.glob("/usr/local/share/ca-certificates/*.crt"))
    write("/etc/ssl/certs/ca-certificates.crt", added)
    return 0


def psql(words):
    """GoToSocial's database: one account, and the hash that it was given."""
    said = sys.stdin.read()
    account = read("/var/lib/stand-in/postgres/admin").strip()
    if f"username = '{account}' AND domain IS NULL" not in said or "gotosocial" not in words:
        return 0
    found = re.search(r"SET encrypted_password = '([^']+)'", said)
    write("/var/lib/stand-in/postgres/hash", found[1])
    print("changed")
    return 0


def entries():
    """As YunoHost lays them out: distinguished name → attributes."""
    held = directory()
    found = {}
    for domain in held["domains"]:
        found[f"virtualdomain={domain},ou=domains,{BASE}"] = [
            ("objectClass", "mailDomain"), ("virtualdomain", domain)]
    for user in held["users"]:
        found[f"uid={user},ou=users,{BASE}"] = [("objectClass", "mailAccount"), ("uid", user)]
    for group, members in held["groups"].items():
        found[f"cn={group},ou=groups,{BASE}"] = [
            ("objectClass", "posixGroup"), ("cn", group),
            *(("memberUid", member) for member in members),
            *(("member", f"uid={member},ou=users,{BASE}") for member in members)]
    return found


def ldapsearch(words):
    """Filters (RFC 4515) of the two forms that kit asks: all of `(&(a=b)…)`, any of `(|(a=b)…)`."""
    [text] = [word for word in words if word.startswith("(")]
    asked = re.findall(r"\((\w+)=([^()]*)\)", text)
    wanted = words[words.index(text) + 1:]
    how = any if text.startswith("(|") else all
    for name, attributes in entries().items():
        if how(pair in attributes for pair in asked):
            shown = [f"{key}: {value}" for key, value in attributes if key in wanted]
            print("\n".join([f"dn: {name}", *shown]) + "\n")
    return 0


def ldapdelete(words):
    held, name = directory(), words[-1]
    if name not in entries():
        print("ldap_delete: No such object (32)", file=sys.stderr)
        return 32
    first = name.split(",")[0].split("=")[1]
    if ",ou=domains," in name:
        held["domains"].remove(first)
    elif ",ou=users," in name:
        del held["users"][first]
    else:
        del held["groups"][first]
    save(held)
    return 0


def ldapmodify(_):
    """Deletes a group's value (one that is not there is an error, as to OpenLDAP) or replaces a hash."""
    text = sys.stdin.read()
    person = re.search(r"^dn: uid=(\w+),ou=users,", text, re.M)
    return replace_hash(person[1], text) if person else leave_group(text)


def replace_hash(user, text):
    if user not in directory()["users"]:
        print("ldap_modify: No such object (32)", file=sys.stderr)
        return 32
    [value] = re.findall(r"^replace: userPassword\nuserPassword: \{CRYPT\}(\S+)$", text, re.M)
    keep_hash(user, value)
    return 0


def leave_group(text):
    group = re.search(r"^dn: cn=(\w+),ou=groups,", text, re.M)[1]
    attribute = re.search(r"^delete: (\w+)$", text, re.M)[1]
    value = re.search(rf"^{attribute}: (.+)$", text, re.M)[1]
    held = directory()
    user = value.split(",")[0].removeprefix("uid=")
    if user not in held["groups"][group]:
        print("ldap_modify: No such attribute (16)", file=sys.stderr)
        return 16
    held["groups"][group].remove(user)
    save(held)
    return 0


if __name__ == "__main__":
    sys.exit(main())
