"""regen-conf: the configuration that YunoHost writes anew, and the hooks that others have in it."""

import json
import os
import subprocess

from stand_in import ROOT, directory, exists, point, read, write
from ynh import Refused, complain


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
