"""Backups: what is in an archive, and what of it comes back."""

import json
import os
import subprocess
import time

from apps import app_list, start_app
from people import set_up
from regen import regen
from stand_in import directory, exists, offline, point, read, save, write
from ynh import APPS, MARK, Refused, complain, main_domain, say, versions

ARCHIVES = "/home/yunohost.backup/archives"


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
