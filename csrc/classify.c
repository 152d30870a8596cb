#include "lanes.h"
#include "linear.h"

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

EDGE_INLINE void tell(const struct edge_key *key, struct edge_judged *judged)
{
	judged->l3 = (uint16_t)key->l3;
	judged->traffic_class = key->traffic_class;
	judged->family = (uint8_t)(key->flags & (EDGE_KEY_IP4 | EDGE_KEY_IP6));
}

/* edge_outcome, and the rest that a lane must tell. */
EDGE_INLINE void judge_key(const struct edge_policy *policy, const uint8_t *data, uint32_t length,
			   struct edge_key *key, struct edge_judged *judged)
{
	if (policy->head.hints)
		edge_hint(data, data + length, key);
	judged->outcome = edge_outcome(policy, key);
	tell(key, judged);
}

static __attribute__((noinline)) void judge_any(const struct edge_policy *policy, const uint8_t *data, uint32_t length,
						struct edge_judged *judged)
{
	struct edge_key key;

	edge_parse(data, data + length, &key);
	judge_key(policy, data, length, &key, judged);
}

void edge_lane_scalar(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
		      const uint32_t *lengths, size_t n, size_t known, struct edge_judged *judged,
		      struct edge_verdict *verdicts)
{
	for (size_t i = 0; i < n; i++) {
		const uint8_t *data = base + offsets[i];
		struct edge_judged said;
		struct edge_key key;

		if (i + EDGE_AHEAD < known)
			__builtin_prefetch(base + offsets[i + EDGE_AHEAD]);
		if (edge_parse_plain(data, data + lengths[i], &key))
			judge_key(policy, data, lengths[i], &key, &said);
		else
			judge_any(policy, data, lengths[i], &said);
		edge_decided(policy, &said, &verdicts[i]);
		if (judged)
			judged[i] = said;
	}
}

static void lane_linear(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
			const uint32_t *lengths, size_t n, size_t known, struct edge_judged *judged,
			struct edge_verdict *verdicts)
{
	(void)known;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *data = base + offsets[i];
		struct edge_judged said;
		struct edge_key key;

		edge_parse(data, data + lengths[i], &key);
		edge_hint(data, data + lengths[i], &key);
		said.outcome = edge_outcome_linear(policy, &key);
		tell(&key, &said);
		edge_decided(policy, &said, &verdicts[i]);
		if (judged)
			judged[i] = said;
	}
}

static edge_lane_function *lane_function(int lane)
{
	switch (lane) {
	case EDGE_LANE_LINEAR:
		return lane_linear;
	case EDGE_LANE_SCALAR:
		return edge_lane_scalar;
#ifdef __x86_64__
	case EDGE_LANE_AVX2:
	case EDGE_LANE_BEST:
		if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi") && __builtin_cpu_supports("bmi2") &&
		    __builtin_cpu_supports("popcnt"))
			return edge_lane_avx2;
#endif
	}
	return lane == EDGE_LANE_BEST ? edge_lane_scalar : NULL;
}

int edge_lane_available(int lane)
{
	return lane_function(lane) != NULL;
}

size_t edge_policy_size(void)
{
	return sizeof(struct edge_policy);
}

int edge_policy_check(const struct edge_policy *policy)
{
	const struct edge_policy_head *head = &policy->head;

	if (head->magic != EDGE_POLICY_MAGIC || head->octets > EDGE_POLICY_SIZE || head->rows > EDGE_ROWS_MAX)
		return -1;
	if (head->structure < EDGE_BY_PRODUCT || head->structure > EDGE_BY_LOWEST)
		return -1;
	if ((head->list | head->lane4 | head->lane6 | head->filter4 | head->filter6) & 7)
		return -1;
	if (!head->source.count4 || !head->destination.count4)
		return -1;
	if (head->lane4_rows > EDGE_LANE_ROWS || head->lane6_rows > EDGE_LANE_ROWS)
		return -1;
	if (head->list + (uint64_t)head->rows * sizeof(struct edge_row) > EDGE_POLICY_SIZE ||
	    head->lane4 + (uint64_t)head->lane4_rows * sizeof(struct edge_lane4) > EDGE_POLICY_SIZE ||
	    head->lane6 + (uint64_t)head->lane6_rows * sizeof(struct edge_lane6) > EDGE_POLICY_SIZE ||
	    head->filter4 + (uint64_t)sizeof(struct edge_filter) > EDGE_POLICY_SIZE ||
	    head->filter6 + (uint64_t)sizeof(struct edge_filter) > EDGE_POLICY_SIZE)
		return -1;
	return 0;
}

size_t edge_batch_outside(size_t size, const uint64_t *offsets, const uint32_t *lengths, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (EDGE_UNLIKELY(offsets[i] > size || lengths[i] > size - offsets[i]))
			return i;
	return n;
}

int edge_classify_batch(const struct edge_policy *policy, const uint8_t *base, const uint64_t *offsets,
			const uint32_t *lengths, size_t n, struct edge_verdict *verdicts, int lane)
{
	edge_lane_function *judge = lane_function(lane);

	if (!judge)
		return -1;
	for (size_t done = 0; done < n; done += EDGE_CHUNK)
		judge(policy, base, offsets + done, lengths + done, n - done < EDGE_CHUNK ? n - done : EDGE_CHUNK, n - done,
		      NULL, verdicts + done);
	return 0;
}

long edge_mark_batch(const struct edge_policy *policy, uint8_t *base, const uint64_t *offsets, const uint32_t *lengths,
		     size_t n, struct edge_verdict *verdicts, struct edge_count *counts, int lane)
{
	edge_lane_function *judge = lane_function(lane);
	struct edge_judged judged[EDGE_CHUNK];
	struct edge_verdict room[EDGE_CHUNK];
	uint32_t outcomes_end = policy->head.rules;
	long changed = 0;

	if (!judge)
		return -1;
	for (size_t done = 0; done < n; done += EDGE_CHUNK) {
		size_t count = n - done < EDGE_CHUNK ? n - done : EDGE_CHUNK;
		struct edge_verdict *decided = verdicts ? verdicts + done : room;

		judge(policy, base, offsets + done, lengths + done, count, n - done, judged, decided);
		for (size_t i = 0; i < count; i++) {
			int remark = decided[i].flags & EDGE_VERDICT_REMARK ? 1 : 0;

			if (remark) {
				uint8_t *l3 = base + offsets[done + i] + judged[i].l3;

				/* The lane has seen the whole header. */
				edge_rewrite(l3, l3 + 20, judged[i].family, decided[i].dscp);
			}
			changed += remark;
			if (counts && judged[i].outcome <= outcomes_end) {
				struct edge_count *at = &counts[judged[i].outcome];

				at->packets++;
				at->bytes += lengths[done + i];
				at->remarked += (uint64_t)remark;
			}
		}
	}
	return changed;
}

uint32_t edge_classify_from(const struct edge_policy *policy, const uint8_t *data, size_t length, uint32_t offset,
			    uint16_t ethertype, uint32_t tags, struct edge_key *key, struct edge_verdict *verdict)
{
	edge_parse_from(data, data + length, offset, ethertype, tags, key);
	edge_hint(data, data + length, key);
	return edge_match(policy, key, verdict);
}

const char *edge_classify_sources(void)
{
	return EDGE_SOURCES;
}
