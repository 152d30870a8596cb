// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The tag plane: 802.1Q and 802.1ad on a kernel without VLAN devices, as two tc programs.
 *
 *	subinterface --[edge_sub_tx: push]--> port ~~wire~~ port --[edge_port_rx: pop]--> subinterface
 *						    port --[edge_port_rx: swap, police]--> port
 *
 * edge_sub_tx runs where frames leave a subinterface: at the egress of a macvlan that lies beside its
 * port, or at the ingress of the inner end of a veth whose other end is the subinterface in a VRF.
 * edge_port_rx runs at the ingress of a port. Nothing passes a port or a subinterface that no rule
 * names: it is dropped, counted and, at a port, remembered by its tags.
 *
 * The kernel moves the outermost tag of a received frame into skb metadata before tc sees it; the
 * others stay in the payload. Both places are read. bpf_skb_vlan_push and _pop keep them in order.
 *
 * Invariants: no loop, no function call, no GPL-only helper, no packet pointer (so no re-check after a
 * helper moved the data); ifindexes are unique over all namespaces of a lab, so one set of maps
 * serves every port. Helpers and map types are those of kernel 5.15.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "tags.h"
#include "wire.bpf.h"

#define ETHERNET_HEADER 14
#define TAG_SIZE 4
#define TCI_VID 0x0fff
#define TCI_PRIORITY 0xf000 /* PCP and DEI */

struct bucket_value {
	struct bpf_spin_lock lock;
	__u32 pad;
	struct edge_policer policer;
};

struct edge_map SEC("maps") rules = {
	BPF_MAP_TYPE_HASH, sizeof(struct edge_rule_key), sizeof(struct edge_rule), 4096,
};
struct edge_map SEC("maps") subinterfaces = {
	BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(struct edge_subinterface), 4096,
};
struct edge_map SEC("maps") ports = {
	BPF_MAP_TYPE_HASH, sizeof(__u32), sizeof(__u32), 1024,
};
struct edge_map SEC("maps") stats = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct edge_stats), 4096,
};
struct edge_map SEC("maps") buckets = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct bucket_value), 4096,
};
struct edge_map SEC("maps") unknown = {
	BPF_MAP_TYPE_LRU_HASH, sizeof(struct edge_rule_key), sizeof(__u64), 1024,
};

/* What the programs read of a frame: its two outermost tags, how many it has (3 stands for "3 or
 * more"), and where its payload begins in the skb. */
struct stack {
	__u16 tpid[2];
	__u16 tci[2];
	__u32 depth;
	__u32 in_metadata; /* 1 when the outermost tag is not in the payload */
	__u32 payload;
	__u16 ethertype;
};

struct next_header { /* the four octets after a tag's ethertype */
	__be16 tci;
	__be16 ethertype;
};

static __always_inline int is_tag(__u16 ethertype)
{
	return ethertype == EDGE_ETHERTYPE_DOT1Q || ethertype == EDGE_ETHERTYPE_DOT1AD;
}

static __always_inline void read_stack(struct __sk_buff *skb, struct stack *s)
{
	/* skb->protocol is the ethertype at octet 12 whether or not a tag is in metadata. */
	__u16 ethertype = bpf_ntohs(skb->protocol);
	struct next_header next;

	s->depth = 0;
	s->in_metadata = 0;
	s->payload = ETHERNET_HEADER;
	s->tpid[0] = s->tpid[1] = s->tci[0] = s->tci[1] = 0;

	if (skb->vlan_present) {
		s->tpid[0] = bpf_ntohs(skb->vlan_proto);
		s->tci[0] = skb->vlan_tci;
		s->in_metadata = 1;
		s->depth = 1;
	} else if (is_tag(ethertype) && !bpf_skb_load_bytes(skb, s->payload, &next, sizeof(next))) {
		s->tpid[0] = ethertype;
		s->tci[0] = bpf_ntohs(next.tci);
		s->depth = 1;
		s->payload += TAG_SIZE;
		ethertype = bpf_ntohs(next.ethertype);
	}
	if (s->depth && is_tag(ethertype) && !bpf_skb_load_bytes(skb, s->payload, &next, sizeof(next))) {
		s->tpid[1] = ethertype;
		s->tci[1] = bpf_ntohs(next.tci);
		s->depth = 2;
		s->payload += TAG_SIZE;
		ethertype = bpf_ntohs(next.ethertype);
		if (is_tag(ethertype))
			s->depth = 3;
	}
	s->ethertype = ethertype;
}

static __always_inline struct edge_size measure(struct __sk_buff *skb, const struct stack *s, __u32 extra)
{
	return edge_measure(skb, s->payload, s->ethertype, extra);
}

/* The class that a frame says it is of, by its DSCP; frames that are no IP packets, or whose packet lies
 * below more tags than are read, are of the last one. */
static __always_inline __u32 class_of(struct __sk_buff *skb, const struct stack *s)
{
	__u8 head[2];

	if ((s->ethertype != ETH_P_IP && s->ethertype != ETH_P_IPV6) ||
	    bpf_skb_load_bytes(skb, s->payload, head, sizeof(head)))
		return EDGE_CLASS_OTHER;
	switch (s->ethertype == ETH_P_IP ? head[1] >> 2 : (head[0] << 2 | head[1] >> 6) & 0x3f) {
	case 46:
		return EDGE_CLASS_EF;
	case 34:
		return EDGE_CLASS_AF41;
	case 18:
		return EDGE_CLASS_AF21;
	case 10:
		return EDGE_CLASS_AF11;
	default:
		return EDGE_CLASS_OTHER;
	}
}

static __always_inline void count_passed(__u32 slot, struct edge_size size)
{
	struct edge_stats *stat = bpf_map_lookup_elem(&stats, &slot);

	if (stat) {
		stat->packets += size.packets;
		stat->bytes += size.bytes;
	}
}

static __always_inline int drop(__u32 slot, struct edge_size size)
{
	struct edge_stats *stat = bpf_map_lookup_elem(&stats, &slot);

	if (stat) {
		stat->dropped_packets += size.packets;
		stat->dropped_bytes += size.bytes;
	}
	return TC_ACT_SHOT;
}

static __always_inline int drop_unknown(__u32 port, const struct edge_rule_key *key, struct edge_size size)
{
	__u32 *slot = bpf_map_lookup_elem(&ports, &port);
	__u64 *seen = bpf_map_lookup_elem(&unknown, key);

	if (seen) {
		__sync_fetch_and_add(seen, size.packets);
	} else {
		/* Of two CPUs that see the first frame at once one loses this race and its count. */
		bpf_map_update_elem(&unknown, key, &size.packets, BPF_NOEXIST);
	}
	return slot ? drop(*slot, size) : TC_ACT_SHOT;
}

static __always_inline struct edge_rule *matching(const struct edge_rule_key *key, __u32 depth)
{
	struct edge_rule *rule = bpf_map_lookup_elem(&rules, key);

	if (rule && rule->depth != EDGE_DEPTH_ANY && rule->depth != depth)
		return 0;
	return rule;
}

/* Put on the rule's tags, innermost first. Priority bits of the tag at the same place are kept; a tag
 * put on above the old ones takes those of the outermost old tag, as a provider bridge does. */
static __always_inline int push(struct __sk_buff *skb, const struct edge_tag *tags, __u32 count,
				__u16 outer_priority, __u16 inner_priority)
{
	if (count > 1 && bpf_skb_vlan_push(skb, bpf_htons(tags[1].tpid), tags[1].vid | inner_priority))
		return -1;
	if (count > 0 && bpf_skb_vlan_push(skb, bpf_htons(tags[0].tpid), tags[0].vid | outer_priority))
		return -1;
	return 0;
}

/* To the veth's far end, without a turn through the backlog. The kernel does not look at the MAC
 * address again on that way, so only frames that the far end is known to accept may take it; a
 * unicast for anyone else goes through the veth as any frame does, and the far end decides. */
static __always_inline int to_peer(struct __sk_buff *skb, const struct edge_rule *rule)
{
	const __u16 *mac = rule->mac;
	__u16 to[3];

	if (skb->pkt_type == PACKET_BROADCAST || skb->pkt_type == PACKET_MULTICAST) {
		if (mac[0] | mac[1] | mac[2])
			return bpf_redirect_peer(rule->ifindex, 0);
	} else if (!bpf_skb_load_bytes(skb, 0, to, sizeof(to)) && to[0] == mac[0] && to[1] == mac[1] &&
		   to[2] == mac[2] && !bpf_skb_change_type(skb, PACKET_HOST)) {
		return bpf_redirect_peer(rule->ifindex, 0);
	}
	return bpf_redirect(rule->ifindex, 0);
}

SEC("tc/sub_tx")
int edge_sub_tx(struct __sk_buff *skb)
{
	__u32 ifindex = skb->ifindex;
	struct edge_subinterface *sub = bpf_map_lookup_elem(&subinterfaces, &ifindex);
	struct stack s;
	struct edge_size size;

	if (!sub)
		return TC_ACT_SHOT;
	read_stack(skb, &s);
	size = measure(skb, &s, (s.in_metadata + (sub->push & 3)) * TAG_SIZE);
	if (push(skb, sub->tags, sub->push, 0, 0))
		return drop(sub->slot, size);
	count_passed(sub->slot, size);
	return bpf_redirect(sub->port, 0);
}

SEC("tc/port_rx")
int edge_port_rx(struct __sk_buff *skb)
{
	struct edge_rule_key key, shorter;
	__u16 outer_priority, inner_priority;
	struct edge_rule *rule = 0;
	struct stack s;
	struct edge_size size;

	read_stack(skb, &s);
	size = measure(skb, &s, s.in_metadata * TAG_SIZE);
	key.ifindex = skb->ifindex;
	key.outer.tpid = s.tpid[0];
	key.outer.vid = s.tci[0] & TCI_VID;
	key.inner.tpid = s.tpid[1];
	key.inner.vid = s.tci[1] & TCI_VID;

	shorter = key;
	if (s.depth > 1)
		rule = matching(&shorter, s.depth);
	if (!rule && s.depth > 0) {
		shorter.inner.tpid = shorter.inner.vid = 0;
		rule = matching(&shorter, s.depth);
	}
	if (!rule) {
		shorter.outer.tpid = shorter.outer.vid = 0;
		shorter.inner.tpid = shorter.inner.vid = 0;
		rule = matching(&shorter, s.depth);
	}
	if (!rule)
		return drop_unknown(key.ifindex, &key, size);

	if (rule->rate.rate_bps) {
		__u32 slot = rule->slot, shared = rule->bucket;
		struct bucket_value *bucket = bpf_map_lookup_elem(&buckets, &shared);
		struct bucket_value *own = bpf_map_lookup_elem(&buckets, &slot);
		struct edge_rate rate = rule->rate;
		__u64 now = bpf_ktime_get_ns();
		__u32 class = class_of(skb, &s);
		struct edge_stats *judged;
		int conforms;

		if (!bucket || !own || class >= EDGE_CLASSES)
			return drop(slot, size);
		judged = &own->policer.classes[class];
		bpf_spin_lock(&bucket->lock);
		conforms = edge_police(&bucket->policer.bucket, &rate, now, size.bytes);
		if (conforms) {
			judged->packets += size.packets;
			judged->bytes += size.bytes;
		} else {
			judged->dropped_packets += size.packets;
			judged->dropped_bytes += size.bytes;
		}
		bpf_spin_unlock(&bucket->lock);
		if (!conforms)
			return drop(slot, size);
	}

	outer_priority = s.tci[0] & TCI_PRIORITY;
	inner_priority = rule->pop > 1 ? s.tci[1] & TCI_PRIORITY : outer_priority;
	if (rule->pop > 0 && bpf_skb_vlan_pop(skb))
		return drop(rule->slot, size);
	if (rule->pop > 1 && bpf_skb_vlan_pop(skb))
		return drop(rule->slot, size);
	if (push(skb, rule->tags, rule->push, outer_priority, inner_priority))
		return drop(rule->slot, size);
	count_passed(rule->slot, size);

	if (rule->action == EDGE_TO_DEVICE)
		return bpf_redirect(rule->ifindex, BPF_F_INGRESS);
	if (rule->action == EDGE_TO_PEER)
		return to_peer(skb, rule);
	return bpf_redirect(rule->ifindex, 0);
}

char _license[] SEC("license") = "Dual BSD/GPL";
