"""What the stand-ins of YunoHost and of its system share: files, the directory, points of cuts."""

import glob
import json
import os
import subprocess
import time
import zlib

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
    show_system(held)


NSS = "/etc/userdb"


def show_system(held):
    """
    People and groups are the system's too (nslcd, on a real one), though in none of its files: here
    by nss-systemd's drop-in records. A passphrase's hash is kept in the one that is root's alone.
    """
    kept = {f"{user}.user-privileged" for user in held["users"]}
    os.makedirs(NSS, exist_ok=True)
    for name in os.listdir(NSS):
        if name not in kept:
            os.unlink(f"{NSS}/{name}")
    for user in held["users"]:
        number = number_of(user)
        write(f"{NSS}/{user}.user", json.dumps({
            "userName": user, "uid": number, "gid": number, "homeDirectory": f"/home/{user}",
            "shell": "/bin/sh"}))
        os.symlink(f"{user}.user", f"{NSS}/{number}.user")
    for group, members in held["groups"].items():
        number = number_of(group)
        write(f"{NSS}/{group}.group", json.dumps({"groupName": group, "gid": number}))
        os.symlink(f"{group}.group", f"{NSS}/{number}.group")
        for member in members:
            # Empty, systemd 252 takes it for one that is switched off.
            write(f"{NSS}/{member}:{group}.membership", "{}")


def number_of(name):
    return 10000 + zlib.crc32(name.encode()) % 40000


def keep_hash(user, value):
    """@param value as in shadow(5)"""
    path = f"{NSS}/{user}.user-privileged"
    write(path, json.dumps({"privileged": {"hashedPassword": [value]}}))
    os.chmod(path, 0o600)


def hash_of(passphrase):
    said = subprocess.run(["openssl", "passwd", "-6", "-stdin"], input=passphrase + "\n",
                          capture_output=True, text=True, check=True)
    return said.stdout.strip()


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
