/* From outcomes to what the AVX2 lane says of eight packets. */
#ifndef EDGE_LANES_VERDICTS_H
#define EDGE_LANES_VERDICTS_H

#include "lanes_vector.h"

/* The verdicts of a table, in halves of 32 bits: class, queue and rule; DSCP, flags and policer. Those of the first
 * sixteen outcomes are in registers, and mostly these are all. */
struct verdicts {
	__m256i low[2], high[2];
	int few; /* no outcome is beyond the sixteenth */
};

/* Eight numbers of 64 bits in halves of 32. */
AVX2_INLINE void halve(__m256i first, __m256i second, __m256i *low, __m256i *high)
{
	__m256 a = _mm256_castsi256_ps(first), b = _mm256_castsi256_ps(second);

	*low = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0x88)), 0xd8);
	*high = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, 0xdd)), 0xd8);
}

AVX2_INLINE void open_verdicts(const struct edge_policy *policy, struct verdicts *out)
{
	uint32_t offset = policy->head.verdicts & EDGE_POLICY_MASK & ~7u;
	const uint8_t *stored = (const uint8_t *)policy + offset;

	out->few = policy->head.rules < 16 && offset <= EDGE_POLICY_SIZE - 16 * sizeof(struct edge_verdict);
	for (int k = 0; k < 2 && out->few; k++)
		halve(_mm256_loadu_si256((const __m256i *)(stored + k * 64)),
		      _mm256_loadu_si256((const __m256i *)(stored + k * 64 + 32)), &out->low[k], &out->high[k]);
}

AVX2_INLINE __m256i pick(const __m256i of[2], __m256i outcome)
{
	__m256 below = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(of[0], outcome));
	__m256 above = _mm256_castsi256_ps(_mm256_permutevar8x32_epi32(of[1], outcome));

	return _mm256_castps_si256(_mm256_blendv_ps(below, above, _mm256_castsi256_ps(_mm256_slli_epi32(outcome, 28))));
}

AVX2_INLINE void look_up_verdicts(const struct edge_policy *policy, const struct verdicts *verdicts, __m256i outcome,
				  __m256i *low, __m256i *high)
{
	struct eight of;

	if (verdicts->few) {
		*low = pick(verdicts->low, outcome);
		*high = pick(verdicts->high, outcome);
		return;
	}
	keep(&of, outcome);
#define STORED(i) ((long long)edge_at64(policy, policy->head.verdicts + (uint64_t)of.of[i] * 8))
	halve(_mm256_set_epi64x(STORED(3), STORED(2), STORED(1), STORED(0)),
	      _mm256_set_epi64x(STORED(7), STORED(6), STORED(5), STORED(4)), low, high);
#undef STORED
}

/* Eight numbers of 64 bits, from halves of 32. */
AVX2_INLINE void store_pairs(__m256i low, __m256i high, void *to)
{
	__m256i first = _mm256_unpacklo_epi32(low, high), second = _mm256_unpackhi_epi32(low, high);

	_mm256_storeu_si256((__m256i *)to, _mm256_permute2x128_si256(first, second, 0x20));
	_mm256_storeu_si256((__m256i *)to + 1, _mm256_permute2x128_si256(first, second, 0x31));
}

/* edge_decided, and what a lane says besides, for eight packets that are IP of one family. */
AVX2_INLINE void conclude(const struct edge_policy *policy, const struct verdicts *verdicts, __m256i outcome,
			  __m256i traffic_class, __m256i offset, uint32_t family, struct edge_judged *judged,
			  struct edge_verdict *decided)
{
	__m256i came = _mm256_srli_epi32(traffic_class, 2);
	__m256i low, high, wanted, leaves, flags;

	/* After the outcome: offset | traffic class << 16 | family << 24 */
	if (judged)
		store_pairs(outcome,
			    _mm256_or_si256(_mm256_or_si256(offset, _mm256_slli_epi32(traffic_class, 16)),
					    all(family << 24)),
			    judged);
	look_up_verdicts(policy, verdicts, outcome, &low, &high);
	wanted = _mm256_and_si256(high, all(0xff));
	leaves = _mm256_blendv_epi8(wanted, came, is(wanted, EDGE_DSCP_KEEP));
	flags = _mm256_andnot_si256(_mm256_cmpeq_epi32(leaves, came), all(EDGE_VERDICT_REMARK << 8));
	high = _mm256_or_si256(_mm256_and_si256(high, all(0xffff0000)), all(EDGE_VERDICT_IP << 8));
	store_pairs(low, _mm256_or_si256(_mm256_or_si256(high, flags), leaves), decided);
}

#endif
