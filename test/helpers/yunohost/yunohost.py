#!/usr/bin/python3
"""A stand-in for YunoHost 12.1's command, as far as kit uses it: its states, its words, its lies.

Behaves as shared facts about 12.1.25 say and as its sources read: what it returns is often not what
it did. Its directory is /var/lib/stand-in/directory.json; ldap.py shows that as LDAP's own tools do.
Serves nobody. Each place where a power cut matters calls point(): there a test can pull the plug.

Its parts lie beside stand_in.py: people, regen, apps, archives, and ynh, which they share.

  /etc/stand-in/cut       the name of the point to stop at
  /etc/stand-in/offline   there is no way to the internet
  /etc/stand-in/version   what `tools versions` says; 12.1.25 otherwise
  /etc/stand-in/hurried   a second of waiting for the lock counts as five minutes
"""

import argparse
import json
import os
import sys
import time

sys.path.insert(0, "/usr/local/lib/stand-in")
from apps import app_install, app_list, app_remove, cert_install, diagnosis_run  # noqa: E402
from apps import diagnosis_show, tools_update  # noqa: E402
from archives import archives, backup_create, backup_delete, backup_restore  # noqa: E402
from people import domain_add, domain_main, group_add, postinstall, user_create  # noqa: E402
from regen import regen_conf  # noqa: E402
from stand_in import directory, exists, read, write  # noqa: E402
from ynh import MARK, Refused, complain, main_domain, versions  # noqa: E402

LOCK = "/run/moulinette_yunohost.lock"


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


if __name__ == "__main__":
    sys.exit(main())
