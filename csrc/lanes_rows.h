/* Few rows: each is compared with the columns of many packets, from the last row to the first, so that the first that
 * matches stays. Rows that ask the same of protocol, DSCP and "has ports" stand together mostly: that test is made once.
 */
#ifndef EDGE_LANES_ROWS_H
#define EDGE_LANES_ROWS_H

#include "lanes_vector.h"

/* Which packets have both ports in the ranges: first <= port <= first + span, for two 16-bit numbers at once. */
AVX2_INLINE __m256i in_ports(__m256i ports, uint32_t first, uint32_t span)
{
	__m256i beyond = _mm256_subs_epu16(_mm256_sub_epi16(ports, all(first)), all(span));

	return _mm256_cmpeq_epi32(beyond, _mm256_setzero_si256());
}

AVX2_INLINE __m256i masked_is(__m256i x, uint32_t mask, uint32_t value)
{
	return is(_mm256_and_si256(x, all(mask)), value);
}

AVX2_INLINE void match_rows4(const struct edge_policy *policy, const struct columns columns[PARTS],
			     __m256i outcome[PARTS])
{
	const struct edge_lane4 *rows = (const struct edge_lane4 *)((const uint8_t *)policy + policy->head.lane4);
	__m256i kind[PARTS], match[PARTS];

	EACH_PART(k) outcome[k] = kind[k] = _mm256_setzero_si256();
	for (uint32_t i = policy->head.lane4_rows; i-- > 0;) {
		const struct edge_lane4 *row = &rows[i];

		if (!(row->tests & EDGE_LANE_SAME_META))
			EACH_PART(k) kind[k] = masked_is(columns[k].meta, row->meta_mask, row->meta);
		EACH_PART(k) match[k] = _mm256_and_si256(kind[k], in_ports(columns[k].ports, row->ports, row->span));
		if (row->tests & (EDGE_LANE_SOURCE | EDGE_LANE_DESTINATION))
			EACH_PART(k) {
				__m256i from = masked_is(columns[k].source[0], row->source_mask, row->source);
				__m256i to = masked_is(columns[k].destination[0], row->destination_mask, row->destination);

				match[k] = _mm256_and_si256(match[k], _mm256_and_si256(from, to));
			}
		EACH_PART(k) outcome[k] = _mm256_blendv_epi8(outcome[k], all(row->outcome), match[k]);
	}
}

AVX2_INLINE __m256i in_prefix6(const __m256i address[4], const uint32_t prefix[4], const uint32_t mask[4])
{
	__m256i match = masked_is(address[0], mask[0], prefix[0]);

	for (int i = 1; i < 4 && mask[i]; i++)
		match = _mm256_and_si256(match, masked_is(address[i], mask[i], prefix[i]));
	return match;
}

AVX2_INLINE void match_rows6(const struct edge_policy *policy, const struct columns columns[PARTS],
			     __m256i outcome[PARTS])
{
	const struct edge_lane6 *rows = (const struct edge_lane6 *)((const uint8_t *)policy + policy->head.lane6);
	__m256i kind[PARTS], match[PARTS];

	EACH_PART(k) outcome[k] = kind[k] = _mm256_setzero_si256();
	for (uint32_t i = policy->head.lane6_rows; i-- > 0;) {
		const struct edge_lane6 *row = &rows[i];

		if (!(row->tests & EDGE_LANE_SAME_META))
			EACH_PART(k) kind[k] = masked_is(columns[k].meta, row->meta_mask, row->meta);
		EACH_PART(k) match[k] = _mm256_and_si256(kind[k], in_ports(columns[k].ports, row->ports, row->span));
		if (row->tests & EDGE_LANE_SOURCE)
			EACH_PART(k) match[k] = _mm256_and_si256(
				match[k], in_prefix6(columns[k].source, row->source, row->source_mask));
		if (row->tests & EDGE_LANE_DESTINATION)
			EACH_PART(k) match[k] = _mm256_and_si256(
				match[k], in_prefix6(columns[k].destination, row->destination, row->destination_mask));
		EACH_PART(k) outcome[k] = _mm256_blendv_epi8(outcome[k], all(row->outcome), match[k]);
	}
}

AVX2_INLINE __m256i bit_of(const uint8_t *bits, __m256i number)
{
	__m256i octet = _mm256_srli_epi32(number, 3);
	__m256i words = _mm256_i32gather_epi32((const int *)(const void *)bits, _mm256_andnot_si256(all(3), octet), 1);

	return _mm256_sllv_epi32(words, _mm256_andnot_si256(number, all(31)));
}

/* One bit for each packet that edge_filter names. `words`: of an address. */
AVX2_INLINE unsigned int filtered(const struct edge_policy *policy, uint32_t offset, const struct columns *columns, uint32_t words)
{
	const struct edge_filter *filter = (const struct edge_filter *)((const uint8_t *)policy + offset);
	uint32_t word = filter->window / 2 % words;
	__m128i shift = _mm_cvtsi32_si128(filter->window & 1 ? 0 : 16);
	__m256i from = _mm256_srl_epi32(swap32(columns->source[word]), shift);
	__m256i to = _mm256_srl_epi32(swap32(columns->destination[word]), shift);

	return bits_of(_mm256_or_si256(bit_of(filter->source, _mm256_and_si256(from, all(0xffff))),
				       bit_of(filter->destination, _mm256_and_si256(to, all(0xffff)))));
}

#endif
