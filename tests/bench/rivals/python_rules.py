"""What people write in Python: python_rules.py dpkt|scapy RULES PACKETS COUNT OUTCOMES; prints ns per packet.

A program of its own, since it runs in whichever interpreter has the module; it knows nothing of ours.
"""

from __future__ import annotations

import json
import struct
import sys
import time


def with_dpkt(data):
    import dpkt

    ip = dpkt.ethernet.Ethernet(data).data
    segment = ip.data
    return ip.p, int.from_bytes(ip.src, "big"), int.from_bytes(ip.dst, "big"), segment.sport, segment.dport


def with_scapy(data):
    from scapy.layers.inet import IP, TCP, UDP
    from scapy.layers.l2 import Ether

    ip = Ether(data)[IP]
    segment = ip[UDP] if UDP in ip else ip[TCP]
    source, destination = (int.from_bytes(bytes(map(int, a.split("."))), "big") for a in (ip.src, ip.dst))
    return ip.proto, source, destination, segment.sport, segment.dport


def first_match(rules, protocol, source, destination, source_port, destination_port):
    for number, rule in enumerate(rules):
        if rule["protocols"] and protocol not in rule["protocols"]:
            continue
        ports = rule["source_ports"]
        if ports and not ports[0] <= source_port <= ports[1]:
            continue
        ports = rule["destination_ports"]
        if ports and not ports[0] <= destination_port <= ports[1]:
            continue
        if rule["source"] and not any(source & mask == prefix for prefix, mask in rule["source"]):
            continue
        if rule["destination"] and not any(
            destination & mask == prefix for prefix, mask in rule["destination"]
        ):
            continue
        return number
    return 0xFFFF


def read_packets(path, count):
    with open(path, "rb") as file:
        data = file.read()
    at, packets = 2, []
    while at < len(data) and len(packets) < count:
        (length,) = struct.unpack_from("<H", data, at)
        packets.append(data[at + 2 : at + 2 + length])
        at += 2 + length
    return packets


def main():
    module, rules_path, packets_path, count, outcomes_path = sys.argv[1:]
    with open(rules_path) as file:
        rules = json.load(file)
    packets = read_packets(packets_path, int(count))
    parse = {"dpkt": with_dpkt, "scapy": with_scapy}[module]
    parse(packets[0])  # what is imported on first use
    start = time.process_time()
    outcomes = [first_match(rules, *parse(packet)) for packet in packets]
    seconds = time.process_time() - start
    with open(outcomes_path, "wb") as file:
        file.write(struct.pack(f"={len(outcomes)}H", *outcomes))
    print(seconds * 1e9 / len(packets))


main()
