/* Packets sorted by family, eight at a time: IPv4 and IPv6 behind at most two tags go into queues, and what is neither, or
 * too short for the AVX2 lane, is left over for the scalar one.
 */
#ifndef EDGE_LANES_SORT_H
#define EDGE_LANES_SORT_H

#include "lanes_read.h"

#define SORT_OCTETS (EDGE_ETHERNET + IP4_OCTETS) /* fewer: left over */

/* Packets that wait. An entry is the packet's number, and the offset of its IP header in the upper half. Eight are
 * stored at once, however many of them belong here. */
struct queue {
	uint32_t entry[EDGE_CHUNK + GROUP];
	uint32_t count;
};

/* Add those of eight entries whose bit is set, in their order. */
AVX2_INLINE void enqueue(struct queue *queue, __m256i entries, unsigned int which)
{
	uint64_t octets = _pdep_u64(which, 0x0101010101010101) * 0xff;
	__m128i places = _mm_cvtsi64_si128((long long)_pext_u64(0x0706050403020100, octets));
	__m256i packed = _mm256_permutevar8x32_epi32(entries, _mm256_cvtepu8_epi32(places));

	_mm256_storeu_si256((__m256i *)&queue->entry[queue->count], packed);
	queue->count += (uint32_t)__builtin_popcount(which);
}

/* Entries of eight packets, the first of which has this number. */
AVX2_INLINE __m256i numbers_from(uint32_t first)
{
	return _mm256_add_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), all(first));
}

/* Which columns begin with the ethertype of a tag. */
AVX2_INLINE __m256i are_tags(__m256i type)
{
	return _mm256_or_si256(is(type, EDGE_NET16(0x8100)),
			       _mm256_or_si256(is(type, EDGE_NET16(0x88a8)), is(type, EDGE_NET16(0x9100))));
}

/* Sort the packets numbered `first` and up that `which` has a bit for; of each, SORT_OCTETS may be read at `at`. */
AVX2_INLINE void sort8(const uint8_t *const at[8], __m256i lengths, uint32_t first, unsigned int which,
		       struct queue *four, struct queue *six, struct queue *rest)
{
	__m256i type[4], tag, second, l3, beyond;
	unsigned int are4, are6;

	turn(at, 12, type);
	for (int i = 0; i < 3; i++)
		type[i] = _mm256_and_si256(type[i], all(0xffff));
	tag = are_tags(type[0]);
	second = _mm256_and_si256(tag, are_tags(type[1]));
	type[0] = _mm256_blendv_epi8(_mm256_blendv_epi8(type[0], type[1], tag), type[2], second);
	l3 = _mm256_sub_epi32(all(EDGE_ETHERNET), _mm256_slli_epi32(_mm256_add_epi32(tag, second), 2));
	beyond = _mm256_sub_epi32(lengths, l3);
	are4 = bits_of(_mm256_and_si256(is(type[0], EDGE_NET16(EDGE_ETHERTYPE_IP4)),
					_mm256_cmpgt_epi32(beyond, all(IP4_OCTETS - 1))));
	are6 = bits_of(_mm256_and_si256(is(type[0], EDGE_NET16(EDGE_ETHERTYPE_IP6)),
					_mm256_cmpgt_epi32(beyond, all(IP6_OCTETS - 1))));
	l3 = _mm256_or_si256(numbers_from(first), _mm256_slli_epi32(l3, 16));
	enqueue(four, l3, are4 & which);
	enqueue(six, l3, are6 & which);
	enqueue(rest, l3, which & ~(are4 | are6));
}

#endif
