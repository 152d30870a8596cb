"""The ExpressRoute service: a state, commands, and the rules that answer them. Pure.

state, resources   what there is (read `state` first); `views` what follows, `consistency` what must hold
commands           what can be asked; `apply` is the door, `handlers` the answers, `rulebook` every no
codec, azure_names JSON both ways, and the API's names
sessions, announce what the state means to routers: sessions, routes, communities
as_path, path_choice, prefix_limit, timing, packets, diagnosis
                   how Microsoft decides about paths, prefixes, neighbours and packets
asn, bandwidth, limits, locations, peerings, prefixes, regions, services
                   the tables, each in one module with its source; a rule returns a `Refusal` or None

Nothing here knows a file, a line number or a kernel. "facts" in docstrings is the project's fact sheet
`facts/expressroute.md`.
"""
