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
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from epbell_tb import runner

__all__ = [
    "MissingError",
    "Packages",
    "folder",
    "provide",
]

_QEMU = "qemu-system-x86_64"
_QEMU_VERSION = "7.2"
_FLAVOUR = "cloud-amd64"
_SERIES = "6.1"
# Program that the kernel's parts are unpacked and built with -> Debian's package of it.
_TOOLS = {"gcc": "gcc", "make": "make", "xz": "xz-utils", "lz4": "lz4", "dpkg-deb": "dpkg"}
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
_MINUTES_15 = 900.0

Say = Callable[[str], None]


class MissingError(Exception):
    """Something cannot be had on this machine; the text says what, and how to get it."""


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
    with FileLock(root / "lock"):
        qemu = _qemu(say)
        stamp = root / _STAMP
        built = json.loads(stamp.read_text(encoding="utf-8")) if stamp.is_file() else {}
        if built.get("recipe") != _recipe():
            built = _build(root, say)
            stamp.write_text(json.dumps(built), encoding="utf-8")
    kept = {name: root / name for name in ("busybox", "modules", "pcitest")}
    return Packages(built["release"], built["version"], qemu, root / "vmlinux", **kept)


def _recipe() -> str:
    """Return a hash of all that decides how the parts are built."""
    return hashlib.sha256(repr((_RECIPE, _FLAVOUR, _SERIES, _MODULES, _PCITEST)).encode()).hexdigest()[:16]


# -- QEMU --------------------------------------------------------------------------------------------------------------


def _qemu(say: Say) -> Path:
    found = shutil.which(_QEMU)
    if found is None:
        _install(["qemu-system-x86"], _candidate_is_right, say)
        found = shutil.which(_QEMU)
        if found is None:
            raise MissingError(f"{_QEMU} is not on PATH, although its package is installed: check PATH")
    said = _output([found, "--version"])
    version = re.search(r"version (\d+\.\d+)", said)
    if version is None or version[1] != _QEMU_VERSION:
        raise MissingError(
            f"{found} is {said.splitlines()[0] if said else 'of unknown version'}, and it must be {_QEMU_VERSION} "
            f"(later ones crash with a proxied device): use Debian 12, whose `apt-get install qemu-system-x86` has it"
        )
    return Path(found)


def _candidate_is_right() -> None:
    policy = _output(["apt-cache", "policy", "qemu-system-x86"])
    candidate = re.search(r"Candidate: (?:\d+:)?(\S+)", policy)
    if candidate is None or not candidate[1].startswith(_QEMU_VERSION):
        found = candidate[1] if candidate else "none"
        raise MissingError(
            f"QEMU {_QEMU_VERSION} is needed, and apt has {found}: use Debian 12 (bookworm), where it is the stock one"
        )


def _install(packages: Sequence[str], check: Callable[[], None], say: Say) -> None:
    """Install packages, if this machine has apt and we may."""
    command = f"apt-get install --no-install-recommends {' '.join(packages)}"
    if shutil.which("apt-get") is None:
        raise MissingError(f"{', '.join(packages)} is missing and this machine has no apt: use Debian 12")
    if os.geteuid() != 0:
        raise MissingError(f"{', '.join(packages)} is missing, and only root can install it: `sudo {command}`")
    if "Candidate: (none)" in _output(["apt-cache", "policy", *packages]):
        _apt_update(say)
    check()
    say(f"installing {', '.join(packages)} ({command})")
    _run([*command.split(), "-y", "-q"], "install it", env={"DEBIAN_FRONTEND": "noninteractive"})


# -- the kernel --------------------------------------------------------------------------------------------------------


def _build(root: Path, say: Say) -> dict[str, str]:
    absent = [package for tool, package in _TOOLS.items() if shutil.which(tool) is None]
    if absent:
        _install(absent, lambda: None, say)
    release = _release(say)
    version = _version(f"linux-image-{release}")
    debs = _download(root / "debs", release, version, say)
    unpacked = root / "unpacked"
    for fresh in (unpacked, root / "source", root / "modules"):
        shutil.rmtree(fresh, ignore_errors=True)
    say(f"unpacking {len(debs)} packages of {release} in {root}; none of them is installed")
    for deb in debs:
        _run(["dpkg-deb", "-x", str(deb), str(unpacked)], f"unpack {deb.name}")
    source = _source(root, unpacked, say)
    # The script writes the kernel to its output.
    extract = f"bash {source}/scripts/extract-vmlinux {unpacked}/boot/vmlinuz-{release} > {root}/vmlinux"
    _run(["bash", "-c", extract], "extract the kernel")
    say(f"building {len(_MODULES)} modules and pcitest from Debian's source of Linux {version}")
    _build_modules(root, unpacked, source, release)
    compiler = ["gcc", "-static", "-O2", "-w", f"-I{source}/include/uapi"]
    _run([*compiler, "-o", str(root / "pcitest"), str(source / _PCITEST[0])], "build the kernel's pcitest")
    shutil.copy(unpacked / "bin/busybox", root / "busybox")
    shutil.rmtree(root / "source")
    shutil.rmtree(unpacked)
    return {"recipe": _recipe(), "release": release, "version": version}


def _release(say: Say) -> str:
    """Return the release of the kernel that apt would install today."""
    if shutil.which("apt-cache") is None:
        raise MissingError("this machine has no apt, which the guest's kernel comes from: use Debian 12")
    for attempt in range(2):
        depends = _output(["apt-cache", "depends", f"linux-image-{_FLAVOUR}"])
        found = re.search(rf"Depends: linux-image-({re.escape(_SERIES)}\.\S*-{_FLAVOUR})", depends)
        if found is not None:
            return found[1]
        if not attempt:
            _apt_update(say)
    raise MissingError(
        f"apt knows no linux-image-{_FLAVOUR} of Linux {_SERIES}: use Debian 12, amd64, with its security updates"
    )


def _version(package: str) -> str:
    found = re.search(r"Candidate: (\S+)", _output(["apt-cache", "policy", package]))
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
            _run(command, "download the kernel", cwd=debs)
        except MissingError:
            if os.geteuid() != 0:
                raise
            _apt_update(say)
            _run(command, "download the kernel", cwd=debs)
    return [max(debs.glob(file)) for file in wanted]


def _apt_update(say: Say) -> None:
    if os.geteuid() != 0:
        raise MissingError("apt's lists are too old, and only root can renew them: `sudo apt-get update`")
    say("renewing apt's lists (apt-get update)")
    _run(["apt-get", "update", "-q"], "renew apt's lists")


def _source(root: Path, unpacked: Path, say: Say) -> Path:
    """Unpack the few files of the kernel's source that are built."""
    name = f"linux-source-{_SERIES}"
    archive = unpacked / "usr/src" / f"{name}.tar.xz"
    say(f"unpacking {len(_MODULES) + len(_PCITEST)} files of {archive.name}")
    (root / "source").mkdir()
    files = [f"{name}/{path}" for path in (*_MODULES.values(), *_PCITEST)]
    _run(["tar", "-xJf", str(archive), "-C", str(root / "source"), *files], "unpack the kernel's source")
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
    _run(["make", "-C", str(headers), f"M={build}", "CC=gcc", "modules"], "build the modules")
    for module in _MODULES:
        _run(["strip", "--strip-debug", str(build / f"{module}.ko")], f"strip {module}")
    for entry in list(build.iterdir()):
        if entry.suffix != ".ko":
            entry.unlink()


# -- programs ----------------------------------------------------------------------------------------------------------


def _output(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=60, check=False, env=os.environ | {"LC_ALL": "C"}
        )
        return done.stdout
    except (OSError, subprocess.TimeoutExpired):
        return ""


def _run(
    command: Sequence[str], purpose: str, *, cwd: Path | None = None, env: dict[str, str] | None = None
) -> None:
    # An outer make must not hand its options to the kernel's.
    inherited = {name: value for name, value in os.environ.items() if name not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")}
    try:
        done = subprocess.run(
            command, cwd=cwd, env=inherited | (env or {}), stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=_MINUTES_15, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MissingError(f"could not {purpose}: {error}") from error
    if done.returncode:
        tail = "\n".join(f"    {line}" for line in done.stdout.splitlines()[-12:])
        raise MissingError(f"could not {purpose}; `{' '.join(command[:4])} ...` said:\n{tail}")
