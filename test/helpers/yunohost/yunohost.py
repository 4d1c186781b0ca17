#!/usr/bin/python3
"""A stand-in for YunoHost 12.1's command, as far as kit uses it: its states, its words, its lies.

Behaves as shared facts about 12.1.25 say and as its sources read: what it returns is often not what
it did. Its directory is /var/lib/stand-in/directory.json; ldap.py shows that as LDAP's own tools do.
Serves nobody. Each place where a power cut matters calls point(): there a test can pull the plug.

  /etc/stand-in/cut       the name of the point to stop at
  /etc/stand-in/offline   there is no way to the internet
  /etc/stand-in/version   what `tools versions` says; 12.1.25 otherwise
  /etc/stand-in/hurried   a second of waiting for the lock counts as five minutes
"""

import argparse
import json
import os
import re
import subprocess
import sys
import time
import urllib.parse

sys.path.insert(0, "/usr/local/lib/stand-in")
from stand_in import ROOT, directory, exists, hash_of, keep_hash, offline  # noqa: E402
from stand_in import point, read, save, write  # noqa: E402

MARK = "/etc/yunohost/installed"
CATALOG = "/var/cache/yunohost/repo/default.json"
LOCK = "/run/moulinette_yunohost.lock"
ARCHIVES = "/home/yunohost.backup/archives"
DIAGNOSIS = "/var/cache/yunohost/diagnosis"
APPS = "/etc/yunohost/apps"
SYSTEM_USERS = ["root", "daemon", "bin", "www-data", "sshd", "nobody", "mail"]
ALIASES = ["root", "admin", "admins", "webmaster", "postmaster", "abuse"]
DOMAIN = re.compile(r"^([^\W_A-Z]+([-]*[^\W_A-Z]+)*\.)+((xn--)?[^\W_]{2,})$")
CATALOG_APPS = {
    "snac": {"requires": "12.1.17", "asks": ["domain", "path", "admin"], "version": "2.94~ynh1"},
    "gotosocial": {
        "requires": "12.1.38",
        "asks": ["domain", "admin", "email", "password"],
        "version": "0.22.0~ynh1",
    },
    "hextris": {"requires": "4.0", "asks": ["domain", "path"], "version": "1.0~ynh9"},
}


class Refused(Exception):
    """What YunoHost tells on standard error, with exit code 1."""


def say(kind, words):
    """INFO and SUCCESS share standard output with the JSON."""
    colour = {"Info": 36, "Success": 32}[kind]
    print(f"\x1b[1;{colour}m{kind}:\x1b[0m {words}", flush=True)


def complain(kind, words):
    print(f"\x1b[1;31m{kind}:\x1b[0m {words}", file=sys.stderr, flush=True)


def main():
    options, words = parser_of_top().parse_known_args()
    if options.version:
        words = ["tools", "versions"]
    allowed = [["tools", "postinstall"], ["tools", "versions"], ["tools", "shell"],
               ["backup", "list"], ["backup", "restore"], ["log", "display"]]
    if not exists(MARK) and words[:2] not in allowed:
        print("\x1b[1;31mError:\x1b[0m YunoHost is not correctly installed. "
              "Please run 'yunohost tools postinstall'")
        return 1
    chosen = parser_of_actions().parse_args(words)
    try:
        with Lock(options.timeout if chosen.writes else "skip"):
            said = chosen.run(chosen)
    except Refused as refused:
        complain("Error", refused)
        return 1
    if said is not None:
        print(json.dumps(said) if options.output_as == "json" else said)
    return 0


def parser_of_top():
    top = argparse.ArgumentParser(add_help=False)
    top.add_argument("--output-as", choices=["json", "plain", "none"])
    top.add_argument("--timeout", type=int)
    top.add_argument("--version", action="store_true")
    return top


def parser_of_actions():
    """`--overwrite-root-password` and all else that 12.1 does not know end with exit code 2."""
    top = argparse.ArgumentParser(prog="yunohost")
    categories = top.add_subparsers(required=True)
    made = {}

    def action(words, run, *arguments, writes=True):
        *path, last = words.split()
        holder = categories
        for at, part in enumerate(path):
            key = " ".join(path[: at + 1])
            if key not in made:
                made[key] = holder.add_parser(part).add_subparsers(required=True)
            holder = made[key]
        parser = holder.add_parser(last)
        parser.set_defaults(run=run, writes=writes)
        for flags, more in arguments:
            parser.add_argument(*flags, **more)

    flag = lambda *names: (names, {"action": "store_true"})  # noqa: E731
    value = lambda *names, **more: (names, more)  # noqa: E731
    needed = lambda *names: (names, {"required": True})  # noqa: E731
    action("tools versions", versions, writes=False)
    action("tools postinstall", postinstall, needed("-d", "--domain"), needed("-u", "--username"),
           needed("-F", "--fullname"), needed("-p", "--password"), flag("--ignore-dyndns"),
           flag("--force-diskspace"), flag("--i-have-read-terms-of-services"))
    action("tools regen-conf", regen_conf, value("names", nargs="*"), flag("--force"))
    action("tools update", tools_update, value("target", nargs="?"))
    action("domain list", lambda _: {"domains": directory()["domains"], "main": main_domain()},
           writes=False)
    action("domain add", domain_add, value("domain"), flag("--ignore-dyndns"))
    action("domain main-domain", domain_main, value("-n", "--new-main-domain"))
    action("domain cert install", cert_install, value("domain", nargs="*"))
    action("user list", lambda _: {"users": directory()["users"]}, writes=False)
    action("user create", user_create, value("username"), needed("-F", "--fullname"),
           needed("-p", "--password"), value("-d", "--domain"))
    action("user group add", group_add, value("groupname"), value("usernames", nargs="+"))
    action("app list", app_list, writes=False)
    action("app map", lambda _: {a["domain_path"]: a["name"] for a in app_list(_)["apps"]},
           writes=False)
    action("app install", app_install, value("app"), flag("--force"), value("--args"))
    action("app remove", app_remove, value("app"), flag("--purge"))
    action("diagnosis run", diagnosis_run, value("categories", nargs="*"), flag("--force"))
    action("diagnosis show", diagnosis_show, flag("--issues"), writes=False)
    action("backup create", backup_create, value("--name"), value("--system", nargs="*"),
           value("--apps", nargs="*"))
    action("backup restore", backup_restore, value("name"), value("--system", nargs="*"),
           value("--apps", nargs="*"), flag("--force"))
    action("backup list", lambda _: {"archives": archives()}, writes=False)
    action("backup delete", backup_delete, value("name", nargs="+"))
    return top


class Lock:
    """Writers wait for ever unless told otherwise; readers do not ask."""

    def __init__(self, timeout):
        self.timeout = timeout

    def __enter__(self):
        started = time.time()
        while self.timeout != "skip" and exists(LOCK):
            if not os.path.exists(f"/proc/{read(LOCK).strip()}"):
                break
            speed = 300 if exists("/etc/stand-in/hurried") else 1
            if self.timeout is not None and (time.time() - started) * speed > self.timeout:
                raise Refused("There is already a YunoHost operation running. Please wait for it "
                              "to finish before running another one.")
            time.sleep(0.05)
        if self.timeout != "skip":
            write(LOCK, str(os.getpid()))

    def __exit__(self, *_):
        if self.timeout != "skip":
            os.unlink(LOCK)


def versions(_):
    version = read("/etc/stand-in/version").strip() if exists("/etc/stand-in/version") else "12.1.25"
    names = ["yunohost", "yunohost-admin", "yunohost-portal", "moulinette", "ssowat"]
    return {name: {"repo": "stable", "version": version} for name in names}


def postinstall(asked):
    set_up(asked.domain, asked.username, asked.fullname, asked.password)


def set_up(domain, user, fullname, password, is_roots=True):
    if exists(MARK):
        raise Refused("YunoHost is already installed")
    if exists(APPS) and os.listdir(APPS):
        raise Refused("It looks like you're trying to re-postinstall a system that was already "
                      "working previously ...")
    check_pattern("domain", DOMAIN, domain, "Must be a valid domain name (e.g. my-domain.org)")
    if user in SYSTEM_USERS or user in directory()["users"]:
        raise Refused("Username already exists in the list of system users")
    if user in ALIASES:
        raise Refused(f"Unfortunately, {user} cannot be used as a username")
    check_password(password)
    note_api()
    say("Info", "Installing YunoHost…")
    point("postinstall: begins")
    add_domain(domain)
    set_main(domain)
    make_user(user, fullname, password, admin=True)
    if is_roots:
        set_root_password(password)
    point("postinstall: root's password set")
    fetch_catalog()
    write("/etc/yunohost/migrations.yaml", "migrations: {}\n")
    point("postinstall: before the mark")
    write(MARK, "")
    point("postinstall: marked")
    subprocess.run(["systemctl", "enable", "-q", "nftables.service"], check=True)
    point("postinstall: firewall enabled")
    regen(["ssh"], force=True)
    regen([], force=True)
    say("Success", "YunoHost is now configured")
    complain("Warning", "The post-install completed! To finalize your setup, please consider: …")


def note_api():
    """Whether anybody on the network could have done it instead: for the tests."""
    told = read("/proc/net/tcp") + (read("/proc/net/tcp6") if exists("/proc/net/tcp6") else "")
    is_open = re.search(r":1A83 \S+ 0A ", told) is not None
    with open(ROOT + "/race", "a") as log:
        log.write("open\n" if is_open else "shut\n")


def check_pattern(argument, pattern, value, words):
    if not pattern.match(value):
        raise Refused(f"Invalid argument '{argument}': {words}")


def check_password(password):
    if len(password) < 8:
        raise Refused("The password needs to be at least 8 characters long")
    if password in ("password", "12345678", "yunohost"):
        raise Refused("This password is among the most used passwords in the world. "
                      "Please choose something more unique.")


def add_domain(domain):
    if domain in directory()["domains"]:
        raise Refused("The domain already exists")
    folder = f"/etc/yunohost/certs/{domain}-history/{time.strftime('%Y%m%d.%H%M%S')}-selfsigned"
    os.makedirs(folder, exist_ok=True)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", f"/CN={domain}", "-days", "3650",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/crt.pem"],
                   check=True, capture_output=True)
    live = f"/etc/yunohost/certs/{domain}"
    if os.path.islink(live):
        os.unlink(live)
    os.symlink(folder, live)
    point("domain: certificate made")
    change(lambda held: held["domains"].append(domain))
    point("domain: in the directory")
    if exists(MARK):
        if not exists(CATALOG) and not fetch_catalog():
            change(lambda held: held["domains"].remove(domain))
            raise Refused("Unable to download the default app catalog: no route to host")
        regen(["nginx", "dnsmasq"])
    say("Success", "Domain created")


def domain_add(asked):
    check_pattern("domain", DOMAIN, asked.domain, "Must be a valid domain name (e.g. my-domain.org)")
    add_domain(asked.domain)


def domain_main(asked):
    if asked.new_main_domain not in directory()["domains"]:
        raise Refused(f"Domain '{asked.new_main_domain}' unknown")
    set_main(asked.new_main_domain)


def set_main(domain):
    write("/etc/yunohost/current_host", domain)
    point("main domain: written")
    subprocess.run(["hostnamectl", "set-hostname", domain], check=True)
    point("main domain: host name set")


def main_domain():
    return read("/etc/yunohost/current_host").strip()


def make_user(user, fullname, password, admin, domain=None):
    change(lambda held: held["users"].update({user: {
        "username": user, "fullname": fullname, "mail": f"{user}@{domain or main_domain()}",
        "mailbox-quota": "Unlimited"}}))
    keep_hash(user, hash_of(password))
    point("user: in the directory")
    os.makedirs(f"/home/{user}", exist_ok=True)
    change(lambda held: held["groups"].update({user: []}))
    point("user: has a group")
    if admin:
        change(lambda held: held["groups"]["admins"].append(user))
        point("user: is an administrator")
    change(lambda held: held["groups"]["all_users"].append(user))
    point("user: is whole")


def user_create(asked):
    held = directory()
    check_password(asked.password)
    if asked.username in held["users"]:
        raise Refused(f"The user '{asked.username}' already exists")
    if asked.username in SYSTEM_USERS:
        raise Refused("Username already exists in the list of system users")
    if asked.domain not in held["domains"]:
        raise Refused(f"Domain '{asked.domain}' unknown")
    make_user(asked.username, asked.fullname, asked.password, admin=False, domain=asked.domain)
    if not exists(CATALOG) and not fetch_catalog():
        # The user exists all the same.
        raise Refused("Unable to download the default app catalog: no route to host")
    say("Success", "User created")
    return {"fullname": asked.fullname, "username": asked.username}


def group_add(asked):
    held = directory()
    for user in asked.usernames:
        if user not in held["users"]:
            raise Refused(f"The user '{user}' is not known")
        if user in held["groups"][asked.groupname]:
            complain("Warning", f"User '{user}' is already in group '{asked.groupname}'")
        else:
            change(lambda now: now["groups"][asked.groupname].append(user))  # noqa: B023
    say("Success", f"Group '{asked.groupname}' updated")


def set_root_password(password):
    subprocess.run(["chpasswd"], input=f"root:{password}\n", text=True, check=True)


def fetch_catalog():
    """Never fails aloud: whoever calls it decides."""
    if offline():
        complain("Warning", "Unable to download the default app catalog: no route to host")
        return False
    write(CATALOG, json.dumps({"apps": CATALOG_APPS}))
    return True


def tools_update(_):
    if not fetch_catalog():
        complain("Error", "Unable to download the default app catalog: no route to host")
    return {"system": [], "apps": []}


def regen_conf(asked):
    regen(asked.names, asked.force)


SSHD = """# This configuration has been automatically generated
# by YunoHost

Port 22
ListenAddress 0.0.0.0
HostKey /etc/ssh/ssh_host_ed25519_key
PermitRootLogin no
PubkeyAuthentication yes
PermitEmptyPasswords no
UsePAM no
AllowGroups ssh.main sftp.main ssh.app sftp.app admins root
Match Address 192.168.0.0/16,10.0.0.0/8,172.16.0.0/12,169.254.0.0/16,fe80::/10,fd00::/8
    PermitRootLogin yes
"""
SITE = """server {
    listen 80;
    server_name %s;

    include /etc/nginx/conf.d/acme-challenge.conf.inc;
    location / {
        return 301 https://$host$request_uri;
    }
}
"""
NFTABLES = """#!/usr/sbin/nft -f
flush ruleset

table inet filter {
	chain input {
		type filter hook input priority filter;
	}
}
include "/etc/nftables.d/*.conf"
"""
FIREWALL = """table inet filter {
    chain input {
        policy drop;
        ct state related,established counter accept;
        tcp dport { 22, 25, 80, 443, 587, 993 } counter accept;
        iifname "lo" counter accept;
        ip protocol icmp counter accept;
    }
}
"""


def regen(names, force=False):
    """
    Categories one after the other, each with the hooks of others: `NN-CATEGORY`. A file that somebody
    has changed since is left alone, and a warning is all that tells of it.
    """
    told = f"{ROOT}/regenconf.json"
    ours = json.loads(read(told)) if exists(told) else {}
    for name in names or ["ssh", "nginx", "dnsmasq", "nftables"]:
        pending = f"/var/cache/yunohost/regenconf/pending/{name}"
        subprocess.run(["rm", "-rf", pending], check=True)
        os.makedirs(pending)
        for path, text in generated(name).items():
            write(pending + path, text)
        hooks = "/etc/yunohost/hooks.d/conf_regen"
        for hook in sorted(os.listdir(hooks)) if exists(hooks) else []:
            if hook.split("-", 1)[1] == name:
                subprocess.run([f"{hooks}/{hook}", "pre", "", "", pending], check=True)
        changed = False
        for folder, _, files in os.walk(pending):
            for file in files:
                target = f"{folder}/{file}"[len(pending):]
                wanted, now = read(pending + target), read(target) if exists(target) else None
                if now not in (None, wanted, ours.get(target, now)) and not force:
                    complain("Warning", f"The configuration file '{target}' has been manually "
                             "modified and will not be updated")
                    continue
                ours[target] = wanted
                if now != wanted:
                    write(target, wanted)
                    changed = True
        write(told, json.dumps(ours))
        point(f"regen-conf {name}: written")
        service = {"ssh": "ssh", "nftables": "nftables", "nginx": "nginx"}.get(name)
        if changed and service:
            subprocess.run(["systemctl", "restart", f"{service}.service"], check=True)
        point(f"regen-conf {name}: done")


def generated(name):
    if name == "ssh":
        return {"/etc/ssh/sshd_config": SSHD}
    if name == "nginx":
        return {
            "/etc/nginx/conf.d/acme-challenge.conf.inc": "",
            "/etc/nginx/conf.d/default.d/redirect_to_admin.conf": "location / {\n}\n",
            **{f"/etc/nginx/conf.d/{domain}.conf": SITE % domain
               for domain in directory()["domains"]},
        }
    if name == "dnsmasq":
        return {"/etc/resolv.conf": "nameserver 127.0.0.1\n"}
    if name == "nftables":
        return {"/etc/nftables.conf": NFTABLES, "/etc/nftables.d/yunohost-firewall.conf": FIREWALL}
    raise Refused(f"The regeneration of the configuration failed for category(s): {name}")


def app_list(_):
    listed = []
    for app in sorted(os.listdir(APPS)) if exists(APPS) else []:
        listed.append(json.loads(read(f"{APPS}/{app}/settings.yml")))
    return {"apps": listed}


def app_install(asked):
    if not exists(CATALOG) and not fetch_catalog():
        raise Refused("Unable to download the default app catalog: no route to host")
    known = json.loads(read(CATALOG))["apps"]
    if asked.app not in known:
        raise Refused("Unknown app")
    needs = known[asked.app]
    current = versions(None)["yunohost"]["version"]
    if numbers(current) < numbers(needs["requires"]):
        raise Refused(f"This app requires YunoHost >= {needs['requires']} but current installed "
                      f"version is {current}.")
    given = dict(pair.split("=", 1) for pair in (asked.args or "").split("&") if "=" in pair)
    for name in needs["asks"]:
        if name not in given:
            raise Refused(f"Pick a valid value for the argument '{name}': a value is required")
    place = given["domain"] + given.get("path", "/")
    if any(app["domain_path"] == place for app in app_list(None)["apps"]):
        raise Refused("This URL is either unavailable, or conflicts with the already installed "
                      f"app(s):\n{place}")
    say("Info", f"Installing {asked.app}…")
    write(f"{APPS}/{asked.app}/settings.yml", json.dumps({
        "id": asked.app, "name": asked.app, "version": needs["version"], "domain_path": place,
        "description": ""}))
    point("app: listed")
    make_app(asked.app, given)
    say("Success", "Installation completed")


def make_app(app, given):
    if app == "snac":
        data = f"/home/yunohost.app/snac/user/{given['admin']}"
        os.makedirs(data, exist_ok=True)
        point("app: data begun")
        write(f"{data}/user.json", '{\n    "uid": "%s",\n    "passwd": "0:0"\n}\n' % given["admin"])
        write(f"{data}/key.json", "{}\n")
    if app == "gotosocial":
        write(f"{ROOT}/postgres/admin", given["admin"])
        # As its real script does: the answers are kept, this one among them.
        write(f"{APPS}/gotosocial/password", urllib.parse.unquote(given["password"]))
    start_app(app)


def start_app(app):
    write(f"/etc/systemd/system/{app}.service",
          "[Service]\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n")
    subprocess.run(["systemctl", "enable", "-q", f"{app}.service"], check=True)
    subprocess.run(["systemctl", "start", f"{app}.service"], check=True)
    point("app: started")


def app_remove(asked):
    if not exists(f"{APPS}/{asked.app}"):
        raise Refused(f"Could not find {asked.app} in the list of installed apps: …")
    subprocess.run(["systemctl", "stop", f"{asked.app}.service"], check=True)
    for path in [f"{APPS}/{asked.app}", f"/home/yunohost.app/{asked.app}",
                 f"/etc/systemd/system/{asked.app}.service",
                 f"/etc/systemd/system/multi-user.target.wants/{asked.app}.service"]:
        subprocess.run(["rm", "-rf", path], check=True)
        point("app: being removed")
    say("Success", f"{asked.app} uninstalled")


def numbers(version):
    return [int(part) for part in version.split("~")[0].split(".")]


def diagnosis_run(_):
    write(f"{DIAGNOSIS}/basesystem.json", "{}")
    point("diagnosis: half of it")
    write(f"{DIAGNOSIS}/web.json", "{}")
    complain("Warning", "To see the issues found, you can go to the Diagnosis section …")


def diagnosis_show(asked):
    if not exists(DIAGNOSIS):
        complain("Warning", "It looks like this server was setup recently and there's no diagnosis "
                 "report to show yet.")
        return None
    domain = main_domain()
    return {"reports": [
        {"id": "web", "description": "Web", "items": [{
            "status": "ERROR",
            "summary": f"Domain {domain} appears unreachable through HTTP from outside the local "
                       "network."}]},
        {"id": "services", "description": "Services status check", "items": [{
            "status": "ERROR", "summary": "Service dovecot is failed :("}]},
        {"id": "mail", "description": "Email", "items": [{
            "status": "WARNING", "summary": "No reverse DNS is defined in IPv4."}]},
    ]}


def cert_install(asked):
    for domain in asked.domain:
        if domain not in directory()["domains"]:
            raise Refused(f"Domain '{domain}' unknown")
        if not exists(DIAGNOSIS):
            complain("Error", f"There is no diagnosis result for domain {domain} yet. Please "
                     "re-run a diagnosis for categories 'DNS records' and 'Web' …")
        elif offline() or domain.endswith(".test"):
            complain("Error", f"The domain {domain} does not seem accessible through HTTP.")
        else:
            certify(domain)


def certify(domain):
    """By an authority that is not YunoHost's own: as Let's Encrypt's would look to it."""
    folder = f"/etc/yunohost/certs/{domain}-history/{time.strftime('%Y%m%d.%H%M%S')}-letsencrypt"
    os.makedirs(folder)
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                    "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=Fake LE R3", "-days", "90",
                    "-keyout", f"{folder}/key.pem", "-out", f"{folder}/crt.pem"],
                   check=True, capture_output=True)
    os.unlink(f"/etc/yunohost/certs/{domain}")
    os.symlink(folder, f"/etc/yunohost/certs/{domain}")
    say("Success", f"Let's Encrypt certificate now installed for the domain '{domain}'")


def archives():
    names = os.listdir(ARCHIVES) if exists(ARCHIVES) else []
    return sorted(name[: -len(".tar")] for name in names if name.endswith(".tar"))


def backup_create(asked):
    name = asked.name or time.strftime("%Y%m%d-%H%M%S")
    if name in archives():
        raise Refused(f"A backup archive with the name '{name}' already exists.")
    work = f"/home/yunohost.backup/tmp/{name}"
    apps = [app["id"] for app in app_list(None)["apps"]]
    info = {"created_at": int(time.time()), "apps": {app: {} for app in apps},
            "system": {part: {} for part in PARTS},
            "from_yunohost_version": versions(None)["yunohost"]["version"]}
    write(f"{work}/info.json", json.dumps(info))
    write(f"{work}/conf/ldap/db.ldif", json.dumps(directory()))
    write(f"{work}/conf/ynh/current_host", main_domain())
    for part, folder in PARTS.items():
        if folder is not None and exists(folder):
            copy(folder, f"{work}/data/{part}")
    for app in apps:
        copy(f"{APPS}/{app}", f"{work}/apps/{app}/settings")
        write(f"{work}/apps/{app}/backup/name", app)
        if exists(f"/home/yunohost.app/{app}"):
            copy(f"/home/yunohost.app/{app}", f"{work}/apps/{app}/backup/data")
    os.makedirs(ARCHIVES, exist_ok=True)
    write(f"{ARCHIVES}/{name}.tar", "cut off")
    point("backup: being written")
    subprocess.run(["tar", "-cf", f"{ARCHIVES}/{name}.tar", "-C", work, "."], check=True)
    subprocess.run(["rm", "-rf", work], check=True)
    write(f"{ARCHIVES}/{name}.info.json", json.dumps(info))
    return {"name": name, "size": os.path.getsize(f"{ARCHIVES}/{name}.tar"),
            "results": {"apps": {app: "Success" for app in apps},
                        "system": {part: "Success" for part in PARTS}}}


# What its hooks keep, and where; the directory's is below, and its hashes are in /etc/userdb here.
PARTS = {"conf_ldap": "/etc/userdb", "conf_ynh_certs": "/etc/yunohost/certs",
         "data_home": None, "conf_ynh_settings": None}


def copy(folder, to):
    os.makedirs(to, exist_ok=True)
    subprocess.run(["cp", "-a", f"{folder}/.", to], check=True)


def backup_restore(asked):
    """Ends with 0 when anything at all came back: which, its results tell."""
    name, work = asked.name, f"/home/yunohost.backup/tmp/{asked.name}"
    if name not in archives():
        raise Refused(f"Unknown local backup archive named '{name}'")
    subprocess.run(["rm", "-rf", work], check=True)
    os.makedirs(work)
    unpacked = subprocess.run(["tar", "-xf", f"{ARCHIVES}/{name}.tar", "-C", work],
                              capture_output=True, text=True)
    if unpacked.returncode != 0 or not exists(f"{work}/info.json"):
        raise Refused(f"It looks like the backup archive '{name}' is corrupted : "
                      f"{unpacked.stderr.strip()}")
    info = json.loads(read(f"{work}/info.json"))
    if exists(MARK):
        complain("Warning", "YunoHost is already installed")
        if not asked.force:
            raise Refused("Unable to restore the system")
    else:
        # The administrator of a moment: the directory that comes back knows no such person.
        set_up(read(f"{work}/conf/ynh/current_host"), "tmpadmin", "Tmp Admin",
               os.urandom(30).hex(), is_roots=False)
    restore_system(work)
    results = {"system": {part: "Success" for part in info["system"]},
               "apps": {app: restore_app(app, f"{work}/apps/{app}") for app in info["apps"]}}
    subprocess.run(["rm", "-rf", work], check=True)
    say("Success", "Restoration completed")
    return results


def restore_system(work):
    point("restore: begins")
    hashes = f"{work}/data/conf_ldap"
    save(json.loads(read(f"{work}/conf/ldap/db.ldif")))
    subprocess.run(f"cp -a {hashes}/*.user-privileged /etc/userdb/", shell=True, check=True)
    point("restore: directory back")
    for part, folder in PARTS.items():
        if part != "conf_ldap" and exists(f"{work}/data/{part}"):
            subprocess.run(["rm", "-rf", folder], check=True)
            copy(f"{work}/data/{part}", folder)
    point("restore: files back")
    regen([])
    point("restore: system back")


def restore_app(app, kept):
    if exists(f"{APPS}/{app}"):
        complain("Error", f"An app with the ID '{app}' is already installed")
        return "Error"
    copy(f"{kept}/settings", f"{APPS}/{app}")
    point("restore: app listed")
    if offline():
        # Its packages come from Debian's mirror.
        complain("Error", f"Could not restore {app}: an error in its restore script")
        subprocess.run(["rm", "-rf", f"{APPS}/{app}"], check=True)
        return "Error"
    if exists(f"{kept}/backup/data"):
        copy(f"{kept}/backup/data", f"/home/yunohost.app/{app}")
    start_app(app)
    return "Success"


def backup_delete(asked):
    for name in asked.name:
        if name not in archives():
            raise Refused(f"Unknown local backup archive named '{name}'")
        for end in (".tar", ".info.json"):
            if exists(f"{ARCHIVES}/{name}{end}"):
                os.unlink(f"{ARCHIVES}/{name}{end}")


def change(alter):
    held = directory()
    alter(held)
    save(held)


if __name__ == "__main__":
    sys.exit(main())
