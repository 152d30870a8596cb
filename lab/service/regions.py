"""Azure regions: code, name, community number, geopolitical area."""

from __future__ import annotations

from dataclasses import dataclass

from edge.model import MSEE_ASN, Community

REGIONAL_FAMILIES: dict[int, str] = {
    50: "private peering",
    51: "Microsoft peering",
    52: "Storage",
    53: "SQL",
    54: "Cosmos DB",
    55: "Backup",
}
"""First two digits of a regional community and what its routes serve (facts 3.7)."""


@dataclass(frozen=True, slots=True)
class Region:
    """An Azure region. number is the NN of its communities `12076:50NN` (three digits, 0NN)."""

    code: str
    name: str
    number: int
    area: str

    def community(self, family: int) -> Community:
        """The region's community of a family (50 = private peering, 51 = Microsoft peering, ...)."""
        return (MSEE_ASN, family * 1000 + self.number)


_TABLE = """
westeurope          West Europe            2 Europe
northeurope         North Europe           3 Europe
eastus              East US                4 North America
eastus2             East US 2              5 North America
westus              West US                6 North America
northcentralus      North Central US       7 North America
southcentralus      South Central US       8 North America
centralus           Central US             9 North America
eastasia            East Asia             10 Asia
southeastasia       Southeast Asia        11 Asia
japaneast           Japan East            12 Japan
japanwest           Japan West            13 Japan
brazilsouth         Brazil South          14 South America
australiaeast       Australia East        15 Oceania
australiasoutheast  Australia Southeast   16 Oceania
centralindia        Central India         17 India
westindia           West India            18 India
southindia          South India           19 India
canadacentral       Canada Central        20 North America
canadaeast          Canada East           21 North America
uksouth             UK South              24 Europe
ukwest              UK West               25 Europe
westus2             West US 2             26 North America
westcentralus       West Central US       27 North America
koreasouth          Korea South           28 South Korea
koreacentral        Korea Central         29 South Korea
francecentral       France Central        30 Europe
francesouth         France South          31 Europe
australiacentral    Australia Central     32 Australia Government
australiacentral2   Australia Central 2   33 Australia Government
southafricanorth    South Africa North    34 South Africa
southafricawest     South Africa West     35 South Africa
uaenorth            UAE North             36 UAE
uaecentral          UAE Central           37 UAE
switzerlandnorth    Switzerland North     38 Europe
switzerlandwest     Switzerland West      39 Europe
germanynorth        Germany North         40 Europe
germanywestcentral  Germany West Central  41 Europe
norwayeast          Norway East           42 Europe
norwaywest          Norway West           43 Europe
westus3             West US 3             44 North America
newzealandnorth     New Zealand North     59 Oceania
"""


def _read() -> dict[str, Region]:
    regions = {}
    for line in _TABLE.strip().splitlines():
        code, rest = line.split(maxsplit=1)
        name, tail = rest[:22].strip(), rest[22:].split(maxsplit=1)
        regions[code] = Region(code, name, int(tail[0]), tail[1].strip())
    return regions


REGIONS: dict[str, Region] = _read()
"""Region by code. Numbers: facts 3.7. Areas: Microsoft's "Azure regions to ExpressRoute locations within
a geopolitical region" (azure-docs include of 2024-04)."""


def regional_community(value: Community) -> tuple[Region, str] | None:
    """(region, what for) of a community `12076:<family>0NN`, or None when it is no region's."""
    family, number = divmod(value[1], 1000)
    if value[0] != MSEE_ASN or family not in REGIONAL_FAMILIES:
        return None
    for region in REGIONS.values():
        if region.number == number:
            return region, REGIONAL_FAMILIES[family]
    return None
