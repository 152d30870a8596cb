/* The packet core: octets and a table in, verdict out. Header only; the same text for user space and BPF.
 *
 *	struct edge_key key;			// in BPF: the value of a per-CPU array map, never the stack
 *	struct edge_verdict verdict;
 *
 *	edge_parse(data, end, &key);		// or edge_parse_from, when the outer tag is in skb metadata
 *	if (policy->head.hints)
 *		edge_hint(data, end, &key);
 *	edge_match(policy, &key, &verdict);
 *	if (verdict.flags & EDGE_VERDICT_REMARK)
 *		edge_rewrite(data + key.l3, end, &key, verdict.dscp);
 *
 * How a frame is read, and what a verdict means, is defined by the docstring of tests/oracle.py. In short: at most two
 * tags (0x8100, 0x88a8, 0x9100); a packet ends where its total length says, or where the octets given end when
 * that is sooner (a length of 0 says nothing: segmentation offload); at most six extension headers of IPv6, all in
 * 512 octets; a later fragment has no ports. What is not IP matches no rule and is never changed.
 *
 * Invariants. No octet before `data` or at or beyond `end` is read. No allocation, no state, no libc. For the
 * verifier: each offset that depends on the packet goes through the key in map memory (EDGE_OPAQUE), so
 * that paths with different headers become one state again; loops are bounded, arithmetic replaces branches in searches.
 */
#ifndef EDGE_CLASSIFY_H
#define EDGE_CLASSIFY_H

#include "policy.h"

/* Keeps the compiler from turning arithmetic back into a branch. */
#define EDGE_PLAIN(value) __asm__ volatile("" : "+r"(value))

#define EDGE_INLINE static inline __attribute__((always_inline))

#ifdef __bpf__
/* Stored and loaded again, after which the verifier knows nothing about the value but its width. */
#define EDGE_OPAQUE(lvalue) __asm__ volatile("" : "+m"(lvalue))
#define EDGE_SHORT(p, n, end) ((p) + (n) > (end))
#define EDGE_UNLIKELY(x) (x)
#define EDGE_LD16(p) (*(const uint16_t *)(p))
#define EDGE_LD32(p) (*(const uint32_t *)(p))
#define EDGE_LD64(p) (*(const uint64_t *)(p))
#define EDGE_ST16(p, v) (*(uint16_t *)(p) = (v))
#else
#define EDGE_OPAQUE(lvalue)
#define EDGE_SHORT(p, n, end) ((end) - (p) < (int64_t)(n))
#define EDGE_UNLIKELY(x) __builtin_expect(!!(x), 0)
EDGE_INLINE uint16_t edge_ld16(const uint8_t *p)
{
	uint16_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE uint32_t edge_ld32(const uint8_t *p)
{
	uint32_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE uint64_t edge_ld64(const uint8_t *p)
{
	uint64_t value;

	__builtin_memcpy(&value, p, sizeof(value));
	return value;
}
EDGE_INLINE void edge_st16(uint8_t *p, uint16_t value)
{
	__builtin_memcpy(p, &value, sizeof(value));
}
#define EDGE_LD16(p) edge_ld16(p)
#define EDGE_LD32(p) edge_ld32(p)
#define EDGE_LD64(p) edge_ld64(p)
#define EDGE_ST16(p, v) edge_st16(p, v)
#endif

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define EDGE_NET16(x) __builtin_bswap16(x)
#define EDGE_NET32(x) __builtin_bswap32(x)
#define EDGE_NET64(x) __builtin_bswap64(x)
#else
#define EDGE_NET16(x) (x)
#define EDGE_NET32(x) (x)
#define EDGE_NET64(x) (x)
#endif

#define EDGE_ETHERNET 14
#define EDGE_IP6_HEADER 40
#define EDGE_EXTENSIONS_MAX 6	    /* headers that are walked over */
#define EDGE_EXTENSION_OCTETS_MAX 512 /* where the last of them ends at most, counted from the end of the IPv6 header */
#define EDGE_OFFSET_MASK 0x3ff	    /* more than the greatest offset of a transport header: 32 + 40 + 512 */
#define EDGE_ETHERTYPE_IP4 0x0800
#define EDGE_ETHERTYPE_IP6 0x86dd
#define EDGE_STUN_COOKIE 0x2112a442

/* cdef begin */
enum edge_key_flag {
	EDGE_KEY_PORTS = 1,    /* the first three are the index into head.traits */
	EDGE_KEY_STUN = 2,
	EDGE_KEY_RTP = 4,
	EDGE_KEY_IP4 = 8,
	EDGE_KEY_IP6 = 16,
	EDGE_KEY_LATER = 32,   /* a fragment that is not the first */
};

/* What a rule can ask of a packet: 64 octets. Numbers are in the byte order of the machine. */
struct edge_key {
	uint64_t source[2];	 /* 0: IPv6 as upper and lower half; IPv4 in the lower 32 bits of [0], [1] is 0 */
	uint64_t destination[2]; /* 16 */
	uint32_t l3;		 /* 32: offset of the IP header */
	uint32_t l4;		 /* 36: offset of what follows the IP headers */
	uint16_t source_port;	 /* 40: 0 without EDGE_KEY_PORTS */
	uint16_t destination_port; /* 42 */
	uint16_t ethertype;	 /* 44: of the payload below the tags that were read */
	uint8_t protocol;	 /* 46 */
	uint8_t traffic_class;	 /* 47: DSCP << 2 | ECN */
	uint16_t flags;		 /* 48: enum edge_key_flag; 0: not IP */
	uint8_t tags;		 /* 50: how many were read */
	uint8_t pad;		 /* 51 */
	uint32_t limit;		 /* 52: offset at which the packet ends by its own length, UINT32_MAX when that is not said */
	uint64_t reserved;	 /* 56 */
};
/* cdef end */

EDGE_INLINE int edge_is_tag(uint16_t ethertype)
{
	return ethertype == 0x8100 || ethertype == 0x88a8 || ethertype == 0x9100;
}

EDGE_INLINE int edge_has_ports(uint8_t protocol)
{
	return protocol == 6 || protocol == 17 || protocol == 33 || protocol == 132 || protocol == 136;
}

EDGE_INLINE int edge_is_extension(uint8_t header)
{
	return header == 0 || header == 43 || header == 44 || header == 51 || header == 60;
}

/* Are the `n` octets at `data + offset` there, and inside the packet? */
#define EDGE_MISSING(data, offset, n, end, key) \
	((offset) + (n) > (key)->limit || EDGE_SHORT((data) + ((offset) & EDGE_OFFSET_MASK), n, end))

/* Walk over the extension headers of IPv6: key->l4 and key->protocol are those of the first header, and afterwards of the one that
 * was not walked over. Returns 1 when its octets may be read, 0 when they may not. */
EDGE_INLINE int edge_walk_extensions(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	uint32_t i;

	for (i = 0; i < EDGE_EXTENSIONS_MAX; i++) {
		const uint8_t *p;
		uint8_t header;
		uint32_t next;

		EDGE_OPAQUE(key->protocol);
		EDGE_OPAQUE(key->l4);
		header = key->protocol;
		if (!edge_is_extension(header))
			return 1;
		if ((header == 0 && i) || EDGE_MISSING(data, key->l4, 2, end, key))
			return 0;
		p = data + (key->l4 & EDGE_OFFSET_MASK);
		next = key->l4 + (header == 44 ? 8 : header == 51 ? (p[1] + 2u) * 4 : (p[1] + 1u) * 8);
		if (next > key->l3 + EDGE_IP6_HEADER + EDGE_EXTENSION_OCTETS_MAX || EDGE_MISSING(data, next, 0, end, key))
			return 0;
		key->protocol = p[0];
		if (header == 44 && !EDGE_SHORT(p, 8, end) && (EDGE_LD16(p + 2) & EDGE_NET16(0xfff8))) {
			key->flags |= EDGE_KEY_LATER;
			return 0;
		}
		key->l4 = next;
	}
	EDGE_OPAQUE(key->protocol);
	return !edge_is_extension(key->protocol);
}

/* Read what follows `ethertype`; its header starts at `offset` (at most 32) from `data`. Up to `tags` tags may come
 * first. For a frame whose outer tag the kernel has taken off: offset 14, and one tag less. Sets every field
 * of `key`. Returns key->flags. */
EDGE_INLINE uint16_t edge_parse_from(const uint8_t *data, const uint8_t *end, uint32_t offset, uint16_t ethertype, uint32_t tags,
				  struct edge_key *key)
{
	const uint8_t *p;
	uint32_t depth, length;
	int whole;

	key->source[0] = key->source[1] = key->destination[0] = key->destination[1] = 0;
	key->source_port = key->destination_port = 0;
	key->protocol = 0;
	key->traffic_class = 0;
	key->flags = 0;
	key->limit = ~0u;
	for (depth = 0; depth < 2 && depth < tags && edge_is_tag(ethertype); depth++) {
		p = data + (offset & 63);
		if (EDGE_SHORT(p, 4, end)) {
			key->tags = (uint8_t)depth;
			key->ethertype = ethertype;
			key->l3 = key->l4 = offset;
			return 0;
		}
		ethertype = EDGE_NET16(EDGE_LD16(p + 2));
		offset += 4;
	}
	key->tags = (uint8_t)depth;
	key->ethertype = ethertype;
	key->l3 = offset;
	key->l4 = offset;
	EDGE_OPAQUE(key->l3);
	EDGE_OPAQUE(key->ethertype);
	p = data + (key->l3 & 63);
	if (key->ethertype == EDGE_ETHERTYPE_IP4) {
		uint32_t header;

		if (EDGE_SHORT(p, 20, end))
			return 0;
		header = (p[0] & 15u) * 4;
		length = EDGE_NET16(EDGE_LD16(p + 2));
		if (p[0] >> 4 != 4 || header < 20 || (length && length < header))
			return 0;
		if (length)
			key->limit = key->l3 + length;
		key->l4 = key->l3 + header;
		whole = !(EDGE_LD16(p + 6) & EDGE_NET16(0x1fff));
		key->flags = whole ? EDGE_KEY_IP4 : EDGE_KEY_IP4 | EDGE_KEY_LATER;
		key->protocol = p[9];
		key->traffic_class = p[1];
		key->source[0] = EDGE_NET32(EDGE_LD32(p + 12));
		key->destination[0] = EDGE_NET32(EDGE_LD32(p + 16));
	} else if (key->ethertype == EDGE_ETHERTYPE_IP6) {
		if (EDGE_SHORT(p, EDGE_IP6_HEADER, end) || p[0] >> 4 != 6)
			return 0;
		length = EDGE_NET16(EDGE_LD16(p + 4));
		if (length)
			key->limit = key->l3 + EDGE_IP6_HEADER + length;
		key->flags = EDGE_KEY_IP6;
		key->traffic_class = (uint8_t)(EDGE_NET16(EDGE_LD16(p)) >> 4);
		key->source[0] = EDGE_NET64(EDGE_LD64(p + 8));
		key->source[1] = EDGE_NET64(EDGE_LD64(p + 16));
		key->destination[0] = EDGE_NET64(EDGE_LD64(p + 24));
		key->destination[1] = EDGE_NET64(EDGE_LD64(p + 32));
		key->protocol = p[6];
		key->l4 = key->l3 + EDGE_IP6_HEADER;
		whole = edge_walk_extensions(data, end, key);
	} else {
		return 0;
	}
	EDGE_OPAQUE(key->flags);
	EDGE_OPAQUE(key->protocol);
	EDGE_OPAQUE(key->l4);
	EDGE_OPAQUE(key->limit);
	if (whole && edge_has_ports(key->protocol) && !EDGE_MISSING(data, key->l4, 4, end, key)) {
		p = data + (key->l4 & EDGE_OFFSET_MASK);
		key->source_port = EDGE_NET16(EDGE_LD16(p));
		key->destination_port = EDGE_NET16(EDGE_LD16(p + 2));
		key->flags |= EDGE_KEY_PORTS;
	}
	EDGE_OPAQUE(key->flags);
	return key->flags;
}

/* Read an Ethernet frame with up to two tags in it. Sets every field of `key`. Returns key->flags:
 * 0 when it is not IP. */
EDGE_INLINE uint16_t edge_parse(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	if (EDGE_SHORT(data, EDGE_ETHERNET, end))
		return edge_parse_from(data, end, 0, 0, 0, key);
	return edge_parse_from(data, end, EDGE_ETHERNET, EDGE_NET16(EDGE_LD16(data + 12)), 2, key);
}

/* Look at the payload of UDP, when a rule of the policy asks for it (head.hints). After edge_parse. */
EDGE_INLINE void edge_hint(const uint8_t *data, const uint8_t *end, struct edge_key *key)
{
	const uint8_t *p;

	if (!(key->flags & EDGE_KEY_PORTS) || key->protocol != 17)
		return;
	EDGE_OPAQUE(key->l4);
	if (EDGE_MISSING(data, key->l4, 8 + 12, end, key))
		return;
	p = data + (key->l4 & EDGE_OFFSET_MASK) + 8;
	if (p[0] >> 6 == 2 && (p[1] & 0x60) != 0x40)
		key->flags |= EDGE_KEY_RTP; /* payload types 64 to 95 are RTCP's (RFC 5761 4) */
	else if (p[0] >> 6 == 0 && !(p[3] & 3) && EDGE_LD32(p + 4) == EDGE_NET32(EDGE_STUN_COOKIE) &&
		 !EDGE_MISSING(data, key->l4, 8 + 20, end, key))
		key->flags |= EDGE_KEY_STUN;
}

/* Reads in a table; an offset that leaves it is bent back into it. */
EDGE_INLINE uint16_t edge_at16(const struct edge_policy *policy, uint64_t offset)
{
	return *(const uint16_t *)((const uint8_t *)policy + (offset & EDGE_POLICY_MASK & ~1u));
}

EDGE_INLINE uint32_t edge_at32(const struct edge_policy *policy, uint64_t offset)
{
	return *(const uint32_t *)((const uint8_t *)policy + (offset & EDGE_POLICY_MASK & ~3u));
}

EDGE_INLINE uint64_t edge_at64(const struct edge_policy *policy, uint64_t offset)
{
	return *(const uint64_t *)((const uint8_t *)policy + (offset & EDGE_POLICY_MASK & ~7u));
}

/* 1 when a < b, else 0, without a branch. */
EDGE_INLINE uint64_t edge_less(uint64_t a, uint64_t b)
{
#ifdef __bpf__
	uint64_t borrow = (~a & b) | ((~a | b) & (a - b));

	EDGE_PLAIN(borrow);
	return borrow >> 63;
#else
	return a < b;
#endif
}

/* All bits set when a = b, else 0, without a branch. */
EDGE_INLINE uint64_t edge_same(uint32_t a, uint32_t b)
{
	uint64_t difference = a ^ b;

	EDGE_PLAIN(difference);
	return 0 - ((difference - 1) >> 63);
}

/* The number of the lowest bit that is set in `word`, which is not 0. */
EDGE_INLINE uint32_t edge_lowest_bit(uint64_t word)
{
#ifdef __bpf__
	word = (word & -word) - 1;
	word -= (word >> 1) & 0x5555555555555555ULL;
	word = (word & 0x3333333333333333ULL) + ((word >> 2) & 0x3333333333333333ULL);
	word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0fULL;
	return (uint32_t)((word * 0x0101010101010101ULL) >> 56);
#else
	return (uint32_t)__builtin_ctzll(word);
#endif
}

EDGE_INLINE uint32_t edge_port_class(const struct edge_policy *policy, uint32_t pages, uint16_t port)
{
	uint32_t page = edge_at16(policy, pages + (port >> EDGE_PORT_BITS) * 2u);

	return edge_at16(policy, page * 8 + (port & ((1u << EDGE_PORT_BITS) - 1)) * 2u);
}

/* The classes of a key, as the table numbers them. */
struct edge_classes {
	uint32_t source_port, destination_port;
	uint32_t source, destination;
	uint32_t protocol, traits, dscp;
};

/* How far the search for an IPv4 address goes on in one step: halving the step keeps the index at the last bound that is not
 * greater. Without a branch, since nobody could predict it. */
EDGE_INLINE uint64_t edge_step4(const struct edge_policy *policy, uint32_t bounds, uint64_t index, uint64_t step,
				uint32_t address)
{
	uint32_t bound = edge_at32(policy, bounds + (index + step) * 4);

#ifdef __bpf__
	uint64_t difference = (uint64_t)address - bound;

	EDGE_PLAIN(difference);
	return step & ((difference >> 63) - 1);
#else
	return bound <= address ? step : 0;
#endif
}

/* The classes of both IPv4 addresses. Both searches in one loop, so that neither waits for the other's loads. */
EDGE_INLINE void edge_classes4(const struct edge_policy *policy, const struct edge_key *key,
			       struct edge_classes *classes)
{
	const struct edge_side *source = &policy->head.source, *destination = &policy->head.destination;
	uint32_t from = (uint32_t)key->source[0], to = (uint32_t)key->destination[0];
	uint64_t source_step = source->count4 >> 1, destination_step = destination->count4 >> 1;
	uint64_t source_index = 0, destination_index = 0;
	uint32_t i;

	for (i = 0; i < EDGE_SEARCH_STEPS; i++) {
		if (!(source_step | destination_step))
			break;
		source_index += edge_step4(policy, source->bounds4, source_index, source_step, from);
		destination_index += edge_step4(policy, destination->bounds4, destination_index, destination_step, to);
		source_step >>= 1;
		destination_step >>= 1;
	}
	classes->source = edge_at16(policy, source->classes4 + source_index * 2);
	classes->destination = edge_at16(policy, destination->classes4 + destination_index * 2);
}

/* The class of an IPv6 address. */
EDGE_INLINE uint32_t edge_class6(const struct edge_policy *policy, const struct edge_side *side, const uint64_t *address)
{
	uint64_t index = 0;
	uint64_t step = side->count6 >> 1;
	uint32_t i;

	for (i = 0; i < EDGE_SEARCH_STEPS; i++) {
		uint64_t at, high, less;

		if (!step)
			break;
		at = side->bounds6 + (index + step) * 16;
		high = edge_at64(policy, at);
		less = edge_less(address[0], high);
		/* equal in the upper half: neither is less; no branch, which would double the verifier's work */
		less |= ((edge_less(high, address[0]) | less) ^ 1) & edge_less(address[1], edge_at64(policy, at + 8));
		index += step & (less - 1);
		step >>= 1;
	}
	return edge_at16(policy, side->classes6 + index * 2);
}

EDGE_INLINE void edge_classes_of(const struct edge_policy *policy, const struct edge_key *key,
				 struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;

	classes->source_port = edge_port_class(policy, head->source_ports, key->source_port);
	classes->destination_port = edge_port_class(policy, head->destination_ports, key->destination_port);
	classes->protocol = edge_at16(policy, head->protocols + key->protocol * 2u);
	classes->traits = edge_at16(policy, head->traits + (key->flags & 7u) * 2);
	classes->dscp = edge_at16(policy, head->dscps + (key->traffic_class >> 2) * 2u);
	if (key->flags & EDGE_KEY_IP4) {
		edge_classes4(policy, key, classes);
	} else {
		classes->source = edge_class6(policy, &head->source, key->source);
		classes->destination = edge_class6(policy, &head->destination, key->destination);
	}
}

/* The class of ports, protocol, traits and DSCP together. */
EDGE_INLINE uint32_t edge_half(const struct edge_policy *policy, const struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;
	uint32_t ports = edge_at16(policy, head->product_ports + (classes->source_port + classes->destination_port) * 2);
	uint32_t meta = edge_at16(policy, head->product_meta + (classes->protocol + classes->traits + classes->dscp) * 2);

	return edge_at16(policy, head->product_half + (ports + meta) * 2);
}

EDGE_INLINE uint32_t edge_match_product(const struct edge_policy *policy, const struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;
	uint32_t addresses = edge_at16(policy, head->product_addresses + (classes->source + classes->destination) * 2);
	uint64_t half = edge_half(policy, classes);

	return edge_at16(policy, head->product_outcome + (half * head->half_stride + addresses) * 2);
}

/* The number of the rows that ask for a source and a destination and get them from these classes. */
EDGE_INLINE uint32_t edge_pair(const struct edge_policy *policy, const struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;
	uint32_t shift = head->pair_shift & 31;
	uint32_t number = classes->source * head->destination_stride + classes->destination;
	uint64_t one = head->pairs + (uint64_t)(number * EDGE_HASH_1 >> shift) * 8;
	uint64_t other = head->pairs + (uint64_t)(number * EDGE_HASH_2 >> shift) * 8;
	uint32_t at_one = edge_at32(policy, one + 4) & (uint32_t)edge_same(edge_at32(policy, one), number);
	uint32_t at_other = edge_at32(policy, other + 4) & (uint32_t)edge_same(edge_at32(policy, other), number);

	return at_one | at_other;
}

/* The lower of two numbers below 2^31, without a branch. */
EDGE_INLINE uint32_t edge_lowest(uint32_t a, uint32_t b)
{
	uint32_t difference = a - b;

	EDGE_PLAIN(difference);
	return b ^ ((a ^ b) & (0 - (difference >> 31)));
}

EDGE_INLINE uint32_t edge_match_lowest(const struct edge_policy *policy, const struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;
	uint64_t half = edge_half(policy, classes);
	uint32_t by_source = edge_at16(policy, head->lowest[0] + (half * head->source_stride + classes->source) * 2);
	uint32_t by_destination =
		edge_at16(policy, head->lowest[1] + (half * head->destination_stride + classes->destination) * 2);
	uint32_t outcome = edge_lowest(by_source, by_destination);

	if (head->pair_shift)
		outcome = edge_lowest(outcome, edge_at16(policy, head->lowest[2] +
							(half * head->both_stride + edge_pair(policy, classes)) * 2));
	/* EDGE_NONE becomes 0. */
	return outcome & (0 - (((outcome ^ EDGE_NONE) + 0xffff) >> 16));
}

EDGE_INLINE uint32_t edge_match_vectors(const struct edge_policy *policy, const struct edge_classes *classes)
{
	const struct edge_policy_head *head = &policy->head;
	uint64_t size = head->vector_octets;
	uint64_t meta = head->vectors[0] +
		     size * edge_at16(policy, head->product_meta + (classes->protocol + classes->traits) * 2);
	uint64_t dscp = head->vectors[1] + size * classes->dscp;
	uint64_t source_port = head->vectors[2] + size * classes->source_port;
	uint64_t destination_port = head->vectors[3] + size * classes->destination_port;
	uint64_t source = head->vectors[4] + size * classes->source;
	uint64_t destination = head->vectors[5] + size * classes->destination;
	uint64_t summary = edge_at64(policy, meta) & edge_at64(policy, dscp) & edge_at64(policy, source_port) &
			edge_at64(policy, destination_port) & edge_at64(policy, source) & edge_at64(policy, destination);
	uint32_t i;

	for (i = 0; i < EDGE_WORDS_MAX; i++) {
		uint64_t at, rows;

		if (!summary)
			break;
		at = 8 + edge_lowest_bit(summary) * 8;
		rows = edge_at64(policy, meta + at) & edge_at64(policy, dscp + at) & edge_at64(policy, source_port + at) &
		       edge_at64(policy, destination_port + at) & edge_at64(policy, source + at) &
		       edge_at64(policy, destination + at);
		if (rows)
			return edge_at16(policy, head->row_outcomes + ((at - 8) * 8 + edge_lowest_bit(rows)) * 2);
		summary &= summary - 1;
	}
	return 0;
}

/* The verdict of an outcome, as the packet of `key` gets it. */
EDGE_INLINE void edge_decide(const struct edge_policy *policy, const struct edge_key *key, uint32_t outcome,
			     struct edge_verdict *verdict)
{
	union {
		uint64_t whole;
		struct edge_verdict parts;
	} stored;
	uint8_t dscp = key->traffic_class >> 2;

	stored.whole = edge_at64(policy, policy->head.verdicts + outcome * 8);
	verdict->rule = stored.parts.rule;
	verdict->class_id = stored.parts.class_id;
	verdict->queue = stored.parts.queue;
	verdict->policer = stored.parts.policer;
	verdict->dscp = dscp;
	verdict->flags = 0;
	if (!(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6)))
		return;
	verdict->flags = EDGE_VERDICT_IP;
	if (stored.parts.dscp != EDGE_DSCP_KEEP && stored.parts.dscp != dscp) {
		verdict->dscp = stored.parts.dscp;
		verdict->flags = EDGE_VERDICT_IP | EDGE_VERDICT_REMARK;
	}
}

/* The outcome of a parsed packet by the structure that the table was compiled to; 0 when no rule matches. */
EDGE_INLINE uint32_t edge_outcome(const struct edge_policy *policy, const struct edge_key *key)
{
	struct edge_classes classes;

	if (!(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6)))
		return 0;
	edge_classes_of(policy, key, &classes);
	if (policy->head.structure == EDGE_BY_VECTORS)
		return edge_match_vectors(policy, &classes);
	if (policy->head.structure == EDGE_BY_LOWEST)
		return edge_match_lowest(policy, &classes);
	return edge_match_product(policy, &classes);
}

/* Judge a parsed packet. Returns the outcome: an index into counters, 0 for "no rule". */
EDGE_INLINE uint32_t edge_match(const struct edge_policy *policy, const struct edge_key *key, struct edge_verdict *verdict)
{
	uint32_t outcome = edge_outcome(policy, key);

	edge_decide(policy, key, outcome, verdict);
	return outcome;
}

/* The first words of an IP header with another DSCP; ECN stays. RFC 1624 equation 3 for IPv4. */
EDGE_INLINE uint16_t edge_checksum_update(uint16_t checksum, uint16_t before, uint16_t after)
{
	uint32_t sum = (uint16_t)~checksum + (uint32_t)(uint16_t)~before + after;

	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

/* Write `dscp` into the IP header at `l3`, of the family that `flags` of the key says. Changes octet 1 and the checksum
 * of IPv4, octets 0 and 1 of IPv6. Does nothing when the header is not whole. Returns 1 when it wrote. */
EDGE_INLINE int edge_rewrite(uint8_t *l3, const uint8_t *end, uint16_t flags, uint8_t dscp)
{
	uint16_t before, after;

	if (flags & EDGE_KEY_IP4) {
		if (EDGE_SHORT(l3, 20, end))
			return 0;
		before = EDGE_LD16(l3);
		after = before;
		((uint8_t *)&after)[1] = (uint8_t)(dscp << 2 | (((uint8_t *)&before)[1] & 3));
		EDGE_ST16(l3, after);
		EDGE_ST16(l3 + 10, edge_checksum_update(EDGE_LD16(l3 + 10), before, after));
		return 1;
	}
	if (flags & EDGE_KEY_IP6) {
		if (EDGE_SHORT(l3, 2, end))
			return 0;
		before = EDGE_NET16(EDGE_LD16(l3));
		EDGE_ST16(l3, EDGE_NET16((uint16_t)((before & 0xf03f) | (uint16_t)dscp << 6)));
		return 1;
	}
	return 0;
}

#ifndef __bpf__ /* rows may hold any number of prefixes, which no verifier would follow */
EDGE_INLINE int edge_in_prefixes(const struct edge_policy *policy, uint32_t offset, uint32_t count, const uint64_t *address,
				 uint32_t family)
{
	uint32_t i;

	for (i = 0; i < count; i++) {
		uint64_t at = offset + (uint64_t)i * sizeof(struct edge_prefix);

		if (edge_at32(policy, at + 32) == family &&
		    (address[0] & edge_at64(policy, at + 16)) == edge_at64(policy, at) &&
		    (address[1] & edge_at64(policy, at + 24)) == edge_at64(policy, at + 8))
			return 1;
	}
	return 0;
}

/* The reference: row after row. The same outcome as edge_outcome. User space only. */
static inline uint32_t edge_outcome_linear(const struct edge_policy *policy, const struct edge_key *key)
{
	uint32_t family = key->flags & EDGE_KEY_IP4 ? 4 : 6;
	uint32_t i;

	if (!(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6)))
		return 0;
	for (i = 0; i < policy->head.rows; i++) {
		const struct edge_row *row =
			(const struct edge_row *)((const uint8_t *)policy +
						  ((policy->head.list + i * sizeof(*row)) & EDGE_POLICY_MASK & ~7u));

		if (!(row->protocols[key->protocol >> 6] >> (key->protocol & 63) & 1) ||
		    !(row->dscps >> (key->traffic_class >> 2) & 1))
			continue;
		if ((row->tests & EDGE_ROW_PORTS) &&
		    (!(key->flags & EDGE_KEY_PORTS) || key->source_port < row->source_port[0] ||
		     key->source_port > row->source_port[1] || key->destination_port < row->destination_port[0] ||
		     key->destination_port > row->destination_port[1]))
			continue;
		if ((row->tests & EDGE_ROW_STUN) && !(key->flags & EDGE_KEY_STUN))
			continue;
		if ((row->tests & EDGE_ROW_RTP) && !(key->flags & EDGE_KEY_RTP))
			continue;
		if ((row->tests & EDGE_ROW_SOURCE) &&
		    !edge_in_prefixes(policy, row->source, row->source_count, key->source, family))
			continue;
		if ((row->tests & EDGE_ROW_DESTINATION) &&
		    !edge_in_prefixes(policy, row->destination, row->destination_count, key->destination, family))
			continue;
		return row->outcome;
	}
	return 0;
}

EDGE_INLINE uint32_t edge_match_linear(const struct edge_policy *policy, const struct edge_key *key,
				    struct edge_verdict *verdict)
{
	uint32_t outcome = edge_outcome_linear(policy, key);

	edge_decide(policy, key, outcome, verdict);
	return outcome;
}
#endif

#endif
