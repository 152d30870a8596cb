"""Keys of IPsec tunnels, negotiated by IKEv2 (RFC 7296): strongSwan's charon, one for each namespace.

objects  what is wanted in a namespace: its tunnels, with whom and by which offers; pure
config   that as strongSwan's two configurations, strongswan.conf and swanctl.conf; pure
vici     what charon says of itself, over its own protocol
words    what a line of charon's log tells, and why a tunnel has no keys; pure
support  whether this machine has strongSwan, and how it is started
process  all charons of a sandbox, as `edge.bgp.process` has the BIRDs

The tunnel's device (a VTI, edge.net.ipsec) is the kernel's part; charon adds associations and policies of its
mark. What BGP sends into a tunnel that has none asks for them, so that a lost one comes back by itself.
"""
