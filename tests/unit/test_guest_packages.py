"""What a guest needs of Debian, on machines that lack it: what is said, and that nothing is installed then."""

import json
import os

import pytest

from epbell_tb import installation, linux
from epbell_tb.guest import commands, newest, packages, programs
from epbell_tb.guest.commands import MissingError

STAMP = {"recipe": packages._recipe(), "release": "6.1.0-56-cloud-amd64", "version": "6.1.192-2"}
OLD, RIGHT, NEW = ("QEMU emulator version " + number for number in ("5.2.0", "7.2.22 (Debian 1:7.2)", "10.0.8"))
POLICY = "qemu-system-x86:\n  Installed: (none)\n  Candidate: {}\n"


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine on which nothing is installed but what a test says; programs note how they are called."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    monkeypatch.setenv("EPBELL_SIM_BUILD", str(tmp_path / "builds"))
    monkeypatch.setattr(os, "geteuid", lambda: 0)

    def has(**found):
        for name, said in found.items():
            program = programs / name.replace("_", "-").replace("x86-64", "x86_64")
            program.write_text(f"#!/bin/sh\necho \"$0 $*\" >> {tmp_path}/calls\nprintf '%s' '{said}'\n")
            program.chmod(0o755)

    return has


@pytest.fixture
def calls(tmp_path):
    (tmp_path / "calls").touch()
    return lambda: [line.rpartition("/")[2] for line in (tmp_path / "calls").read_text().splitlines()]


def missing():
    said = []
    with pytest.raises(MissingError) as raised:
        packages.provide(said.append)
    return str(raised.value)


def test_no_apt(machine):
    assert missing() == "qemu-system-x86 is missing and this machine has no apt: use Debian 12"


def test_not_root(machine, calls, monkeypatch):
    machine(apt_get="", apt_cache=POLICY.format("1:7.2+dfsg-7"))
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == (
        "qemu-system-x86 is missing, and only root can install it: "
        "`sudo apt-get install --no-install-recommends qemu-system-x86`"
    )
    assert calls() == []


@pytest.mark.parametrize("candidate", ["1:10.0.8+ds-0+deb13u1", "1:5.2+dfsg-11"])
def test_another_qemu_is_not_installed(machine, calls, candidate):
    machine(apt_get="", apt_cache=POLICY.format(candidate))
    assert missing() == (
        f"QEMU 7.2 is needed, and apt has {candidate[2:]}: use Debian 12 (bookworm), where it is the stock one"
    )
    assert not [call for call in calls() if "install" in call]


@pytest.mark.parametrize("version", [OLD, NEW, "gibberish"])
def test_another_qemu_is_there(machine, calls, version):
    machine(apt_get="", qemu_system_x86_64=version)
    assert "and it must be 7.2" in missing()
    assert calls() == ["qemu-system-x86_64 --version"]


def test_no_kernel_of_that_series(machine, calls):
    machine(
        apt_get="", apt_cache="linux-image-cloud-amd64\n  Depends: linux-image-6.12.9-cloud-amd64\n",
        qemu_system_x86_64=RIGHT, gcc="", make="", xz="", lz4="", dpkg_deb="",
    )  # fmt: skip
    assert "apt knows no linux-image-cloud-amd64 of Linux 6.1" in missing()
    assert "apt-get update -q" in calls(), "its lists may have been old"


def test_a_download_that_fails(machine, calls, monkeypatch):
    machine(
        apt_cache="  Depends: linux-image-6.1.0-56-cloud-amd64\n  Candidate: 6.1.192-2\n",
        apt_get="", qemu_system_x86_64=RIGHT, gcc="", make="", xz="", lz4="", dpkg_deb="",
    )  # fmt: skip
    apt = packages.folder().parents[1] / "bin" / "apt-get"
    apt.write_text(apt.read_text() + 'echo "Could not resolve the archive"\nexit 100\n')
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    said = missing()
    assert said.startswith("could not download the kernel; `apt-get download -q")
    assert "Could not resolve the archive" in said


def test_what_has_been_built_is_there_without_asking_anybody(machine, calls):
    machine(qemu_system_x86_64=RIGHT)
    packages.folder().mkdir(parents=True)
    (packages.folder() / "stamp.json").write_text(json.dumps(STAMP))
    (packages.folder() / "vmlinux").write_bytes(b"\x7fELF...")
    have = packages.provide(print)
    assert (have.release, have.version) == ("6.1.0-56-cloud-amd64", "6.1.192-2")
    assert have.kernel == packages.folder() / "vmlinux"
    assert calls() == ["qemu-system-x86_64 --version"]


def test_a_kernel_that_is_none_is_not_what_has_been_built(machine, calls):
    machine(qemu_system_x86_64=RIGHT)
    packages.folder().mkdir(parents=True)
    (packages.folder() / "stamp.json").write_text(json.dumps(STAMP))
    (packages.folder() / "vmlinux").touch()
    assert "is missing" in missing(), "it is built again"


def test_an_extraction_that_finds_no_kernel(tmp_path):
    (tmp_path / "scripts").mkdir()
    script = tmp_path / "scripts" / "extract-vmlinux"
    script.write_text("printf '%s' \"$(cat $1)\"\nexit 0\n")
    image = tmp_path / "vmlinuz"
    for contents in ("", "gibberish"):
        image.write_text(contents)
        with pytest.raises(MissingError, match="vmlinuz has no kernel in it"):
            packages.extract(tmp_path, image, tmp_path / "vmlinux")
    image.write_text("\x7fELF and so on")
    packages.extract(tmp_path, image, tmp_path / "vmlinux")
    assert (tmp_path / "vmlinux").read_text() == "\x7fELF and so on"


def test_lists_that_are_empty_are_renewed(machine, calls):
    """As in a fresh container, where apt prints nothing at all of a package."""
    machine(apt_get="", apt_cache="")
    missing()
    assert "apt-get update -q" in calls()


def test_lists_that_know_a_part_are_renewed(machine, calls):
    machine(apt_get="", apt_cache=POLICY.format("1:7.2"))
    commands.install(["qemu-system-x86", "xz-utils"], lambda: None, print)
    assert calls()[1:] == [
        "apt-get update -q",
        "apt-get install --no-install-recommends qemu-system-x86 xz-utils -y -q",
    ]


@pytest.mark.parametrize(
    ("there", "installed"),
    [
        ({}, "gcc zstd libc6-dev"),
        ({"gcc": "libc.a\n"}, "zstd libc6-dev"),
        ({"gcc": "/usr/lib/libc.a\n"}, "zstd"),
        ({"gcc": "/usr/lib/libc.a\n", "zstd": ""}, None),
    ],
)
def test_a_compiler_comes_with_its_library(machine, calls, there, installed):
    machine(apt_get="", apt_cache="Candidate: 1\n" * 3, **there)
    packages.tools({"gcc": "gcc", "zstd": "zstd"}, print)
    wanted = [] if installed is None else [f"apt-get install --no-install-recommends {installed} -y -q"]
    assert [call for call in calls() if "install" in call] == wanted


def test_the_newest_kernel_is_unpacked_with_zstd(machine, calls, monkeypatch):
    monkeypatch.setattr(newest, "_KEYRING", __file__)
    machine(apt_get="", apt_cache="Candidate: 1\n" * 9)
    with pytest.raises(MissingError):
        newest.provide(print)
    (call,) = [call for call in calls() if "install" in call]
    assert " zstd " in call


def test_another_recipe_is_built_again(machine):
    machine(qemu_system_x86_64=RIGHT)
    packages.folder().mkdir(parents=True)
    (packages.folder() / "stamp.json").write_text(json.dumps(STAMP | {"recipe": "older"}))
    (packages.folder() / "vmlinux").write_bytes(b"\x7fELF...")
    assert "is missing" in missing()


def test_the_command_skips_and_says_so(machine, capsys):
    assert linux.main(["pcitest", "--endpoint", "model"]) == 0
    assert capsys.readouterr().out == (
        "1..0 # SKIP qemu-system-x86 is missing and this machine has no apt: use Debian 12\n"
    )
    assert linux.main(["all", "--endpoint", "model"]) == 0
    assert capsys.readouterr().out.count("1..0 # SKIP") == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "the following arguments are required: TEST"),
        (["pcitest", "--endpoint", "model", "--width", "64"], "are of --endpoint rtl"),
        (["pcitest", "--endpoint", "model", "--seed", "0"], "are of --endpoint rtl"),
        (["pcitest", "--only", "NONSENSE"], "must be the name of a test, such as '*.MSI_TEST', not 'NONSENSE'"),
        (["pcitest", "--sizes", "1,x"], "it must be a number from 1 to 4194304, not 'x'"),
        (["pcitest", "--limit", "0"], "it must be a number from 1 to 86400, not '0'"),
        (["pcitest", "--dts", "none.dts"], "it must be a device tree file that can be read"),
        (["all", "--tree", "imx8"], "unrecognized arguments"),
    ],
)
def test_a_wrong_command_line(arguments, said, capsys):
    with pytest.raises(SystemExit) as ended:
        linux.main(arguments)
    assert ended.value.code == 2
    assert said in capsys.readouterr().err


def test_our_own_program_is_compiled_once(tmp_path):
    ring = programs.compiled("ring", tmp_path)
    made = ring.stat().st_mtime_ns
    assert programs.compiled("ring", tmp_path).stat().st_mtime_ns == made
    with pytest.raises(MissingError, match=r"nothing\.c is not there"):
        programs.compiled("nothing", tmp_path)


def test_our_own_program_that_cannot_be_compiled_is_no_skip(tmp_path, monkeypatch):
    sources = tmp_path / "tests" / "linux"
    sources.mkdir(parents=True)
    monkeypatch.setattr(installation, "PROJECT", tmp_path)
    (sources / "ring.c").write_text("int main(void) { return 0 }\n")
    with pytest.raises(RuntimeError, match=r"ring\.c cannot be compiled:\n(.*\n)*.*expected"):
        programs.compiled("ring", tmp_path / "built")
    (sources / "ring.c").write_text("int main(void) { return 0; }\n")
    assert programs.compiled("ring", tmp_path / "built").is_file()
    assert [path.name for path in (tmp_path / "built").iterdir()] == ["ring"]
