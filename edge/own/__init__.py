"""A user's own routing software in a namespace, with the user's own configuration.

kinds    what a kind of software must bring, and where each kind is found; FRR is `edge.frr`
places   where the software's own tools look for a router
process  all such routers of a sandbox, as `edge.bgp.process` has the BIRDs

The namespace, its ports, subinterfaces, addresses and packet rules are made by us as for any router;
what speaks BGP in it, and what it says, is the user's.
"""
