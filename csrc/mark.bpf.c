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
 * map memory, see parse.h; one per CPU is enough, since a program at tc is not interrupted by another.
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

/* Enough for all that parse.h may read: two tags, IPv6, its extension headers, UDP, a hint. */
#define HEADERS_MAX (EDGE_ETHERNET + 2 * 4 + 40 + 512 + 8 + 20)

struct edge_map SEC("maps") markings = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_marking), EDGE_MARKINGS_MAX,
};
struct edge_map SEC("maps") direct = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_direct), EDGE_DIRECT,
};
struct edge_map SEC("maps") named = {
	BPF_MAP_TYPE_HASH, sizeof(struct edge_marking_key), sizeof(struct edge_name), EDGE_MARKINGS_MAX,
};
/* One of those that `policies` holds. */
struct edge_map SEC("maps") policy = {
	BPF_MAP_TYPE_ARRAY, sizeof(__u32), sizeof(struct edge_policy), 1,
};
struct edge_map SEC("maps") policies = {
	BPF_MAP_TYPE_ARRAY_OF_MAPS, sizeof(__u32), sizeof(__u32), EDGE_POLICIES_MAX,
};
struct edge_map SEC("maps") counters = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct edge_marked_block),
	EDGE_MARK_COUNTERS_MAX / EDGE_MARKED_BLOCK,
};
struct edge_map SEC("maps") keys = {
	BPF_MAP_TYPE_PERCPU_ARRAY, sizeof(__u32), sizeof(struct edge_key), 1,
};

/* Names as they are stored: one word, loaded at once. */
union name {
	__u32 word;
	struct edge_name parts;
};

union place {
	__u64 word;
	struct edge_direct parts;
};

/* Two octets of the frame at `offset` as the number they stand for, or -1 where it ends before. */
static __always_inline long number_at(struct __sk_buff *skb, __u32 offset)
{
	const __u8 *data = (const __u8 *)(long)skb->data;
	__be16 octets;

	if (data + offset + sizeof(octets) <= (const __u8 *)(long)skb->data_end)
		return bpf_ntohs(*(const __be16 *)(data + offset));
	return bpf_skb_load_bytes(skb, offset, &octets, sizeof(octets)) ? -1 : bpf_ntohs(octets);
}

/* The name there, as a word; 0 for NULL. A number that comes from one map or the other is one state to the verifier, pointers
 * into two maps would stay two. */
static __always_inline __u32 name_in(const union name *found)
{
	__u32 word = found ? found->word : 0;

	EDGE_PLAIN(word);
	return word;
}

/* The name, as a word, of the marking for frames under the skb's two outermost tags, else under the outermost. */
static __always_inline __u32 name_by_tags(struct __sk_buff *skb, struct edge_marking_key *key)
{
	__u16 next = bpf_ntohs(skb->protocol); /* the ethertype at octet 12, also below a tag in metadata */
	__u32 inner_at = EDGE_ETHERNET;
	__u32 word;
	long tci;

	if (skb->vlan_present) {
		key->tpid = bpf_ntohs(skb->vlan_proto);
		key->vid = skb->vlan_tci & TCI_VID;
	} else {
		if (!edge_is_tag(next))
			return 0;
		tci = number_at(skb, EDGE_ETHERNET);
		if (tci < 0)
			return 0;
		key->tpid = next;
		key->vid = tci & TCI_VID;
		next = number_at(skb, EDGE_ETHERNET + 2);
		inner_at += 4;
	}
	tci = edge_is_tag(next) ? number_at(skb, inner_at) : -1;
	if (tci >= 0) {
		key->inner_tpid = next;
		key->inner_vid = tci & TCI_VID;
		word = name_in(bpf_map_lookup_elem(&named, key));
		if (word)
			return word;
		key->inner_tpid = key->inner_vid = 0;
	}
	return name_in(bpf_map_lookup_elem(&named, key));
}

/* The name, as a word, of the marking for the frame, 0 when there is none. */
static __always_inline __u32 name_of(struct __sk_buff *skb, __u32 hook)
{
	__u32 owner = skb->ifindex * 2 + hook;
	__u32 place = owner % EDGE_DIRECT;
	const union place *at = bpf_map_lookup_elem(&direct, &place);
	union place found = {.word = at ? at->word : 0};
	int owned = found.parts.owner == owner;
	union name untagged = {.parts = found.parts.name};
	struct edge_marking_key key;
	__u32 word;

	if (EDGE_LIKELY(owned && !untagged.parts.tags))
		return untagged.word;
	/* Not before: to Linux 6.1 a way on which there are zeros in its place stays another one to the end. */
	key = (struct edge_marking_key){skb->ifindex, hook, 0, 0, 0, 0};
	word = name_by_tags(skb, &key);
	if (word)
		return word;
	if (owned)
		return untagged.word;
	key.tpid = key.vid = 0;
	return name_in(bpf_map_lookup_elem(&named, &key));
}

static __always_inline void parse(struct __sk_buff *skb, struct edge_key *key, int hints)
{
	const __u8 *data = (const __u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;
	__u32 tags = 2 - (skb->vlan_present & 1); /* no branch: the verifier has one way to follow, not two */

	if (EDGE_UNLIKELY(EDGE_SHORT(data, EDGE_ETHERNET, end))) {
		edge_parse(data, end, key); /* says so in every field */
		return;
	}
	if (EDGE_UNLIKELY(!edge_parse_plain(data, end, key)))
		edge_parse_from(data, end, EDGE_ETHERNET, EDGE_NET16(EDGE_LD16(data + 12)), tags, key);
	if (EDGE_UNLIKELY(hints))
		edge_hint(data, end, key);
}

/* Might octets that are not in the linear part make `key` another one? Reading ended at its l4, or before an
 * extension header that is not all there. */
static __always_inline int ends_early(struct __sk_buff *skb, const struct edge_key *key)
{
	__u32 linear = skb->data_end - skb->data;

	if (EDGE_LIKELY(linear >= skb->len))
		return 0;
	if (!key->flags)
		return linear < HEADERS_MAX && (edge_is_tag(key->ethertype) || key->ethertype == ETH_P_IP ||
						key->ethertype == ETH_P_IPV6);
	return linear < HEADERS_MAX && (linear < key->l4 + 8 + 20 || edge_is_extension(key->protocol));
}

static __always_inline void count(const struct edge_marking *marking, __u32 outcome, struct edge_size size, __u64 remarked,
				  int unknown, int dropped)
{
	__u32 index = (marking->counters + outcome) / EDGE_MARKED_BLOCK;
	struct edge_marked_block *block = bpf_map_lookup_elem(&counters, &index);
	struct edge_marked *marked;

	if (!block)
		return;
	marked = &block->of[outcome % EDGE_MARKED_BLOCK];
	marked->packets += size.packets;
	marked->bytes += size.bytes;
	EDGE_PLAIN(remarked);
	marked->remarked += size.packets & (0 - remarked);
	if (EDGE_UNLIKELY(unknown))
		marked->unknown += size.packets;
	if (dropped)
		marked->dropped += size.packets;
}

/* Write the DSCP into an IP header. Returns 1 when it had another one, 0 also when the frame cannot be written to. */
static __always_inline __u64 rewrite(struct __sk_buff *skb, const struct edge_key *key, __u8 dscp)
{
	__u8 *data = (__u8 *)(long)skb->data;
	const __u8 *end = (const __u8 *)(long)skb->data_end;
	__be16 head;

	if (EDGE_LIKELY(key->flags & EDGE_KEY_IP4)) {
		data += key->l3 & 63;
		return EDGE_SHORT(data, 20, end) ? 0 : edge_rewrite4(data, dscp);
	}
	if (dscp == key->traffic_class >> 2)
		return 0;
	head = bpf_htons((__u16)(0x6000 | dscp << 6 | (key->traffic_class & 3) << 4));
	if (bpf_skb_load_bytes(skb, key->l3 + 1, (__u8 *)&head + 1, 1))
		return 0;
	((__u8 *)&head)[1] = (__u8)((((__u8 *)&head)[1] & 0x3f) | (__u8)(dscp << 6));
	return !bpf_skb_store_bytes(skb, key->l3, &head, sizeof(head), BPF_F_RECOMPUTE_CSUM);
}

static __always_inline int mark(struct __sk_buff *skb, __u32 hook)
{
	union name name = {.word = name_of(skb, hook)};
	__u32 number = name.parts.number, slot = name.parts.policy;
	const struct edge_marking *marking;
	const struct edge_policy *table;
	struct edge_verdict verdict;
	struct edge_key *key;
	struct edge_size size;
	__u64 remarked;
	int unknown;
	__u32 outcome, zero = 0;
	void *inner;

	if (EDGE_UNLIKELY(!number))
		return TC_ACT_UNSPEC;
	inner = bpf_map_lookup_elem(&policies, &slot);
	marking = bpf_map_lookup_elem(&markings, &number);
	key = bpf_map_lookup_elem(&keys, &zero);
	if (EDGE_UNLIKELY(!inner || !marking || !key))
		return TC_ACT_UNSPEC;
	table = bpf_map_lookup_elem(inner, &zero);
	if (EDGE_UNLIKELY(!table))
		return TC_ACT_UNSPEC;

	parse(skb, key, table->head.hints);
	if (EDGE_UNLIKELY(ends_early(skb, key)) && !bpf_skb_pull_data(skb, skb->len < HEADERS_MAX ? skb->len : HEADERS_MAX))
		parse(skb, key, table->head.hints);
	outcome = edge_match(table, key, &verdict);

	size = edge_measure(skb, key->l3, key->ethertype, 0);
	unknown = (verdict.flags & EDGE_VERDICT_IP) && !(marking->known >> (key->traffic_class >> 2) & 1);
	if (EDGE_UNLIKELY(unknown) && marking->knob == EDGE_KNOB_DROP) {
		count(marking, outcome, size, 0, 1, 1);
		return TC_ACT_SHOT;
	}
	if (EDGE_UNLIKELY(unknown) && marking->knob == EDGE_KNOB_REMARK)
		verdict.dscp = 0;
	remarked = verdict.flags & EDGE_VERDICT_IP ? rewrite(skb, key, verdict.dscp) : 0;
	count(marking, outcome, size, remarked, unknown, 0);
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
