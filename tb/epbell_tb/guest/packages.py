"""What a guest needs of Debian: QEMU, a stock kernel, drivers built from Debian's own source, BusyBox.

Only QEMU is installed. Everything else is downloaded by apt, which checks its signatures, and unpacked below
``sim_build/linux``; nothing of it is ever part of this project. Which kernel that is, apt decides, since its number
moves with each security update. What has been built once is there for the next call, which then asks nobody.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from epbell_tb import runner
from epbell_tb.guest.commands import MissingError, Say, apt_update, install, output, run

__all__ = [
    "TOOLS",
    "Packages",
    "extract",
    "folder",
    "is_program",
    "provide",
    "tools",
]

_QEMU = "qemu-system-x86_64"
_QEMU_VERSION = "7.2"
_FLAVOUR = "cloud-amd64"
_SERIES = "6.1"
TOOLS = {"gcc": "gcc", "make": "make", "xz": "xz-utils", "lz4": "lz4", "dpkg-deb": "dpkg"}
"""Program that the kernel's parts are unpacked and built with -> Debian's package of it."""

# Module -> its source, in the kernel's tree.
_MODULES = {
    "pci_endpoint_test": "drivers/misc/pci_endpoint_test.c",
    "ntb": "drivers/ntb/core.c",
    "ntb_hw_epf": "drivers/ntb/hw/epf/ntb_hw_epf.c",
    "ntb_transport": "drivers/ntb/ntb_transport.c",
    "ntb_netdev": "drivers/net/ntb_netdev.c",
    "ntb_tool": "drivers/ntb/test/ntb_tool.c",
    "ntb_pingpong": "drivers/ntb/test/ntb_pingpong.c",
}
_PCITEST = ("tools/pci/pcitest.c", "include/uapi/linux/pcitest.h", "scripts/extract-vmlinux")
_STAMP = "stamp.json"
_RECIPE = 1
_ELF = b"\x7fELF"


@dataclass(frozen=True)
class Packages:
    """What there is.

    Attributes
    ----------
    release
        The kernel's release, such as ``6.1.0-56-cloud-amd64``.
    version
        Version of Debian's packages of it.
    qemu, kernel, busybox, pcitest
        Programs; the kernel is an uncompressed one.
    modules
        Folder of the modules.
    """

    release: str
    version: str
    qemu: Path
    kernel: Path
    busybox: Path
    pcitest: Path
    modules: Path


def folder() -> Path:
    """Return where everything is kept: ``linux`` below the folder of the simulators' builds."""
    return runner.sim_build() / "linux"


def provide(say: Say) -> Packages:
    """Return what a guest needs; what is not there yet is installed, downloaded and built.

    Parameters
    ----------
    say
        Called with what is being done.

    Raises
    ------
    MissingError
        When something is not to be had.
    """
    root = folder()
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "qemu.lock"):
        qemu = _qemu(say)
    built = kept_build(root, _recipe(), lambda: _build(root, say))
    kept = {name: root / name for name in ("busybox", "modules", "pcitest")}
    return Packages(built["release"], built["version"], qemu, root / "vmlinux", **kept)


def _recipe() -> str:
    return recipe(_RECIPE, _FLAVOUR, _SERIES, _MODULES, _PCITEST)


def recipe(*parts: object) -> str:
    """Return a hash of all that decides how something is built."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def kept_build(root: Path, key: str, build: Callable[[], dict[str, str]]) -> dict[str, str]:
    """Build a kernel and what it runs, unless it is there; one process does it at a time, and the others wait.

    Parameters
    ----------
    root
        Where it is, with the kernel as ``vmlinux``.
    key
        What `recipe` says of it.
    build
        Does it, and returns what is to be known of it.

    Returns
    -------
    dict
        What that was.
    """
    root.mkdir(parents=True, exist_ok=True)
    with FileLock(root / "lock"):
        stamp = root / _STAMP
        built = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
        if built.get("recipe") != key or not is_program(root / "vmlinux"):
            built = {**build(), "recipe": key}
            stamp.write_text(json.dumps(built), encoding="utf-8")
    return built


# -- QEMU --------------------------------------------------------------------------------------------------------------


def _qemu(say: Say) -> Path:
    found = shutil.which(_QEMU)
    if found is None:
        install(["qemu-system-x86"], _candidate_is_right, say)
        found = shutil.which(_QEMU)
        if found is None:
            raise MissingError(f"{_QEMU} is not on PATH, although its package is installed: check PATH")
    said = output([found, "--version"])
    version = re.search(r"version (\d+\.\d+)", said)
    if version is None or version[1] != _QEMU_VERSION:
        raise MissingError(
            f"{found} is {said.splitlines()[0] if said else 'of unknown version'}, and it must be {_QEMU_VERSION} "
            f"(later ones crash with a proxied device): use Debian 12, whose `apt-get install qemu-system-x86` has it"
        )
    return Path(found)


def _candidate_is_right() -> None:
    policy = output(["apt-cache", "policy", "qemu-system-x86"])
    candidate = re.search(r"Candidate: (?:\d+:)?(\S+)", policy)
    if candidate is None or not candidate[1].startswith(_QEMU_VERSION):
        found = candidate[1] if candidate else "none"
        raise MissingError(
            f"QEMU {_QEMU_VERSION} is needed, and apt has {found}: use Debian 12 (bookworm), where it is the stock one"
        )


# -- the kernel --------------------------------------------------------------------------------------------------------


def _build(root: Path, say: Say) -> dict[str, str]:
    tools(TOOLS, say)
    release = _release(say)
    version = _version(f"linux-image-{release}")
    debs = _download(root / "debs", release, version, say)
    unpacked = root / "unpacked"
    for fresh in (unpacked, root / "source", root / "modules"):
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"unpacking {len(debs)} packages of {release} in {root}; none of them is installed")
    for deb in debs:
        run(["dpkg-deb", "-x", str(deb), str(unpacked)], f"unpack {deb.name}")
    source = _source(root, unpacked, say)
    extract(source, unpacked / f"boot/vmlinuz-{release}", root / "vmlinux")
    say(f"building {len(_MODULES)} modules and pcitest from Debian's source of Linux {version}")
    _build_modules(root, unpacked, source, release)
    compiler = ["gcc", "-static", "-O2", "-w", f"-I{source}/include/uapi"]
    run([*compiler, "-o", str(root / "pcitest"), str(source / _PCITEST[0])], "build the kernel's pcitest")
    shutil.copy(unpacked / "bin/busybox", root / "busybox")
    shutil.rmtree(root / "source")
    shutil.rmtree(unpacked)
    return {"release": release, "version": version}


def tools(wanted: Mapping[str, str], say: Say) -> None:
    """Install what is absent of programs, given with Debian's package of each, and the C library to link with."""
    absent = [package for tool, package in wanted.items() if shutil.which(tool) is None]
    # A compiler that has no such file prints the bare name.
    if "gcc" in absent or output(["gcc", "-print-file-name=libc.a"]).strip() == "libc.a":
        absent.append("libc6-dev")
    if absent:
        install(absent, lambda: None, say)


def extract(source: Path, image: Path, kernel: Path) -> None:
    """Uncompress a kernel's image by the script in the kernel's own source."""
    # The script writes the kernel to its output, and is content if it finds none.
    run(["bash", "-c", f"bash {source}/scripts/extract-vmlinux {image} > {kernel}"], "extract the kernel")
    if not is_program(kernel):
        raise MissingError(f"{image.name} has no kernel in it that the programs here can uncompress")


def is_program(path: Path) -> bool:
    """Return whether a file is there and begins as a program or a kernel does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_ELF)) == _ELF


def _release(say: Say) -> str:
    """Return the release of the kernel that apt would install today."""
    if shutil.which("apt-cache") is None:
        raise MissingError("this machine has no apt, which the guest's kernel comes from: use Debian 12")
    for attempt in range(2):
        depends = output(["apt-cache", "depends", f"linux-image-{_FLAVOUR}"])
        found = re.search(rf"Depends: linux-image-({re.escape(_SERIES)}\.\S*-{_FLAVOUR})", depends)
        if found is not None:
            return found[1]
        if not attempt:
            apt_update(say)
    raise MissingError(
        f"apt knows no linux-image-{_FLAVOUR} of Linux {_SERIES}: use Debian 12, amd64, with its security updates"
    )


def _version(package: str) -> str:
    found = re.search(r"Candidate: (\S+)", output(["apt-cache", "policy", package]))
    if found is None:
        raise MissingError(f"apt has no {package}: run `apt-get update`")
    return found[1]


def _download(debs: Path, release: str, version: str, say: Say) -> list[Path]:
    debs.mkdir(exist_ok=True)
    base = release.removesuffix(f"-{_FLAVOUR}")
    of_kernel = [f"linux-image-{release}", f"linux-headers-{release}", f"linux-headers-{base}-common"]
    of_kernel += [f"linux-kbuild-{_SERIES}", f"linux-source-{_SERIES}"]
    # File, as far as it is known before -> what apt calls it.
    wanted = {f"{package}_{version}_*.deb": f"{package}={version}" for package in of_kernel}
    wanted["busybox-static_*.deb"] = "busybox-static"
    missing = [exact for file, exact in wanted.items() if not list(debs.glob(file))]
    if missing:
        say(f"downloading with apt-get: {', '.join(missing)} (180 MB in all)")
        command = ["apt-get", "download", "-q", "-o", "APT::Sandbox::User=root", *missing]
        try:
            run(command, "download the kernel", cwd=debs)
        except MissingError:
            if os.geteuid() != 0:
                raise
            apt_update(say)
            run(command, "download the kernel", cwd=debs)
    return [max(debs.glob(file)) for file in wanted]


def _source(root: Path, unpacked: Path, say: Say) -> Path:
    """Unpack the few files of the kernel's source that are built."""
    name = f"linux-source-{_SERIES}"
    archive = unpacked / "usr/src" / f"{name}.tar.xz"
    say(f"unpacking {len(_MODULES) + len(_PCITEST)} files of {archive.name}")
    (root / "source").mkdir()
    files = [f"{name}/{path}" for path in (*_MODULES.values(), *_PCITEST)]
    run(["tar", "-xJf", str(archive), "-C", str(root / "source"), *files], "unpack the kernel's source")
    return root / "source" / name


def _build_modules(root: Path, unpacked: Path, source: Path, release: str) -> None:
    headers = unpacked / "usr/src" / f"linux-headers-{release}"
    common = unpacked / "usr/src" / f"linux-headers-{release.removesuffix(f'-{_FLAVOUR}')}-common"
    # As installed it names /usr/src.
    (headers / "Makefile").write_text(f"include {common}/Makefile\n", encoding="utf-8")
    build = root / "modules"
    build.mkdir()
    rules = [f"obj-m := {' '.join(f'{module}.o' for module in _MODULES)}"]
    for module, path in _MODULES.items():
        file = Path(path).name
        shutil.copy(source / path, build / file)
        if file != f"{module}.c":
            rules.append(f"{module}-y := {Path(file).stem}.o")
    (build / "Kbuild").write_text("\n".join(rules) + "\n", encoding="utf-8")
    run(["make", "-C", str(headers), f"M={build}", "CC=gcc", "modules"], "build the modules")
    for module in _MODULES:
        run(["strip", "--strip-debug", str(build / f"{module}.ko")], f"strip {module}")
    for entry in list(build.iterdir()):
        if entry.suffix != ".ko":
            entry.unlink()
