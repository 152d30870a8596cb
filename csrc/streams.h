/* Paced streams of UDP packets: sent at absolute times, and when each of them arrived.
 *
 *	slots of a period --heap of due times--> sendto ... recvmmsg with the kernel's receive time --> record n
 *	                                     \-- packet sockets on links: which of them carried packet n
 *
 * One call, edge_streams_run(), does all sending and receiving in the calling thread; it sleeps in epoll and is woken
 * by a timer set to an absolute time, so no delay adds up. edge_streams_stop(), _read() and _counted() may be called
 * meanwhile from any thread. Sockets are opened by the caller, in whichever namespace, and stay his.
 *
 * What tells a packet of ours, at the start of the UDP payload or behind an RTP header, big-endian:
 *
 *	0  token    4  of this engine
 *	4  stream   4  its place, as edge_streams_add() returned it
 *	8  number   4  of the packet, from 0
 *	12 sent_ns  8  CLOCK_REALTIME just before it was handed to the kernel
 *
 * Invariants: a packet counts only when all four fields are those of a record, so neither leftovers of another run
 * nor strangers count. Records of a stream lie in chunks that never move, so reading needs no lock. Both times are
 * CLOCK_REALTIME, the clock of the kernel's receive times; pacing goes by CLOCK_MONOTONIC.
 */
#ifndef EDGE_STREAMS_H
#define EDGE_STREAMS_H

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
#define EDGE_STREAM_MARK 20	   /* octets of what tells a packet of ours */
#define EDGE_STREAM_RTP 12	   /* octets of an RTP header without sources (RFC 3550 5.1) */
#define EDGE_STREAM_OCTETS 9000	   /* the longest payload */
#define EDGE_STREAM_SLOTS 65536	   /* packets of a period */
#define EDGE_STREAM_PACKETS 67108864 /* packets of a stream */
#define EDGE_STREAM_TAPS 64	   /* links that are watched */

/* A packet of a period. at_ns: from the period's begin, none earlier than the one before it. clock: RTP's, from the
 * period's begin. marker: RTP's bit. octets: of the UDP payload, RTP header included. */
struct edge_slot {
	uint64_t at_ns;
	uint32_t octets;
	uint32_t clock;
	uint32_t marker;
};

/* A stream. socket: by which it leaves. to: struct sockaddr_in or sockaddr_in6. begin_ns: of its first period, from
 * the run's begin. packets: how many at most, 0: until stopped. rtp: with a header; then payload_type, ssrc, first
 * sequence number and time, and how much the clock moves in a period. */
struct edge_stream {
	uint32_t socket;
	uint32_t to_octets;
	uint8_t to[28];
	uint32_t slots;
	const struct edge_slot *slot;
	uint64_t period_ns;
	uint64_t begin_ns;
	uint64_t packets;
	uint32_t rtp;
	uint32_t payload_type;
	uint32_t ssrc;
	uint32_t sequence;
	uint32_t clock;
	uint32_t clock_period;
};

/* Of a stream, so far. received: packets, without further copies (duplicates). refused: the kernel would not send,
 * and refusal is the last errno. late_max_ns: how late the worst one was sent, by this machine's fault. */
struct edge_stream_counts {
	uint64_t sent;
	uint64_t received;
	uint64_t duplicates;
	uint64_t refused;
	uint64_t late_max_ns;
	uint64_t last_sent_ns;
	uint64_t last_received_ns;
	int32_t refusal;
};

/* Of the whole engine. strange: arrivals that are none of ours. missed: arrivals that found no room in a socket.
 * taps_missed: the same of the taps. */
struct edge_streams_counts {
	uint64_t strange;
	uint64_t missed;
	uint64_t taps_missed;
};

struct edge_streams;

/* Nothing runs yet. NULL when memory or descriptors are out; errno says why. */
struct edge_streams *edge_streams_new(uint32_t token);

/* A UDP socket by which streams leave and arrive: its place, or -errno. The descriptor stays the caller's and open
 * until edge_streams_free(). Sets the options that bring time and DSCP of arrivals, and a large buffer. */
int edge_streams_socket(struct edge_streams *streams, int fd);

/* A packet socket on a link, bound and with a filter of the caller's: its place, or -errno. ENOSPC: too many. */
int edge_streams_tap(struct edge_streams *streams, int fd);

/* A stream, copied: its place, or -EINVAL or -ENOMEM. Not while the engine runs. */
int edge_streams_add(struct edge_streams *streams, const struct edge_stream *stream);

/* Send and receive. start_ns: CLOCK_MONOTONIC, 0: in a moment. After the last packet was sent, wait at most linger_ns
 * for those that have not arrived. 0, or an errno; EBUSY: it ran before. */
int edge_streams_run(struct edge_streams *streams, uint64_t start_ns, uint64_t linger_ns);

/* End sending; with `now` do not wait for what is on its way. May be called before edge_streams_run(). */
void edge_streams_stop(struct edge_streams *streams, int now);

/* What a stream counted: 0, or EINVAL when there is none at that place. */
int edge_streams_counted(const struct edge_streams *streams, uint32_t stream, struct edge_stream_counts *counts);
void edge_streams_total(const struct edge_streams *streams, struct edge_streams_counts *counts);

/* Records of packets from number `first` on, at most `count`: how many there were. received_ns 0: not arrived. order:
 * which arrival of the stream it was, from 1. traffic_class: as received (DSCP and ECN). taps: a bit for each place of
 * a tap that saw it. */
uint64_t edge_streams_read(const struct edge_streams *streams, uint32_t stream, uint64_t first, uint64_t count,
			   uint64_t *sent_ns, uint64_t *received_ns, uint32_t *order, uint8_t *traffic_class,
			   uint64_t *taps);

/* Only when edge_streams_run() has returned, or was never called. */
void edge_streams_free(struct edge_streams *streams);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_streams_sources(void);
/* cdef end */

#endif
