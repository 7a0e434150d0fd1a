"""What two guests do over a non-transparent bridge, and how their consoles tell of it.

Each loads the kernel's own ntb_hw_epf, ntb_transport and ntb_netdev; then they are two computers on one Ethernet, which
ping one another and send each other a file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from epbell_models.selftest.tap import Result, TapWriter, Verdict

__all__ = [
    "MODULES",
    "SIDES",
    "TESTS",
    "NtbListener",
    "options",
    "script",
]

SIDES = ("host", "peer")
"""The guest on the endpoint's link, and the one behind its bridge."""

MODULES = ("ntb", "ntb_hw_epf", "ntb_transport", "ntb_netdev")
"""Modules of both guests, in the order in which they are loaded."""

TESTS = (
    "ntb.host.LINK_UP",
    "ntb.peer.LINK_UP",
    "ntb.host.PING",
    "ntb.host_to_peer.FILE",
    "ntb.peer.PING",
    "ntb.peer_to_host.FILE",
)
"""Names of the tests, in the order in which they end."""

_FRAME = 2048
_ADDRESSES = ("10.9.8.1", "10.9.8.2")
_PORT = 5000
_INTERVAL_S = 0.02
_ARP_MS = 50
_MARK = "@@"
_PINGS = re.compile(r"(\d+) packets transmitted, (\d+) packets received")
_TIMES = re.compile(r"round-trip min/avg/max = (\S+) ms")

_BEGIN = """
dmesg -n 5
echo "{mark} booted $(uname -sr)"
give_up() {{ echo "{mark} failed $*"; poweroff -f; }}
wait_for() {{
    tries=0
    while ! eval "$1"; do
        tries=$((tries + 1)); [ $tries -gt {tries} ] && give_up "$2"
        sleep {interval}
    done
}}
wait_for '[ -e /sys/class/net/eth0 ]' "no network device"
ip addr add {own}/24 dev eth0
ip link set eth0 up
# The other side may not be there yet, and a second of a guest's can be many of ours.
echo {arp} > /proc/sys/net/ipv4/neigh/eth0/retrans_time_ms
wait_for '[ "$(cat /sys/class/net/eth0/carrier)" = 1 ]' "no link"
echo "{mark} link"
ping_other() {{
    ping -c 1 -W {patience} {other} > /dev/null || give_up "no answer to a ping"
    ping -c {pings} -i {interval} -W {patience} {other} | tail -n 2
    echo "{mark} pinged"
}}
send_file() {{
    head -c {size} /dev/urandom > /sent
    echo "{mark} sent $(md5sum < /sent)"
    wait_for 'timeout {long} nc {other} {port} < /sent' "nobody takes the file"
}}
take_file() {{
    [ -p /open ] || mkfifo /open
    # A listener whose input ends hangs up.
    timeout {long} nc -l -p {port} <> /open > /taken || give_up "no file comes"
    echo "{mark} taken $(wc -c < /taken) $(md5sum < /taken)"
}}
"""
_PARTS = {"host": "ping_other\nsend_file\ntake_file\n", "peer": "take_file\nping_other\nsend_file\n"}


def options() -> dict[str, str]:
    """Return the parameters of modules: frames small enough that a window has many of them."""
    return {"ntb_transport": f"transport_mtu={_FRAME} max_num_clients=1"}


def script(side: str, *, size: int, pings: int, seconds: int) -> str:
    """Return a guest's part, for its shell.

    Parameters
    ----------
    side
        One of `SIDES`.
    size
        Bytes of its file.
    pings
        How often it pings.
    seconds
        How long it waits for anything.
    """
    own = SIDES.index(side)
    begin = _BEGIN.format(
        mark=_MARK, own=_ADDRESSES[own], other=_ADDRESSES[1 - own], port=_PORT, size=size, pings=pings, long=seconds,
        tries=round(seconds / _INTERVAL_S), interval=_INTERVAL_S, patience=min(10, seconds), arp=_ARP_MS,
    )  # fmt: skip
    return f"{begin}{_PARTS[side]}echo '{_MARK} ended'\n"


@dataclass
class _Side:
    linked: bool = False
    sent: str = ""
    taken: tuple[str, ...] = ()
    pinged: str = ""
    lost: bool = True
    ended: bool = False


class NtbListener:
    """Listens to both guests' consoles and writes TAP.

    Parameters
    ----------
    tap
        Where results go; its plan is written here.
    size
        Bytes of each file.

    Attributes
    ----------
    failed
        Why there is no point in going on, empty if there is.
    """

    def __init__(self, tap: TapWriter, size: int) -> None:
        self.failed = ""
        self._tap = tap
        self._size = size
        self._sides = {side: _Side() for side in SIDES}

    @property
    def over(self) -> bool:
        """Whether both guests have done everything, or one has given up."""
        return bool(self.failed) or all(side.ended for side in self._sides.values())

    def pings(self) -> dict[str, str]:
        """Return the shortest, average and longest time of each side's pings as it said them, in ms."""
        return {name: side.pinged for name, side in self._sides.items()}

    def line(self, name: str, line: str) -> None:
        """Take a line of a guest's console."""
        side = self._sides[name]
        if not line.startswith(_MARK):
            self._hear(name, side, line.strip())
            return
        word, *rest = line.removeprefix(_MARK).split() or [""]
        if word == "booted":
            self._tap.note(f"{name}: {' '.join(rest)}")
        elif word == "link":
            side.linked = True
            self._end(f"ntb.{name}.LINK_UP", True)
        elif word == "pinged":
            self._end(f"ntb.{name}.PING", not side.lost)
        elif word == "sent":
            side.sent = rest[0]
        elif word == "taken":
            side.taken = tuple(rest)
            self._compare(name)
        elif word == "failed":
            self.failed = f"the {name}: {' '.join(rest)}"
        elif word == "ended":
            side.ended = True

    def give_up(self) -> None:
        """Write that what has not ended has failed."""
        ended = {result.name for result in self._tap.results}
        for name in TESTS:
            if name not in ended:
                self._end(name, False)

    def _hear(self, name: str, side: _Side, text: str) -> None:
        count, times = _PINGS.search(text), _TIMES.search(text)
        if count is not None or times is not None:
            self._tap.note(f"{name}: {text}")
        if count is not None:
            side.lost = count[1] != count[2]
        if times is not None:
            side.pinged = times[1]

    def _compare(self, name: str) -> None:
        """Compare what a side has got with what the other has sent."""
        other = SIDES[1 - SIDES.index(name)]
        size, *digest = self._sides[name].taken
        self._tap.note(f"{other} sent {self._sides[other].sent}, {name} got {' '.join(digest)} of {size} bytes")
        same = bool(digest) and digest[0] == self._sides[other].sent and int(size) == self._size
        self._end(f"ntb.{other}_to_{name}.FILE", same)

    def _end(self, name: str, good: bool) -> None:
        self._tap.end(Result(name, Verdict.PASS if good else Verdict.FAIL))
