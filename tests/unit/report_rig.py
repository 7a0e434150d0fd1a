"""A run as `make sim` leaves it, made by hand: what failed, is missing and passed, with one record of each kind."""

from epbell_models.reference import outcome
from epbell_tb import report
from epbell_tb.endpoint.clock import follow_clock
from epbell_tb.endpoint.packets import MEM_WRITE, CpuAccess, Request, SentCompletion
from epbell_tb.endpoint.record import Record
from epbell_tb.endpoint.to_host_packets import Answer, SentRequest
from epbell_tb.run_report import pages

GROUP = "imx8-usp256-stalls-on"
ABOUT = {
    "tree": "imx8", "width": 256, "stalls": True, "seed": 1, "edma": "unroll",
    "places": [["mu_a", 0x5D27_0000, 0x1_0000], ["controller", 0x5F01_0000, 0x1_0000]],
    "registers": {"mu_a": {0x12C: "RSR"}}, "bars": {2: f"{0x8000_0000_0000_1000:x}"},
}  # fmt: skip
REASON = "AssertionError: <b>1</b> & 2\nassert 1 == 2"
DATE = "2026-11-22T11:14:11+00:00"


def request(first, address=0x8000_0000_0000_1008, tag=0, kind=MEM_WRITE, payload=bytes([1, 0, 0, 0])):
    where = {"bar": 2, "function": 0, "address": address, "length": 1, "first_be": 15, "last_be": 0}
    rest = {"requester": 0, "tc": 0, "attr": 0, "discontinued": False}
    return Request(first, first, first + 1, kind, tag=tag, payload=payload, **where, **rest)


def sent(first, address=0xA000_0000):
    return SentRequest(
        first=first, last=first, kind=MEM_WRITE, address=address, length=1, first_be=15, last_be=0, tag=3, requester=0,
        own_requester=False, completer=0, at=0, tc=0, attr=0, poisoned=False, ecrc=False, data=bytes(4),
        discontinued=False,
    )  # fmt: skip


def forget(*_):
    """Judge nothing."""


class Story:
    """A record, told clock by clock."""

    def __init__(self):
        self.record = Record()
        self.now = 0
        tell = self.record
        self.request, self.completion = tell.tee("request", forget), tell.tee("completion", forget)
        self.sent, self.answer = tell.tee("sent", forget), tell.tee("answer", forget)
        self.read, self.read_ended = tell.read_started(forget), tell.ended("read", forget)
        self.write, self.write_ended = tell.write_started(forget), tell.ended("write", forget)
        self.line = tell.line("irq_mu", forget)

    def at(self, clock):
        self.now = clock
        return follow_clock(lambda: self.now)


def everything():
    """Return the record of a scenario in which each kind of entry happens."""
    story = Story()
    with story.at(10):
        ring = request(10)
        story.request(ring)
        story.record.written(ring, [outcome.Ring(2, 0x55)])
        story.line(True, 12)
        story.read(0x5D27_012C)
        story.now = 14
        story.read_ended(CpuAccess(10, 14, 0x5D27_012C, 4, 0, 0))
        story.line(False, 20)
        story.request(request(30, tag=5, kind=0, payload=b""))
        story.record.bad(request(30, tag=5, kind=0, payload=b""))
        story.completion(SentCompletion(33, 34, 1, 4, 0, 0, 5, 0, 0, 0, b"", False))
        story.now = 40
        story.record.msi(7, 29, several=False)
        story.sent(sent(50))
        story.now = 50
        story.record.msix(9, 44, "rq")
        story.answer(Answer(60, 60, 9, True, 0, 0, False, 3, b"", False))
        story.record.intx(True)
        story.now = 70
        story.record.reset("flr")
        story.write(0x5F01_0010, 1, 15)
    return story.record


def row(name, verdict, reason="", **more):
    figures = {"rings": 4, "irqs": 3, "merged": 1, "cycles_to_irq_min": 2, "cycles_to_irq_max": 5, **more}
    return report.Row(name=name, tree="imx8", width=256, stalls=True, verdict=verdict, seed=1, reason=reason, **figures)


def site(folder, passed=("a_good_one", "b_good_one"), record=None):
    """Write the pages of a run; return the first one."""
    group = folder / GROUP
    group.mkdir()
    for name in (*passed, "it_fails"):
        (record or everything()).write(group, name, **ABOUT)
    (group / "run.log").write_text("said")
    (group / "dump.vcd").write_text("waves")
    rows = [row(name, "pass", rings=100 - 9 * number) for number, name in enumerate(passed)]
    rows += [row("it_fails", "fail", REASON, cycles_to_irq_min=None, cycles_to_irq_max=None)]
    rows += [row("it_is_missing", "missing", "it did not run", rings=None)]
    told = {"latencies": {"irq_mu": {"2": 7, "5": 1}, "msi": {"11": 3}}}
    runs = [pages.found(folder, GROUP, one, f"make sim SCENARIO={one.name}", told) for one in rows]
    return pages.write(folder, runs, date=DATE, versions={"epbell": "0.1.0"})
