"""The postinstall, domains, people and groups: what lies half done where a power cut fell."""

import os
import re
import subprocess
import time

from regen import regen
from stand_in import ROOT, directory, exists, hash_of, keep_hash, point, read, write
from ynh import APPS, CATALOG, MARK, Refused, change, complain, fetch_catalog, main_domain, say

SYSTEM_USERS = ["root", "daemon", "bin", "www-data", "sshd", "nobody", "mail"]
ALIASES = ["root", "admin", "admins", "webmaster", "postmaster", "abuse"]
DOMAIN = re.compile(r"^([^\W_A-Z]+([-]*[^\W_A-Z]+)*\.)+((xn--)?[^\W_]{2,})$")


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
