/* A token bucket on integers, with no rounding and no clock of its own.
 *
 * Tokens are counted in nanobits (10^-9 bit): a rate of R bit/s gives exactly R nanobits per
 * nanosecond, and a frame of N octets costs N * 8 * 10^9. The time credited is bounded by `fill_ns`, so
 * no product exceeds the burst by more than one nanosecond's worth. With a burst of at most 4 * 10^18
 * nanobits (edge/fastpath/layout.py) every sum stays inside 64 bits.
 */
#ifndef EDGE_POLICER_H
#define EDGE_POLICER_H

#include <linux/types.h>

#define EDGE_NANOBITS_PER_OCTET 8000000000ULL

/* What the operator sets. Kept apart from the state, so that a new rate leaves the state alone. */
struct edge_rate {
	__u64 rate_bps;	      /* 0: bits per second, 0 for no limit */
	__u64 burst_nanobits; /* 8: most tokens the bucket holds */
	__u64 fill_ns;	      /* 16: time from empty to full, rounded up */
};

/* What the bucket remembers. All zero is a bucket that is full when its first frame comes. */
struct edge_bucket {
	__u64 tokens_nanobits; /* 0 */
	__u64 last_ns;	       /* 8: when tokens were last added */
};

/* May a frame of `bytes` octets pass at `now_ns`? Returns 1 and takes its tokens, or 0. A clock that
 * steps back (CPUs read it before they take the lock) adds nothing. */
static inline __attribute__((always_inline)) int edge_police(struct edge_bucket *bucket,
							      const struct edge_rate *rate, __u64 now_ns,
							      __u64 bytes)
{
	__u64 cost = bytes * EDGE_NANOBITS_PER_OCTET;
	__u64 tokens = bucket->tokens_nanobits;

	if (now_ns > bucket->last_ns) {
		__u64 elapsed = now_ns - bucket->last_ns;

		if (elapsed >= rate->fill_ns)
			tokens = rate->burst_nanobits;
		else
			tokens += elapsed * rate->rate_bps;
		bucket->last_ns = now_ns;
	}
	if (tokens > rate->burst_nanobits)
		tokens = rate->burst_nanobits;
	if (tokens < cost) {
		bucket->tokens_nanobits = tokens;
		return 0;
	}
	bucket->tokens_nanobits = tokens - cost;
	return 1;
}

#endif
