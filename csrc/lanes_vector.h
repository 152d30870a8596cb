/* What the AVX2 lane is made of: registers that hold one field of eight packets. Only for lanes_avx2.c. */
#ifndef EDGE_LANES_VECTOR_H
#define EDGE_LANES_VECTOR_H

#include <immintrin.h>

#include "lanes.h"

#define AVX2 __attribute__((target("avx2,bmi,bmi2,popcnt")))
#define AVX2_INLINE static inline __attribute__((always_inline, target("avx2,bmi,bmi2,popcnt")))

/* Eight packets. meta: see struct edge_lane4. Addresses as they stand in memory. */
struct columns {
	__m256i ports;
	__m256i meta;
	__m256i traffic_class;
	__m256i source[4];
	__m256i destination[4];
	unsigned int good; /* one bit per packet that this lane can judge */
};

/* Packets that are judged together: two registers a field, so that each row is loaded once for sixteen packets. */
#define PARTS 2
#define GROUP (PARTS * 8)
#define EACH_PART(k) for (int k = 0; k < PARTS; k++)

/* A column, number by number. */
struct eight {
	uint32_t of[8] __attribute__((aligned(32)));
};

AVX2_INLINE __m256i all(uint32_t value)
{
	return _mm256_set1_epi32((int)value);
}

/* Swap the octets of each 16-bit number. */
AVX2_INLINE __m256i swap16(__m256i x)
{
	return _mm256_or_si256(_mm256_slli_epi16(x, 8), _mm256_srli_epi16(x, 8));
}

AVX2_INLINE __m256i swap32(__m256i x)
{
	const __m256i order = _mm256_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3, 12, 13, 14, 15, 8, 9,
					      10, 11, 4, 5, 6, 7, 0, 1, 2, 3);

	return _mm256_shuffle_epi8(x, order);
}

AVX2_INLINE __m256i is(__m256i x, uint32_t value)
{
	return _mm256_cmpeq_epi32(x, all(value));
}
/* The uppermost bit of each number. */
AVX2_INLINE unsigned int bits_of(__m256i mask)
{
	return (unsigned int)_mm256_movemask_ps(_mm256_castsi256_ps(mask));
}

AVX2_INLINE void keep(struct eight *to, __m256i from)
{
	_mm256_store_si256((__m256i *)to->of, from);
}

AVX2_INLINE __m256i fetch(const struct eight *from)
{
	return _mm256_load_si256((const __m256i *)from->of);
}

#endif
