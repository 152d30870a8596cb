#include "capture.h"

#include <string.h>

#define PCAP 1
#define PCAPNG 2

#define MAGIC_MICROSECONDS 0xa1b2c3d4u
#define MAGIC_NANOSECONDS 0xa1b23c4du
#define MAGIC_SECTION 0x0a0d0d0au /* reads the same in both byte orders */
#define MAGIC_BYTE_ORDER 0x1a2b3c4du

#define PCAP_HEADER 24
#define PCAP_RECORD 16

/* pcapng: type, total length; at the block's end the total length once more */
#define BLOCK_HEAD 8
#define BLOCK_TRAILER 4
#define BLOCK_LEAST 12

#define INTERFACE_BLOCK 1
#define OBSOLETE_PACKET_BLOCK 2
#define SIMPLE_PACKET_BLOCK 3
#define ENHANCED_PACKET_BLOCK 6

/* The fixed part of each block, up to options or packet. */
#define SECTION_FIXED 24
#define INTERFACE_FIXED 16
#define SIMPLE_FIXED 12
#define PACKET_FIXED 28

#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_DOT1Q 0x8100
#define ETHERTYPE_DOT1AD 0x88a8
#define ETHERTYPE_QINQ 0x9100
#define TAGS_MOST 2

static uint16_t network16(const uint8_t *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint16_t load16(const struct edge_capture *s, const uint8_t *at)
{
	uint16_t value;

	memcpy(&value, at, sizeof(value));
	return s->swapped ? __builtin_bswap16(value) : value;
}

static uint32_t load32(const struct edge_capture *s, const uint8_t *at)
{
	uint32_t value;

	memcpy(&value, at, sizeof(value));
	return s->swapped ? __builtin_bswap32(value) : value;
}

/* Numbers: https://www.tcpdump.org/linktypes.html. 12 and 14 are what some systems wrote for raw IP. */
static enum edge_capture_kind kind_of(uint16_t linktype)
{
	switch (linktype) {
	case 1:
		return EDGE_CAPTURE_ETHERNET;
	case 12:
	case 14:
	case 101:
		return EDGE_CAPTURE_IP;
	case 228:
		return EDGE_CAPTURE_IP4;
	case 229:
		return EDGE_CAPTURE_IP6;
	case 113:
		return EDGE_CAPTURE_SLL;
	case 276:
		return EDGE_CAPTURE_SLL2;
	default:
		return EDGE_CAPTURE_OTHER;
	}
}

/* Step over the header of a cooked packet and the tags that libpcap puts behind it, so that the packet begins
 * with IP; `protocol_at` is where its ethertype lies, `header` how long it is. */
static void uncook(struct edge_capture_packet *p, const uint8_t *window, uint32_t protocol_at, uint32_t header)
{
	const uint8_t *data = window + p->at;
	uint16_t ethertype;
	int tags = 0;

	p->kind = EDGE_CAPTURE_NO_IP;
	if (p->length < header)
		return;
	ethertype = network16(data + protocol_at);
	while (ethertype == ETHERTYPE_DOT1Q || ethertype == ETHERTYPE_DOT1AD || ethertype == ETHERTYPE_QINQ) {
		if (tags++ == TAGS_MOST || p->length < header + 4)
			return;
		ethertype = network16(data + header + 2);
		header += 4;
	}
	if (ethertype != ETHERTYPE_IPV4 && ethertype != ETHERTYPE_IPV6)
		return;
	p->kind = ethertype == ETHERTYPE_IPV4 ? EDGE_CAPTURE_IP4 : EDGE_CAPTURE_IP6;
	p->at += header;
	p->length -= header;
}

static void name_packet(struct edge_capture_packet *p, const uint8_t *window, uint64_t at, uint32_t captured,
			uint32_t wire, uint8_t link)
{
	p->at = (uint32_t)at;
	p->length = captured < EDGE_CAPTURE_HEAD ? captured : EDGE_CAPTURE_HEAD;
	p->wire = wire;
	p->kind = link;
	if (link == EDGE_CAPTURE_SLL)
		uncook(p, window, 14, 16);
	else if (link == EDGE_CAPTURE_SLL2)
		uncook(p, window, 0, 20);
}

void edge_capture_begin(struct edge_capture *s)
{
	memset(s, 0, sizeof(*s));
}

/* What one record is: how many octets of it must lie in the window before it is taken, how long it is in all,
 * and its packet when it has one. */
struct record {
	uint64_t needed;
	uint64_t length;  /* without the trailer */
	uint32_t trailer; /* 0: the record has none */
	uint32_t has_packet;
	uint64_t packet_at;
	uint32_t captured;
	uint32_t wire;
	uint8_t link;
};

static uint64_t head_of(uint32_t captured)
{
	return captured < EDGE_CAPTURE_HEAD ? captured : EDGE_CAPTURE_HEAD;
}

static enum edge_capture_status read_pcap_header(struct edge_capture *s, const uint8_t *at, uint64_t left,
						 struct record *r)
{
	r->needed = r->length = PCAP_HEADER;
	if (left < PCAP_HEADER)
		return EDGE_CAPTURE_MORE;
	if (load16(s, at + 4) != 2 || load16(s, at + 6) != 4)
		return EDGE_CAPTURE_VERSION;
	s->snaplen = load32(s, at + 16);
	/* The upper half of the field tells of frame check sequences. */
	s->link[0] = (uint8_t)kind_of((uint16_t)load32(s, at + 20));
	s->format = PCAP;
	return EDGE_CAPTURE_MORE;
}

static enum edge_capture_status read_pcap_record(const struct edge_capture *s, const uint8_t *at,
						 uint64_t left, struct record *r)
{
	r->needed = PCAP_RECORD;
	if (left < PCAP_RECORD)
		return EDGE_CAPTURE_MORE;
	r->captured = load32(s, at + 8);
	/* More than the file's own limit: tools have written that, up to what libpcap takes of any file. */
	if (r->captured > s->snaplen && r->captured > EDGE_CAPTURE_LARGEST)
		return EDGE_CAPTURE_LENGTH;
	r->wire = load32(s, at + 12);
	r->has_packet = 1;
	r->packet_at = PCAP_RECORD;
	r->link = s->link[0];
	r->needed = PCAP_RECORD + head_of(r->captured);
	r->length = PCAP_RECORD + (uint64_t)r->captured;
	return EDGE_CAPTURE_MORE;
}

/* Records of a pcap file that lie in the window whole and need no second look: what nearly all are. Takes them from
 * `at` on and returns where it stopped. */
static uint64_t take_pcap_records(const struct edge_capture *s, const uint8_t *window, uint64_t length, uint64_t at,
				  struct edge_capture_packet *packets, uint32_t room, uint32_t *count)
{
	while (*count < room && length - at >= PCAP_RECORD) {
		uint32_t captured = load32(s, window + at + 8);

		if (captured > EDGE_CAPTURE_HEAD || captured > length - at - PCAP_RECORD)
			break;
		name_packet(&packets[(*count)++], window, at + PCAP_RECORD, captured, load32(s, window + at + 12),
			    s->link[0]);
		at += PCAP_RECORD + captured;
	}
	return at;
}

static enum edge_capture_status read_section(struct edge_capture *s, const uint8_t *at, uint64_t left,
					     struct record *r)
{
	uint32_t magic;

	r->needed = SECTION_FIXED;
	if (left < SECTION_FIXED)
		return EDGE_CAPTURE_MORE;
	memcpy(&magic, at + 8, sizeof(magic));
	if (magic != MAGIC_BYTE_ORDER && magic != __builtin_bswap32(MAGIC_BYTE_ORDER))
		return EDGE_CAPTURE_UNKNOWN;
	s->swapped = magic != MAGIC_BYTE_ORDER;
	/* 1.2 was written by some tools and reads like 1.0 (draft-ietf-opsawg-pcapng 4.1). */
	if (load16(s, at + 12) != 1 || (load16(s, at + 14) != 0 && load16(s, at + 14) != 2))
		return EDGE_CAPTURE_VERSION;
	s->interfaces = 0;
	s->snaplen = 0;
	s->format = PCAPNG;
	return EDGE_CAPTURE_MORE;
}

static enum edge_capture_status read_interface(struct edge_capture *s, const uint8_t *at, uint64_t left,
					       struct record *r)
{
	r->needed = INTERFACE_FIXED;
	if (left < INTERFACE_FIXED)
		return EDGE_CAPTURE_MORE;
	if (s->interfaces == EDGE_CAPTURE_INTERFACES)
		return EDGE_CAPTURE_TOO_MANY;
	if (s->interfaces == 0)
		s->snaplen = load32(s, at + 12);
	s->link[s->interfaces++] = (uint8_t)kind_of(load16(s, at + 8));
	return EDGE_CAPTURE_MORE;
}

static enum edge_capture_status read_packet_block(const struct edge_capture *s, const uint8_t *at,
						  uint64_t left, uint32_t type, struct record *r)
{
	uint32_t fixed = type == SIMPLE_PACKET_BLOCK ? SIMPLE_FIXED : PACKET_FIXED;
	uint32_t number = 0, room;

	r->needed = fixed;
	if (left < fixed)
		return EDGE_CAPTURE_MORE;
	room = (uint32_t)(r->length - fixed);
	if (type == SIMPLE_PACKET_BLOCK) {
		r->wire = r->captured = load32(s, at + 8);
		if (s->snaplen && r->captured > s->snaplen)
			r->captured = s->snaplen;
	} else {
		number = type == OBSOLETE_PACKET_BLOCK ? load16(s, at + 8) : load32(s, at + 8);
		r->captured = load32(s, at + 20);
		r->wire = load32(s, at + 24);
	}
	if (number >= s->interfaces)
		return EDGE_CAPTURE_NO_INTERFACE;
	if (r->captured > room)
		return EDGE_CAPTURE_LENGTH;
	r->has_packet = 1;
	r->packet_at = fixed;
	r->link = s->link[number];
	r->needed = fixed + head_of(r->captured);
	return EDGE_CAPTURE_MORE;
}

static enum edge_capture_status read_block(struct edge_capture *s, const uint8_t *at, uint64_t left,
					   struct record *r)
{
	uint32_t type, total, least = BLOCK_LEAST;
	enum edge_capture_status status = EDGE_CAPTURE_MORE;

	r->needed = BLOCK_HEAD;
	if (left < BLOCK_HEAD)
		return EDGE_CAPTURE_MORE;
	type = load32(s, at);
	if (type == MAGIC_SECTION) {
		/* It sets the byte order, in which its own length is to be read. */
		status = read_section(s, at, left, r);
		if (status != EDGE_CAPTURE_MORE || left < r->needed)
			return status;
		least = SECTION_FIXED + BLOCK_TRAILER;
	}
	total = load32(s, at + 4);
	if (type == INTERFACE_BLOCK)
		least = INTERFACE_FIXED + BLOCK_TRAILER;
	else if (type == SIMPLE_PACKET_BLOCK)
		least = SIMPLE_FIXED + BLOCK_TRAILER;
	else if (type == ENHANCED_PACKET_BLOCK || type == OBSOLETE_PACKET_BLOCK)
		least = PACKET_FIXED + BLOCK_TRAILER;
	if (total < least || total % 4)
		return EDGE_CAPTURE_LENGTH;
	r->length = total - BLOCK_TRAILER;
	r->trailer = total;
	if (type == INTERFACE_BLOCK)
		return read_interface(s, at, left, r);
	if (type == SIMPLE_PACKET_BLOCK || type == ENHANCED_PACKET_BLOCK || type == OBSOLETE_PACKET_BLOCK)
		return read_packet_block(s, at, left, type, r);
	return status;
}

static enum edge_capture_status read_first(struct edge_capture *s, const uint8_t *at, uint64_t left,
					   struct record *r)
{
	uint32_t magic;

	r->needed = sizeof(magic);
	if (left < sizeof(magic))
		return EDGE_CAPTURE_MORE;
	memcpy(&magic, at, sizeof(magic));
	if (magic == MAGIC_SECTION)
		return read_block(s, at, left, r);
	s->swapped = magic == __builtin_bswap32(MAGIC_MICROSECONDS) ||
		     magic == __builtin_bswap32(MAGIC_NANOSECONDS);
	if (s->swapped || magic == MAGIC_MICROSECONDS || magic == MAGIC_NANOSECONDS)
		return read_pcap_header(s, at, left, r);
	return EDGE_CAPTURE_UNKNOWN;
}

enum edge_capture_status edge_capture_step(struct edge_capture *s, const uint8_t *window, uint64_t length,
					   struct edge_capture_packet *packets, uint32_t room, uint32_t *count,
					   uint64_t *consumed)
{
	enum edge_capture_status status = EDGE_CAPTURE_MORE;
	uint64_t at = 0;

	*count = 0;
	for (;;) {
		struct record r = {0};
		uint64_t left;

		if (s->format == PCAP && !s->skip)
			at = take_pcap_records(s, window, length, at, packets, room, count);
		left = length - at;
		if (s->skip) {
			uint64_t part = s->skip < left ? s->skip : left;

			at += part;
			s->skip -= part;
			if (s->skip)
				break;
			continue;
		}
		if (s->trailer) {
			if (left < BLOCK_TRAILER)
				break;
			if (load32(s, window + at) != s->trailer) {
				status = EDGE_CAPTURE_TRAILER;
				break;
			}
			s->trailer = 0;
			at += BLOCK_TRAILER;
			continue;
		}
		if (s->format == PCAP)
			status = read_pcap_record(s, window + at, left, &r);
		else if (s->format == PCAPNG)
			status = read_block(s, window + at, left, &r);
		else
			status = read_first(s, window + at, left, &r);
		if (status != EDGE_CAPTURE_MORE || left < r.needed)
			break;
		if (r.has_packet) {
			if (*count == room) {
				status = EDGE_CAPTURE_FULL;
				break;
			}
			name_packet(&packets[(*count)++], window, at + r.packet_at, r.captured, r.wire, r.link);
		}
		s->skip = r.length;
		s->trailer = r.trailer;
		/* The part that was looked at is in the window, packet included: it is consumed in this call. */
	}
	s->offset += at;
	*consumed = at;
	return status;
}

enum edge_capture_status edge_capture_end(const struct edge_capture *s, uint64_t left)
{
	if (!s->format)
		return s->offset + left ? EDGE_CAPTURE_UNKNOWN : EDGE_CAPTURE_EMPTY;
	return left || s->skip || s->trailer ? EDGE_CAPTURE_CUT : EDGE_CAPTURE_MORE;
}
