"""The fast path: packet code in C and BPF, and the typed Python that drives it.

    frames      the tags of a frame held in memory (C, `_native`)
    tagplane    802.1Q and 802.1ad without VLAN devices (BPF): subinterfaces and virtual circuits
    counters    what the tag plane counted, for people and for JSON
    registry    names of objects, and the way back from kernel tables to objects
    refusals    the kernel's refusals in words
    layout      the tables of csrc/tags.h, packed and unpacked
    program     the shipped BPF programs and their maps, loaded into the kernel
    attach      a program on a device: tcx, or clsact before kernel 6.6
    bpf         bpf(2) itself
    clsact      the netlink messages of a clsact qdisc and its filters
    build_native  how the C extension is compiled

Only `tagplane`, `counters` and `frames` are for the rest of the house.
"""
