"""Applications, diagnosis, certificates: where 0 is returned for what was not done."""

import json
import os
import subprocess
import time
import urllib.parse

from stand_in import ROOT, directory, exists, offline, point, read, write
from ynh import APPS, CATALOG, Refused, complain, fetch_catalog, main_domain, say, versions

DIAGNOSIS = "/var/cache/yunohost/diagnosis"


def tools_update(_):
    if not fetch_catalog():
        complain("Error", "Unable to download the default app catalog: no route to host")
    return {"system": [], "apps": []}


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
