"""The newest kernel of Debian, with its driver and its own selftest of an endpoint.

Debian 12's kernel predates the doorbell's test (Linux v6.17) and those of subranges and consecutive BARs; the kernel in
Debian's unstable has them. It is downloaded by an apt of its own, whose lists are below ``sim_build/linux/newest``:
nothing of the machine's changes. The module is built with this machine's compiler, and the kernel's build tools run
with the C library that they want.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from epbell_tb.guest import packages
from epbell_tb.guest.commands import MissingError, Say, apt_update, output, run

__all__ = [
    "Newest",
    "provide",
]

_SUITE = "sid"
_KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
_FLAVOUR = "cloud-amd64"
# What the kernel's build tools are linked with.
_LIBRARIES = ("libc6", "libelf1t64", "zlib1g", "libzstd1")
_DRIVER = "drivers/misc/pci_endpoint_test.c"
_SELFTESTS = "tools/testing/selftests"
_SELFTEST = f"{_SELFTESTS}/pci_endpoint/pci_endpoint_test.c"
_FILES = (_DRIVER, _SELFTEST, f"{_SELFTESTS}/*.h", "include/uapi/linux/pcitest.h", "scripts/extract-vmlinux")
# Options that older compilers call otherwise.
_SAME = {"-fmin-function-alignment": "-falign-functions"}
_MOST_OPTIONS = 10
_RECIPE = 1

_WRAPPER = """#!/bin/sh
exec {libraries}/ld-linux-x86-64.so.2 --argv0 "$0" --library-path {libraries} {program} "$@"
"""


@dataclass(frozen=True)
class Newest:
    """What there is.

    Attributes
    ----------
    release, version
        The kernel's release, and the version of Debian's packages of it.
    kernel, selftest, module
        The uncompressed kernel, its selftest's program, its driver.
    """

    release: str
    version: str
    kernel: Path
    selftest: Path
    module: Path


def provide(say: Say) -> Newest:
    """Return the newest kernel and its selftest; what is not there yet is downloaded and built.

    Parameters
    ----------
    say
        Called with what is being done.

    Raises
    ------
    MissingError
        When something is not to be had.
    """
    root = packages.folder() / "newest"
    recipe = packages.recipe(_RECIPE, _SUITE, _FLAVOUR, _FILES)
    built = packages.kept_build(root, recipe, lambda: _build(root, say))
    module = root / "module" / "pci_endpoint_test.ko"
    return Newest(built["release"], built["version"], root / "vmlinux", root / "selftest", module)


def _build(root: Path, say: Say) -> dict[str, str]:
    unpacked, source, module = root / "unpacked", root / "source", root / "module"
    for fresh in (unpacked, source, module):
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir()
    release, version = _download(root, unpacked, say)
    say(f"building the module and the selftest of Linux {version}")
    _unpack_source(unpacked, source, version)
    kernel = next(iter([*unpacked.glob("usr/lib/modules/*/vmlinuz"), *unpacked.glob("boot/vmlinuz-*")]), None)
    if kernel is None:
        raise MissingError(f"Debian's packages of Linux {version} have no kernel where it is looked for")
    packages.extract(source, kernel, root / "vmlinux")
    _build_module(unpacked, source, module, release)
    compiler = ["gcc", "-static", "-O2", "-w", "-D_GNU_SOURCE=", f"-I{source}/include/uapi", f"-I{source}/{_SELFTESTS}"]
    run([*compiler, "-o", str(root / "selftest"), str(source / _SELFTEST)], "build the kernel's selftest")
    shutil.rmtree(unpacked)
    shutil.rmtree(source)
    return {"release": release, "version": version}


# -- apt ---------------------------------------------------------------------------------------------------------------


def _mirror(say: Say) -> str:
    """Return the archive that this machine's apt has Debian from."""
    for refresh in (False, True):
        if refresh:
            apt_update(say)
        asked = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages", "Component: main"]
        for place in output(asked).split():
            if place.rstrip("/").endswith("/debian"):
                return place
    raise MissingError("apt has no archive of Debian (of those whose address ends in /debian): use Debian 12")


def _apt(root: Path, say: Say) -> dict[str, str]:
    """Return the environment of an apt that has lists of its own and does not know what is installed."""
    apt = root / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (apt / folder).mkdir(parents=True, exist_ok=True)
    (apt / "sources.list").write_text(f"deb [signed-by={_KEYRING}] {_mirror(say)} {_SUITE} main\n", encoding="utf-8")
    settings = {
        "Dir::Etc::sourcelist": apt / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::State::lists": apt / "lists",
        "Dir::State::status": "/dev/null",
        "Dir::Cache": apt / "cache",
        "APT::Sandbox::User": "root",
    }
    lines = "".join(f'{name} "{value}";\n' for name, value in settings.items())
    (apt / "apt.conf").write_text(lines, encoding="utf-8")
    return {"APT_CONFIG": str(apt / "apt.conf")}


def _download(root: Path, unpacked: Path, say: Say) -> tuple[str, str]:
    """Download and unpack the kernel's packages; return its release and their version."""
    if shutil.which("apt-get") is None or not Path(_KEYRING).is_file():
        raise MissingError(f"this machine has no apt with Debian's keys ({_KEYRING}): use Debian 12")
    packages.tools({**packages.TOOLS, "zstd": "zstd"}, say)
    env = _apt(root, say)
    say(f"asking Debian's {_SUITE} for its kernel (apt-get update, with lists of its own)")
    run(["apt-get", "update", "-q"], f"get the lists of Debian's {_SUITE}", env=env)
    release = _depends(f"linux-image-{_FLAVOUR}", rf"linux-image-(\d\S*-{_FLAVOUR})", env)
    source = _depends("linux-source", r"(linux-source-\d\S*)", env)
    base = release.removesuffix(f"-{_FLAVOUR}")
    names = [f"linux-headers-{release}", f"linux-headers-{base}-common", f"linux-kbuild-{base}", source, *_LIBRARIES]
    names += [name for name in (f"linux-image-{release}", f"linux-binary-{release}") if _known(name, env)]
    version = re.search(r"Candidate: (\S+)", output(["apt-cache", "policy", names[0]], env))
    say(f"downloading Linux {release} with apt-get (200 MB); nothing of it is installed")
    debs = root / "debs"
    shutil.rmtree(debs, ignore_errors=True)
    debs.mkdir()
    run(["apt-get", "download", "-q", *names], "download the kernel", cwd=debs, env=env)
    for deb in sorted(debs.iterdir()):
        run(["dpkg-deb", "-x", str(deb), str(unpacked)], f"unpack {deb.name}")
    shutil.rmtree(debs)
    return release, version[1] if version else "of unknown version"


def _depends(package: str, wanted: str, env: dict[str, str]) -> str:
    found = re.search(rf"Depends: {wanted}", output(["apt-cache", "depends", package], env))
    if found is None:
        raise MissingError(f"Debian's {_SUITE} has no {package} of the form that is known here")
    return found[1]


def _known(package: str, env: dict[str, str]) -> bool:
    return "Candidate: " in output(["apt-cache", "policy", package], env)


# -- building ----------------------------------------------------------------------------------------------------------


def _unpack_source(unpacked: Path, source: Path, version: str) -> None:
    archive = next(iter(unpacked.glob("usr/src/linux-source-*.tar.xz")), None)
    if archive is None:
        raise MissingError(f"Debian's source of Linux {version} is not where it is looked for")
    tar = ["tar", "-xJf", str(archive), "-C", str(source), "--strip-components=1"]
    tar += ["--wildcards", "--no-wildcards-match-slash"]
    run([*tar, *(f"*/{path}" for path in _FILES)], "unpack the kernel's source")


def _build_module(unpacked: Path, source: Path, module: Path, release: str) -> None:
    headers = unpacked / "usr/src" / f"linux-headers-{release}"
    makefile = headers / "Makefile"
    rules = makefile.read_text(encoding="utf-8").replace("/usr/src/", f"{unpacked}/usr/src/")
    makefile.write_text(rules, encoding="utf-8")
    # With it the module's types would be described, by a program that is not here.
    (headers / "vmlinux").unlink(missing_ok=True)
    _wrap_tools(unpacked)
    shutil.copy(source / _DRIVER, module)
    (module / "Kbuild").write_text("obj-m := pci_endpoint_test.o\n", encoding="utf-8")
    unknown: list[str] = []
    while True:
        make = ["make", "-C", str(headers), f"M={module}", f"CC={_compiler(module, unknown)}", "KCFLAGS=-w", "modules"]
        try:
            run(make, "build the module")
            break
        except MissingError as error:
            found = re.findall(r"unrecognized command-line option ['\u2018]([^'\u2019]+)['\u2019]", str(error))
            if not found or len(unknown) > _MOST_OPTIONS:
                raise
            unknown += found
    run(["strip", "--strip-debug", str(module / "pci_endpoint_test.ko")], "strip the module")


def _wrap_tools(unpacked: Path) -> None:
    """Let each program among the kernel's build tools run with the C library that was unpacked with it."""
    libraries = unpacked / "usr/lib/x86_64-linux-gnu"
    for tool in [path for path in unpacked.glob("usr/lib/linux-kbuild-*/**/*") if path.is_file()]:
        if packages.is_program(tool) and tool.stat().st_mode & 0o100:
            real = tool.rename(tool.with_name(f"{tool.name}.program"))
            tool.write_text(_WRAPPER.format(libraries=libraries, program=real), encoding="utf-8")
            tool.chmod(0o755)


def _compiler(module: Path, unknown: Sequence[str]) -> Path:
    """Return this machine's compiler without the options that it does not know."""
    cases = []
    for option in unknown:
        name, _, value = option.partition("=")
        does = f"arguments+=({_SAME[name]}={value})" if name in _SAME else ":"
        cases.append(f"    {option}) {does} ;;")
    lines = ["#!/bin/bash", "arguments=()", 'for argument; do case "$argument" in', *cases]
    lines += ['    *) arguments+=("$argument") ;;', "esac; done", 'exec gcc "${arguments[@]}"', ""]
    compiler = module / "cc"
    compiler.write_text("\n".join(lines), encoding="utf-8")
    compiler.chmod(0o755)
    return compiler
