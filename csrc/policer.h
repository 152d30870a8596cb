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
	__u64 rate_bps;		 /* 0: bits per second, 0 for no limit */
	__u64 burst_nanobits;	 /* 8: most tokens the bucket holds */
	__u64 fill_ns;		 /* 16: time from empty to full, rounded up */
	__u64 tolerated_bps;	 /* 24: what is offered may be as fast as this, 0 for no faster than the rate */
	__u64 tolerated_fill_ns; /* 32: the same time at that rate */
};

/* What the bucket remembers. All zero is a bucket that is full when its first frame comes, at any time but 0. */
struct edge_bucket {
	__u64 tokens_nanobits; /* 0 */
	__u64 last_ns;	       /* 8: when tokens were last added */
	__u64 spare_nanobits;  /* 16: with a tolerance: tokens of what is offered */
	__u64 clamped;	       /* 24: with a tolerance: 1 while only the rate passes */
};

/* Tokens after `elapsed_ns`; a new bucket is full. */
static inline __attribute__((always_inline)) __u64 edge_refill(__u64 tokens, __u64 rate_bps, __u64 burst_nanobits,
								__u64 fill_ns, __u64 elapsed_ns, int fresh)
{
	tokens = fresh || elapsed_ns >= fill_ns ? burst_nanobits : tokens + elapsed_ns * rate_bps;
	return tokens > burst_nanobits ? burst_nanobits : tokens;
}

/* May a frame of `bytes` octets pass at `now_ns`? Returns 1 and takes its tokens, or 0. A clock that
 * steps back (CPUs read it before they take the lock) adds nothing.
 *
 * With a tolerance a second bucket, which fills at the tolerated rate, meters what is offered. While it has tokens
 * everything passes; when it runs out, more was offered than is tolerated, and what passes is clamped to the rate
 * itself until it is full again: until less was offered for as long as that takes (facts: expressroute 10.4). */
static inline __attribute__((always_inline)) int edge_police(struct edge_bucket *bucket,
							      const struct edge_rate *rate, __u64 now_ns,
							      __u64 bytes)
{
	__u64 cost = bytes * EDGE_NANOBITS_PER_OCTET, elapsed = 0;
	__u64 tokens, burst = rate->burst_nanobits;
	int fresh = 0, conforms;

	if (now_ns > bucket->last_ns) {
		fresh = !bucket->last_ns;
		elapsed = now_ns - bucket->last_ns;
		bucket->last_ns = now_ns;
	}
	tokens = edge_refill(bucket->tokens_nanobits, rate->rate_bps, burst, rate->fill_ns, elapsed, fresh);
	conforms = tokens >= cost;
	if (rate->tolerated_bps) {
		__u64 spare = edge_refill(bucket->spare_nanobits, rate->tolerated_bps, burst,
					  rate->tolerated_fill_ns, elapsed, fresh);

		if (spare == burst)
			bucket->clamped = 0;
		if (spare >= cost)
			spare -= cost;
		else
			bucket->clamped = 1;
		bucket->spare_nanobits = spare;
		conforms |= !bucket->clamped;
	}
	if (conforms)
		tokens = tokens > cost ? tokens - cost : 0;
	bucket->tokens_nanobits = tokens;
	return conforms;
}

#endif
