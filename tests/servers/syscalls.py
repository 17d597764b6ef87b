"""A system that refuses a call, as one whose file system cannot do what is asked."""

import ctypes
import errno
import platform
import struct

# Numbers of flock(2) and fcntl(2), by machine; and fcntl's command that locks without waiting.
_FLOCK = {"x86_64": 73, "aarch64": 32}
_FCNTL = {"x86_64": 72, "aarch64": 25}
_SETLK = 6

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _FILTER = 38, 22, 2
_ALLOW, _ERRNO = 0x7FFF0000, 0x00050000
_LOAD, _EQUAL, _RETURN = 0x20, 0x15, 0x06
_NUMBER, _SECOND_ARGUMENT = 0, 24  # where they are in what the kernel's filter sees


def refuse_locks() -> None:
    """Let the kernel refuse locks on files to this process: it says ENOLCK, as NFS may.

    It cannot be taken back, so it is for a process that does nothing else.
    """
    machine = platform.machine()
    refused = _ERRNO | errno.ENOLCK
    steps = [
        (_LOAD, 0, 0, _NUMBER),
        (_EQUAL, 4, 0, _FLOCK[machine]),
        (_EQUAL, 0, 2, _FCNTL[machine]),
        (_LOAD, 0, 0, _SECOND_ARGUMENT),
        (_EQUAL, 1, 0, _SETLK),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, refused),
    ]
    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = ctypes.create_string_buffer(
        struct.pack("HxxxxxxP", len(steps), ctypes.addressof(code))
    )
    prctl = ctypes.CDLL(None, use_errno=True).prctl
    prctl.argtypes = [ctypes.c_int, *[ctypes.c_ulong] * 4]
    for call in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _FILTER, ctypes.addressof(program), 0, 0),
    ):
        if prctl(*call):
            raise OSError(ctypes.get_errno(), "prctl refuses")
