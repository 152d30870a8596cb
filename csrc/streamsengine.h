/* What the files of the stream engine share; see streams.h. */
#ifndef EDGE_STREAMSENGINE_H
#define EDGE_STREAMSENGINE_H

#include <sys/socket.h>
#include <time.h>

#include "streams.h"

#define EDGE_STREAM_CHUNK 4096u /* records */
#define EDGE_STREAM_CHUNKS (EDGE_STREAM_PACKETS / EDGE_STREAM_CHUNK)
#define EDGE_STREAM_WAKE UINT32_MAX /* epoll's word for `wake` and `timer`; others are places of sources */
#define EDGE_STREAM_NEVER UINT64_MAX
#define NS_PER_S 1000000000ULL

/* Values that another thread may read meanwhile. A number of packets is stored after their records. */
#define LOAD(from) __atomic_load_n(&(from), __ATOMIC_ACQUIRE)
#define STORE(to, value) __atomic_store_n(&(to), (value), __ATOMIC_RELEASE)

/* A packet; received_ns is stored after order and traffic_class. */
struct edge_record {
	uint64_t sent_ns;
	uint64_t received_ns;
	uint64_t taps;
	uint32_t order;
	uint8_t traffic_class;
};

struct edge_lane {
	struct edge_stream set; /* set.slot is ours */
	uint64_t due_ns;	/* CLOCK_MONOTONIC, of the next packet */
	uint64_t begun_ns;	/* CLOCK_MONOTONIC, of its first period */
	uint64_t next;		/* number of the next packet */
	struct edge_stream_counts counts; /* but `sent`, which is `next` */
	struct edge_record *chunk[EDGE_STREAM_CHUNKS];
};

struct edge_source {
	int fd;
	int tap; /* its place among the taps, -1: a socket of streams */
};

struct edge_streams {
	uint32_t token;
	int epoll;
	int timer;
	int wake;
	int stopping; /* 1: send no more, 2: end now */
	int ran;
	uint64_t armed_ns; /* when the timer goes off */
	uint64_t missing;  /* packets that were sent and have not arrived */
	uint64_t strange;
	uint32_t sources;
	uint32_t taps;
	uint32_t lanes;
	uint32_t waiting; /* lanes in the heap */
	struct edge_source *source;
	struct edge_lane **lane;
	uint32_t *heap; /* places of lanes, the one that is due first on top */
	uint8_t packet[EDGE_STREAM_OCTETS];
};

static inline uint64_t edge_clock(clockid_t which)
{
	struct timespec t;

	clock_gettime(which, &t);
	return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

/* The record of a packet, NULL when there is none. */
static inline struct edge_record *edge_record_of(const struct edge_lane *lane, uint64_t number)
{
	struct edge_record *chunk = LOAD(lane->chunk[number / EDGE_STREAM_CHUNK]);

	return chunk ? &chunk[number % EDGE_STREAM_CHUNK] : NULL;
}

/* Send the packet of the lane that is due, and move on to the next: 0, or ENOMEM. What the kernel refuses counts as
 * sent and never arrives. */
int edge_streams_send(struct edge_streams *s, uint32_t place);

/* Take what has arrived, a batch at most: whether there may be more. */
int edge_streams_receive(struct edge_streams *s, const struct edge_source *source);

#endif
