"""The tests of Linux's selftest for endpoints, each by its name and with what it accepts.

Names, order and accepted errors are those of tools/testing/selftests/pci_endpoint/pci_endpoint_test.c. There a test
that first fails and then skips the rest is a skipped one; here it has failed.
"""

import errno
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

__all__ = [
    "SIZES",
    "Checks",
    "HostDriver",
    "SelfTest",
    "Skip",
    "all_tests",
]

SIZES = (1, 1024, 1025, 1024000, 1024001)
"""Bytes of the data transfers."""

_INTX, _MSI, _MSIX, _AUTO = range(4)
_BARS = range(6)
_MSI_VECTORS, _MSIX_VECTORS = 32, 2048
_DISABLED, _RESERVED = "BAR is disabled", "BAR is reserved"
_BAR_SKIPS = {errno.ENODATA: _DISABLED, errno.ENOBUFS: _RESERVED}
_SUBRANGE_SKIPS = {
    errno.ENODATA: _DISABLED,
    errno.EBUSY: "BAR holds the test's registers",
    errno.EOPNOTSUPP: "no BAR can show several places",
    errno.ENOBUFS: _RESERVED,
    errno.ENOSPC: "too few inbound windows",
}
_DOORBELL_SKIPS = {errno.EOPNOTSUPP: "no BAR can be re-targeted while in use"}


class HostDriver(Protocol):
    """The host's test driver, an ioctl a method; each returns 0 or a negative errno.

    `epbell_models.host.pci_endpoint_test.PciEndpointTest` is one.
    """

    async def set_irqtype(self, irq_type: int) -> int:
        """Allocate vectors: 0 INTx, 1 MSI, 2 MSI-X, 3 the best there is."""
        ...

    async def get_irqtype(self) -> int:
        """Return the kind of vectors allocated."""
        ...

    async def bar_test(self, bar: int) -> int:
        """Write and read a BAR."""
        ...

    async def bar_subrange_test(self, bar: int) -> int:
        """Let a BAR show two places."""
        ...

    async def bars_test(self) -> int:
        """Write all BARs, then read all."""
        ...

    async def intx_test(self) -> int:
        """Let the endpoint raise INTx."""
        ...

    async def msi_test(self, number: int) -> int:
        """Let it raise an MSI, counted from 1; -EINVAL without that vector."""
        ...

    async def msix_test(self, number: int) -> int:
        """Let it raise an MSI-X, counted from 1; -EINVAL without that vector."""
        ...

    async def read_test(self, size: int, *, dma: bool = False) -> int:
        """Let it write a buffer."""
        ...

    async def write_test(self, size: int, *, dma: bool = False) -> int:
        """Let it read a buffer."""
        ...

    async def copy_test(self, size: int, *, dma: bool = False) -> int:
        """Let it copy a buffer."""
        ...

    async def doorbell_test(self) -> int:
        """Ring its doorbell."""
        ...


class Skip(Exception):
    """The rest of a test does not apply."""


class _Stop(Exception):
    """There is no point in going on with a test that has failed."""


class Checks:
    """What one test found.

    Parameters
    ----------
    note
        Called with every failure.

    Attributes
    ----------
    failures
        How many there were.
    """

    def __init__(self, note: Callable[[str], None]) -> None:
        self.failures = 0
        self._note = note

    def fail(self, text: str) -> None:
        """Note a failure."""
        self.failures += 1
        self._note(text)

    def expect(self, result: int, what: str, wanted: int = 0) -> None:
        """Note a failure when a result is not the wanted one."""
        if result != wanted:
            self.fail(f"{what}: expected {wanted}, got {_with_name(result)}")

    def require(self, result: int, what: str, wanted: int = 0) -> None:
        """Do the same, and end the test."""
        self.expect(result, what, wanted)
        if result != wanted:
            raise _Stop

    async def run(self, body: Callable[[HostDriver, "Checks"], Awaitable[None]], driver: HostDriver) -> str:
        """Run a test's body; return why its rest was skipped, empty when it was not."""
        try:
            await body(driver, self)
        except Skip as skip:
            return str(skip)
        except _Stop:
            pass
        return ""


Body = Callable[[HostDriver, Checks], Awaitable[None]]


@dataclass(frozen=True)
class SelfTest:
    """A test: fixture, variant (empty for none), name; what it does; whether it is about the endpoint's DMA."""

    fixture: str
    variant: str
    test: str
    body: Body
    dma: bool = False

    @property
    def case(self) -> str:
        """Fixture and variant."""
        return f"{self.fixture}.{self.variant}" if self.variant else self.fixture

    @property
    def name(self) -> str:
        """Its whole name, such as ``pci_ep_bar.BAR0.BAR_TEST``."""
        return f"{self.case}.{self.test}"


def all_tests(sizes: tuple[int, ...] = SIZES) -> list[SelfTest]:
    """Return the 23 tests in the order in which the kernel's harness runs them.

    Parameters
    ----------
    sizes
        Bytes of the data transfers, at least one size.
    """
    if not sizes or min(sizes) < 1:
        raise ValueError(f"Data transfers have one or more sizes of at least a byte, not {sizes!r}")
    tests: list[SelfTest] = []
    for bar in _BARS:
        tests.append(SelfTest("pci_ep_bar", f"BAR{bar}", "BAR_TEST", partial(_bar, bar)))
        tests.append(SelfTest("pci_ep_bar", f"BAR{bar}", "BAR_SUBRANGE_TEST", partial(_bar_subrange, bar)))
    basic = {
        "CONSECUTIVE_BAR_TEST": _consecutive_bars,
        "LEGACY_IRQ_TEST": _legacy_irq,
        "MSI_TEST": _msi,
        "MSIX_TEST": _msix,
    }
    tests += [SelfTest("pci_ep_basic", "", name, body) for name, body in basic.items()]
    transfers = {"READ_TEST": _read, "WRITE_TEST": _write, "COPY_TEST": _copy}
    for variant, dma in (("memcpy", False), ("dma", True)):
        for name, body in transfers.items():
            tests.append(SelfTest("pci_ep_data_transfer", variant, name, partial(body, sizes, dma), dma))
    return [*tests, SelfTest("pcie_ep_doorbell", "", "DOORBELL_TEST", _doorbell)]


async def _bar(bar: int, driver: HostDriver, checks: Checks) -> None:
    result = await driver.bar_test(bar)
    _skip_on(result, _BAR_SKIPS)
    checks.expect(result, f"BAR{bar}")


async def _bar_subrange(bar: int, driver: HostDriver, checks: Checks) -> None:
    checks.require(await driver.set_irqtype(_AUTO), "SET_IRQTYPE AUTO")
    result = await driver.bar_subrange_test(bar)
    _skip_on(result, _SUBRANGE_SKIPS)
    checks.expect(result, f"subranges of BAR{bar}")


async def _consecutive_bars(driver: HostDriver, checks: Checks) -> None:
    checks.expect(await driver.bars_test(), "all BARs")


async def _legacy_irq(driver: HostDriver, checks: Checks) -> None:
    await _use(driver, checks, _INTX)
    checks.expect(await driver.intx_test(), "INTx")


async def _msi(driver: HostDriver, checks: Checks) -> None:
    await _use(driver, checks, _MSI)
    await _every_vector("MSI", _MSI_VECTORS, driver.msi_test, checks)


async def _msix(driver: HostDriver, checks: Checks) -> None:
    await _use(driver, checks, _MSIX)
    await _every_vector("MSI-X", _MSIX_VECTORS, driver.msix_test, checks)


async def _read(sizes: tuple[int, ...], dma: bool, driver: HostDriver, checks: Checks) -> None:
    await _every_size("READ", sizes, partial(driver.read_test, dma=dma), driver, checks)


async def _write(sizes: tuple[int, ...], dma: bool, driver: HostDriver, checks: Checks) -> None:
    await _every_size("WRITE", sizes, partial(driver.write_test, dma=dma), driver, checks)


async def _copy(sizes: tuple[int, ...], dma: bool, driver: HostDriver, checks: Checks) -> None:
    await _every_size("COPY", sizes, partial(driver.copy_test, dma=dma), driver, checks)


async def _doorbell(driver: HostDriver, checks: Checks) -> None:
    checks.require(await driver.set_irqtype(_AUTO), "SET_IRQTYPE AUTO")
    result = await driver.doorbell_test()
    _skip_on(result, _DOORBELL_SKIPS)
    checks.expect(result, "doorbell")


async def _use(driver: HostDriver, checks: Checks, irq_type: int) -> None:
    checks.require(await driver.set_irqtype(irq_type), f"SET_IRQTYPE {irq_type}")
    checks.require(await driver.get_irqtype(), "GET_IRQTYPE", irq_type)


async def _every_vector(kind: str, most: int, ask: Callable[[int], Awaitable[int]], checks: Checks) -> None:
    for number in range(1, most + 1):
        result = await ask(number)
        if result == -errno.EINVAL:
            raise Skip(f"{kind}{number} is disabled (-EINVAL)")
        checks.expect(result, f"{kind}{number}")


async def _every_size(
    what: str, sizes: tuple[int, ...], ask: Callable[[int], Awaitable[int]], driver: HostDriver, checks: Checks
) -> None:
    checks.require(await driver.set_irqtype(_AUTO), "SET_IRQTYPE AUTO")
    for size in sizes:
        checks.expect(await ask(size), f"{what} of {size} bytes")


def _skip_on(result: int, reasons: dict[int, str]) -> None:
    if -result in reasons:
        raise Skip(f"{reasons[-result]} (-{errno.errorcode[-result]})")


def _with_name(result: int) -> str:
    name = errno.errorcode.get(-result)
    return f"{result} (-{name})" if name else str(result)
