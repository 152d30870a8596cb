"""The fast path: packet code in C and BPF, and the typed Python that drives it.

    classify    packets judged and marked many at a time, the policy's core as a typed API (C, `_classify`)
    frames      the tags of a frame held in memory (C, `_native`)
    capture     capture files (pcap, pcapng) read, and marked on their way (C, `_pcap`)
    capturefile from one capture file to another, whole or not at all

    tagplane    802.1Q and 802.1ad without VLAN devices (BPF): subinterfaces and virtual circuits
    counters    what the tag plane counted, for people and for JSON
    layout      the tables of csrc/tags.h, packed and unpacked
    registry    names of objects, and the way back from kernel tables to objects

    markplane   policies at devices (BPF): classify, mark, steer into queues
    markcounters  what the marking plane counted, for people and for JSON
    marktables  compiled policies and counters in the kernel, shared between markings
    marknames   which frames come to which marking, as its maps say it
    marklayout  the tables of csrc/mark.h, packed and unpacked

    impair      delay, jitter, loss, duplication, reordering and a rate for what devices send (C, `_impair`)
    turnout     an impaired device's frames on their way to a sink and back (BPF; mirred: without BPF)

    ring        the tag plane in user space on packet sockets (C, `_ring`); its parts are
                ringprocess (the engine's process), ringhost, ringports and offloads (devices), ringmarks
                (policies), ringqueues, ringimpairments and ringcounters

    streams     paced UDP streams: what was sent when, what arrived when, by which link (C, `_streams`)

    program     the shipped BPF programs and their maps, loaded into the kernel
    attach      a program on a device: tcx, or clsact before kernel 6.6
    bpf         bpf(2) itself
    clsact      the netlink messages of a clsact qdisc and its filters
    refusals    the kernel's refusals in words
    build       how the C extensions are compiled

Only the planes (`tagplane`, `markplane`, `impair`, `ring`), their counters, `classify`, `capture`,
`capturefile`, `frames` and `streams` are for the rest of the house.
"""
