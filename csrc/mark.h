/* The marking plane's tables: what user space writes and mark.bpf.c reads. The policies themselves are
 * tables of policy.h.
 *
 * A *marking* is a policy applied at a device, in one direction, to the frames under two tags, under one outer
 * tag, or to those that no other marking of the device takes; the more specific one wins. Its entry of `markings`
 * is written before anything names it and not changed afterwards; what names it, and its table, is one word (struct
 * edge_name), so a frame sees an old marking or a new one, whole:
 *
 *	direct[(ifindex * 2 + hook) % EDGE_DIRECT]   of one without a tag, the usual one: no hashing. It also says
 *						     whether the device has others there, else no tag need be read
 *	named[key]				     of one with a tag; of any, when another device has the place
 *
 * All fields are in the byte order of the machine.
 */
#ifndef EDGE_MARK_H
#define EDGE_MARK_H

#include <linux/types.h>

#define EDGE_MARKINGS_MAX 4096	     /* of a lab, 65536 at most; entry 0 is not used, it stands for "none" */
#define EDGE_DIRECT 8192
#define EDGE_POLICIES_MAX 64	     /* tables of a lab, 256 at most; equal ones are one */
#define EDGE_MARK_COUNTERS_MAX 16384 /* of all markings together: rules + 1 of each */
#define EDGE_MARKED_BLOCK 4	     /* of them in an entry of `counters`; a marking begins with an entry of its own */

enum edge_hook {
	EDGE_HOOK_INGRESS = 0,
	EDGE_HOOK_EGRESS = 1,
};

/* Key of `named`: 16 octets without padding. */
struct edge_marking_key {
	__u32 ifindex;	  /* 0 */
	__u32 hook;	  /* 4: enum edge_hook */
	__u16 tpid;	  /* 8: of the outermost tag; 0 for frames that no other key takes */
	__u16 vid;	  /* 10 */
	__u16 inner_tpid; /* 12: of the next tag; 0 for frames that no key with two tags takes */
	__u16 inner_vid;  /* 14 */
};

/* Value of `named`, and what leads to a marking anywhere: 4 octets, read and written at once. The table is named beside
 * the marking, so that neither waits for the other. */
struct edge_name {
	__u16 number; /* 0: index into `markings`, 0 for none */
	__u8 policy;  /* 2: index into `policies` */
	__u8 tags;    /* 3: in `direct` only: 1 when keys of `named` with a tag are of that device and hook */
};

/* Value of `direct`: 8 octets, read and written at once. */
struct edge_direct {
	__u32 owner;	       /* 0: ifindex * 2 + hook of the markings whose place it is */
	struct edge_name name; /* 4 */
};

/* What becomes of packets whose DSCP the service does not know, at the MSEE's ingress (facts: expressroute 6.1). */
enum edge_knob {
	EDGE_KNOB_PASS = 0,
	EDGE_KNOB_REMARK = 1, /* they leave with DSCP 0 */
	EDGE_KNOB_DROP = 2,
};

/* Value of `markings`: 24 octets. */
struct edge_marking {
	__u32 counters;	  /* 0: the number of its first counter of rules + 1, by outcome (policy.h) */
	__u32 queue_base; /* 4: skb->priority of queue 0, 0 steers nowhere (facts: fastpath 1.6) */
	__u32 knob;	  /* 8: enum edge_knob */
	__u32 pad;	  /* 12 */
	__u64 known;	  /* 16: one bit per DSCP that the service knows; all of them without a knob */
};

/* What is counted of an outcome: 40 octets. Frames are counted as the device carries them, a GSO frame as the segments
 * it stands for. */
struct edge_marked {
	__u64 packets;	/* 0: all that had this outcome */
	__u64 bytes;	/* 8 */
	__u64 remarked; /* 16: packets of them that left with another DSCP */
	__u64 dropped;	/* 24: packets of them that the knob dropped */
	__u64 unknown;	/* 32: packets of them whose DSCP the service does not know, whatever the knob did */
};

/* Value of `counters`, one per CPU: 160 octets. Several to an entry, since each is reached by a pointer of its own. */
struct edge_marked_block {
	struct edge_marked of[EDGE_MARKED_BLOCK];
};

#endif
