/* Where the packets lie in a capture file: pcap and pcapng, in pieces. A pure state machine: octets in,
 * places of packets out; no allocation, no system call.
 *
 * The caller reads a file in order into a window and calls edge_capture_step again and again. Each call
 * takes whole records from the window's front, names the packets in them, and says how many octets it is
 * done with; the caller drops those, moves the rest to the front and fills up. What is done with may be
 * written out as it is: nothing but the packets is ever touched, so that a copy differs from its source in
 * marked octets only.
 *
 *	window   | record | record | record | rec...
 *	         `-- consumed, packets named --'`-- still needed
 *
 * Invariants:
 *  - no octet at or beyond `length` is read, whatever the file says;
 *  - a packet named lies within the window and within `consumed`;
 *  - a window of EDGE_CAPTURE_WINDOW octets always suffices: of a record the fixed part and the first
 *    EDGE_CAPTURE_HEAD octets of its packet are needed at once (no IP header lies deeper), and the rest, like
 *    blocks without a packet, goes by in pieces of any size;
 *  - after an error the state may only be thrown away. `offset` is where the faulty record begins, or where the
 *    second length of a block stands that is not as the first.
 *
 * Formats: pcap in both byte orders, microseconds or nanoseconds (draft-ietf-opsawg-pcap); pcapng in both,
 * any number of sections, packets in enhanced, simple and obsolete packet blocks
 * (draft-ietf-opsawg-pcapng). Link types: Ethernet, Linux cooked v1 and v2, raw IP. Packets of
 * others are named, too, for the caller to count.
 */
#ifndef EDGE_CAPTURE_H
#define EDGE_CAPTURE_H

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
#define EDGE_CAPTURE_HEAD 65536
#define EDGE_CAPTURE_WINDOW 65664
#define EDGE_CAPTURE_INTERFACES 65536
#define EDGE_CAPTURE_LARGEST 262144

enum edge_capture_status {
	EDGE_CAPTURE_MORE = 0,		 /* the window is used up: fill it, or stop when the file has ended */
	EDGE_CAPTURE_FULL = 1,		 /* no room for more packets: call again */
	EDGE_CAPTURE_UNKNOWN = 2,	 /* neither pcap nor pcapng */
	EDGE_CAPTURE_VERSION = 3,	 /* a version that nobody has specified */
	EDGE_CAPTURE_LENGTH = 4,	 /* a record whose length cannot be */
	EDGE_CAPTURE_TRAILER = 5,	 /* a block whose two lengths differ */
	EDGE_CAPTURE_NO_INTERFACE = 6,	 /* a packet of an interface that no block described */
	EDGE_CAPTURE_TOO_MANY = 7,	 /* more interfaces in one section than EDGE_CAPTURE_INTERFACES */
	EDGE_CAPTURE_CUT = 8,		 /* the file ends within a record (edge_capture_end) */
	EDGE_CAPTURE_EMPTY = 9,		 /* there is no file at all (edge_capture_end) */
};

/* What a packet begins with. */
enum edge_capture_kind {
	EDGE_CAPTURE_OTHER = 0,	   /* its link type is none of those that are read */
	EDGE_CAPTURE_ETHERNET = 1, /* at its destination address */
	EDGE_CAPTURE_IP = 2,	   /* at an IP header, whose version says which */
	EDGE_CAPTURE_IP4 = 3,	   /* at an IPv4 header, by what stands before it */
	EDGE_CAPTURE_IP6 = 4,
	EDGE_CAPTURE_NO_IP = 5,	   /* a cooked packet of another ethertype, or of too many tags */
	EDGE_CAPTURE_SLL = 6,	   /* Linux cooked v1; a link type, never of a packet */
	EDGE_CAPTURE_SLL2 = 7,	   /* Linux cooked v2; the same */
};

/* A packet in the window. `length` is what the file holds of it, at most EDGE_CAPTURE_HEAD; `wire` is what it
 * had on the wire. */
struct edge_capture_packet {
	uint32_t at;
	uint32_t length;
	uint32_t wire;
	uint32_t kind;
};

struct edge_capture {
	uint64_t offset;     /* of the first octet that is not consumed, or of a faulty record */
	uint64_t skip;	     /* octets that pass before anything is looked at again */
	uint32_t trailer;    /* the length that must follow them; 0: none */
	uint32_t interfaces; /* described so far in this section */
	uint32_t snaplen;    /* pcap: of the file. pcapng: of interface 0, for simple packet blocks */
	uint8_t format;	     /* 0 not known yet, 1 pcap, 2 pcapng */
	uint8_t swapped;     /* the other byte order than this machine's */
	uint8_t link[65536]; /* enum edge_capture_kind by interface; pcap has number 0 only */
};

/* Begin a file. */
void edge_capture_begin(struct edge_capture *s);

/* Take records from the front of the window. At most `room` packets are put into `packets`, their
 * number into `*count`, the octets done with into `*consumed`. `room` must not be 0. */
enum edge_capture_status edge_capture_step(struct edge_capture *s, const uint8_t *window, uint64_t length,
					   struct edge_capture_packet *packets, uint32_t room, uint32_t *count,
					   uint64_t *consumed);

/* The file has ended with `left` octets that no step consumed: MORE when it is complete, else what is wrong. */
enum edge_capture_status edge_capture_end(const struct edge_capture *s, uint64_t left);
/* cdef end */

#endif
