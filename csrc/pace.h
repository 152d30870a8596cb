/* The time that a wire of a certain speed needs for each frame. Integers, no rounding error that grows.
 *
 * A frame of N octets keeps a wire of R bit/s busy for N * 8 * 10^9 / R nanoseconds; what the division leaves
 * over is carried to the next frame, unless that one finds the wire idle or of another speed. Frames shorter than EDGE_PACE_OCTETS_MAX keep every product inside 64 bits.
 */
#ifndef EDGE_PACE_H
#define EDGE_PACE_H

#include <stdint.h>

#define EDGE_PACE_OCTETS_MAX (1u << 24)

/* All zero is a wire that has been idle for ever. */
struct edge_pace {
	uint64_t free_ns; /* when the last bit of the latest frame has left */
	uint64_t carry;	  /* nanobits that did not make a whole nanosecond, less than the rate */
	uint64_t rate_bps; /* of the latest frame */
};

/* Put a frame on the wire at `now_ns`, or behind those that are on it; when its last bit has left. late_ns: a
 * caller that wakes up late by no more than this loses no time of the wire. rate_bps 0: no wire is that fast. */
static inline uint64_t edge_pace_send(struct edge_pace *pace, uint64_t rate_bps, uint64_t now_ns, uint64_t late_ns,
				      uint32_t octets)
{
	uint64_t earliest = now_ns > late_ns ? now_ns - late_ns : 0;
	uint64_t nanobits;

	if (pace->rate_bps != rate_bps)
		pace->carry = 0;
	pace->rate_bps = rate_bps;
	if (!rate_bps) {
		if (pace->free_ns < now_ns)
			pace->free_ns = now_ns;
		return pace->free_ns;
	}
	if (pace->free_ns < earliest) {
		pace->free_ns = earliest;
		pace->carry = 0;
	}
	nanobits = (uint64_t)octets * 8000000000ULL + pace->carry;
	pace->free_ns += nanobits / rate_bps;
	pace->carry = nanobits % rate_bps;
	return pace->free_ns;
}

#endif
