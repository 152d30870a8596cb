/* Frames as a wire carries them, seen from a tc program: what both BPF objects count.
 *
 * A GSO frame is one skb that becomes several frames, each with a copy of the headers; it counts as those.
 */
#ifndef EDGE_WIRE_BPF_H
#define EDGE_WIRE_BPF_H

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>

#include <bpf/bpf_helpers.h>

/* Read by csrc/generate.py, not by libbpf: user space makes the maps itself with bpf(2). */
struct edge_map {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
};

struct edge_size {
	__u64 packets;
	__u64 bytes;
};

/* Frames and octets that `skb` becomes, each with `extra` octets of tags that are not in the skb (now, or
 * not yet). `headers` is where the packet of that ethertype begins in the skb. */
static __always_inline struct edge_size edge_measure(struct __sk_buff *skb, __u32 headers, __u16 ethertype,
						     __u32 extra)
{
	struct edge_size size = {1, (__u64)skb->len + extra};
	__u32 segment = skb->gso_size;
	__u8 protocol, octet;

	if (__builtin_expect(!segment, 1))
		return size;
	if (ethertype == ETH_P_IP) {
		if (bpf_skb_load_bytes(skb, headers + 9, &protocol, 1) ||
		    bpf_skb_load_bytes(skb, headers, &octet, 1))
			return size;
		headers += (octet & 0x0f) * 4;
	} else if (ethertype == ETH_P_IPV6) {
		if (bpf_skb_load_bytes(skb, headers + 6, &protocol, 1))
			return size;
		headers += 40;
	} else {
		return size;
	}
	if (protocol == IPPROTO_TCP) {
		if (bpf_skb_load_bytes(skb, headers + 12, &octet, 1))
			return size;
		headers += (octet >> 4) * 4;
	} else if (protocol == IPPROTO_UDP) {
		headers += 8;
	} else {
		return size;
	}
	if (skb->len > headers) {
		size.packets = (skb->len - headers + segment - 1) / segment;
		size.bytes += (size.packets - 1) * (headers + extra);
	}
	return size;
}

#endif
