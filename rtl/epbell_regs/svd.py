"""A configuration's registers as CMSIS-SVD (System View Description, schema 1.3), which debuggers and svd2rust read."""

# The package has no annotations for what its classes gain at run time.
# pyright: reportMissingTypeStubs=false, reportUnknownMemberType=false

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from cmsis_svd.model import (
    SVDAccessType,
    SVDAddressBlock,
    SVDAddressBlockUsageType,
    SVDDevice,
    SVDField,
    SVDInterrupt,
    SVDModifiedWriteValuesType,
    SVDPeripheral,
    SVDReadActionType,
    SVDRegister,
    SVDRegisterCluster,
)
from cmsis_svd.serializers.xml import SVDXmlSerializer
from systemrdl.node import AddressableNode, FieldNode, RegfileNode, RegNode
from systemrdl.rdltypes.builtin_enums import AccessType, OnWriteType

if TYPE_CHECKING:
    from pathlib import Path

    from epbell_regs.configurations import Configuration, Page

__all__ = [
    "SCHEMA",
    "device_of",
    "write",
]

SCHEMA = "1.3.11"
"""Version of the schema that the files obey."""

_ACCESS = {
    AccessType.r: SVDAccessType.READ_ONLY,
    AccessType.w: SVDAccessType.WRITE_ONLY,
    AccessType.rw: SVDAccessType.READ_WRITE,
}
_ON_WRITE: dict[OnWriteType | None, SVDModifiedWriteValuesType] = {
    OnWriteType.woclr: SVDModifiedWriteValuesType.ONE_TO_CLEAR,
    OnWriteType.woset: SVDModifiedWriteValuesType.ONE_TO_SET,
}
_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def write(configuration: Configuration, path: Path, *, version: str) -> None:
    """Write the SVD file of a configuration; `version` is that of the device, the project's own."""
    # Neither package says of what type an element is.
    etree: Any = importlib.import_module("lxml.etree")
    serializer: Any = SVDXmlSerializer(device_of(configuration, version))
    device = serializer.to_xml_node()
    for field in device.iter("field"):
        # cmsis-svd 0.6 writes the access of a field as a second description, which the schema does not allow.
        for second in field.findall("description")[1:]:
            field.remove(second)
    path.write_bytes(etree.tostring(device, pretty_print=True, xml_declaration=True, encoding="utf-8"))


def device_of(configuration: Configuration, version: str) -> SVDDevice:
    """Describe a configuration: a peripheral for each page, a cluster for each window, channel or set of counters.

    ``resetMask`` leaves out the bits whose value after reset depends on how the endpoint was built or on the host. A
    read that takes something away, as that of a receive register does, is marked as such, so that debuggers do not
    make it unasked.
    """
    return SVDDevice(
        schema_version="1.3",
        namespace_xs=_XSI,
        xs_no_namespace_schema_location="CMSIS-SVD.xsd",
        name="epbell_" + configuration.name.replace("-", "_"),
        version=version,
        description=configuration.summary,
        license_text="SPDX-License-Identifier: BSD-2-Clause",
        address_unit_bits=8,
        width=32,
        size=32,
        access=SVDAccessType.READ_WRITE,
        peripherals=[_peripheral(page) for page in configuration.pages],
    )


def _peripheral(page: Page) -> SVDPeripheral:
    parts = [node for tree in page.maps for node in tree.children() if isinstance(node, (RegNode, RegfileNode))]
    parts.sort(key=lambda node: node.raw_address_offset)
    return SVDPeripheral(
        name=page.name,
        description=page.summary,
        base_address=page.base,
        address_blocks=[SVDAddressBlock(offset=0, size=page.size, usage=SVDAddressBlockUsageType.REGISTERS)],
        interrupts=[
            SVDInterrupt(name=name, description="Level, high.", value=value) for name, value in page.interrupts
        ],
        registers=[_register(node) if isinstance(node, RegNode) else _cluster(node) for node in parts],
    )


def _cluster(node: RegfileNode) -> SVDRegisterCluster:
    cluster = SVDRegisterCluster(**_place(node), description=_text(node))
    # Given to its constructor, cmsis-svd 0.6 adds the address of a lone cluster to theirs, and its name.
    for child in node.registers():
        register = _register(child)
        register.parent = cluster
        cluster.registers.append(register)
    return cluster


def _register(node: RegNode) -> SVDRegister:
    fields = node.fields()
    resets = {field.inst_name: field.get_property("reset") for field in fields}
    known = [field for field in fields if resets[field.inst_name] is not None]
    return SVDRegister(
        **_place(node),
        description=_text(node),
        size=node.get_property("regwidth"),
        access=_joint([field.get_property("sw") for field in fields]),
        reset_value=sum(value << field.low for field in fields if isinstance(value := resets[field.inst_name], int)),
        # Reserved bits read as zero: they are known too.
        reset_mask=~sum(_mask(field) for field in fields if field not in known and _readable(field)) & 0xFFFF_FFFF,
        fields=[_field(field) for field in fields],
    )


def _field(node: FieldNode) -> SVDField:
    return SVDField(
        name=node.inst_name,
        description=_text(node),
        bit_offset=node.low,
        bit_width=node.width,
        access=_ACCESS[node.get_property("sw")],
        modified_write_values=_ON_WRITE.get(node.get_property("onwrite")),
        read_action=SVDReadActionType.MODIFY_EXTERNAL if node.get_property("swacc") else None,
    )


def _place(node: AddressableNode) -> dict[str, Any]:
    """Name and place of a register or cluster; an array is one entry."""
    if not node.is_array:
        return {"name": node.inst_name, "address_offset": node.raw_address_offset}
    assert node.array_dimensions is not None
    (count,) = node.array_dimensions
    return {
        "name": f"{node.inst_name}[%s]",
        "address_offset": node.raw_address_offset,
        "dim": count,
        "dim_increment": node.array_stride,
    }


def _joint(accesses: list[AccessType]) -> SVDAccessType:
    kinds = {_ACCESS[access] for access in accesses}
    return kinds.pop() if len(kinds) == 1 else SVDAccessType.READ_WRITE


def _readable(field: FieldNode) -> bool:
    return field.get_property("sw") is not AccessType.w


def _mask(field: FieldNode) -> int:
    return (1 << field.width) - 1 << field.low


def _text(node: AddressableNode | FieldNode) -> str:
    """Return what the map says of a node, on one line: its name and its description."""
    parts = [node.get_property("name"), node.get_property("desc")]
    said = [" ".join(part.split()) for part in parts if part and part != node.inst_name]
    return ": ".join(part.rstrip(".") if part is not said[-1] else part for part in said) or node.inst_name
