// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The turn-out of an impaired device: what it is about to send goes to a sink beside it, and comes back.
 *
 *	stack -> [other egress programs] -> edge_impair_out --redirect--> sink --> engine (csrc/impair.h)
 *	                                                                             | waits, or is lost
 *	wire <- queues of the device <- edge_impair_back <- egress of the device <---+  (marked)
 *
 * edge_impair_out runs last at the device's egress, so it sees frames as they are after marking and with
 * the tags that the tag plane put on. The sink (a TAP device) can do no offload, so the kernel hands frames
 * over as a wire carries them: tags in the bytes, checksums complete, nothing larger than the MTU.
 *
 * A frame's place in the queues of the device is its skb->priority, and that does not survive the turn. It
 * travels as one more tag in front of the others: TCI = minor number of an HTB class of handle 1:, 0 for
 * none. The engine takes it off and sets it again. edge_impair_back runs first, knows frames that come back
 * by the mark of the engine's socket, and lets them pass by all other programs: they were there before.
 *
 * Invariants: those of tags.bpf.c. No frame can come back twice: only the engine's socket sets the mark.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "turnout.h"

/* Read by csrc/generate.py, not by libbpf: user space makes the maps itself with bpf(2). */
struct edge_map {
	__u32 type;
	__u32 key_size;
	__u32 value_size;
	__u32 max_entries;
};

/* ifindex of an impaired device -> ifindex of its sink. */
struct edge_map SEC("maps") sinks = {
	BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(__u32), 1024,
};

SEC("tc/impair_out")
int edge_impair_out(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	__u32 priority = skb->priority;
	__u32 *sink = bpf_map_lookup_elem(&sinks, &ifindex);
	__u16 minor = 0;

	if (!sink)
		return TC_ACT_UNSPEC;
	if (priority >> 16 == EDGE_TURNOUT_MAJOR)
		minor = priority & 0xffff;
	if (bpf_skb_vlan_push(skb, bpf_htons(ETH_P_8021AD), minor))
		return TC_ACT_SHOT;
	return bpf_redirect(*sink, 0);
}

SEC("tc/impair_back")
int edge_impair_back(struct __sk_buff *skb)
{
	if (skb->mark != EDGE_TURNOUT_MARK)
		return TC_ACT_UNSPEC;
	skb->mark = 0;
	return TC_ACT_OK;
}

char _license[] SEC("license") = "Dual BSD/GPL";
