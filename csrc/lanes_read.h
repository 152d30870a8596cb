/* Headers turned by 90 degrees: from eight packets to columns.
 *
 *	 three or two loads of 16 octets a packet	 packet 0..7 ->	[p0 p1 p2 p3 | p4 p5 p6 p7]
 *	 row: version/TOS/length, id/fragment, ...	 column: all source addresses, all pairs of ports, ...
 *
 * A header is loaded only where the octets are: 24 from the IPv4 header on and the two before it, 44 from that of IPv6.
 */
#ifndef EDGE_LANES_READ_H
#define EDGE_LANES_READ_H

#include "lanes_vector.h"

#define IP4_OCTETS 24
#define IP6_OCTETS 44

AVX2_INLINE __m256i load_pair(const uint8_t *low, const uint8_t *high)
{
	return _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const __m128i *)low)),
				       _mm_loadu_si128((const __m128i *)high), 1);
}

/* Columns of 16 octets at `offset` of eight packets. */
AVX2_INLINE void turn(const uint8_t *const *at, int offset, __m256i columns[4])
{
	__m256i row0 = load_pair(at[0] + offset, at[4] + offset);
	__m256i row1 = load_pair(at[1] + offset, at[5] + offset);
	__m256i row2 = load_pair(at[2] + offset, at[6] + offset);
	__m256i row3 = load_pair(at[3] + offset, at[7] + offset);
	__m256i low01 = _mm256_unpacklo_epi32(row0, row1);
	__m256i low23 = _mm256_unpacklo_epi32(row2, row3);
	__m256i high01 = _mm256_unpackhi_epi32(row0, row1);
	__m256i high23 = _mm256_unpackhi_epi32(row2, row3);

	columns[0] = _mm256_unpacklo_epi64(low01, low23);
	columns[1] = _mm256_unpackhi_epi64(low01, low23);
	columns[2] = _mm256_unpacklo_epi64(high01, high23);
	columns[3] = _mm256_unpackhi_epi64(high01, high23);
}

/* protocol | DSCP << 8 | has ports << 16, where the octets of ports are known to be there. */
AVX2_INLINE __m256i meta_of(__m256i protocol, __m256i traffic_class)
{
	__m256i ports = _mm256_or_si256(_mm256_or_si256(is(protocol, 17), is(protocol, 6)),
					_mm256_or_si256(is(protocol, 33), _mm256_or_si256(is(protocol, 132), is(protocol, 136))));
	__m256i dscp = _mm256_slli_epi32(_mm256_srli_epi32(traffic_class, 2), 8);

	return _mm256_or_si256(_mm256_or_si256(protocol, dscp), _mm256_and_si256(ports, all(0x10000)));
}

/* What follows the ethertype's two octets before an IPv4 header, and the header itself up to the ports:
 *
 *	ethertype, version, TOS | length, id | fragment, TTL, protocol | checksum, ...
 *	TTL, protocol, checksum | source | destination | ports
 */
AVX2_INLINE void read4(const uint8_t *const *at, int offset, struct columns *out)
{
	__m256i front[4], back[4];
	__m256i length, good;

	turn(at, offset - 2, front);
	turn(at, offset + 8, back);
	length = _mm256_and_si256(swap16(front[1]), all(0xffff));
	good = is(_mm256_and_si256(front[0], all(0xffffff)), 0x450000 | EDGE_NET16(EDGE_ETHERTYPE_IP4));
	good = _mm256_and_si256(good, _mm256_cmpgt_epi32(length, all(IP4_OCTETS - 1)));
	good = _mm256_and_si256(good, is(_mm256_and_si256(front[2], all(0xff1f)), 0));
	out->good = (unsigned int)_mm256_movemask_ps(_mm256_castsi256_ps(good));
	out->traffic_class = _mm256_srli_epi32(front[0], 24);
	out->meta = meta_of(_mm256_srli_epi32(front[2], 24), out->traffic_class);
	out->source[0] = back[1];
	out->destination[0] = back[2];
	out->ports = swap16(back[3]);
}

AVX2_INLINE void read6(const uint8_t *const *at, struct columns *out)
{
	__m256i front[4], middle[4], back[4];
	__m256i word, length, next, good, walk;

	turn(at, 0, front);
	turn(at, 16, middle);
	turn(at, 28, back);
	word = swap32(front[0]); /* version, traffic class, flow label */
	length = _mm256_and_si256(swap16(front[1]), all(0xffff));
	next = _mm256_and_si256(_mm256_srli_epi32(front[1], 16), all(0xff));
	walk = _mm256_or_si256(_mm256_or_si256(is(next, 0), is(next, 43)),
			       _mm256_or_si256(is(next, 44), _mm256_or_si256(is(next, 51), is(next, 60))));
	good = is(_mm256_srli_epi32(word, 28), 6);
	good = _mm256_and_si256(good, _mm256_cmpgt_epi32(length, all(IP6_OCTETS - EDGE_IP6_HEADER - 1)));
	good = _mm256_andnot_si256(walk, good);
	out->good = (unsigned int)_mm256_movemask_ps(_mm256_castsi256_ps(good));
	out->traffic_class = _mm256_and_si256(_mm256_srli_epi32(word, 20), all(0xff));
	out->meta = meta_of(next, out->traffic_class);
	out->source[0] = front[2];
	out->source[1] = front[3];
	out->source[2] = middle[0];
	out->source[3] = middle[1];
	out->destination[0] = middle[2];
	out->destination[1] = middle[3];
	out->destination[2] = back[1];
	out->destination[3] = back[2];
	out->ports = swap16(back[3]);
}

#endif
