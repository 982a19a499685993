"""What the system says that this process may use."""

from __future__ import annotations

import os
import sys

import pytest

from cnntool.machine import available_memory

GIB = 1 << 30


def system(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return os.fspath(root)


MEMINFO = {"proc/meminfo": "MemTotal: 25000000 kB\nMemAvailable: 524288 kB\nHugePages: x\n"}


@pytest.mark.parametrize(
    ("files", "available"),
    [
        (MEMINFO, GIB // 2),
        (  # version 2: half of the use is files that can be let go
            {
                "proc/self/cgroup": "0::/pod/box\n",
                "sys/fs/cgroup/pod/box/memory.max": "max\n",
                "sys/fs/cgroup/pod/box/memory.current": "50000000\n",
                "sys/fs/cgroup/pod/memory.max": "400000000\n",
                "sys/fs/cgroup/pod/memory.current": "300000000\n",
                "sys/fs/cgroup/pod/memory.stat": "inactive_file 100000000\nactive_file 50000000\n",
            },
            250_000_000,
        ),
        (  # version 1, whose path is that of the host: the container sees its own at the top
            {
                "proc/self/cgroup": "3:cpu:/docker/ab\n4:memory:/docker/ab\n0::/\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "300000000\n",
                "sys/fs/cgroup/memory/memory.usage_in_bytes": "200000000\n",
                "sys/fs/cgroup/memory/memory.stat": "total_inactive_file 7\ninactive_file 9\n",
            },
            100_000_007,
        ),
        (  # over its limit for a moment
            {
                "proc/self/cgroup": "0::/\n",
                "sys/fs/cgroup/memory.max": "100\n",
                "sys/fs/cgroup/memory.current": "200\n",
                "sys/fs/cgroup/memory.stat": "anon 200\n",
            },
            0,
        ),
    ],
)
def test_available_memory(tmp_path, files, available):
    assert available_memory(system(tmp_path, MEMINFO | files)) == available


@pytest.mark.skipif(sys.platform == "win32", reason="needs sysconf")
def test_a_system_that_says_nothing_has_what_it_has(tmp_path):
    assert available_memory(system(tmp_path, {})) == os.sysconf("SC_PAGE_SIZE") * os.sysconf(
        "SC_PHYS_PAGES"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_of_this_very_system():
    everything = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    assert 0 < available_memory() < everything
