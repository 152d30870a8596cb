/* The packet core: octets and a table in, verdict out. Header only; the same text for user space and BPF.
 *
 *	struct edge_key key;			// in BPF: the value of a per-CPU array map, never the stack
 *	struct edge_verdict verdict;
 *
 *	edge_parse(data, end, &key);		// parse.h
 *	if (policy->head.hints)
 *		edge_hint(data, end, &key);
 *	edge_match(policy, &key, &verdict);
 *	if (verdict.flags & EDGE_VERDICT_REMARK)
 *		edge_rewrite(data + key.l3, end, key.flags, verdict.dscp); // rewrite.h
 *
 * What a verdict means is defined by the docstring of tests/oracle.py. What is not IP matches no rule and is never
 * changed.
 *
 * Invariants. No octet outside the table is read, whatever it holds. No allocation, no state, no libc. For the
 * verifier: loops are bounded, arithmetic replaces branches in searches.
 */
#ifndef EDGE_CLASSIFY_H
#define EDGE_CLASSIFY_H

#include "parse.h"
#include "policy.h"
#include "rewrite.h"

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

#ifdef __bpf__
/* The class of an IPv4 address among few bounds: those that are not greater are counted, so that none waits for another.
 * Less code than the search, and code in the kernel is cold. */
EDGE_INLINE uint32_t edge_class_of_few(const struct edge_policy *policy, const struct edge_side *side, uint32_t address)
{
	uint32_t at = side->bounds4 & EDGE_POLICY_MASK & ~(EDGE_FEW * 4 - 1u);
	const uint32_t *bound = (const uint32_t *)((const uint8_t *)policy + at);
	uint64_t index = 0, beyond = (uint64_t)address + 1;
	uint32_t i, class;

#pragma unroll
	for (i = 1; i < EDGE_FEW; i++) {
		uint64_t difference = bound[i] - beyond;

		EDGE_PLAIN(difference);
		index += difference >> 63;
	}
	class = edge_at16(policy, side->classes4 + index * 2);
	EDGE_PLAIN(class); /* read here: beyond, the verifier would tell this index from that of the search */
	return class;
}

/* Whether both sides have EDGE_FEW bounds of IPv4 at most; without a branch, after which the verifier would know more of both. */
EDGE_INLINE int edge_few(const struct edge_policy_head *head)
{
	uint64_t more = (EDGE_FEW - (uint64_t)head->source.count4) | (EDGE_FEW - (uint64_t)head->destination.count4);

	EDGE_PLAIN(more);
	return !(more >> 63);
}
#endif

/* The classes of both IPv4 addresses. Both searches in one loop, so that neither waits for the other's loads. */
EDGE_INLINE void edge_classes4(const struct edge_policy *policy, const struct edge_key *key,
			       struct edge_classes *classes)
{
	const struct edge_side *source = &policy->head.source, *destination = &policy->head.destination;
	uint32_t from = (uint32_t)key->source[0], to = (uint32_t)key->destination[0];
	uint64_t source_step = source->count4 >> 1, destination_step = destination->count4 >> 1;
	uint64_t source_index = 0, destination_index = 0;
	uint32_t i;

#ifdef __bpf__
	if (EDGE_LIKELY(edge_few(&policy->head))) {
		classes->source = edge_class_of_few(policy, source, from);
		classes->destination = edge_class_of_few(policy, destination, to);
		return;
	}
#endif
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
	if (EDGE_LIKELY(key->flags & EDGE_KEY_IP4)) {
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
	uint32_t dscp = key->traffic_class >> 2, keep;

	stored.whole = edge_at64(policy, policy->head.verdicts + outcome * 8);
	verdict->rule = stored.parts.rule;
	verdict->class_id = stored.parts.class_id;
	verdict->queue = stored.parts.queue;
	verdict->policer = stored.parts.policer;
	verdict->dscp = (uint8_t)dscp;
	verdict->flags = 0;
	if (!(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6)))
		return;
	/* No branch: nobody could predict which packets are marked. A DSCP has six bits, EDGE_DSCP_KEEP eight. */
	keep = 0 - (uint32_t)(stored.parts.dscp >> 7);
	EDGE_PLAIN(keep);
	verdict->dscp = (uint8_t)((stored.parts.dscp & ~keep) | (dscp & keep));
	verdict->flags = (uint8_t)(EDGE_VERDICT_IP | (EDGE_VERDICT_REMARK & ~edge_same(verdict->dscp, dscp)));
}

/* The outcome of a parsed packet by the structure that the table was compiled to; 0 when no rule matches. */
EDGE_INLINE uint32_t edge_outcome(const struct edge_policy *policy, const struct edge_key *key)
{
	struct edge_classes classes;

	if (!(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6)))
		return 0;
	edge_classes_of(policy, key, &classes);
	if (EDGE_LIKELY(policy->head.structure == EDGE_BY_PRODUCT))
		return edge_match_product(policy, &classes);
	if (policy->head.structure == EDGE_BY_LOWEST)
		return edge_match_lowest(policy, &classes);
	return edge_match_vectors(policy, &classes);
}

/* Judge a parsed packet. Returns the outcome: an index into counters, 0 for "no rule". */
EDGE_INLINE uint32_t edge_match(const struct edge_policy *policy, const struct edge_key *key, struct edge_verdict *verdict)
{
	uint32_t outcome = edge_outcome(policy, key);

	edge_decide(policy, key, outcome, verdict);
	return outcome;
}

#endif
