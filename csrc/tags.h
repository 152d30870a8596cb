/* The tag plane's tables: what user space writes and the tc programs read.
 *
 * Both sides include this header: tags.bpf.c for the kernel, native.c so that tests can compare
 * sizes and offsets with the packing in edge/fastpath/layout.py. All fields are in the byte order of
 * the machine, tags included; only the frame itself is in network order.
 *
 * A rule says what becomes of a frame that arrives at a port with certain outermost tags. Keys are
 * looked up from specific to general, (outer, inner) then (outer) then (), and the first rule wins
 * whose `depth` agrees: a subinterface takes frames with exactly its tags, a virtual circuit takes
 * them whatever lies below.
 */
#ifndef EDGE_TAGS_H
#define EDGE_TAGS_H

#include <linux/types.h>

#include "policer.h"

#define EDGE_ETHERTYPE_DOT1Q 0x8100
#define EDGE_ETHERTYPE_DOT1AD 0x88a8
#define EDGE_STACK_MAX 2    /* tags of a rule */
#define EDGE_DEPTH_ANY 0xff /* the rule does not care how many tags lie below its own */

/* A place in a tag stack that holds no tag is {0, 0}. */
struct edge_tag {
	__u16 tpid; /* 0: ethertype that announces the tag */
	__u16 vid;  /* 2: VLAN id, 12 bits */
};

/* Key of `rules` and of `unknown`: 12 octets without padding. */
struct edge_rule_key {
	__u32 ifindex;	      /* 0: the port the frame came in by */
	struct edge_tag outer; /* 4 */
	struct edge_tag inner; /* 8 */
};

enum edge_action {
	EDGE_TO_DEVICE = 1, /* deliver to a device beside the port, as if it had received the frame */
	EDGE_TO_PEER = 2,   /* deliver to the other end of the veth `ifindex`, in another namespace */
	EDGE_TO_PORT = 3,   /* send out of the port `ifindex` */
};

/* Value of `rules`: 72 octets. */
struct edge_rule {
	__u32 ifindex;			     /* 0: see edge_action */
	__u32 slot;			     /* 4: index into `stats`, and of the counters in `buckets` */
	__u8 action;			     /* 8: enum edge_action */
	__u8 depth;			     /* 9: tags the frame has in all, or EDGE_DEPTH_ANY */
	__u8 pop;			     /* 10: outermost tags to take off, 0..2 */
	__u8 push;			     /* 11: tags to put on after that, 0..2 */
	struct edge_tag tags[EDGE_STACK_MAX]; /* 12: the ones to put on, outermost first */
	__u16 mac[3];			     /* 20: MAC of the far end of EDGE_TO_PEER as it stands in the
					      * frame; 0 when not known */
	__u8 pad[2];			     /* 26 */
	__u32 bucket;			     /* 28: index into `buckets` of the tokens; `slot`, unless rules share them */
	struct edge_rate rate;		     /* 32: rate_bps 0 means no limit */
};

/* Value of `subinterfaces`, whose key is the ifindex frames come from: 20 octets. */
struct edge_subinterface {
	__u32 port;			     /* 0: ifindex frames leave by */
	__u32 slot;			     /* 4: index into `stats` */
	__u8 push;			     /* 8: tags to put on, 0..2 */
	__u8 pad[3];			     /* 9 */
	struct edge_tag tags[EDGE_STACK_MAX]; /* 12: outermost first */
};

/* Value of `stats`, one per CPU: 32 octets. Frames are counted as a wire carries them: with all tags,
 * without preamble and FCS, a GSO frame as the segments it stands for. */
struct edge_stats {
	__u64 packets;	       /* 0 */
	__u64 bytes;	       /* 8 */
	__u64 dropped_packets; /* 16 */
	__u64 dropped_bytes;   /* 24 */
};

/* The classes by which a policer counts: what the DSCP of a frame says (facts: expressroute 6.1). */
enum edge_class {
	EDGE_CLASS_EF = 0,    /* 46, voice */
	EDGE_CLASS_AF41 = 1,  /* 34, video */
	EDGE_CLASS_AF21 = 2,  /* 18, sharing */
	EDGE_CLASS_AF11 = 3,  /* 10, files */
	EDGE_CLASS_OTHER = 4, /* every other DSCP, and what is no IP packet */
	EDGE_CLASSES = 5,
};

/* Value of `buckets` behind its lock: 192 octets. Rules may take their tokens from one bucket (edge_rule.bucket), as
 * the peerings of a circuit do; each counts for itself, under the lock of the bucket it takes from. So counters are
 * exact and there is one of each, not one per CPU. */
struct edge_policer {
	struct edge_bucket bucket;	     /* 0: of the rules that name this place */
	struct edge_stats classes[EDGE_CLASSES]; /* 32: what became of the frames of the rule whose slot it is */
};

#endif
