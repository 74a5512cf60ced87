"""How the process keeps memory."""

from __future__ import annotations

import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed blocks for the next request; False where there is no glibc.

    By default it hands large ones back to the kernel, which then zeroes their pages anew for every
    large tensor of every step. The process stays as large as it was at its largest. Call it once,
    before the first large tensor.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, 2**30)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
