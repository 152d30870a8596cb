/* The reference that the other matchers must agree with: row after row. User space only: rows may hold any number of
 * prefixes, which no verifier would follow.
 */
#ifndef EDGE_LINEAR_H
#define EDGE_LINEAR_H

#include "classify.h"

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
