"""What Azure shows of a circuit, read from the routers of a running lab at that moment, never invented.

tables     the rows, in Azure's words and with Azure's names in JSON. Pure.
paths      which MSEE, routing domain and device a circuit's peering and path mean. Pure.
readout    one reading of a path: ARP, routes, summary, octets
metrics    two readings and what happened between them, under the names of Azure Monitor
exposition metrics for Prometheus
packets    the test of private peering: how many packets of a flow each MSEE sees, in each direction

Facts 10.5 (metrics), 10.6 (diagnostics) and 12 (names).
"""
