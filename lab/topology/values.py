"""The scalars of a topology file as pydantic types: parsed, checked, written back as text.

Each says in an operator's words what is wrong (`refuse`), and describes itself to editors.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Annotated, Any, NoReturn

from pydantic import (
    AfterValidator,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    PlainSerializer,
    PlainValidator,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from edge.model import Address, Network
from lab.service import bandwidth, locations, prefixes, regions
from lab.service.refusal import Refusal
from lab.service.services import parse_community
from lab.topology.suggest import hint_for

REFUSED = "refused"
"""Type of the pydantic errors whose words are already ours (context: words, hint)."""

NAME_PATTERN = r"[A-Za-z]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?"

RESERVED_NAMES = frozenset(
    (
        *("lan", "lo", "gw", "vnet", "eth0", "all", "default", "internet", "core", "microsoft-core", "msee"),
        *("primary", "secondary", "teams", "exchange", "sharepoint", "private", "microsoft"),
    )
)
"""Names that the lab gives itself (devices, nodes, services) or that the kernel's files use."""


def refuse(words: str, hint: str = "") -> NoReturn:
    """End the validation of a value with our own words."""
    raise PydanticCustomError(REFUSED, "{words}", {"words": words, "hint": hint})


def refuse_if(refusal: Refusal | None) -> None:
    """The same with a rule's no, if it said no."""
    if refusal is not None:
        refuse(refusal.words, refusal.way_out)


def _text(value: object, what: str, example: str) -> str:
    if not isinstance(value, str):
        refuse(f"{show(value)} is not {what}", f"write {example}")
    return value


def show(value: object) -> str:
    """A value as a person wrote it, cut to a readable length."""
    if value is None:
        return "an empty value"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    text = str(value)
    return repr(text if len(text) <= 60 else text[:57] + "...") if isinstance(value, str) else text[:60]


def refuse_name(value: str) -> tuple[str, str] | None:
    """Why a part of a lab cannot have this name, with the way out; None when it can."""
    if not re.fullmatch(NAME_PATTERN, value, re.ASCII):
        return (
            f"{show(value)} cannot be a name",
            "use letters, digits and dashes, beginning with a letter, at most 32 characters",
        )
    if value in RESERVED_NAMES:
        return f"the name {value} is used by the lab itself", f"write another, for example {value}1"
    return None


def _name(value: str) -> str:
    wrong = refuse_name(value)
    if wrong is not None:
        refuse(*wrong)
    return value


def _lab_name(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]{0,30}[A-Za-z0-9])?", value, re.ASCII):
        refuse(f"{show(value)} cannot name a lab", "use letters, digits and dashes, at most 32 characters")
    return value


def parse_address(value: object) -> Address:
    """An IPv4 or IPv6 address of an interface. Refuses anything else."""
    if isinstance(value, IPv4Address | IPv6Address):
        return value
    text = _text(value, "an address", 'one such as 10.1.0.10, or "fd00:1::10" in quotes')
    try:
        address = ip_address(text) if "%" not in text else None
    except ValueError:
        address = None
    if address is None:
        slash = text.partition("/")[0] if "/" in text else ""
        refuse(
            f"{show(text)} is not an address",
            f"write {slash}, the prefix length comes from the network"
            if slash
            else "write one such as 10.1.0.10",
        )
    refuse_if(prefixes.refuse_interface_network(ip_network(address)))
    return address


def parse_prefix(value: object) -> Network:
    """A network in prefix notation without host bits. Refuses anything else."""
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    text = _text(value, "a prefix", 'one such as 10.1.0.0/16, or "fd00:1::/64" in quotes')
    try:
        if not re.search(r"/[0-9]{1,3}\Z", text) or "%" in text:
            raise ValueError(text)
        loose = ip_network(text, strict=False)
    except ValueError:
        try:
            bare: Address | None = ip_address(text) if "%" not in text else None
        except ValueError:
            bare = None
        if bare is not None:
            refuse(f"{text} has no prefix length", f"write {bare}/{24 if bare.version == 4 else 64}, say")
        refuse(f"{show(text)} is not a prefix", "write one such as 10.1.0.0/16")
    if text.partition("/")[0] and ip_address(text.partition("/")[0]) != loose.network_address:
        refuse(f"{text} has bits set behind its prefix length", f"write {loose}")
    return loose


def _interface_prefix(value: object) -> Network:
    network = parse_prefix(value)
    refuse_if(prefixes.refuse_interface_network(network))
    return network


def _bandwidth(value: object) -> str:
    known = ", ".join(bandwidth.SIZES)
    text = _text(value, "a bandwidth", f"one of {known}").strip()
    found = re.fullmatch(r"(\d+)\s*([MmGg])(bps|bit/s|b/s)?", text)
    word = f"{found[1]}{found[2].upper()}" if found else text
    if word not in bandwidth.SIZES:
        refuse(f"circuits of {show(text)} are not on offer", f"write one of {known}")
    return word


def _location(value: object) -> str:
    text = _text(value, "a peering location", "one such as Amsterdam")
    place = locations.find(text)
    if place is None:
        refuse(f"there is no peering location {show(text)}", hint_for(text, locations.LOCATIONS))
    return place.name


def _region(value: object) -> str:
    text = _text(value, "an Azure region", "one such as westeurope")
    if text not in regions.REGIONS:
        by_title = {region.name.casefold(): region.code for region in regions.REGIONS.values()}
        code = by_title.get(text.casefold())
        refuse(
            f"there is no Azure region {show(text)}",
            f"write {code}" if code else hint_for(text, regions.REGIONS),
        )
    return text


def _provider(value: object) -> str:
    text = _text(value, "a provider's name", "one such as Equinix").strip()
    if len(text) > 40 or not re.search("[A-Za-z]", text):
        refuse(
            f"{show(text)} cannot be a provider's name",
            "write at most 40 characters with a letter, such as Equinix",
        )
    return text


def _ethertype(value: object) -> str:
    given = {0x8100: "0x8100", 0x88A8: "0x88a8"}.get(value) if isinstance(value, int) else str(value).lower()
    if given not in ("0x8100", "0x88a8"):
        refuse(
            f"{show(value)} is not the ethertype of a VLAN tag", "write 0x8100 (802.1Q) or 0x88a8 (802.1ad)"
        )
    return given


def _community(value: object) -> str:
    text = _text(value, "a community", '"12076:5030" in quotes')
    parsed = parse_community(text)
    if parsed is None:
        refuse(f"{show(text)} is not a community", 'write two numbers of 0-65535, for example "12076:5030"')
    return f"{parsed[0]}:{parsed[1]}"


def _secret(value: object) -> str:
    text = _text(value, "a secret", 'hexadecimal digits in quotes, such as "1000"')
    if not re.fullmatch(r"([0-9a-fA-F]{2}){1,32}", text, re.ASCII):
        refuse("a secret is 2 to 64 hexadecimal digits, an even number", "write the key so, in quotes")
    return text.lower()


def _string(**more: Any) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", **more})


_AS_TEXT = PlainSerializer(str, return_type=str)

Name = Annotated[str, AfterValidator(_name), _string(pattern=f"^{NAME_PATTERN}$")]
LabName = Annotated[str, AfterValidator(_lab_name), _string(maxLength=32)]
HostAddress = Annotated[Address, PlainValidator(parse_address), _AS_TEXT, _string(examples=["10.1.0.10"])]
Prefix = Annotated[Network, PlainValidator(parse_prefix), _AS_TEXT, _string(examples=["10.1.0.0/16"])]
InterfacePrefix = Annotated[
    Network, PlainValidator(_interface_prefix), _AS_TEXT, _string(examples=["10.1.0.0/16", "fd00:1::/64"])
]
Bandwidth = Annotated[
    str, PlainValidator(_bandwidth), WithJsonSchema({"type": "string", "enum": list(bandwidth.SIZES)})
]
LocationName = Annotated[
    str, PlainValidator(_location), WithJsonSchema({"type": "string", "enum": list(locations.LOCATIONS)})
]
RegionCode = Annotated[
    str, PlainValidator(_region), WithJsonSchema({"type": "string", "enum": list(regions.REGIONS)})
]
ProviderName = Annotated[str, PlainValidator(_provider), _string(maxLength=40, examples=["Equinix"])]
Ethertype = Annotated[
    str, PlainValidator(_ethertype), WithJsonSchema({"enum": ["0x8100", "0x88a8", 0x8100, 0x88A8]})
]
CommunityText = Annotated[str, PlainValidator(_community), _string(pattern="^[0-9]{1,5}:[0-9]{1,5}$")]
Secret = Annotated[str, PlainValidator(_secret), _string(pattern="^([0-9a-fA-F]{2}){1,32}$")]
VlanId = Annotated[int, Field(ge=1, le=4094)]


class OneOrMany:
    """Marks a list field that may be written as its only element: `lan: 10.1.0.0/16`."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        """Wrap a lone value into a list before the list is checked."""
        return core_schema.no_info_before_validator_function(_listed, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:
        """Editors see both forms."""
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


def _listed(value: object) -> object:
    return value if isinstance(value, list) or value is None else [value]
