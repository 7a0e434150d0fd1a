"""A guest's process without QEMU: a script in its place, which prints, hangs or asks the device."""

import re
import struct
import subprocess
import time

import pytest

from epbell_tb.guest import kselftest, pcitest
from epbell_tb.guest.initramfs import archive, write
from epbell_tb.guest.machine import Boot, Guest, complaint


@pytest.fixture
def boot(tmp_path):
    def made(script):
        qemu = tmp_path / "qemu"
        qemu.write_text(f"#!/usr/bin/env python3\nimport os, re, sys, time\n{script}\n")
        qemu.chmod(0o755)
        return Boot(qemu, tmp_path / "vmlinux", tmp_path / "initrd.gz")

    return made


def test_lines_come_as_they_are_printed_and_are_kept(boot, tmp_path):
    with Guest(boot("print('first\\r', flush=True); time.sleep(0.3); print('second')"), tmp_path / "log", 60) as guest:
        lines = guest.lines()
        began = time.monotonic()
        assert next(lines) == "first"
        assert list(lines) == ["second"]
        assert time.monotonic() - began > 0.2
    assert (tmp_path / "log").read_bytes() == b"first\r\nsecond\n"
    assert (guest.timed_out, guest.complaints) == (False, [])


def test_it_gets_a_socket_for_its_device(boot, tmp_path):
    script = (
        "fd = int(re.search(r'x-pci-proxy-dev,id=ep0,fd=(\\d+),addr=04.0', ' '.join(sys.argv))[1])\n"
        "os.write(fd, b'asked'); print(os.read(fd, 8))"
    )
    with Guest(boot(script), tmp_path / "log", 60) as guest:
        assert guest.link.recv(8) == b"asked"
        guest.link.sendall(b"answer")
        assert list(guest.lines()) == ["b'answer'"]


def test_its_time_stands_still_for_a_slow_device(boot, tmp_path):
    for slow in (False, True):
        with Guest(boot("print(*sys.argv)"), tmp_path / "log", 60, slow=slow) as guest:
            (command,) = guest.lines()
        assert ("-icount shift=0,sleep=on" in command) is slow
        assert ("iomem=relaxed idle=poll" in command) is slow
        assert " no_timer_check " in command, "on a busy machine the kernel's check panics"


def test_the_watchdog_ends_it(boot, tmp_path):
    began = time.monotonic()
    script = "print(os.getpid(), flush=True)\nwhile True: time.sleep(1)"
    with Guest(boot(script), tmp_path / "log", 4.0) as guest:
        (number,) = guest.lines()
    assert guest.timed_out
    assert time.monotonic() - began < 20
    assert subprocess.run(["ps", "-p", number], capture_output=True, check=False).returncode == 1


def test_leaving_ends_it(boot, tmp_path):
    with Guest(boot("print(os.getpid(), flush=True); time.sleep(600)"), tmp_path / "log", 60) as guest:
        number = next(guest.lines())
    assert subprocess.run(["ps", "-p", number], capture_output=True, check=False).returncode == 1
    assert not guest.timed_out
    assert not guest.qtest.parent.exists()


def test_what_was_printed_is_heard_of_a_device_that_has_gone(boot, tmp_path):
    with Guest(boot("print('last\\nwords', flush=True); time.sleep(600)"), tmp_path / "log", 60) as guest:
        end = time.monotonic() + 30
        while guest._lines.qsize() < 2 and time.monotonic() < end:
            time.sleep(0.01)
        assert list(guest.lines(lambda: False)) == ["last", "words"]


def test_nobody_waits_for_a_device_that_has_gone(boot, tmp_path):
    with Guest(boot("time.sleep(600)"), tmp_path / "log", 60) as guest:
        assert list(guest.lines(lambda: False)) == []


@pytest.mark.parametrize(
    "line",
    [
        "[    1.0] Kernel panic - not syncing: Attempted to kill init!",
        "[    1.0] BUG: kernel NULL pointer dereference, address: 0000000000000000",
        "[    1.0] Oops: 0002 [#1] PREEMPT SMP NOPTI",
        "[    1.0] rcu: INFO: rcu_preempt self-detected stall on CPU",
        "[    1.0] watchdog: BUG: soft lockup - CPU#0 stuck for 26s!",
        "[    1.0] INFO: task pcitest:99 blocked for more than 120 seconds.",
    ],
)
def test_what_a_kernel_that_crashes_says(boot, tmp_path, line):
    assert complaint(line)
    with Guest(boot(f"print({line!r})"), tmp_path / "log", 60) as guest:
        assert list(guest.lines()) == [line]
    assert guest.complaints == [line]


@pytest.mark.parametrize(
    "line",
    [
        '[    2.1] irq 20: nobody cared (try booting with the "irqpoll" option)',
        "[    2.1] Disabling IRQ #20",
        "[    2.1] divide error: 0000 [#1] PREEMPT SMP NOPTI",
        "[    2.1] stack segment: 0000 [#1] PREEMPT SMP",
        "[    2.1] invalid opcode: 0000 [#1] PREEMPT SMP",
        "[    2.1] rcu: rcu_preempt kthread starved for 5252 jiffies!",
        "[    2.1] Out of memory: Killed process 99 (pcitest)",
        "[    2.1] UBSAN: shift-out-of-bounds in drivers/misc/pci_endpoint_test.c:1",
        "<4>[    2.1] WARNING: CPU: 0 PID: 61 at kernel/irq/manage.c:1978 free_irq+0x1f0/0x3a0",
    ],
)
def test_what_else_no_kernel_says_that_is_well(line):
    assert complaint(line)


@pytest.mark.parametrize("text", [pcitest.script([]), kselftest.script(())])
def test_a_guest_tells_its_kernels_warnings_before_its_end(text, tmp_path):
    """The console shows errors only."""
    said = {level: f"<{level}>[    1.0] level {level}" for level in range(8)}
    lines = "\n".join([*said.values(), "<12>[    1.0] a program's"])
    (tmp_path / "dmesg").write_text(f'#!/bin/sh\n[ "$1" != -r ] || echo "{lines}"\n')
    (tmp_path / "dmesg").chmod(0o755)
    done = subprocess.run(
        ["sh", "-c", text],
        env={"PATH": f"{tmp_path}:/usr/bin:/bin"},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.stdout.splitlines()[-6:] == [*(said[level] for level in range(5)), "@@ ended"]


@pytest.mark.parametrize(
    "line",
    [
        "BAR0:\t\tNOT OKAY",
        "[    9.9] reboot: Power down",
        "# Linux 6.1.0",
        "<4>[    1.6] pci_endpoint_test: loading out-of-tree module taints kernel.",
    ],
)
def test_what_is_no_crash(line):
    assert not complaint(line)


def entries(data):
    """Names, modes and contents in an archive, by the format's own description."""
    at, found = 0, []
    while True:
        assert data[at : at + 6] == b"070701"
        fields = [int(data[at + 6 + 8 * n : at + 14 + 8 * n], 16) for n in range(13)]
        size, length = fields[6], fields[11]
        name = data[at + 110 : at + 110 + length]
        start = -(-(at + 110 + length) // 4) * 4
        if name == b"TRAILER!!!\0":
            return found
        found.append((name[:-1].decode(), fields[1], data[start : start + size]))
        at = -(-(start + size) // 4) * 4


def test_archive():
    assert entries(archive({"init": b"#!", "bin/busybox": b"12345", "lib/a/b.ko": b""})) == [
        ("bin", 0o040755, b""),
        ("lib", 0o040755, b""),
        ("lib/a", 0o040755, b""),
        ("bin/busybox", 0o100755, b"12345"),
        ("init", 0o100755, b"#!"),
        ("lib/a/b.ko", 0o100755, b""),
    ]


def test_the_same_contents_give_the_same_bytes(tmp_path):
    for name in ("busybox", "ring", "one.ko", "two.ko"):
        (tmp_path / name).write_text(name)
    for target in ("first", "second"):
        write(
            tmp_path / target,
            busybox=tmp_path / "busybox",
            modules=[tmp_path / "two.ko", tmp_path / "one.ko"],
            programs=[tmp_path / "ring"],
            script="echo here",
        )
        (tmp_path / "ring").touch()
    first = (tmp_path / "first").read_bytes()
    assert first == (tmp_path / "second").read_bytes()
    unpacked = subprocess.run(["gzip", "-dc"], input=first, capture_output=True, check=True).stdout
    init = {name: data for name, _, data in entries(unpacked)}["init"].decode()
    assert re.search(r"insmod /lib/two.ko\ninsmod /lib/one.ko\necho here\npoweroff -f\n$", init)
    assert struct.unpack("<I", first[4:8]) == (0,), "no time in it"
