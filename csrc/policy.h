/* A policy as one flat table: what edge/qos/table.py writes, and classify.h reads in user space and, as the
 * value of a BPF array map, in the kernel. The same octets in both.
 *
 *	0		     sizeof(struct edge_policy_head)	     octets	       EDGE_POLICY_SIZE
 *	+--------------------+-----------------------------------+-----------------+
 *	| edge_policy_head   | areas, each aligned to 8 octets   | not used, zero  |
 *	+--------------------+-----------------------------------+-----------------+
 *
 * Every place in the table is given as an offset in octets from its first octet. A reader masks each offset
 * with EDGE_POLICY_MASK and so never leaves the table, whatever it holds; hence a table lies in memory of
 * EDGE_POLICY_SIZE octets always, aligned to 8. Numbers are in the byte order of the machine.
 *
 * Words used below. A *row* is a conjunction of one test per field; a rule with `either_ports` is two rows,
 * any other rule one. A *class* of a field is a set of its values that no row tells apart. An *outcome* is
 * an index into the verdicts: 0 when no rule matched, else 1 + the position among the rules of this direction.
 *
 * Fields and how a value becomes the number of its class (u16):
 *	port	 page = u16[ports + (port >> 5) * 2], an offset in units of 8 octets; u16[page * 8 + (port & 31) * 2]
 *	address	 bounds, sorted, padded with the greatest value to a power of two: the class belongs to the last bound
 *		 that is not greater than the address (edge_side)
 *	protocol u16[protocols + protocol * 2]
 *	DSCP	 u16[dscps + dscp * 2]
 *	traits	 u16[traits + (key.flags & 7) * 2]: has ports, looks like STUN, looks like RTP
 *
 * EDGE_BY_PRODUCT: classes are combined pairwise by tables of u16, the first of a pair comes multiplied:
 *	ports = P[source port + destination port]	addresses = A[source + destination]
 *	meta = M[protocol + traits + dscp]		half = H[ports + meta]
 *	outcome = O[half * half_stride + addresses]
 * EDGE_BY_LOWEST, for many prefixes and few kinds of ports: half as above, then the lowest of three outcomes (u16, 0xffff
 * for none): of the rows that do not ask for a destination, S[half * source_stride + source]; of those that
 * ask for a destination only, D[half * destination_stride + destination]; of those that ask for both,
 * B[half * both_stride + pair]. The pair of a source and a destination class is looked up by the number n = source *
 * destination_stride + destination in {u32 n, u32 pair}[pairs], at n * EDGE_HASH_1 >> pair_shift or at
 * n * EDGE_HASH_2 >> pair_shift; it is 0 when it stands in neither place.
 * EDGE_BY_VECTORS: each class of {meta, DSCP, source port, destination port, source, destination} has a vector
 * of one bit per row. The first word is a summary: bit w says that word w has a bit set. The lowest bit that is set in all
 * six is the row; u16[row_outcomes + row * 2] its outcome. Here meta is M[protocol + traits].
 * The list of rows is always there: the reference that other matchers must agree with.
 */
#ifndef EDGE_POLICY_H
#define EDGE_POLICY_H

#include "octets.h"

#define EDGE_POLICY_MAGIC 0x31514445 /* "EDQ1" */
#define EDGE_POLICY_SIZE 0x80000     /* octets of a table in memory and of the map's value: 512 KiB */
#define EDGE_POLICY_MASK (EDGE_POLICY_SIZE - 1)
#define EDGE_ROWS_MAX 2048   /* twice RULES_MAX of edge/qos/model.py */
#define EDGE_WORDS_MAX 32    /* words of 64 rows */
#define EDGE_SEARCH_STEPS 14 /* at most 2^14 bounds per side and family */
#define EDGE_FEW 8 /* bounds of IPv4 that may be counted instead of searched */
#define EDGE_PORT_BITS 5     /* ports of a page: 2^5 */
#define EDGE_HASH_1 0x9e3779b1u
#define EDGE_HASH_2 0x85ebca6bu
#define EDGE_NONE 0xffff     /* an outcome of EDGE_BY_LOWEST: no row matches */
#define EDGE_TREE_KEYS 8     /* of a node of struct edge_side's tree */
#define EDGE_TREE_LEVELS 5
#define EDGE_NO_RULE 0xffff
#define EDGE_NO_POLICER 0xffff
#define EDGE_DSCP_KEEP 0xff
#define EDGE_LANE_ASK 0xffff /* as the outcome of a row of the AVX2 lane: it also asks about the payload, so the scalar lane judges */
#define EDGE_LANE_ROWS 64 /* rows of the AVX2 lane, per family; more: the tables */

/* cdef begin */
/* What is decided of a packet: 8 octets. */
struct edge_verdict {
	uint16_t rule;	  /* 0: index into Policy.rules, EDGE_NO_RULE (0xffff) when none matched */
	uint8_t class_id; /* 2: index into Policy.classes */
	uint8_t queue;	  /* 3: of the class */
	uint8_t dscp;	  /* 4: as the packet leaves; inside the table EDGE_DSCP_KEEP leaves it as it came */
	uint8_t flags;	  /* 5: enum edge_verdict_flag */
	uint16_t policer; /* 6: index of the strict class that it is policed as, EDGE_NO_POLICER (0xffff) for none */
};

enum edge_verdict_flag {
	EDGE_VERDICT_IP = 1,	 /* it is IPv4 or IPv6 with a whole header; nothing else is judged or changed */
	EDGE_VERDICT_REMARK = 2, /* it leaves with another DSCP than it came with */
};

enum edge_structure {
	EDGE_BY_PRODUCT = 1, /* cross-product tables: fastest, where they stay small */
	EDGE_BY_VECTORS = 2, /* bit vectors: grows gently for any policy */
	EDGE_BY_LOWEST = 3,  /* the lowest of three outcomes: for many prefixes */
};
/* cdef end */

/* Where the prefixes of one side (source or destination) are: 32 octets. */
struct edge_side {
	uint32_t bounds4;	/* 0: u32[count4], first addresses of intervals; EDGE_FEW of them at least, aligned to these */
	uint32_t classes4; /* 4: u16[count4]; EDGE_FEW of them at least */
	uint32_t bounds6;	/* 8: {u64 high, u64 low}[count6] */
	uint32_t classes6; /* 12: u16[count6] */
	uint32_t count4;	/* 16: a power of two */
	uint32_t count6;	/* 20: a power of two */
	uint32_t tree4;	/* 24: the same bounds for the AVX2 lane: levels4 levels of nodes of eight bounds, the root first;
			 * a bound has its uppermost bit turned over. Child k of node i is node i * 9 + k */
	uint32_t levels4;	/* 28: 0: no tree */
};

/* The first octets of a table: 224 octets. */
struct edge_policy_head {
	uint32_t magic;		      /* 0: EDGE_POLICY_MAGIC; 0 in a map: no policy here */
	uint32_t octets;		      /* 4: how much of the table is used */
	uint16_t rules;		      /* 8: rules of this direction; there is one verdict more */
	uint16_t rows;		      /* 10 */
	uint8_t structure;		      /* 12: enum edge_structure */
	uint8_t hints;		      /* 13: 1: some rule asks what the payload looks like (edge_hint) */
	uint8_t classes;		      /* 14: of Policy.classes */
	uint8_t pad;		      /* 15 */
	uint32_t verdicts;		      /* 16: struct edge_verdict[rules + 1], by outcome */
	uint32_t row_outcomes;	      /* 20: u16[rows] */
	uint32_t list;		      /* 24: struct edge_row[rows] */
	uint32_t source_ports;	      /* 28: pages, see above */
	uint32_t destination_ports;      /* 32 */
	uint32_t protocols;	      /* 36: u16[256] */
	uint32_t dscps;		      /* 40: u16[64] */
	uint32_t traits;		      /* 44: u16[8] */
	struct edge_side source;      /* 48 */
	struct edge_side destination; /* 80 */
	uint32_t product_ports;	      /* 112: P */
	uint32_t product_addresses;      /* 116: A */
	uint32_t product_meta;	      /* 120: M, for vectors too */
	uint32_t product_half;	      /* 124: H */
	uint32_t product_outcome;	      /* 128: O */
	uint32_t half_stride;	      /* 132: classes of addresses */
	uint32_t vectors[6];	      /* 136: meta, DSCP, source port, destination port, source, destination */
	uint32_t vector_octets;	      /* 160: of one vector, summary included */
	uint32_t lane4;		      /* 164: struct edge_lane4[lane4_rows] */
	uint32_t lane4_rows;	      /* 168: 0: none, the AVX2 lane uses the tables */
	uint32_t lane6;		      /* 172: struct edge_lane6[lane6_rows] */
	uint32_t lane6_rows;	      /* 176: 0: none */
	uint32_t lane_flags;	      /* 180: enum edge_lane_flag */
	uint32_t lowest[3];	      /* 184: S, D, B */
	uint32_t source_stride;	      /* 196 */
	uint32_t destination_stride;  /* 200 */
	uint32_t both_stride;	      /* 204 */
	uint32_t pairs;		      /* 208 */
	uint32_t pair_shift;	      /* 212: 32 - log2 of how many places pairs have; 0: no row asks for both */
	uint32_t filter4;	      /* 216: struct edge_filter of the AVX2 lane; 0: its rows are all there are */
	uint32_t filter6;	      /* 220 */
};

enum edge_lane_flag {
	EDGE_LANE4 = 1, /* the rows of lane4 say all about IPv4 packets that filter4 does not name (there may be none) */
	EDGE_LANE6 = 2, /* the same for IPv6 */
};

/* Which packets may match a row that is not among those of the AVX2 lane, told by 16 bits of their addresses: those
 * whose bit is set for the source or for the destination. 16400 octets. */
struct edge_filter {
	uint32_t window;		  /* 0: which 16 bits of an address, counted from its beginning */
	uint32_t pad[3];		  /* 4 */
	uint8_t source[8192];	  /* 16 */
	uint8_t destination[8192]; /* 8208 */
};

struct edge_policy {
	struct edge_policy_head head;
	uint8_t areas[EDGE_POLICY_SIZE - sizeof(struct edge_policy_head)];
};

enum edge_row_test {
	EDGE_ROW_PORTS = 1,  /* asks for ports: only packets that have them */
	EDGE_ROW_STUN = 2,   /* must look like STUN */
	EDGE_ROW_RTP = 4,    /* must look like RTP */
	EDGE_ROW_SOURCE = 8, /* asks for the source address */
	EDGE_ROW_DESTINATION = 16,
};

/* A row of the list: 80 octets. */
struct edge_row {
	uint16_t outcome;		 /* 0 */
	uint16_t tests;		 /* 2: enum edge_row_test */
	uint16_t source_port[2];	 /* 4: first and last */
	uint16_t destination_port[2]; /* 8 */
	uint32_t source;		 /* 12: struct edge_prefix[source_count] */
	uint32_t destination;	 /* 16 */
	uint16_t source_count;	 /* 20 */
	uint16_t destination_count; /* 22 */
	uint64_t dscps;		 /* 24: one bit per DSCP */
	uint64_t protocols[4];	 /* 32: one bit per protocol */
	uint64_t pad[2];		 /* 64 */
};

/* A prefix: 40 octets. An IPv4 address stands in the lower half of `high`, `low` is 0. */
struct edge_prefix {
	uint64_t high, low;	   /* 0 */
	uint64_t mask_high, mask_low; /* 16 */
	uint32_t family;		   /* 32: 4 or 6 */
	uint32_t pad;		   /* 36 */
};

/* A row of the AVX2 lane for IPv4, which holds one prefix per side at most: 40 octets. Values as that lane has
 * them: ports with the source in the lower half; addresses as they stand in memory; meta = protocol |
 * DSCP << 8 | (has ports) << 16. Whatever a row does not ask for is masked out, or a span of 0xffff. */
struct edge_lane4 {
	uint32_t ports;		/* 0: first ports */
	uint32_t span;		/* 4: last - first of both, 0xffff: any */
	uint32_t meta;		/* 8 */
	uint32_t meta_mask;	/* 12 */
	uint32_t outcome;		/* 16: or EDGE_LANE_ASK */
	uint32_t tests;		/* 20: enum edge_lane_test */
	uint32_t source;		/* 24 */
	uint32_t source_mask;	/* 28 */
	uint32_t destination;	/* 32 */
	uint32_t destination_mask; /* 36 */
};

enum edge_lane_test {
	EDGE_LANE_SOURCE = 1,
	EDGE_LANE_DESTINATION = 2,
	EDGE_LANE_SAME_META = 4, /* meta and meta_mask are those of the next row */
};

/* The same for IPv6: 88 octets. */
struct edge_lane6 {
	uint32_t ports;		   /* 0 */
	uint32_t span;		   /* 4 */
	uint32_t meta;		   /* 8 */
	uint32_t meta_mask;	   /* 12 */
	uint32_t outcome;		   /* 16 */
	uint32_t tests;		   /* 20 */
	uint32_t source[4];	   /* 24 */
	uint32_t source_mask[4];	   /* 40 */
	uint32_t destination[4];	   /* 56 */
	uint32_t destination_mask[4]; /* 72 */
};

#endif
