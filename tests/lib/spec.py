# SPDX-License-Identifier: Apache-2.0
"""spec: the config.json of a container, as containerd and CRI-O write it for an ordinary pod."""

CAPABILITIES = ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID",
                "CAP_SETUID", "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL",
                "CAP_AUDIT_WRITE"]
MASKED = ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
          "/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware"]
READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"]
# Calls that engines' default profiles refuse too; everything else is allowed.
REFUSED = ["acct", "add_key", "bpf", "clock_settime", "delete_module", "finit_module", "init_module", "kexec_load",
           "keyctl", "open_by_handle_at", "perf_event_open", "quotactl", "reboot", "request_key", "settimeofday",
           "swapoff", "swapon", "userfaultfd", "vhangup"]


def mounts(cgroup):
    """The mounts of a pod's container."""
    rows = [
        ("/proc", "proc", "proc", ["nosuid", "noexec", "nodev"]),
        ("/dev", "tmpfs", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        ("/dev/pts", "devpts", "devpts", ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
        ("/dev/shm", "tmpfs", "shm", ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        ("/dev/mqueue", "mqueue", "mqueue", ["nosuid", "noexec", "nodev"]),
        ("/sys", "sysfs", "sysfs", ["nosuid", "noexec", "nodev", "ro"]),
    ]
    if cgroup:
        rows.append(("/sys/fs/cgroup", "cgroup", "cgroup", ["nosuid", "noexec", "nodev", "relatime", "ro"]))
    return [{"destination": d, "type": t, "source": s, "options": o} for d, t, s, o in rows]


def make(name, args, rootfs, netns=None, env=None, user=(0, 0), cwd="/", cgroup=False, seccomp=False, terminal=False,
         readonly=False, extra_mounts=(), more_caps=(), plain=False):
    """The specification as a dict. plain=True leaves out masks and read-only paths (for stock criu by hand)."""
    caps = CAPABILITIES + list(more_caps)
    # A process that is not root keeps nothing but what it can regain through the bounding set.
    held = caps if user[0] == 0 else []
    namespaces = [{"type": t} for t in ("pid", "ipc", "uts", "mount", "cgroup")]
    namespaces.append({"type": "network", "path": netns} if netns else {"type": "network"})
    spec = {
        "ociVersion": "1.0.2",
        "process": {
            "terminal": terminal,
            "user": {"uid": user[0], "gid": user[1], "additionalGids": [50] if user[0] == 1000 else []},
            "args": [str(a) for a in args],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=box"] + list(env or []),
            "cwd": cwd,
            "capabilities": {"bounding": caps, "effective": held, "permitted": held},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 4096, "hard": 8192}],
            "oomScoreAdj": 200,
            "noNewPrivileges": False,
        },
        "root": {"path": str(rootfs), "readonly": readonly},
        "hostname": "box",
        "mounts": mounts(cgroup) + list(extra_mounts),
        "annotations": {
            "io.kubernetes.cri.container-name": name,
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.image-name": "registry.invalid/amber/box:1",
            "io.kubernetes.cri.sandbox-name": "box",
            "io.kubernetes.cri.sandbox-namespace": "default",
        },
        "linux": {
            "cgroupsPath": f"/amber-t/{name}",
            "resources": {"devices": [{"allow": False, "access": "rwm"}], "memory": {"limit": 4 << 30}, "cpu": {"shares": 512}},
            "namespaces": namespaces,
            "maskedPaths": [] if plain else MASKED,
            "readonlyPaths": [] if plain else READONLY,
        },
    }
    if seccomp:
        spec["linux"]["seccomp"] = {
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": ["SCMP_ARCH_X86_64"],
            "syscalls": [{"names": REFUSED, "action": "SCMP_ACT_ERRNO", "errnoRet": 1}],
        }
    return spec
