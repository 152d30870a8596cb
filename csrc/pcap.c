#define _GNU_SOURCE
#include "pcap.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/vfs.h>

#include "lanes.h"

#ifndef EDGE_SOURCES
#error "build with edge/fastpath/build.py, which defines EDGE_SOURCES"
#endif

#define BATCH 256

/* Which counter: without a branch, since nobody can predict what a packet hits. */
static void add(struct edge_pcap_counts *counts, const struct edge_capture_packet *packet,
		const struct edge_verdict *verdict)
{
	size_t place = verdict->rule < EDGE_PCAP_RULES ? verdict->rule * sizeof(*counts->rules) :
							 offsetof(struct edge_pcap_counts, unmatched);
	struct edge_pcap_count *count;

	place = verdict->flags & EDGE_VERDICT_IP ? place : offsetof(struct edge_pcap_counts, not_ip);
	count = (struct edge_pcap_count *)((char *)counts + place);
	count->packets++;
	count->octets += packet->wire;
	count->changed += verdict->flags & EDGE_VERDICT_REMARK ? 1 : 0;
}

/* A packet that does not begin with Ethernet. */
static void mark_one(const struct edge_policy *policy, uint8_t *data, const struct edge_capture_packet *packet,
		     struct edge_pcap_counts *counts)
{
	struct edge_verdict verdict = {0};
	uint16_t ethertype = 0;
	struct edge_key key;

	if (packet->kind == EDGE_CAPTURE_OTHER) {
		counts->other.packets++;
		counts->other.octets += packet->wire;
		return;
	}
	if (packet->kind == EDGE_CAPTURE_IP && packet->length)
		ethertype = data[0] >> 4 == 4 ? EDGE_ETHERTYPE_IP4 : EDGE_ETHERTYPE_IP6;
	else if (packet->kind == EDGE_CAPTURE_IP4)
		ethertype = EDGE_ETHERTYPE_IP4;
	else if (packet->kind == EDGE_CAPTURE_IP6)
		ethertype = EDGE_ETHERTYPE_IP6;
	edge_classify_from(policy, data, packet->length, 0, ethertype, 0, &key, &verdict);
	if (verdict.flags & EDGE_VERDICT_REMARK)
		edge_rewrite(data, data + packet->length, key.flags, verdict.dscp);
	add(counts, packet, &verdict);
}

/* Frames go through the fastest lane together, anything else one by one. */
static void mark_all(const struct edge_policy *policy, uint8_t *window, const struct edge_capture_packet *packets,
		     uint32_t count, struct edge_pcap_counts *counts)
{
	struct edge_verdict verdicts[BATCH];
	uint64_t offsets[BATCH];
	uint32_t lengths[BATCH];
	uint32_t frame[BATCH];
	uint32_t i, frames = 0;

	for (i = 0; i < count; i++) {
		if (packets[i].kind != EDGE_CAPTURE_ETHERNET) {
			mark_one(policy, window + packets[i].at, &packets[i], counts);
			continue;
		}
		offsets[frames] = packets[i].at;
		lengths[frames] = packets[i].length;
		frame[frames++] = i;
	}
	edge_mark_batch(policy, window, offsets, lengths, frames, verdicts, NULL, EDGE_LANE_BEST);
	for (i = 0; i < frames; i++)
		add(counts, &packets[frame[i]], &verdicts[i]);
}

enum edge_capture_status edge_pcap_mark(struct edge_capture *s, const void *table, uint8_t *window,
					uint64_t length, struct edge_pcap_counts *counts, uint64_t *consumed)
{
	struct edge_capture_packet packets[BATCH];
	enum edge_capture_status status;

	*consumed = 0;
	do {
		uint64_t step;
		uint32_t found;

		status = edge_capture_step(s, window + *consumed, length - *consumed, packets, BATCH, &found, &step);
		mark_all(table, window + *consumed, packets, found, counts);
		*consumed += step;
	} while (status == EDGE_CAPTURE_FULL);
	return status;
}

void edge_pcap_reserve(int fd, uint64_t octets)
{
	struct statfs found;

	if (octets > INT64_MAX || fstatfs(fd, &found) || found.f_type == TMPFS_MAGIC)
		return;
	(void)!fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, (off_t)octets);
}

const char *edge_pcap_sources(void)
{
	return EDGE_SOURCES;
}
