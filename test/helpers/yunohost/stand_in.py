"""What the stand-ins of YunoHost and of its system share: files, the directory, points of cuts."""

import glob
import json
import os
import time

ROOT = "/var/lib/stand-in"
EMPTY = {"domains": [], "users": {}, "groups": {"admins": [], "all_users": []}}


def exists(path):
    return os.path.exists(path)


def read(path):
    with open(path) as file:
        return file.read()


def write(path, text):
    """In place by rename: a cut leaves the old one or the new one."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".part", "w") as file:
        file.write(text)
    os.rename(path + ".part", path)


def directory():
    path = f"{ROOT}/directory.json"
    return json.loads(read(path)) if exists(path) else json.loads(json.dumps(EMPTY))


def save(held):
    write(f"{ROOT}/directory.json", json.dumps(held))


def offline():
    return exists("/etc/stand-in/offline")


def point(name):
    """Where a test may pull the plug: it does when it sees /run/cut. Keeps who was told what."""
    with open(f"{ROOT}/points", "a") as log:
        log.write(name + "\n")
    with open(f"{ROOT}/arguments", "a") as log:
        for path in glob.glob("/proc/[0-9]*/cmdline"):
            try:
                log.write(read(path).replace("\0", " ") + "\n")
            except OSError:
                pass  # It has ended meanwhile.
    if exists("/etc/stand-in/cut") and read("/etc/stand-in/cut").strip() == name:
        write("/run/cut", name)
        time.sleep(120)
