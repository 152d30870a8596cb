#define _GNU_SOURCE
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "streamsengine.h"

#define BATCH 32      /* packets of one source before others get their turn */
#define HEAD 192      /* octets of an arrival that are looked at: tags, labels and headers before the mark fit */
#define CONTROL 128   /* octets of what comes beside an arrival */
#define FRAME_LEAST 28 /* octets of IP and UDP header, behind which a mark may begin */

/* The mark of a packet, as numbers. */
struct mark {
	uint32_t token;
	uint32_t stream;
	uint32_t number;
	uint64_t sent_ns;
};

static void put16(uint8_t *to, uint32_t value)
{
	to[0] = (uint8_t)(value >> 8);
	to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value)
{
	put16(to, value >> 16);
	put16(to + 2, value);
}

static uint32_t get32(const uint8_t *from)
{
	return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static struct mark get_mark(const uint8_t *from)
{
	struct mark mark = {
		.token = get32(from),
		.stream = get32(from + 4),
		.number = get32(from + 8),
		.sent_ns = (uint64_t)get32(from + 12) << 32 | get32(from + 16),
	};

	return mark;
}

/* RTP header (RFC 3550 5.1): version 2 without padding, extension and sources. */
static void put_rtp(uint8_t *to, const struct edge_lane *lane, const struct edge_slot *slot, uint64_t period)
{
	const struct edge_stream *set = &lane->set;

	to[0] = 0x80;
	to[1] = (uint8_t)((slot->marker ? 0x80u : 0) | (set->payload_type & 0x7f));
	put16(to + 2, set->sequence + (uint32_t)lane->next);
	put32(to + 4, set->clock + (uint32_t)period * set->clock_period + slot->clock);
	put32(to + 8, set->ssrc);
}

static struct edge_record *new_record(struct edge_lane *lane)
{
	struct edge_record **chunk = &lane->chunk[lane->next / EDGE_STREAM_CHUNK];

	if (!*chunk) {
		struct edge_record *made = calloc(EDGE_STREAM_CHUNK, sizeof(*made));

		if (!made)
			return NULL;
		STORE(*chunk, made);
	}
	return &(*chunk)[lane->next % EDGE_STREAM_CHUNK];
}

static void due_next(struct edge_lane *lane)
{
	const struct edge_stream *set = &lane->set;
	uint64_t next = lane->next;

	lane->due_ns = lane->begun_ns + next / set->slots * set->period_ns + set->slot[next % set->slots].at_ns;
}

int edge_streams_send(struct edge_streams *s, uint32_t place)
{
	struct edge_lane *lane = s->lane[place];
	const struct edge_stream *set = &lane->set;
	const struct edge_slot *slot = &set->slot[lane->next % set->slots];
	struct edge_record *record = new_record(lane);
	uint64_t began_ns = edge_clock(CLOCK_MONOTONIC);
	uint8_t *mark = s->packet;
	uint64_t sent_ns;

	if (!record)
		return ENOMEM;
	if (began_ns > lane->due_ns && began_ns - lane->due_ns > lane->counts.late_max_ns)
		STORE(lane->counts.late_max_ns, began_ns - lane->due_ns);
	if (set->rtp) {
		put_rtp(s->packet, lane, slot, lane->next / set->slots);
		mark += EDGE_STREAM_RTP;
	}
	put32(mark, s->token);
	put32(mark + 4, place);
	put32(mark + 8, (uint32_t)lane->next);
	sent_ns = edge_clock(CLOCK_REALTIME);
	put32(mark + 12, (uint32_t)(sent_ns >> 32));
	put32(mark + 16, (uint32_t)sent_ns);
	if (!set->rtp)
		memset(mark + EDGE_STREAM_MARK, 0, EDGE_STREAM_RTP); /* left from a stream with a header */
	STORE(record->sent_ns, sent_ns);
	STORE(lane->counts.last_sent_ns, sent_ns);
	STORE(lane->next, lane->next + 1);
	due_next(lane);
	if (sendto(s->source[set->socket].fd, s->packet, slot->octets, MSG_DONTWAIT | MSG_NOSIGNAL,
		   (const struct sockaddr *)set->to, set->to_octets) < 0) {
		STORE(lane->counts.refusal, errno);
		STORE(lane->counts.refused, lane->counts.refused + 1);
	} else {
		s->missing++;
	}
	return 0;
}

/* The record of a packet with that mark, NULL when it is none of ours. */
static struct edge_record *find(const struct edge_streams *s, const struct mark *mark)
{
	struct edge_record *record;

	if (mark->token != s->token || mark->stream >= s->lanes || mark->number >= s->lane[mark->stream]->next)
		return NULL;
	record = edge_record_of(s->lane[mark->stream], mark->number);
	return record && record->sent_ns == mark->sent_ns ? record : NULL;
}

static void read_control(struct msghdr *message, uint64_t *time_ns, uint8_t *traffic_class)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
			struct timespec t;

			memcpy(&t, CMSG_DATA(c), sizeof(t));
			*time_ns = (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
		} else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TOS) {
			*traffic_class = *CMSG_DATA(c);
		} else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_TCLASS) {
			int value;

			memcpy(&value, CMSG_DATA(c), sizeof(value));
			*traffic_class = (uint8_t)value;
		}
	}
}

static void arrived(struct edge_streams *s, const uint8_t *data, size_t length, struct msghdr *message)
{
	static const size_t places[] = {0, EDGE_STREAM_RTP};
	uint64_t time_ns = 0;
	uint8_t traffic_class = 0;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		struct edge_record *record;
		struct edge_lane *lane;
		struct mark mark;

		if (length < places[i] + EDGE_STREAM_MARK)
			break;
		mark = get_mark(data + places[i]);
		record = find(s, &mark);
		if (!record)
			continue;
		lane = s->lane[mark.stream];
		if (record->received_ns) {
			STORE(lane->counts.duplicates, lane->counts.duplicates + 1);
			return;
		}
		read_control(message, &time_ns, &traffic_class);
		if (!time_ns)
			time_ns = edge_clock(CLOCK_REALTIME);
		STORE(lane->counts.received, lane->counts.received + 1);
		STORE(lane->counts.last_received_ns, time_ns);
		STORE(record->order, (uint32_t)lane->counts.received);
		STORE(record->traffic_class, traffic_class);
		STORE(record->received_ns, time_ns);
		s->missing -= s->missing > 0;
		return;
	}
	STORE(s->strange, s->strange + 1);
}

/* Whatever lies around it (tags, labels, another IP header): the first place where a mark of ours begins. */
static void tapped(struct edge_streams *s, int tap, const uint8_t *data, size_t length)
{
	for (size_t at = FRAME_LEAST; at + EDGE_STREAM_MARK <= length; at++) {
		struct edge_record *record;
		struct mark mark;

		if (get32(data + at) != s->token)
			continue;
		mark = get_mark(data + at);
		record = find(s, &mark);
		if (record) {
			STORE(record->taps, record->taps | 1ULL << tap);
			return;
		}
	}
}

int edge_streams_receive(struct edge_streams *s, const struct edge_source *source)
{
	uint8_t data[BATCH][HEAD];
	union {
		char octets[CONTROL];
		struct cmsghdr aligned;
	} control[BATCH];
	struct iovec vector[BATCH];
	struct mmsghdr message[BATCH];
	int count;

	memset(message, 0, sizeof(message));
	for (size_t i = 0; i < BATCH; i++) {
		vector[i] = (struct iovec){data[i], HEAD};
		message[i].msg_hdr.msg_iov = &vector[i];
		message[i].msg_hdr.msg_iovlen = 1;
		message[i].msg_hdr.msg_control = control[i].octets;
		message[i].msg_hdr.msg_controllen = CONTROL;
	}
	/* An error here (a link went down) is one of the past, told once; what comes after it is read next time. */
	count = recvmmsg(source->fd, message, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < count; i++) {
		size_t length = message[i].msg_len < HEAD ? message[i].msg_len : HEAD;

		if (source->tap < 0)
			arrived(s, data[i], length, &message[i].msg_hdr);
		else
			tapped(s, source->tap, data[i], length);
	}
	return count == BATCH;
}
