/* The tag plane in user space: one process, one thread, all ports of a lab, for machines that give no BPF.
 *
 *	port (packet socket)				      port (packet socket)
 *	   | recvmmsg, tag out of metadata back into its place     ^ sendmmsg
 *	   v							   |
 *	 marks, ingress -> rule -> police -> pop, push -> marks, egress -> queues -> impair
 *			     \-> dropped, counted
 *
 * A *port* is any device the engine reads and writes: a trunk's port, or the inner end of a veth whose
 * other end is a subinterface. What leaves a VRF by its subinterface arrives at the inner end, gets its
 * tags (struct edge_subinterface) and leaves by the trunk; what arrives at the trunk is looked up by its
 * tags (struct edge_rule), as in tags.bpf.c. Nothing passes that no rule names. Ports have numbers, which stand
 * where the structs of tags.h speak of an ifindex.
 *
 * Frames lie in buffers of one pool; a frame is its number. Nothing is copied between receiving and
 * sending. Who holds frames (queues, impairments) keeps numbers only, and leaves EDGE_RING_RESERVE of
 * them for the rest, so that one slow port does not stop the others.
 *
 * Offloads: frames carry their virtio_net_hdr from the socket they came by to the one they leave by, with
 * csum_start and hdr_len moved by the tags put on or taken off. So an unfinished checksum stays announced as
 * unfinished, and a GSO frame stays whole until the kernel must cut it. Without that header TCP through such
 * an engine does not even connect (facts, fast path 2.3).
 *
 * Invariants: one thread owns everything; the tables lie in memory that is shared with the process that
 * started the engine, which reads them and writes nothing. It asks by messages (struct edge_ring_command)
 * over a SOCK_SEQPACKET socket; each is carried out between two batches and answered by an errno. When that
 * socket is closed the engine ends. No allocation but at start and by commands.
 */
#ifndef EDGE_RING_H
#define EDGE_RING_H

#include <stddef.h>
#include <stdint.h>

#include <linux/virtio_net.h>

#include "impair.h"
#include "mark.h"
#include "schedule.h"
#include "tags.h"

#define EDGE_RING_PORTS 1024
#define EDGE_RING_RULES 8192	  /* places, of which half may be used */
#define EDGE_RING_RULES_MAX 4096
#define EDGE_RING_SLOTS 4096	  /* of counters and buckets */
#define EDGE_RING_UNKNOWN 1024	  /* tag stacks remembered that nobody waits for */
#define EDGE_RING_FRAMES 8192	  /* buffers */
#define EDGE_RING_RESERVE 1024	  /* of them never held by queues and impairments */
#define EDGE_RING_BUFFER 69632	  /* octets of a buffer: headroom, a GSO frame of 64 KiB, its headers */
#define EDGE_RING_HEADROOM 64	  /* where a received frame begins; tags are put on before it */
#define EDGE_RING_BATCH 64	  /* frames taken from a port before the next gets its turn */
#define EDGE_RING_PLACES 512	  /* trees of queues, and impairments, of a lab */
#define EDGE_RING_NO_CLASS 0xffff /* of a frame: nobody steered it */
#define EDGE_RING_TREES 256	  /* of a port */

/* cdef begin */
enum edge_ring_op {
	EDGE_RING_PORT_ADD = 1,		   /* a bound packet socket comes along */
	EDGE_RING_PORT_RENEW = 2,	   /* another socket comes along: the device was made again */
	EDGE_RING_PORT_REMOVE = 3,	   /* with all that belongs to it */
	EDGE_RING_RULE_PUT = 4,		   /* body: edge_rule_key, edge_rule; EEXIST when there is one */
	EDGE_RING_RULE_CHANGE = 5,	   /* the same of a rule that is there, else ENOENT */
	EDGE_RING_RULE_DELETE = 6,	   /* body: edge_rule_key */
	EDGE_RING_SUBINTERFACE_PUT = 7,	   /* of what this port's device sends; body: edge_subinterface */
	EDGE_RING_SUBINTERFACE_DELETE = 8,
	EDGE_RING_SLOT_CLEAR = 9,	   /* port: the slot; its counters and bucket become as new */
	EDGE_RING_MARK_PUT = 10,	   /* a memfd with the policy comes along; body: edge_ring_mark */
	EDGE_RING_MARK_DELETE = 11,	   /* body: edge_ring_mark, of which the key counts */
	EDGE_RING_TREE_PUT = 12,	   /* queues of one circuit; body: edge_ring_tree */
	EDGE_RING_TREE_DELETE = 13,	   /* body: edge_ring_tree, of which the number counts */
	EDGE_RING_IMPAIRMENT_PUT = 14,	   /* body: edge_ring_impairment */
	EDGE_RING_IMPAIRMENT_DELETE = 15,  /* body: the same; nothing of it counts */
};

/* Where a marking works, seen from the engine. */
enum edge_ring_stage {
	EDGE_RING_ARRIVING = 0, /* frames that the engine takes from the device */
	EDGE_RING_LEAVING = 1,	/* frames that it is about to hand to the device */
};

/* The queues of one circuit at a port (schedule.h). place: of `shared->trees`, chosen by who asks. A tree that is
 * there gets these settings; frames in it stay. */
struct edge_ring_tree {
	uint32_t place;
	uint32_t number; /* 0..EDGE_RING_TREES - 1 at its port */
	uint64_t rate_bps;
	uint32_t round_octets;
	uint32_t queues;
	struct edge_queue_settings queue[16];
};

/* A bad wire behind a port (impair.h). place: of `shared->impairments`. */
struct edge_ring_impairment {
	uint32_t place;
	uint32_t pad;
	struct edge_impairment set;
};

/* What a port came to, in frames as the sockets have them: a GSO frame is one. */
struct edge_ring_port_stats {
	uint64_t received;
	uint64_t sent;
	uint64_t unsent;  /* refused by the kernel: device down, longer than its MTU, no room */
	uint64_t unread;  /* too long for a buffer, too short for a frame, or nothing a virtio_net_hdr has words for */
	uint64_t overrun; /* no buffer left to hold it */
};

/* Octets of the memory that is shared with the engine. */
size_t edge_ring_shared_size(void);

/* Start the engine as a child process on zeroed shared memory. control: its end of the socket; every other
 * descriptor above 2 is closed there. Returns the pid, or -errno. */
int edge_ring_start(int control, void *shared);

/* Copy the rules that are in force: an edge_rule_key and an edge_rule each, one after the other. Returns how many; `pairs`
 * has room for EDGE_RING_RULES_MAX of them. */
uint32_t edge_ring_rules(const void *shared, uint8_t *pairs);

/* The same of unknown stacks: an edge_rule_key and a uint64_t of frames each; room for EDGE_RING_UNKNOWN of them. */
uint32_t edge_ring_unknown(const void *shared, uint8_t *pairs);

/* Copy what the device of a port sends under: 1, or 0 when it is no subinterface's. */
int edge_ring_subinterface(const void *shared, uint32_t port, uint8_t *entry);

void edge_ring_port_count(const void *shared, uint32_t port, struct edge_ring_port_stats *stats);

/* Copy the edge_stats of frames that came to a port and that no rule names. */
void edge_ring_port_dropped(const void *shared, uint32_t port, uint8_t *stats);

/* Copy what a tree does, and the counters of its 16 queues: 1, or 0 when the place is free. */
int edge_ring_tree_read(const void *shared, uint32_t place, struct edge_ring_tree *set,
			struct edge_queue_counters *counters);

/* The same of an impairment. */
int edge_ring_impairment_read(const void *shared, uint32_t place, struct edge_impairment *set,
			      struct edge_impair_counters *counters);

/* Copy an edge_marked. */
void edge_ring_marked(const void *shared, uint32_t counter, uint8_t *marked);

/* Copy a slot's edge_stats and edge_policer. */
void edge_ring_slot_count(const void *shared, uint32_t slot, uint8_t *stats, uint8_t *policer);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_ring_sources(void);
/* cdef end */

/* Head of every message to the engine; the body follows. The answer is an errno as int32_t. */
struct edge_ring_command {
	uint32_t op;   /* enum edge_ring_op */
	uint32_t port; /* its number, 1..EDGE_RING_PORTS - 1 */
};

/* A policy at a port; it comes along as a memfd of EDGE_POLICY_SIZE octets. No tag ({0, 0}): for frames that no more
 * specific marking of that stage takes. Of `set` the index of the policy does not matter; its counters begin at 0. */
struct edge_ring_mark {
	uint32_t stage; /* enum edge_ring_stage */
	struct edge_tag outer;
	struct edge_tag inner;
	uint32_t pad;
	struct edge_marking set;
};

/* A frame that is inside. Its octets are edge_ring_data(). */
struct edge_ring_frame {
	uint32_t next;	  /* for the list it is in: free, or of who holds it */
	uint32_t length;  /* octets, all tags included */
	uint16_t offset;  /* where it begins in its buffer */
	uint16_t class_id; /* of the port's queues: tree * 16 + queue, or EDGE_RING_NO_CLASS */
	uint32_t holders; /* places that have its number; free when the last lets go */
	uint32_t packets; /* frames and octets that it becomes on a wire */
	uint32_t bytes;
	struct virtio_net_hdr vnet;
};

#endif
