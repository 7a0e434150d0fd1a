"""The guest's initial RAM disk, which is all of its file system: BusyBox, modules, programs and a script as ``/init``.

An archive in the format ``newc`` (the kernel's Documentation/driver-api/early-userspace/buffer-format.rst), compressed;
the same contents give the same bytes.
"""

from __future__ import annotations

import gzip
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path

__all__ = [
    "archive",
    "write",
]

_FOLDER, _FILE = 0o040755, 0o100755
_ALIGNMENT = 4
_END = "TRAILER!!!"

_INIT = """#!/bin/busybox sh
/bin/busybox mkdir -p /proc /sys /dev /tmp
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
{load}
{script}
poweroff -f
"""


def write(
    target: Path,
    *,
    busybox: Path,
    modules: Iterable[Path],
    programs: Iterable[Path],
    script: str,
    options: Mapping[str, str] | None = None,
) -> None:
    """Write a RAM disk.

    Parameters
    ----------
    target
        Where to.
    busybox
        A BusyBox that needs no libraries.
    modules
        Modules of the kernel, in the order in which they are to be loaded; they are before the script.
    programs
        Programs that need no libraries; they are in ``/bin``, and so on the path.
    script
        What the guest does, in the language of BusyBox's shell; after that it switches itself off.
    options
        Parameters of modules, by name.
    """
    modules = list(modules)
    files = {"bin/busybox": busybox.read_bytes()}
    files |= {f"bin/{program.name}": program.read_bytes() for program in programs}
    files |= {f"lib/{module.name}": module.read_bytes() for module in modules}
    options = options or {}
    load = "\n".join(
        f"insmod {shlex.quote(f'/lib/{module.name}')} {options.get(module.stem, '')}".rstrip() for module in modules
    )
    files["init"] = _INIT.format(load=load, script=script.strip()).encode()
    target.write_bytes(gzip.compress(archive(files), compresslevel=1, mtime=0))


def archive(files: Mapping[str, bytes]) -> bytes:
    """Return files, all executable, and the folders that they are in, as an archive.

    Parameters
    ----------
    files
        Contents by path, without a leading slash.
    """
    folders = sorted({str(folder) for path in files for folder in Path(path).parents if str(folder) != "."})
    entries = [(folder, _FOLDER, b"") for folder in folders] + [(path, _FILE, files[path]) for path in sorted(files)]
    blocks = [_entry(number, *entry) for number, entry in enumerate(entries, 1)]
    return b"".join([*blocks, _entry(0, _END, 0, b"")])


def _entry(number: int, path: str, mode: int, data: bytes) -> bytes:
    name = path.encode() + b"\0"
    # Magic; inode, mode, user, group, links, time, size, four device numbers, length of the name, no checksum.
    fields = (number, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08X" % field for field in fields)
    return _padded(head + name) + _padded(data)


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % _ALIGNMENT)
