# SPDX-License-Identifier: Apache-2.0
"""rootfs: a small container image made of this machine's own Debian packages.

No registry and no image pull: programs are copied with the libraries that ldd names. One tree serves
every test (it is the read-only lower layer of an overlay) and is kept in the cache folder under a name
that changes with the package versions and with this file.
"""
import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

from lib import host

PROGRAMS = [
    "/usr/bin/redis-server", "/usr/bin/redis-cli", "/usr/bin/redis-check-rdb", "/usr/sbin/nginx",
    "/usr/bin/memcached", "/usr/bin/python3.11", "/usr/bin/busybox",
]
APPLETS = ("sh ls cat sleep echo ps kill mkdir rm ln cp mv id env true false test hostname mount wc nc "
           "sha256sum find head tail date touch stat readlink grep sed awk sort seq od ip").split()
PYTHON_LIB = Path("/usr/lib/python3.11")
PYTHON_SKIP = {"test", "idlelib", "tkinter", "lib2to3", "ensurepip", "turtledemo", "__pycache__",
               "dist-packages", "distutils", "pydoc_data"}
PASSWD = """root:x:0:0:root:/root:/bin/sh
www-data:x:33:33:www-data:/var/www:/bin/false
app:x:1000:1000:app:/home/app:/bin/sh
redis:x:999:999:redis:/data:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/false
"""
GROUP = "root:x:0:\ntty:x:5:\nwww-data:x:33:\nextra:x:50:app\nredis:x:999:\napp:x:1000:\nnogroup:x:65534:\n"
NGINX_CONF = """worker_processes 2;
error_log stderr notice;
pid /run/nginx.pid;
events { worker_connections 256; }
http {
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path /tmp/nginx-body;
    proxy_temp_path /tmp/nginx-proxy;
    fastcgi_temp_path /tmp/nginx-fastcgi;
    uwsgi_temp_path /tmp/nginx-uwsgi;
    scgi_temp_path /tmp/nginx-scgi;
    server {
        listen 8080;
        listen [::]:8080;
        root /var/www;
        location = /hello { return 200 "hello from nginx\\n"; }
    }
}
"""


def needed(path):
    """The files that ldd says a program or a shared object needs."""
    out = subprocess.run(["ldd", str(path)], text=True, capture_output=True, check=False).stdout
    return set(re.findall(r"(/[^ ]+) \(0x", out))


def copy_in(tree, path):
    """Copy one file to the same place below tree, following symbolic links, without /lib-style aliases."""
    real = os.path.realpath(os.path.dirname(path)) + "/" + os.path.basename(path)
    target = tree / real.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    if not target.exists():
        shutil.copy2(path, target)


def fill(tree):
    """Write the whole image below the empty folder `tree`."""
    for folder in ("usr/bin", "usr/sbin", "usr/lib", "usr/lib64", "etc/nginx", "proc", "sys", "dev", "run",
                   "root", "data", "var/www", "var/lib", "var/log/nginx", "home/app", "subject"):
        (tree / folder).mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (tree / name).symlink_to("usr/" + name)
    for folder, mode in (("tmp", 0o1777), ("subject", 0o777)):
        (tree / folder).mkdir(exist_ok=True)
        (tree / folder).chmod(mode)
    files = set(PROGRAMS)
    for program in PROGRAMS:
        files |= needed(program)
    files |= {str(so) for so in (PYTHON_LIB / "lib-dynload").glob("*.so")}
    for so in (PYTHON_LIB / "lib-dynload").glob("*.so"):
        files |= needed(so)
    shutil.copytree(PYTHON_LIB, tree / "usr/lib/python3.11", symlinks=True,
                    ignore=lambda _dir, names: PYTHON_SKIP.intersection(names))
    for path in sorted(files):
        copy_in(tree, path)
    (tree / "usr/bin/python3").symlink_to("python3.11")
    for applet in APPLETS:
        (tree / "usr/bin" / applet).symlink_to("busybox")
    os.chown(tree / "data", 999, 999)
    os.chown(tree / "home/app", 1000, 1000)
    (tree / "etc/passwd").write_text(PASSWD)
    (tree / "etc/group").write_text(GROUP)
    (tree / "etc/hosts").write_text("127.0.0.1 localhost\n")
    (tree / "etc/resolv.conf").write_text("")
    (tree / "etc/hostname").write_text("box\n")
    (tree / "etc/nginx/nginx.conf").write_text(NGINX_CONF)
    (tree / "var/www/index.html").write_text("<p>" + "amber " * 500 + "</p>\n")


def base():
    """The folder of the image, made when missing. Two test runs at once make it once."""
    host.CACHE.mkdir(parents=True, exist_ok=True)
    versions = subprocess.run(
        ["dpkg-query", "-W", "redis-server", "nginx", "nginx-light", "memcached", "python3.11", "busybox-static", "libc6"],
        text=True, capture_output=True, check=False).stdout
    key = hashlib.sha256((versions + Path(__file__).read_text()).encode()).hexdigest()[:12]
    tree = host.CACHE / f"base-{key}"
    with open(host.CACHE / ".lock", "w", encoding="ascii") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tree.exists():
            half = host.CACHE / f"base-{key}.half"
            shutil.rmtree(half, ignore_errors=True)
            half.mkdir()
            fill(half)
            half.rename(tree)
    return tree
