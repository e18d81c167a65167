"""The kernel's walls around the sandbox child, by ctypes: namespaces, Landlock, seccomp, rlimits, capabilities.

Runs inside the child before anything untrusted is read, so it imports nothing but the standard library. Sources: the
kernel's Documentation/userspace-api/landlock.rst, seccomp(2), unshare(2), capabilities(7).
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import struct

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_SET_SECCOMP, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 22, 24, 38
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_READ_FILE, _READ_DIR = 1 << 2, 1 << 3
# File rights by Landlock version: 13 at first, then refer (2), truncate (3), ioctl on devices (5).
_FILE_RIGHTS = {1: 13, 2: 14, 3: 15, 4: 15}
_NEW_USER, _NEW_NET, _NEW_PID, _NEW_IPC, _NEW_UTS = 0x10000000, 0x40000000, 0x20000000, 0x08000000, 0x04000000
# The last system call that this file knows (Linux 6.17); newer ones do not exist for the child.
_LAST_KNOWN = 469

# name: (x86_64, aarch64); -1 where the architecture has no such call. All of these fail with EPERM.
_DENIED = {
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "listen": (50, 201),
    "accept": (43, 202), "accept4": (288, 242), "sendto": (44, 206), "sendmsg": (46, 211), "sendmmsg": (307, 269),
    "recvfrom": (45, 207), "recvmsg": (47, 212), "recvmmsg": (299, 243),
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "vfork": (58, -1),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_open": (434, 434), "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424),
    "process_madvise": (440, 440), "process_mrelease": (448, 448),
    "kill": (62, 129), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138), "rt_tgsigqueueinfo": (297, 240),
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282),
    "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41), "chroot": (161, 51), "open_tree": (428, 428),
    "move_mount": (429, 429), "fsopen": (430, 430), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fspick": (433, 433), "mount_setattr": (442, 442), "open_tree_attr": (467, 467),
    "unshare": (272, 97), "setns": (308, 268), "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "open_by_handle_at": (304, 265), "name_to_handle_at": (303, 264), "memfd_create": (319, 279),
    "memfd_secret": (447, 447), "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106),
    "kexec_load": (246, 104), "kexec_file_load": (320, 294), "reboot": (169, 142), "swapon": (167, 224),
    "swapoff": (168, 225), "acct": (163, 89), "quotactl": (179, 60), "quotactl_fd": (443, 443),
    "settimeofday": (164, 170), "clock_settime": (227, 112), "clock_adjtime": (305, 266), "adjtimex": (159, 171),
    "sethostname": (170, 161), "setdomainname": (171, 162), "syslog": (103, 116), "iopl": (172, -1),
    "ioperm": (173, -1), "modify_ldt": (154, -1), "personality": (135, 92), "vhangup": (153, 58),
    # Landlock does not cover a file's mode, owner, times and attributes.
    "chmod": (90, -1), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452), "chown": (92, -1),
    "fchown": (93, 55), "lchown": (94, -1), "fchownat": (260, 54), "utime": (132, -1), "utimes": (235, -1),
    "futimesat": (261, -1), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "setxattrat": (463, 463), "removexattr": (197, 14), "lremovexattr": (198, 15),
    "fremovexattr": (199, 16), "removexattrat": (466, 466), "file_setattr": (469, 469),
    # It does cover these; they are denied twice.
    "truncate": (76, 45), "ftruncate": (77, 46), "mknod": (133, -1), "mknodat": (259, 33), "symlink": (88, -1),
    "symlinkat": (266, 36), "link": (86, -1), "linkat": (265, 37), "rename": (82, -1), "renameat": (264, 38),
    "renameat2": (316, 276), "unlink": (87, -1), "unlinkat": (263, 35), "rmdir": (84, -1), "mkdir": (83, -1),
    "mkdirat": (258, 34), "creat": (85, -1),
    "inotify_init": (253, -1), "inotify_init1": (294, 26), "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262), "fanotify_mark": (301, 263),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "msgget": (68, 186), "msgsnd": (69, 189),
    "msgrcv": (70, 188), "msgctl": (71, 187), "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191),
    "semtimedop": (220, 192), "mq_open": (240, 180), "mq_unlink": (241, 181),
    "setpriority": (141, 140), "ioprio_set": (251, 30), "sched_setscheduler": (144, 119),
    "sched_setparam": (142, 118), "sched_setattr": (314, 274), "sched_setaffinity": (203, 122),
    "migrate_pages": (256, 238), "move_pages": (279, 239), "setrlimit": (160, 164), "capset": (126, 91),
    "setuid": (105, 146), "setgid": (106, 144), "setreuid": (113, 145), "setregid": (114, 143),
    "setresuid": (117, 147), "setresgid": (119, 149), "setgroups": (116, 159), "setfsuid": (122, 151),
    "setfsgid": (123, 152),
}  # fmt: skip
_ARCHITECTURES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def _call(number: int, *arguments: object) -> int:
    result = int(_libc.syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def prctl(option: int, value: int) -> None:
    """prctl(2). Raises OSError."""
    if _libc.prctl(option, ctypes.c_ulong(value), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def enter_namespaces() -> list[str]:
    """Move into new user, network, IPC and UTS namespaces, and children into a new PID namespace; [] where refused."""
    uid, gid = os.getuid(), os.getgid()
    flags = _NEW_USER | _NEW_NET | _NEW_PID | _NEW_IPC | _NEW_UTS
    if _libc.unshare(flags) != 0:
        return []
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        try:
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        except OSError:
            continue  # without a map the child is nobody there, which is less, not more
    return ["user", "net", "pid", "ipc", "uts"]


def landlock_abi() -> int:
    """The kernel's Landlock version, 0 where there is none."""
    try:
        return _call(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(1))
    except OSError:
        return 0


def restrict_files(readable: list[str]) -> int:
    """Allow reading below `readable` and nothing else: no write, no execute, no TCP, no outside signals.

    Returns the Landlock version in force. Raises OSError where the kernel has none.
    """
    abi = landlock_abi()
    if abi < 1:
        raise OSError(errno.ENOSYS, "no Landlock")
    rights = (1 << _FILE_RIGHTS.get(abi, 16)) - 1
    attribute = struct.pack("=Q", rights)
    attribute += struct.pack("=Q", 0b11) if abi >= 4 else b""
    attribute += struct.pack("=Q", 0b11) if abi >= 6 else b""
    ruleset = _call(_CREATE_RULESET, attribute, ctypes.c_size_t(len(attribute)), ctypes.c_uint32(0))
    try:
        for path in readable:
            try:
                handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
            except OSError:
                continue
            try:
                allowed = _READ_FILE | _READ_DIR if os.path.isdir(path) else _READ_FILE
                rule = struct.pack("=Qi", allowed, handle)
                _call(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(1), rule, ctypes.c_uint32(0))
            finally:
                os.close(handle)
        _call(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return abi


def drop_capabilities() -> None:
    """Give up every capability for good; root keeps nothing but its name."""
    for capability in range(64):
        try:
            prctl(PR_CAPBSET_DROP, capability)
        except OSError:
            break
    number = _DENIED["capset"][_ARCHITECTURES[platform.machine()][0]]
    _call(number, struct.pack("=II", 0x20080522, 0), struct.pack("=6I", 0, 0, 0, 0, 0, 0))


def limit_resources(memory: int, cpu: int) -> None:
    """Hard limits: address space in bytes, CPU in seconds, 128 files, no file growth, no core."""
    for kind, value in (
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, cpu),
        (resource.RLIMIT_NOFILE, 128),
        (resource.RLIMIT_NPROC, 512),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        value = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (value, value))


def filter_syscalls() -> None:
    """Install the seccomp filter on all threads. Raises OSError, or KeyError on an unknown architecture."""
    program = _program(platform.machine(), os.getpid())
    buffer = ctypes.create_string_buffer(program, len(program))

    class Program(ctypes.Structure):
        """struct sock_fprog."""

        _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_void_p))

    fprog = Program(len(program) // 8, ctypes.addressof(buffer))
    if _libc.prctl(PR_SET_SECCOMP, ctypes.c_ulong(2), ctypes.byref(fprog), 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _program(machine: str, pid: int) -> bytes:
    """The BPF program as struct sock_filter[]: deny what is listed, bound what depends on arguments, allow the rest."""
    column, audit_arch = _ARCHITECTURES[machine]
    load, jump_equal, jump_ge, jump_set, ret = 0x20, 0x15, 0x35, 0x45, 0x06
    allow, kill = 0x7FFF0000, 0x80000000
    eperm, enosys = 0x00050000 | errno.EPERM, 0x00050000 | errno.ENOSYS

    def op(code: int, k: int, jt: int = 0, jf: int = 0) -> bytes:
        return struct.pack("=HBBI", code, jt, jf, k)

    def argument(index: int, high: bool = False) -> bytes:
        return op(load, 16 + 8 * index + (4 if high else 0))

    def on(number: int, body: bytes) -> bytes:
        """Run `body`, which must return, for this call; else go on with the number still loaded."""
        return op(jump_equal, number, 0, len(body) // 8) + body if number >= 0 else b""

    deny, pass_on = op(ret, eperm), op(ret, allow)
    # Threads, but no processes and no namespaces; clone3 hides its flags in memory, so libc must fall back to clone.
    clone = argument(0) + op(jump_set, 0x7E020080, 2, 0) + op(jump_set, 0x00010000, 0, 1) + pass_on + deny
    # Bits of O_WRONLY, O_RDWR, O_CREAT, O_TRUNC, O_TMPFILE, which both architectures share.
    writing = 0x3 | 0x40 | 0x200 | 0x400000
    open_at = argument(2) + op(jump_set, writing, 0, 1) + deny + pass_on
    open_old = argument(1) + op(jump_set, writing, 0, 1) + deny + pass_on
    own_signal = argument(0) + op(jump_equal, pid & 0xFFFFFFFF, 0, 1) + pass_on + deny
    read_limit = (
        argument(0) + op(jump_equal, 0, 0, 5) + argument(2) + op(jump_equal, 0, 0, 3)
        + argument(2, high=True) + op(jump_equal, 0, 0, 1) + pass_on + deny
    )  # fmt: skip
    # A descriptor's owner gets signals of any number when it turns readable: a way to kill that asks no kill.
    owner = argument(1) + b"".join(op(jump_equal, command, 0, 1) + deny for command in (8, 10, 15, 1024, 1026))
    owner += op(jump_equal, 4, 0, 3) + argument(2) + op(jump_set, 0x2000, 0, 1) + deny + pass_on
    device = argument(1) + b"".join(op(jump_equal, command, 0, 1) + deny for command in (0x5452, 0x8901, 0x8902))
    device += pass_on
    out = op(load, 4) + op(jump_equal, audit_arch, 1, 0) + op(ret, kill) + op(load, 0)
    # Also catches x86's second numbering (x32), whose calls have bit 30 set.
    out += op(jump_ge, _LAST_KNOWN + 1, 0, 1) + op(ret, enosys)
    out += on(435, op(ret, enosys)) + on(437, op(ret, enosys))  # clone3, openat2
    out += on((56, 220)[column], clone) + on((257, 56)[column], open_at) + on((2, -1)[column], open_old)
    out += on((72, 25)[column], owner) + on((16, 29)[column], device)  # fcntl, ioctl
    out += on((234, 131)[column], own_signal) + on((302, 261)[column], read_limit)
    for numbers in _DENIED.values():
        out += on(numbers[column], deny)
    return out + pass_on
