"""How freed CPU memory is kept, chosen once at process start.

glibc gives every large tensor back to the kernel and page-faults it in again at the next step.
Keeping it makes training steps of graph models several times faster on virtual machines, for some
more resident memory; docs/performance.md has the measurement. Nothing happens where glibc is
absent.
"""

from __future__ import annotations

import ctypes
import os
import platform
from typing import Literal

__all__ = ["Policy", "set_allocator"]

Policy = Literal["keep", "huge_pages", "system"]

# glibc's malloc.h
_M_TRIM_THRESHOLD = -1
_M_MMAP_MAX = -4
_LARGEST = 2**31 - 1


def set_allocator(policy: Policy) -> str:
    """Apply a policy; call it before the first tensor is made.

    Args:
        policy: `keep` freed memory in the process, ask the kernel for `huge_pages`, or leave the
            `system` alone.

    Returns:
        What was really done, for the log.
    """
    if policy == "system":
        return "system default"
    if policy == "huge_pages":
        # read by torch's allocator at its first allocation
        os.environ["THP_MEM_ALLOC_ENABLE"] = "1"
        return "transparent huge pages"
    if platform.libc_ver()[0] != "glibc":
        return "system default (no glibc here)"
    libc = ctypes.CDLL(None)
    done = libc.mallopt(_M_MMAP_MAX, 0) and libc.mallopt(_M_TRIM_THRESHOLD, _LARGEST)
    return "freed memory is kept" if done else "system default (mallopt refused)"
