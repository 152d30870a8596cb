// SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0
/* The marking plane: policies at devices, as two tc programs.
 *
 *	frame -> which marking? -> parse -> hint -> match -> knob -> rewrite DSCP -> count -> steer (egress)
 *		 (device, hook,    `------ classify.h -----'
 *		  two tags)
 *
 * They decide nothing else about a frame: what passes goes on to the next program of the hook, which may be
 * the tag plane's (csrc/tags.bpf.c; edge/fastpath/attach.py keeps the order). Where no marking is, nothing
 * happens.
 *
 * Where things lie. The outermost tag is in skb metadata or in the payload; both are looked at. Headers that
 * are not in the skb's linear part are pulled in, once, and only when what was read so far ends there.
 *
 * What a rewrite must keep right besides the header: skb->csum of a received frame (CHECKSUM_COMPLETE), the
 * sum over all octets from the network header on. A change of an IPv4 header with its checksum cancels out
 * there, so it is written directly; IPv6 has no such checksum and goes through bpf_skb_store_bytes, which
 * corrects the sum (facts: fastpath 6).
 *
 * A policy is changed by putting another table in its place in the map of maps: a frame sees the old one or
 * the new one, whole.
 *
 * Invariants: no function call, no GPL-only helper; helpers and map types of kernel 5.15. The key lies in
 * map memory, see classify.h; one per CPU is enough, since a program at tc is not interrupted by another.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "classify.h"
#include "mark.h"
#include "policy.h"
#include "wire.bpf.h"

#define TCI_VID 0x0fff

/* Enough for all that classify.h may read: two tags, IPv6, its extension headers, UDP, a hint. */
#define HEADERS_MAX (EDGE_ETHERNET + 2 * 4 + 40 + 512 + 8 + 20)

struct edge_map SEC("maps") markings = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_marking), EDGE_MARKINGS_MAX,
};
struct edge_map SEC("maps") direct = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_direct), EDGE_DIRECT,
};
struct edge_map SEC("maps") named = {
	BPF_MAP_TYPE_HASH, sizeof(struct edge_marking_key), sizeof(__u32), EDGE_MARKINGS_MAX,
};
/* One of those that `policies` holds. */
struct edge_map SEC("maps") policy = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_policy), 1,
};
struct edge_map SEC("maps") policies = {
	BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(__u32), sizeof(__u32), EDGE_POLICIES_MAX,
};
struct edge_map SEC("maps") counters = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct edge_marked), EDGE_MARK_COUNTERS_MAX,
};
struct edge_map SEC("maps") keys = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct edge_key), 1,
};

/* The VLAN id of the tag whose TCI is at `offset`, or -1. */
static __always_inline long vid_at(struct __sk_buff *skb, __u32 offset)
{
	__be16 tci;

	return bpf_skb_load_bytes(skb, offset, &tci, sizeof(tci)) ? -1 : bpf_ntohs(tci) & TCI_VID;
}

/* Number of the marking for frames of the skb's device under its two outermost tags, else under the outermost,
 * else of the one for all others, else 0. Each way out loads the number itself: pointers into two maps would stay
 * two states. */
static __always_inline __u32 marking_of(struct __sk_buff *skb, __u32 hook)
{
	struct edge_marking_key key = {skb->ifindex, hook, 0, 0, 0, 0};
	__u32 owner = key.ifindex * 2 + hook;
	__u32 place = owner % EDGE_DIRECT;
	struct edge_direct *direct_one;
	__u32 *named_one;
	__u32 number;
	__u32 inner_at = EDGE_ETHERNET;
	__u16 next = bpf_ntohs(skb->protocol); /* the ethertype at octet 12, also below a tag in metadata */
	__be16 ethertype;
	long vid;

	if (skb->vlan_present) {
		key.tpid = bpf_ntohs(skb->vlan_proto);
		key.vid = skb->vlan_tci & TCI_VID;
	} else if (edge_is_tag(next)) {
		vid = vid_at(skb, EDGE_ETHERNET);
		if (vid >= 0) {
			key.tpid = next;
			key.vid = (__u16)vid;
		}
		inner_at += 4;
		next = bpf_skb_load_bytes(skb, EDGE_ETHERNET + 2, &ethertype, sizeof(ethertype)) ?
			       0 :
			       bpf_ntohs(ethertype);
	}
	if (key.tpid) {
		vid = edge_is_tag(next) ? vid_at(skb, inner_at) : -1;
		if (vid >= 0) {
			key.inner_tpid = next;
			key.inner_vid = (__u16)vid;
			named_one = bpf_map_lookup_elem(&named, &key);
			if (named_one) {
				number = *named_one;
				EDGE_PLAIN(number);
				return number;
			}
			key.inner_tpid = key.inner_vid = 0;
		}
		named_one = bpf_map_lookup_elem(&named, &key);
		if (named_one) {
			number = *named_one;
			EDGE_PLAIN(number);
			return number;
		}
		key.tpid = key.vid = 0;
	}
	direct_one = bpf_map_lookup_elem(&direct, &place);
	if (direct_one && direct_one->owner == owner) {
		number = direct_one->number;
		EDGE_PLAIN(number);
		return number;
	}
	named_one = bpf_map_lookup_elem(&named, &key);
	number = named_one ? *named_one : 0;
	EDGE_PLAIN(number);
	return number;
}

static __always_inline void parse(struct __sk_buff *skb, struct edge_key *key, int hints)
{
	const __u8 *data = (const __u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;
	__u32 tags = 2 - (skb->vlan_present & 1); /* no branch: the verifier has one way to follow, not two */

	if (EDGE_SHORT(data, EDGE_ETHERNET, end)) {
		edge_parse(data, end, key); /* says so in every field */
		return;
	}
	edge_parse_from(data, end, EDGE_ETHERNET, EDGE_NET16(EDGE_LD16(data + 12)), tags, key);
	if (hints)
		edge_hint(data, end, key);
}

/* Might octets that are not in the linear part make `key` another one? Reading ended at its l4, or before an
 * extension header that is not all there. */
static __always_inline int ends_early(struct __sk_buff *skb, const struct edge_key *key)
{
	__u32 linear = skb->data_end - skb->data;

	if (linear >= skb->len)
		return 0;
	if (!key->flags)
		return linear < HEADERS_MAX && (edge_is_tag(key->ethertype) || key->ethertype == ETH_P_IP ||
						key->ethertype == ETH_P_IPV6);
	return linear < HEADERS_MAX && (linear < key->l4 + 8 + 20 || edge_is_extension(key->protocol));
}

static __always_inline void count(__u32 index, struct edge_size size, int remarked, int unknown, int dropped)
{
	struct edge_marked *marked = bpf_map_lookup_elem(&counters, &index);

	if (!marked)
		return;
	marked->packets += size.packets;
	marked->bytes += size.bytes;
	if (remarked)
		marked->remarked += size.packets;
	if (unknown)
		marked->unknown += size.packets;
	if (dropped)
		marked->dropped += size.packets;
}

/* Returns 0, or a negative number when the frame cannot be written to. */
static __always_inline long rewrite(struct __sk_buff *skb, const struct edge_key *key, __u8 dscp)
{
	__u8 *data = (__u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;
	__be16 head;

	if (key->flags & EDGE_KEY_IP4)
		return edge_rewrite(data + (key->l3 & 63), end, EDGE_KEY_IP4, dscp) ? 0 : -1;
	head = bpf_htons((__u16)(0x6000 | dscp << 6 | (key->traffic_class & 3) << 4));
	if (bpf_skb_load_bytes(skb, key->l3 + 1, (__u8 *)&head + 1, 1))
		return -1;
	((__u8 *)&head)[1] = (__u8)((((__u8 *)&head)[1] & 0x3f) | (__u8)(dscp << 6));
	return bpf_skb_store_bytes(skb, key->l3, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int mark(struct __sk_buff *skb, __u32 hook)
{
	__u32 number = marking_of(skb, hook);
	struct edge_marking *marking;
	const struct edge_policy *table;
	struct edge_verdict verdict;
	struct edge_key *key;
	struct edge_size size;
	int unknown, remarked;
	__u32 slot, zero = 0;
	__u32 outcome;
	void *inner;

	if (!number)
		return TC_ACT_UNSPEC;
	marking = bpf_map_lookup_elem(&markings, &number);
	if (!marking)
		return TC_ACT_UNSPEC;
	slot = marking->policy;
	inner = bpf_map_lookup_elem(&policies, &slot);
	key = bpf_map_lookup_elem(&keys, &zero);
	if (!inner || !key)
		return TC_ACT_UNSPEC;
	table = bpf_map_lookup_elem(inner, &zero);
	if (!table)
		return TC_ACT_UNSPEC;

	parse(skb, key, table->head.hints);
	if (ends_early(skb, key) && !bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX))
		parse(skb, key, table->head.hints);
	outcome = edge_match(table, key, &verdict);

	size = edge_measure(skb, key->l3, key->ethertype, 0);
	unknown = (verdict.flags & EDGE_VERDICT_IP) && !(marking->known >> (key->traffic_class >> 2) & 1);
	if (unknown && marking->knob == EDGE_KNOB_DROP) {
		count(marking->counters + outcome, size, 0, 1, 1);
		return TC_ACT_SHOT;
	}
	if (unknown && marking->knob == EDGE_KNOB_REMARK)
		verdict.dscp = 0;
	remarked = (verdict.flags & EDGE_VERDICT_IP) && verdict.dscp != key->traffic_class >> 2 &&
		   !rewrite(skb, key, verdict.dscp);
	count(marking->counters + outcome, size, remarked, unknown, 0);
	if (hook == EDGE_HOOK_EGRESS && marking->queue_base)
		skb->priority = marking->queue_base + verdict.queue;
	return TC_ACT_UNSPEC;
}

SEC("tc/mark_egress")
int edge_mark_egress(struct __sk_buff *skb)
{
	return mark(skb, EDGE_HOOK_EGRESS);
}

SEC("tc/mark_ingress")
int edge_mark_ingress(struct __sk_buff *skb)
{
	return mark(skb, EDGE_HOOK_INGRESS);
}

char _license[] SEC("license") = "Dual BSD/GPL";
