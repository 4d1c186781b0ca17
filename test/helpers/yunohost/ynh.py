"""What the parts of the stand-in for YunoHost's command share: places, words, the catalogue."""

import json
import sys

from stand_in import directory, exists, offline, read, save, write

MARK = "/etc/yunohost/installed"
CATALOG = "/var/cache/yunohost/repo/default.json"
APPS = "/etc/yunohost/apps"
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


def versions(_):
    version = read("/etc/stand-in/version").strip() if exists("/etc/stand-in/version") else "12.1.25"
    names = ["yunohost", "yunohost-admin", "yunohost-portal", "moulinette", "ssowat"]
    return {name: {"repo": "stable", "version": version} for name in names}


def main_domain():
    return read("/etc/yunohost/current_host").strip()


def change(alter):
    held = directory()
    alter(held)
    save(held)


def fetch_catalog():
    """Never fails aloud: whoever calls it decides."""
    if offline():
        complain("Warning", "Unable to download the default app catalog: no route to host")
        return False
    write(CATALOG, json.dumps({"apps": CATALOG_APPS}))
    return True
