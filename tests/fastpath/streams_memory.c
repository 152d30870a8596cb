/* The stream engine under the sanitizers: streams over the loopback, a thread that reads and stops meanwhile, and
 * frames of any bytes and lengths at sockets and taps. A tap is a datagram socket here; the engine does not mind.
 * Exit status 0, or 1 with the line that was not so. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "streams.h"

#define MUST(what)                                                      \
	do {                                                            \
		if (!(what)) {                                          \
			fprintf(stderr, "not so, line %d: %s\n", __LINE__, #what); \
			exit(1);                                        \
		}                                                       \
	} while (0)

#define PACKETS 6000 /* more than a chunk of records */
#define ROOM (PACKETS + 5)
#define FRAMES 20000

static struct edge_streams *engine;
static int over;

static void *look(void *unused)
{
	static uint64_t sent[ROOM], received[ROOM], taps[ROOM];
	static uint32_t order[ROOM];
	static uint8_t traffic_class[ROOM];
	struct edge_stream_counts counts;
	struct edge_streams_counts totals;

	while (!__atomic_load_n(&over, __ATOMIC_ACQUIRE)) {
		uint64_t found = edge_streams_read(engine, 0, 0, ROOM, sent, received, order, traffic_class, taps);

		MUST(edge_streams_counted(engine, 0, &counts) == 0);
		MUST(counts.sent >= found && counts.received <= counts.sent);
		MUST(!found || sent[found - 1]);
		edge_streams_total(engine, &totals);
		if (counts.sent == PACKETS)
			edge_streams_stop(engine, 0); /* the other stream has no end of its own */
		usleep(500);
	}
	return unused;
}

static int udp(struct sockaddr_in *at)
{
	socklen_t size = sizeof(*at);
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	*at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	MUST(fd >= 0 && !bind(fd, (struct sockaddr *)at, size) && !getsockname(fd, (struct sockaddr *)at, &size));
	return fd;
}

/* Frames of chance, many with the token and small numbers where a mark has them. */
static void *disturb(void *where)
{
	const int *fds = where;
	uint8_t frame[400];
	unsigned int seed = 6;

	for (int n = 0; n < FRAMES; n++) {
		size_t length = (size_t)rand_r(&seed) % sizeof(frame);
		uint32_t mark[5] = {htonl(0x01020304), htonl((uint32_t)rand_r(&seed) % 4),
				    htonl((uint32_t)rand_r(&seed) % (PACKETS + 9)), 0, 0};
		size_t at = length ? (size_t)rand_r(&seed) % length : 0;

		memset(frame, rand_r(&seed), length);
		if (at + sizeof(mark) <= length)
			memcpy(frame + at, mark, sizeof(mark));
		(void)!send(fds[n % 2], frame, length, MSG_DONTWAIT);
		if (n % 50 == 0)
			usleep(1000);
	}
	return NULL;
}

int main(void)
{
	struct edge_slot slots[] = {{0, 40, 0, 1}, {100000, 1200, 5, 0}, {150000, 60, 9, 0}};
	struct edge_stream stream = {.slots = 3, .slot = slots, .period_ns = 500000, .packets = PACKETS, .rtp = 1};
	struct edge_stream endless = {.slots = 1, .slot = slots, .period_ns = 1000000};
	struct edge_stream_counts counts;
	struct sockaddr_in a, b;
	pthread_t looking, disturbing;
	int pair[2], ends[2];

	engine = edge_streams_new(0x01020304);
	MUST(engine);
	ends[0] = udp(&a);
	ends[1] = udp(&b);
	MUST(!socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair));
	MUST(edge_streams_socket(engine, ends[0]) == 0 && edge_streams_socket(engine, ends[1]) == 1);
	MUST(edge_streams_tap(engine, pair[0]) == 0 && edge_streams_tap(engine, -1) < 0);
	memcpy(stream.to, &b, sizeof(b));
	memcpy(endless.to, &b, sizeof(b));
	stream.to_octets = endless.to_octets = sizeof(b);
	MUST(edge_streams_add(engine, &stream) == 0 && edge_streams_add(engine, &endless) == 1);
	stream.socket = 2; /* a tap sends nothing */
	MUST(edge_streams_add(engine, &stream) < 0);
	ends[0] = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	MUST(!connect(ends[0], (struct sockaddr *)&b, sizeof(b)));
	MUST(!pthread_create(&looking, NULL, look, NULL));
	ends[1] = pair[1];
	MUST(!pthread_create(&disturbing, NULL, disturb, ends));
	MUST(edge_streams_run(engine, 0, 100000000) == 0);
	MUST(edge_streams_run(engine, 0, 0) != 0);
	__atomic_store_n(&over, 1, __ATOMIC_RELEASE);
	pthread_join(looking, NULL);
	pthread_join(disturbing, NULL);
	MUST(edge_streams_counted(engine, 0, &counts) == 0 && counts.sent == PACKETS);
	MUST(counts.received > 0 && counts.received <= PACKETS);
	MUST(edge_streams_counted(engine, 2, &counts) != 0);
	edge_streams_free(engine);
	return 0;
}
