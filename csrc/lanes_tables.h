/* Many rows: the columns of eight packets are looked up in the table's structure, eight searches side by side so that
 * their loads overlap.
 */
#ifndef EDGE_LANES_TABLES_H
#define EDGE_LANES_TABLES_H

#include "lanes_vector.h"

/* edge_classes4 of eight addresses, side by side so that their loads overlap. A node of the tree tells nine parts apart by one
 * comparison with its eight bounds; level by level lie one after the other in the table. */
static AVX2 __attribute__((noinline)) void search4(const struct edge_policy *policy, const struct edge_side *side,
							const uint32_t addresses[8], uint32_t classes[8])
{
	const uint8_t *table = (const uint8_t *)policy;
	uint32_t levels = side->levels4 <= EDGE_TREE_LEVELS ? side->levels4 : EDGE_TREE_LEVELS;
	uint32_t level_at = side->tree4;
	uint32_t last = side->count4 - 1;
	uint32_t below = 1; /* intervals that a node of the level tells apart */
	uint64_t index[8] = {0};

	for (uint32_t level = 0; level < levels; level++)
		below *= EDGE_TREE_KEYS + 1;
	for (uint32_t level = 0; level < levels; level++) {
		for (int i = 0; i < 8; i++) {
			uint64_t place = (level_at + index[i] * 32) & (EDGE_POLICY_MASK & ~31u);
			__m256i bounds = _mm256_loadu_si256((const __m256i *)(table + place));
			__m256i above = _mm256_cmpgt_epi32(bounds, all(addresses[i] ^ 0x80000000u));
			unsigned int greater = (unsigned int)_mm256_movemask_ps(_mm256_castsi256_ps(above));

			index[i] = index[i] * (EDGE_TREE_KEYS + 1) + EDGE_TREE_KEYS - (unsigned int)__builtin_popcount(greater);
		}
		level_at += (last / below + 1) * 32;
		below /= EDGE_TREE_KEYS + 1;
	}
	for (int i = 0; i < 8; i++)
		classes[i] = edge_at16(policy, side->classes4 + (index[i] < last ? index[i] : last) * 2);
}

AVX2_INLINE __m256i twice(__m256i x)
{
	return _mm256_add_epi32(x, x);
}

/* edge_at32 of eight offsets. The last two octets of the largest table cannot be had; no area ends there. */
AVX2_INLINE __m256i gather32(const struct edge_policy *policy, __m256i offset)
{
	offset = _mm256_and_si256(offset, all(EDGE_POLICY_MASK & ~1u));
	return _mm256_i32gather_epi32((const int *)(const void *)policy,
				      _mm256_min_epu32(offset, all(EDGE_POLICY_SIZE - 4)), 1);
}

/* edge_at16 of area[index], for eight indexes. */
AVX2_INLINE __m256i gather16(const struct edge_policy *policy, uint32_t area, __m256i index)
{
	return _mm256_and_si256(gather32(policy, _mm256_add_epi32(twice(index), all(area))), all(0xffff));
}

AVX2_INLINE __m256i port_classes(const struct edge_policy *policy, uint32_t pages, __m256i port)
{
	__m256i page = gather16(policy, pages, _mm256_srli_epi32(port, EDGE_PORT_BITS));
	__m256i within = _mm256_and_si256(port, all((1u << EDGE_PORT_BITS) - 1));

	return gather16(policy, 0, _mm256_add_epi32(_mm256_slli_epi32(page, 2), within));
}

/* edge_half of eight packets. */
AVX2_INLINE __m256i halves(const struct edge_policy *policy, const struct columns *columns)
{
	const struct edge_policy_head *head = &policy->head;
	__m256i meta = columns->meta;
	__m256i has_ports = _mm256_srli_epi32(meta, 16);
	__m256i ports = _mm256_and_si256(columns->ports, is(has_ports, 1));
	__m256i source = port_classes(policy, head->source_ports, _mm256_and_si256(ports, all(0xffff)));
	__m256i destination = port_classes(policy, head->destination_ports, _mm256_srli_epi32(ports, 16));
	__m256i protocol = gather16(policy, head->protocols, _mm256_and_si256(meta, all(0xff)));
	__m256i dscp = gather16(policy, head->dscps, _mm256_and_si256(_mm256_srli_epi32(meta, 8), all(0x3f)));
	uint32_t bare = edge_at16(policy, head->traits), with_ports = edge_at16(policy, head->traits + 2);
	__m256i traits = _mm256_blendv_epi8(all(bare), all(with_ports), is(has_ports, 1));

	ports = gather16(policy, head->product_ports, _mm256_add_epi32(source, destination));
	meta = gather16(policy, head->product_meta, _mm256_add_epi32(_mm256_add_epi32(protocol, dscp), traits));
	return gather16(policy, head->product_half, _mm256_add_epi32(ports, meta));
}

AVX2_INLINE __m256i cell(__m256i half, uint32_t stride, __m256i column)
{
	return _mm256_add_epi32(_mm256_mullo_epi32(half, all(stride)), column);
}

/* One of the two places of edge_pair. */
AVX2_INLINE __m256i pair_at(const struct edge_policy *policy, __m256i number, uint32_t hash)
{
	const struct edge_policy_head *head = &policy->head;
	__m256i place = _mm256_srl_epi32(_mm256_mullo_epi32(number, all(hash)),
					 _mm_cvtsi32_si128((int)(head->pair_shift & 31)));
	__m256i offset = _mm256_add_epi32(_mm256_slli_epi32(place, 3), all(head->pairs));
	__m256i same = _mm256_cmpeq_epi32(gather32(policy, offset), number);

	return _mm256_and_si256(same, gather32(policy, _mm256_add_epi32(offset, all(4))));
}

AVX2_INLINE __m256i match_lowest(const struct edge_policy *policy, const struct columns *columns, __m256i source,
				 __m256i destination)
{
	const struct edge_policy_head *head = &policy->head;
	__m256i half = halves(policy, columns);
	__m256i outcome = _mm256_min_epu32(gather16(policy, head->lowest[0], cell(half, head->source_stride, source)),
					   gather16(policy, head->lowest[1],
						    cell(half, head->destination_stride, destination)));

	if (head->pair_shift) {
		__m256i number = cell(source, head->destination_stride, destination);
		__m256i pair = _mm256_or_si256(pair_at(policy, number, EDGE_HASH_1), pair_at(policy, number, EDGE_HASH_2));

		outcome = _mm256_min_epu32(outcome,
					   gather16(policy, head->lowest[2], cell(half, head->both_stride, pair)));
	}
	return _mm256_andnot_si256(is(outcome, EDGE_NONE), outcome);
}

AVX2_INLINE __m256i match_product(const struct edge_policy *policy, const struct columns *columns, __m256i source,
				  __m256i destination)
{
	const struct edge_policy_head *head = &policy->head;
	__m256i addresses = gather16(policy, head->product_addresses, _mm256_add_epi32(source, destination));

	return gather16(policy, head->product_outcome, cell(halves(policy, columns), head->half_stride, addresses));
}

/* The vectors of a packet are read one by one: they are long. */
AVX2_INLINE __m256i match_vectors(const struct edge_policy *policy, const struct columns *columns,
				  const struct eight *source, const struct eight *destination)
{
	const struct edge_policy_head *head = &policy->head;
	struct eight ports, meta, outcomes;

	keep(&ports, columns->ports);
	keep(&meta, columns->meta);
	for (int i = 0; i < 8; i++) {
		uint32_t has_ports = meta.of[i] >> 16;
		uint32_t pair = ports.of[i] & (0 - has_ports);
		struct edge_classes classes;

		classes.source_port = edge_port_class(policy, head->source_ports, (uint16_t)pair);
		classes.destination_port = edge_port_class(policy, head->destination_ports, (uint16_t)(pair >> 16));
		classes.protocol = edge_at16(policy, head->protocols + (meta.of[i] & 255) * 2);
		classes.traits = edge_at16(policy, head->traits + has_ports * 2);
		classes.dscp = edge_at16(policy, head->dscps + (meta.of[i] >> 8 & 63) * 2);
		classes.source = source->of[i];
		classes.destination = destination->of[i];
		outcomes.of[i] = edge_match_vectors(policy, &classes);
	}
	return fetch(&outcomes);
}

/* The table's structure for eight packets whose address classes are known. */
AVX2_INLINE __m256i look_up(const struct edge_policy *policy, const struct columns *columns, const struct eight *source,
			    const struct eight *destination)
{
	if (policy->head.structure == EDGE_BY_LOWEST)
		return match_lowest(policy, columns, fetch(source), fetch(destination));
	if (policy->head.structure == EDGE_BY_PRODUCT)
		return match_product(policy, columns, fetch(source), fetch(destination));
	return match_vectors(policy, columns, source, destination);
}

AVX2_INLINE __m256i match_tables4(const struct edge_policy *policy, const struct columns *columns)
{
	struct eight address, source, destination;

	keep(&address, swap32(columns->source[0]));
	search4(policy, &policy->head.source, address.of, source.of);
	keep(&address, swap32(columns->destination[0]));
	search4(policy, &policy->head.destination, address.of, destination.of);
	return look_up(policy, columns, &source, &destination);
}

AVX2_INLINE void classes6(const struct edge_policy *policy, const struct edge_side *side, const __m256i columns[4],
			  uint32_t classes[8])
{
	struct eight words[4];

	for (int k = 0; k < 4; k++)
		keep(&words[k], swap32(columns[k]));
	for (int i = 0; i < 8; i++) {
		uint64_t address[2] = {(uint64_t)words[0].of[i] << 32 | words[1].of[i],
				       (uint64_t)words[2].of[i] << 32 | words[3].of[i]};

		classes[i] = edge_class6(policy, side, address);
	}
}

AVX2_INLINE __m256i match_tables6(const struct edge_policy *policy, const struct columns *columns)
{
	struct eight source, destination;

	classes6(policy, &policy->head.source, columns->source, source.of);
	classes6(policy, &policy->head.destination, columns->destination, destination.of);
	return look_up(policy, columns, &source, &destination);
}

#endif
