/* The marking plane's tables: what user space writes and mark.bpf.c reads. The policies themselves are
 * tables of policy.h.
 *
 * A *marking* is a policy applied at a device, in one direction, to the frames under two tags, under one outer
 * tag, or to those that no other marking of the device takes; the more specific one wins. Its entry of `markings` is written before anything names
 * it and not changed afterwards; what names it is one number, so a frame sees an old marking or a new one, whole:
 *
 *	direct[(ifindex * 2 + hook) % EDGE_DIRECT]   of one without a tag, the usual one: no hashing
 *	named[key]				     of one with a tag, or whose place in `direct` is taken
 *
 * All fields are in the byte order of the machine.
 */
#ifndef EDGE_MARK_H
#define EDGE_MARK_H

#include <linux/types.h>

#define EDGE_MARKINGS_MAX 4096	     /* of a lab; entry 0 is not used, it stands for "none" */
#define EDGE_DIRECT 8192
#define EDGE_POLICIES_MAX 64	     /* tables of a lab; equal ones are one */
#define EDGE_MARK_COUNTERS_MAX 16384 /* of all markings together: rules + 1 of each */

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

/* Value of `direct`: 8 octets, read and written at once. */
struct edge_direct {
	__u32 owner;  /* 0: ifindex * 2 + hook of the marking whose place it is */
	__u32 number; /* 4: index into `markings`, 0 for none */
};

/* What becomes of packets whose DSCP the service does not know, at the MSEE's ingress (facts: expressroute 6.1). */
enum edge_knob {
	EDGE_KNOB_PASS = 0,
	EDGE_KNOB_REMARK = 1, /* they leave with DSCP 0 */
	EDGE_KNOB_DROP = 2,
};

/* Value of `markings`: 24 octets. */
struct edge_marking {
	__u32 policy;	  /* 0: index into `policies` */
	__u32 counters;	  /* 4: the first of rules + 1 indexes into `counters`, by outcome (policy.h) */
	__u32 queue_base; /* 8: skb->priority of queue 0, 0 steers nowhere (facts: fastpath 1.6) */
	__u32 knob;	  /* 12: enum edge_knob */
	__u64 known;	  /* 16: one bit per DSCP that the service knows; all of them without a knob */
};

/* Value of `counters`, one per CPU: 40 octets. Frames are counted as the device carries them, a GSO frame as
 * the segments it stands for. */
struct edge_marked {
	__u64 packets;	/* 0: all that had this outcome */
	__u64 bytes;	/* 8 */
	__u64 remarked; /* 16: packets of them that left with another DSCP */
	__u64 dropped;	/* 24: packets of them that the knob dropped */
	__u64 unknown;	/* 32: packets of them whose DSCP the service does not know, whatever the knob did */
};

#endif
