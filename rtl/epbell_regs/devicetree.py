"""A configuration as a device-tree snippet, and as a whole tree around it.

The Messaging Unit's node follows the kernel's binding ``interrupt-controller/fsl,mu-msi.yaml``; the controller's has
the names that the DesignWare endpoint drivers look for (``pci/snps,dw-pcie-ep.yaml``, ``pci/pci-ep.yaml``). Both files
are read by :mod:`epbell_models.devicetree`, and ``epbell sim --dts`` builds the RTL from the second.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from epbell_regs.configurations import Configuration

__all__ = [
    "snippet",
    "tree",
    "write",
]

_PAGE = 0x1_0000
_POWER_DOMAINS = (
    "The binding does without power domains, but the driver (irq-imx-mu-msi) does not probe without two of them,",
    "named as the sides are. Add those of your SoC:",
    "    power-domains = <&pd 0>, <&pd 1>;",
    '    power-domain-names = "processor-a-side", "processor-b-side";',
)
_GLUE = (
    "The names and the interrupts are those of the driver that this string leads to. On that SoC it also wants its own",
    "clocks, resets and PHY, which an FPGA does not have.",
)


def write(configuration: Configuration, folder: Path) -> list[Path]:
    """Write ``<name>.dtsi`` and ``<name>.dts`` into a folder, and return their paths."""
    files = {
        folder / f"{configuration.name}.dtsi": snippet(configuration),
        folder / f"{configuration.name}.dts": tree(configuration),
    }
    for path, text in files.items():
        path.write_text(text, encoding="utf-8")
    return list(files)


def snippet(configuration: Configuration) -> str:
    """Return the nodes of a configuration, to be included into the tree of a board.

    That needs two address cells and two size cells in its root, and an interrupt controller of three cells
    (``arm,gic-v3``) as the interrupt parent of the root. There is no preprocessor in it: where a kernel tree writes
    GIC_SPI and IRQ_TYPE_LEVEL_HIGH, it has 0 and 4.
    """
    at = configuration.addresses
    head = [
        f"epbell, configuration {configuration.name}.",
        configuration.summary,
        "",
        "For a tree whose root has two address cells and two size cells, and a GIC as its interrupt parent.",
        "Addresses, interrupts and the frequency are examples: write those of your design.",
    ]
    memory = _node(
        f"epbell_memory: memory@{at.ram:x}",
        ['compatible = "shared-dma-pool";', f"reg = {_region(at.ram, at.ram_size)};", "no-map;"],
        comment=("Behind the BARs when no doorbell is mapped there.",),
    )
    reserved = _node("reserved-memory", [*_cells(2), "ranges;", "", *memory])
    nodes = [*reserved, "", *_messaging_unit(configuration), *_controller(configuration)]
    return "\n".join([*_comment(head), "/* SPDX-License-Identifier: BSD-2-Clause */", "", *_node("/", nodes), ""])


def tree(configuration: Configuration) -> str:
    """Return a whole tree that includes the snippet: a board with nothing but a GIC."""
    gic = _node(
        "gic: interrupt-controller@51a00000",
        [
            'compatible = "arm,gic-v3";',
            f"reg = {_region(0x51A0_0000, _PAGE)};",
            "#interrupt-cells = <3>;\t/* kind (0 = SPI), number, trigger (4 = level high) */",
            "interrupt-controller;",
        ],
    )
    name = configuration.name
    head = [*_cells(2), f'compatible = "epbell,{name}";', f'model = "epbell {name}";', "interrupt-parent = <&gic>;", ""]
    comment = _comment([f"A board with nothing but {name}.dtsi."])
    include = f'/include/ "{name}.dtsi"'
    return "\n".join(["/dts-v1/;", "", *comment, "", *_node("/", [*head, *gic]), "", include, ""])


def _messaging_unit(configuration: Configuration) -> list[str]:
    if configuration.layout is None:
        return []
    at = configuration.addresses
    clock = _node(
        "epbell_clk: clock-epbell",
        ['compatible = "fixed-clock";', "#clock-cells = <0>;", "clock-frequency = <250000000>;"],
    )
    unit = _node(
        f"epbell_mu: msi-controller@{at.mu_a:x}",
        [
            f'compatible = "fsl,{configuration.layout}-mu-msi";',
            f"reg = {_region(at.mu_a, _PAGE)},\t/* A: the endpoint's processor */",
            f"      {_region(at.mu_b, _PAGE)};\t/* B: the doorbells */",
            'reg-names = "processor-a-side", "processor-b-side";',
            f"interrupts = <0 {configuration.mu_interrupt} 4>;",
            "clocks = <&epbell_clk>;",
            "interrupt-controller;",
            "msi-controller;",
            "#msi-cells = <0>;",
        ],
        comment=_POWER_DOMAINS,
    )
    return [*clock, "", *unit, ""]


def _controller(configuration: Configuration) -> list[str]:
    at = configuration.addresses
    engine = "HDMA" if configuration.dma == "hdma" else "eDMA"
    body = [
        f"compatible = {_strings(configuration.compatible)};",
        f"reg = {_region(at.controller, _PAGE)},\t/* identity, interrupts to the host, counters */",
        f"      {_region(at.iatu, _PAGE)},\t/* outbound and inbound windows */",
        f"      {_region(at.edma, _PAGE)},\t/* {engine} */",
        f"      {_region(at.outbound, at.aperture)};\t/* the host's memory, through outbound windows */",
        'reg-names = "dbi", "atu", "dma", "addr_space";',
        f"interrupts = {', '.join(f'<0 {number} 4>' for _, number in configuration.interrupts)};",
        f"interrupt-names = {_strings(name for name, _ in configuration.interrupts)};",
        f"num-ib-windows = <{configuration.windows}>;",
        f"num-ob-windows = <{configuration.outbound_windows}>;",
        *(["msi-parent = <&epbell_mu>;"] if configuration.layout else []),
        "memory-region = <&epbell_memory>;",
    ]
    comment = () if configuration.compatible[-1] == "snps,dw-pcie-ep" else _GLUE
    return _node(f"pcie_ep: pcie-ep@{at.controller:x}", body, comment=comment)


def _node(name: str, body: list[str], comment: tuple[str, ...] = ()) -> list[str]:
    inside = [f"\t{line}" if line else "" for line in body]
    return [*_comment(list(comment)), f"{name} {{", *inside, "};"]


def _comment(lines: list[str]) -> list[str]:
    if len(lines) < 2:
        return [f"/* {line} */" for line in lines]
    return ["/*", *(f" * {line}".rstrip() for line in lines), " */"]


def _cells(count: int) -> list[str]:
    return [f"#address-cells = <{count}>;", f"#size-cells = <{count}>;"]


def _region(address: int, size: int) -> str:
    parts = (address >> 32, address & 0xFFFF_FFFF, size >> 32, size & 0xFFFF_FFFF)
    return f"<{' '.join(f'{part:#x}' for part in parts)}>"


def _strings(texts: Iterable[str]) -> str:
    return ", ".join(f'"{text}"' for text in texts)
