/* The tags of a frame that lies in memory. A pure function: bytes in, description out.
 *
 *	 0      6      12     14     16     18
 *	 +------+------+------+------+------+-----...
 *	 | dst  | src  | TPID | TCI  | TPID | TCI ...  | ethertype | payload
 *	 +------+------+------+------+------+-----...
 *
 * TPID is 0x8100 (802.1Q) or 0x88a8 (802.1ad); TCI is PCP (3 bits), DEI (1), VLAN id (12). The kernel
 * hands a received frame over without its outermost tag and tells that apart (PACKET_AUXDATA):
 * it is the `aux` argument.
 *
 * The lines between "cdef" marks are also what Python's side is declared from (edge/fastpath/build.py).
 */
#ifndef EDGE_FRAME_H
#define EDGE_FRAME_H

#include <stddef.h>
#include <stdint.h>

#define EDGE_FRAME_TAGS 8

/* cdef begin */
enum edge_frame_verdict {
	EDGE_FRAME_WHOLE = 0,	  /* everything up to the payload is there */
	EDGE_FRAME_TRUNCATED = 1, /* the bytes end before the ethertype of the payload */
	EDGE_FRAME_TOO_DEEP = 2,  /* more tags than `tpid` and `tci` hold; ethertype is the next one's TPID */
};

struct edge_frame {
	uint16_t tpid[8];   /* outermost first */
	uint16_t tci[8];    /* as in the frame, in the machine's byte order */
	uint16_t depth;	    /* how many of them are set */
	uint16_t ethertype; /* of the payload, 0 when truncated */
	uint32_t payload;   /* its offset in the bytes given, or where reading stopped */
};

/* Read the tags of the `length` octets at `frame`. aux_tpid 0 means that no tag is in metadata. Sets every
 * field of `out`; reads no octet at or beyond `length`. */
enum edge_frame_verdict edge_tags_parse(const uint8_t *frame, size_t length, uint16_t aux_tpid,
					uint16_t aux_tci, struct edge_frame *out);
/* cdef end */

#endif
