/* Marks the packets of a capture file, window by window: the reader of capture.h, the classifier of
 * classify.h and counters. Pure, like both: the caller reads and writes the file. And room for a file, which Python
 * can ask for only in a way that writes zeros where the file system knows no other.
 */
#ifndef EDGE_PCAP_H
#define EDGE_PCAP_H

#include <stddef.h>
#include <stdint.h>

#include "capture.h"

/* cdef begin */
#define EDGE_PCAP_RULES 1024 /* RULES_MAX of edge/qos/model.py */

struct edge_pcap_count {
	uint64_t packets;
	uint64_t octets;  /* as on the wire, by the file's word */
	uint64_t changed; /* packets that left with another DSCP */
};

struct edge_pcap_counts {
	struct edge_pcap_count rules[1024]; /* by rule: index into Policy.rules */
	struct edge_pcap_count unmatched;   /* IP, and no rule took it */
	struct edge_pcap_count not_ip;	    /* Ethernet without IP, or without a whole IP header */
	struct edge_pcap_count other;	    /* of link types that nobody here reads */
};

/* Take records from the front of the window as edge_capture_step does and mark their packets in place by the
 * compiled policy `table` (EDGE_POLICY_SIZE octets, aligned to 8). Never EDGE_CAPTURE_FULL. On an error the octets
 * before `*consumed` are marked and counted. */
enum edge_capture_status edge_pcap_mark(struct edge_capture *s, const void *table, uint8_t *window,
					uint64_t length, struct edge_pcap_counts *counts, uint64_t *consumed);

/* Ask for the room that `octets` octets of the file will take, all at once: writing them takes a third less time of the
 * CPU then (ext4). The file's length stays. A favour: what cannot be had is told by write(2) later. Not of tmpfs, where
 * it would be more work. */
void edge_pcap_reserve(int fd, uint64_t octets);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_pcap_sources(void);
/* cdef end */

#endif
