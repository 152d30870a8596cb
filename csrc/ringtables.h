/* The engine's tables, in memory that the process which started it reads. Pure.
 *
 * Rules are found by open addressing with linear probing; a deletion moves up what follows, so that there are
 * no graves. Ports are numbered by who started the engine: a number is a place. Unknown stacks lie in sets of
 * EDGE_RING_WAYS, in which the one that was seen longest ago gives way.
 *
 * Invariants: at most half of the places for rules are used, so every search ends. One writer; a reader
 * looks while no command is under way, and for it counters may be one frame old.
 */
#ifndef EDGE_RINGTABLES_H
#define EDGE_RINGTABLES_H

#include <string.h>

#include "ring.h"

#define EDGE_RING_WAYS 4

struct edge_ring_rule {
	struct edge_rule_key key; /* ifindex 0: a free place */
	struct edge_rule rule;
};

struct edge_ring_shared_port {
	uint32_t used;
	uint32_t subinterface; /* `entry` is set: what the device sends goes that way, rules do not matter */
	struct edge_subinterface entry;
	struct edge_stats dropped; /* frames that no rule names */
	struct edge_ring_port_stats stats;
};

struct edge_ring_slot {
	struct edge_stats stats;
	struct edge_policer policer; /* of a slot whose rule has a rate, or that such rules share */
};

struct edge_ring_stranger {
	struct edge_rule_key key; /* ifindex 0: a free place */
	uint32_t pad;
	uint64_t packets;
	uint64_t seen_ns;
};

struct edge_ring_shared_tree {
	uint32_t used;
	struct edge_ring_tree set;
	struct edge_schedule schedule; /* its memory is the engine's */
};

struct edge_ring_shared_impairment {
	uint32_t used;
	struct edge_impair impair;
};

struct edge_ring_shared {
	uint32_t rules_used;
	uint32_t pad;
	struct edge_ring_rule rules[EDGE_RING_RULES];
	struct edge_ring_shared_port ports[EDGE_RING_PORTS]; /* [0] is nobody's */
	struct edge_ring_slot slots[EDGE_RING_SLOTS];
	struct edge_ring_stranger unknown[EDGE_RING_UNKNOWN];
	struct edge_marked marked[EDGE_MARK_COUNTERS_MAX];
	struct edge_ring_shared_tree trees[EDGE_RING_PLACES];
	struct edge_ring_shared_impairment impairments[EDGE_RING_PLACES];
};

static inline uint32_t edge_ring_hash(const struct edge_rule_key *key)
{
	uint64_t tags = (uint64_t)key->outer.tpid << 48 | (uint64_t)key->outer.vid << 32 |
			(uint64_t)key->inner.tpid << 16 | key->inner.vid;
	uint64_t value = (tags + key->ifindex * 0xd6e8feb86659fd93ULL) * 0x9e3779b97f4a7c15ULL;

	return (uint32_t)((value ^ value >> 32) * 0x9e3779b97f4a7c15ULL >> 40);
}

static inline int edge_ring_same(const struct edge_rule_key *a, const struct edge_rule_key *b)
{
	return a->ifindex == b->ifindex && a->outer.tpid == b->outer.tpid && a->outer.vid == b->outer.vid &&
	       a->inner.tpid == b->inner.tpid && a->inner.vid == b->inner.vid;
}

/* The place of the rule with this key, or the free one where it belongs. */
static inline struct edge_ring_rule *edge_ring_find(struct edge_ring_rule *table, const struct edge_rule_key *key)
{
	uint32_t at = edge_ring_hash(key) & (EDGE_RING_RULES - 1);

	while (table[at].key.ifindex && !edge_ring_same(&table[at].key, key))
		at = (at + 1) & (EDGE_RING_RULES - 1);
	return &table[at];
}

/* Make a place free, and move up those that were displaced by it. */
static inline void edge_ring_vacate(struct edge_ring_rule *table, struct edge_ring_rule *gone)
{
	uint32_t mask = EDGE_RING_RULES - 1, hole = (uint32_t)(gone - table), at = hole;

	for (at = (at + 1) & mask; table[at].key.ifindex; at = (at + 1) & mask) {
		uint32_t home = edge_ring_hash(&table[at].key) & mask;

		if (((at - home) & mask) >= ((at - hole) & mask)) {
			table[hole] = table[at];
			hole = at;
		}
	}
	memset(&table[hole], 0, sizeof(table[hole]));
}

/* The rule for a frame with these tags: the most specific whose depth agrees, or none. */
static inline const struct edge_rule *edge_ring_match(struct edge_ring_shared *shared, const struct edge_rule_key *key,
						      uint32_t depth)
{
	struct edge_rule_key shorter = *key;

	for (int tags = depth > 1 ? 2 : (int)depth; tags >= 0; tags--) {
		const struct edge_ring_rule *found;

		if (tags < 2)
			shorter.inner = (struct edge_tag){0, 0};
		if (tags < 1)
			shorter.outer = (struct edge_tag){0, 0};
		found = edge_ring_find(shared->rules, &shorter);
		if (found->key.ifindex && (found->rule.depth == EDGE_DEPTH_ANY || found->rule.depth == depth))
			return &found->rule;
	}
	return 0;
}

/* Remember tags that nobody waits for. */
static inline void edge_ring_remember(struct edge_ring_shared *shared, const struct edge_rule_key *key,
				      uint32_t packets, uint64_t now_ns)
{
	uint32_t sets = EDGE_RING_UNKNOWN / EDGE_RING_WAYS;
	struct edge_ring_stranger *set = &shared->unknown[(edge_ring_hash(key) & (sets - 1)) * EDGE_RING_WAYS];
	struct edge_ring_stranger *oldest = set;

	for (int way = 0; way < EDGE_RING_WAYS; way++) {
		if (set[way].key.ifindex && edge_ring_same(&set[way].key, key)) {
			set[way].packets += packets;
			set[way].seen_ns = now_ns;
			return;
		}
		if (oldest->key.ifindex && (!set[way].key.ifindex || set[way].seen_ns < oldest->seen_ns))
			oldest = &set[way];
	}
	*oldest = (struct edge_ring_stranger){.key = *key, .packets = packets, .seen_ns = now_ns};
}

#endif
