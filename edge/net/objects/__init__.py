"""Everything that we ask of the kernel, as data. Pure.

An object has a `key` (which thing it is) and attributes (how it is). Two sets of objects, wanted and
found, differ by creations (key only in wanted), deletions (key only in found) and changes (same key,
other attributes). `changes.TIERS` gives the order of creation; deletions run through it backwards.

base     what all objects have in common, and those on a device
devices  namespaces, devices, their ports, values and states
frames   tags, virtual circuits, rates, queues, markings, impairments
routing  addresses, routes, labels, packet rules
daemons  programs that run in a namespace
changes  what is done to an object, and the order
"""
