#define _GNU_SOURCE
#include "streams.h"

#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "streamsengine.h"

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

#define BUFFER (8 << 20) /* octets of a socket's buffer: arrivals wait there while this thread sends */

static int listen_to(struct edge_streams *s, int fd, uint32_t word)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = word};

	return epoll_ctl(s->epoll, EPOLL_CTL_ADD, fd, &event);
}

struct edge_streams *edge_streams_new(uint32_t token)
{
	struct edge_streams *s = calloc(1, sizeof(*s));
	int failed;

	if (!s)
		return NULL;
	s->token = token;
	s->armed_ns = EDGE_STREAM_NEVER;
	s->epoll = epoll_create1(EPOLL_CLOEXEC);
	s->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	s->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->epoll >= 0 && s->timer >= 0 && s->wake >= 0 && !listen_to(s, s->timer, EDGE_STREAM_WAKE) &&
	    !listen_to(s, s->wake, EDGE_STREAM_WAKE))
		return s;
	failed = errno;
	edge_streams_free(s);
	errno = failed;
	return NULL;
}

void edge_streams_free(struct edge_streams *s)
{
	const int own[] = {s->epoll, s->timer, s->wake};

	for (uint32_t i = 0; i < s->lanes; i++) {
		for (uint32_t n = 0; n < EDGE_STREAM_CHUNKS && s->lane[i]->chunk[n]; n++)
			free(s->lane[i]->chunk[n]);
		free((void *)(uintptr_t)s->lane[i]->set.slot);
		free(s->lane[i]);
	}
	free(s->lane);
	free(s->heap);
	free(s->source);
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		if (own[i] >= 0)
			close(own[i]);
	free(s);
}

static int add_source(struct edge_streams *s, int fd, int tap)
{
	struct edge_source *grown = realloc(s->source, (s->sources + 1) * sizeof(*grown));
	const int room = BUFFER;

	if (!grown)
		return -ENOMEM;
	s->source = grown;
	/* Past net.core.rmem_max only who may; what there is serves, too, and what it loses is counted. */
	if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room)) &&
	    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room)))
		return -errno;
	if (listen_to(s, fd, s->sources))
		return -errno;
	s->source[s->sources] = (struct edge_source){fd, tap};
	return (int)s->sources++;
}

int edge_streams_socket(struct edge_streams *s, int fd)
{
	const int on = 1;
	socklen_t size = sizeof(int);
	int domain;

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size))
		return -errno;
	if (domain != AF_INET && domain != AF_INET6)
		return -EAFNOSUPPORT;
	if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof(on)))
		return -errno;
	if (domain == AF_INET ? setsockopt(fd, IPPROTO_IP, IP_RECVTOS, &on, sizeof(on)) :
				setsockopt(fd, IPPROTO_IPV6, IPV6_RECVTCLASS, &on, sizeof(on)))
		return -errno;
	return add_source(s, fd, -1);
}

int edge_streams_tap(struct edge_streams *s, int fd)
{
	int found;

	if (s->taps == EDGE_STREAM_TAPS)
		return -ENOSPC;
	found = add_source(s, fd, (int)s->taps);
	return found < 0 ? found : (int)s->taps++;
}

static int sound(const struct edge_streams *s, const struct edge_stream *set)
{
	uint32_t least = EDGE_STREAM_MARK + (set->rtp ? EDGE_STREAM_RTP : 0);

	if (set->socket >= s->sources || s->source[set->socket].tap >= 0 || set->to_octets > sizeof(set->to) ||
	    !set->period_ns || !set->slots || set->slots > EDGE_STREAM_SLOTS || set->packets > EDGE_STREAM_PACKETS)
		return 0;
	for (uint32_t i = 0; i < set->slots; i++) {
		const struct edge_slot *slot = &set->slot[i];

		if (slot->octets < least || slot->octets > EDGE_STREAM_OCTETS || slot->at_ns >= set->period_ns ||
		    (i && slot->at_ns < slot[-1].at_ns))
			return 0;
	}
	return 1;
}

int edge_streams_add(struct edge_streams *s, const struct edge_stream *set)
{
	struct edge_lane **lanes;
	struct edge_lane *lane;
	struct edge_slot *slots;
	uint32_t *heap;

	if (s->ran || !sound(s, set))
		return -EINVAL;
	lanes = realloc(s->lane, (s->lanes + 1) * sizeof(*lanes));
	if (!lanes)
		return -ENOMEM;
	s->lane = lanes;
	heap = realloc(s->heap, (s->lanes + 1) * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	s->heap = heap;
	lane = calloc(1, sizeof(*lane));
	slots = calloc(set->slots, sizeof(*slots));
	if (!lane || !slots) {
		free(lane);
		free(slots);
		return -ENOMEM;
	}
	memcpy(slots, set->slot, set->slots * sizeof(*slots));
	lane->set = *set;
	lane->set.slot = slots;
	if (!lane->set.packets)
		lane->set.packets = EDGE_STREAM_PACKETS;
	s->lane[s->lanes] = lane;
	return (int)s->lanes++;
}

int edge_streams_counted(const struct edge_streams *s, uint32_t place, struct edge_stream_counts *counts)
{
	const struct edge_stream_counts *own;

	if (place >= s->lanes)
		return EINVAL;
	own = &s->lane[place]->counts;
	*counts = (struct edge_stream_counts){
		.received = LOAD(own->received),
		.duplicates = LOAD(own->duplicates),
		.refused = LOAD(own->refused),
		.late_max_ns = LOAD(own->late_max_ns),
		.last_sent_ns = LOAD(own->last_sent_ns),
		.last_received_ns = LOAD(own->last_received_ns),
		.refusal = LOAD(own->refusal),
	};
	/* Last, so that none is received that was not sent. */
	counts->sent = LOAD(s->lane[place]->next);
	return 0;
}

void edge_streams_total(const struct edge_streams *s, struct edge_streams_counts *counts)
{
	*counts = (struct edge_streams_counts){.strange = LOAD(s->strange)};
	for (uint32_t i = 0; i < s->sources; i++) {
		uint32_t memory[SK_MEMINFO_VARS];
		socklen_t size = sizeof(memory);
		uint64_t *to = s->source[i].tap < 0 ? &counts->missed : &counts->taps_missed;

		if (!getsockopt(s->source[i].fd, SOL_SOCKET, SO_MEMINFO, memory, &size))
			*to += memory[SK_MEMINFO_DROPS];
	}
}

uint64_t edge_streams_read(const struct edge_streams *s, uint32_t place, uint64_t first, uint64_t count,
			   uint64_t *sent_ns, uint64_t *received_ns, uint32_t *order, uint8_t *traffic_class,
			   uint64_t *taps)
{
	const struct edge_lane *lane = place < s->lanes ? s->lane[place] : NULL;
	uint64_t sent = lane ? LOAD(lane->next) : 0;

	if (first >= sent)
		return 0;
	if (count > sent - first)
		count = sent - first;
	for (uint64_t i = 0; i < count; i++) {
		const struct edge_record *record = edge_record_of(lane, first + i);

		sent_ns[i] = LOAD(record->sent_ns);
		received_ns[i] = LOAD(record->received_ns);
		order[i] = LOAD(record->order);
		traffic_class[i] = LOAD(record->traffic_class);
		taps[i] = LOAD(record->taps);
	}
	return count;
}

const char *edge_streams_sources(void)
{
	return EDGE_SOURCES;
}
