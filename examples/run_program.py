#!/usr/bin/env python3
"""Run a static Linux program in a microVM, from Python, by libvireo.so alone.

    run_program.py PROGRAM [ARGUMENT...]

Its output goes to this program's own; the exit status is the program's. VIREO_LIBRARY names the library where it is not
installed (build/libvireo.so).
"""
import ctypes
import os
import sys

lib = ctypes.CDLL(os.environ.get("VIREO_LIBRARY", "libvireo.so"))


class Error(ctypes.Structure):  # struct vireo_error
    _fields_ = [
        ("code", ctypes.c_int),
        ("exit_status", ctypes.c_int),
        ("text", ctypes.c_char * 768),
        ("hint", ctypes.c_char * 256),
        ("reserved", ctypes.c_uint64 * 4),
    ]


class End(ctypes.Structure):  # struct vireo_sandbox_end
    _fields_ = [
        ("reason", ctypes.c_int),
        ("status", ctypes.c_int),
        ("value", ctypes.c_int64),
        ("size", ctypes.c_size_t),
        ("address", ctypes.c_uint64),
        ("pc", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("detail", ctypes.c_char * 384),
        ("reserved", ctypes.c_uint64 * 4),
    ]


EXITED = 3  # VIREO_SANDBOX_EXITED

lib.vireo_sandbox_config_create.restype = ctypes.c_void_p


def check(rc, error):
    if rc:
        print(f"run_program.py: {error.text.decode()}", file=sys.stderr)
        if error.hint:
            print(f"run_program.py: {error.hint.decode()}", file=sys.stderr)
        sys.exit(error.exit_status)


def run(words):
    error, end = Error(), End()
    sandbox = ctypes.c_void_p()
    config = ctypes.c_void_p(lib.vireo_sandbox_config_create())
    check(lib.vireo_sandbox_config_set(config, b"memory", b"64M", ctypes.byref(error)), error)
    check(lib.vireo_sandbox_config_set(config, b"timeout", b"10", ctypes.byref(error)), error)
    for fd in (0, 1, 2):
        check(lib.vireo_sandbox_config_set_fd(config, fd, fd, ctypes.byref(error)), error)
    argv = (ctypes.c_char_p * (len(words) + 1))(*[os.fsencode(w) for w in words], None)
    check(lib.vireo_sandbox_create(ctypes.byref(sandbox), config, argv[0], argv, ctypes.byref(error)), error)
    lib.vireo_sandbox_run(sandbox, ctypes.byref(end))
    lib.vireo_sandbox_destroy(sandbox)
    lib.vireo_sandbox_config_destroy(config)
    if end.reason != EXITED:
        print(f"run_program.py: {end.detail.decode()}", file=sys.stderr)
    return end.status


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("usage: run_program.py PROGRAM [ARGUMENT...]")
    sys.exit(run(sys.argv[1:]))
