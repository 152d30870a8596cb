/* The pure parts of the ring engine on random input, for the sanitizers: frames that end exactly where their memory
 * ends, and the table of rules beside a plain list. Exit status 0, or the line of the first surprise. */
#include <stdlib.h>
#include <string.h>

#include "ringcut.h"
#include "ringframe.h"
#include "ringtables.h"

#define MUST(condition)                                                                                                \
	do {                                                                                                           \
		if (!(condition))                                                                                      \
			return __LINE__ % 250 + 1;                                                                     \
	} while (0)

static uint64_t state = 1;

static uint32_t below(uint32_t bound)
{
	state = state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(state >> 33) % bound;
}

static const uint16_t ETHERTYPES[] = {0x8100, 0x88a8, 0x9100, 0x0800, 0x86dd, 0x0806};

static int frames(void)
{
	for (int round = 0; round < 200000; round++) {
		uint32_t length = 14 + below(120);
		uint8_t *buffer = malloc(EDGE_RING_HEADROOM + length), copy[256];
		struct edge_ring_frame frame = {.offset = EDGE_RING_HEADROOM, .length = length};
		struct edge_ring_stack s, tagged;
		struct virtio_net_hdr before;
		struct edge_ring_cut cut;
		uint8_t *at = buffer + EDGE_RING_HEADROOM;
		uint32_t pushed;

		MUST(buffer);
		for (uint32_t i = 0; i < length; i++)
			at[i] = (uint8_t)below(256);
		for (uint32_t i = 12; i + 2 <= length && below(4); i += 4)
			edge_ring_store16(at + i, ETHERTYPES[below(6)]);
		frame.vnet.flags = below(2) ? VIRTIO_NET_HDR_F_NEEDS_CSUM : 0;
		frame.vnet.gso_type = (uint8_t)below(6);
		frame.vnet.gso_size = (uint16_t)below(80);
		frame.vnet.csum_start = (uint16_t)below(160);
		frame.vnet.hdr_len = (uint16_t)below(100);
		before = frame.vnet;
		memcpy(copy, at, length);

		edge_ring_read(at, length, &s);
		MUST(s.payload <= length && s.depth <= EDGE_STACK_MAX + 1);
		edge_ring_measure(at, &frame);
		MUST(frame.packets >= 1 && frame.bytes >= length);
		edge_ring_class(at, length, &s);
		edge_ring_cut_begin(at, &frame, &cut);

		pushed = below(3);
		for (uint32_t i = 0; i < pushed; i++)
			edge_ring_push(buffer, &frame, ETHERTYPES[below(2)], (uint16_t)below(65536));
		MUST(frame.length == length + 4 * pushed && frame.offset + frame.length == EDGE_RING_HEADROOM + length);
		edge_ring_read(buffer + frame.offset, frame.length, &tagged);
		MUST(tagged.depth >= (pushed < 2 ? pushed : 2));
		if (before.flags)
			MUST(frame.vnet.csum_start == (uint16_t)(before.csum_start + 4 * pushed));
		edge_ring_pop(buffer, &frame, pushed);
		MUST(frame.length == length && frame.offset == EDGE_RING_HEADROOM);
		MUST(!memcmp(&frame.vnet, &before, sizeof(before)) && !memcmp(at, copy, length));
		free(buffer);
	}
	return 0;
}

/* A large TCP frame of its own memory, under up to three tags. */
static uint8_t *large(struct edge_ring_frame *frame, uint32_t *ip)
{
	uint32_t v6 = below(2), tags = below(4), options = 4 * below(11), payload = 2 + below(300);
	uint32_t header = v6 ? 40 : 20 + 4 * below(11);
	uint8_t *at;

	*ip = 14 + 4 * tags;
	*frame = (struct edge_ring_frame){.length = *ip + header + 20 + options + payload};
	frame->vnet.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	frame->vnet.gso_type = v6 ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4 | VIRTIO_NET_HDR_GSO_ECN;
	frame->vnet.gso_size = (uint16_t)(1 + below(payload - 1));
	frame->vnet.csum_start = (uint16_t)(*ip + header);
	at = malloc(frame->length);
	if (!at)
		return 0;
	for (uint32_t i = 0; i < frame->length; i++)
		at[i] = (uint8_t)below(256);
	for (uint32_t i = 0; i < tags; i++)
		edge_ring_store16(at + 12 + 4 * i, ETHERTYPES[below(2)]);
	edge_ring_store16(at + *ip - 2, v6 ? 0x86dd : 0x0800);
	at[*ip] = (uint8_t)(v6 ? 0x60 : 0x40 | header / 4);
	at[*ip + (v6 ? 6 : 9)] = 6;
	at[*ip + header + 12] = (uint8_t)((20 + options) / 4 << 4);
	edge_ring_measure(at, frame);
	return at;
}

static uint32_t long_at(const uint8_t *at)
{
	return (uint32_t)edge_ring_load16(at) << 16 | edge_ring_load16(at + 2);
}

static int cuts(void)
{
	for (int round = 0; round < 20000; round++) {
		struct edge_ring_frame frame, made = {0};
		struct edge_ring_cut cut;
		uint32_t ip, done = 0;
		uint8_t *at = large(&frame, &ip);
		const uint8_t *tcp;

		MUST(at && frame.packets > 1 && edge_ring_cut_begin(at, &frame, &cut));
		tcp = at + frame.vnet.csum_start;
		for (uint32_t i = 0; i < frame.packets; i++) {
			uint32_t octets = cut.headers + frame.vnet.gso_size, sum = 6;
			uint8_t *to, *own;

			if (i + 1 == frame.packets)
				octets = frame.length - done;
			to = malloc(octets);
			MUST(to);
			edge_ring_cut_one(at, &frame, &cut, i, to, &made);
			own = to + frame.vnet.csum_start;
			MUST(made.length == octets && made.bytes == octets && made.packets == 1 && !made.vnet.gso_type);
			MUST(!memcmp(to + cut.headers, at + cut.headers + done, octets - cut.headers));
			MUST(!memcmp(to, at, ip) && !memcmp(own, tcp, 4) && !memcmp(own + 14, tcp + 14, 2));
			MUST(long_at(own + 4) == long_at(tcp + 4) + done);
			MUST((own[13] & 9) == (i + 1 == frame.packets ? tcp[13] & 9 : 0));
			MUST((own[13] & 0x80) == (i ? 0 : tcp[13] & 0x80) && (own[13] & 0x76) == (tcp[13] & 0x76));
			sum += octets - frame.vnet.csum_start;
			if (cut.v6) {
				MUST(edge_ring_load16(to + ip + 4) == octets - ip - 40);
				for (uint32_t k = 8; k < 40; k += 2)
					sum += edge_ring_load16(to + ip + k);
			} else {
				uint32_t header = 0;

				MUST(edge_ring_load16(to + ip + 2) == octets - ip);
				MUST(edge_ring_load16(to + ip + 4) == (uint16_t)(edge_ring_load16(at + ip + 4) + i));
				for (uint32_t k = 0; k < frame.vnet.csum_start - ip; k += 2)
					header += edge_ring_load16(to + ip + k);
				MUST(header % 0xffff == 0);
				for (uint32_t k = 12; k < 20; k += 2)
					sum += edge_ring_load16(to + ip + k);
			}
			MUST(edge_ring_load16(own + 16) % 0xffff == sum % 0xffff);
			done += octets - cut.headers;
			free(to);
		}
		MUST(done + cut.headers == frame.length);
		/* Cut short or of another kind it is left alone, and nothing is read behind its end. */
		at[ip + (cut.v6 ? 6 : 9)] = 17;
		MUST(!edge_ring_cut_begin(at, &frame, &cut));
		free(at);
	}
	return 0;
}

static struct edge_rule_key any_key(void)
{
	/* Few values, so that keys meet again. */
	return (struct edge_rule_key){
		1 + below(6), {ETHERTYPES[below(2)], (uint16_t)below(40)}, {0x8100, (uint16_t)below(12)}};
}

static int tables(void)
{
	struct edge_ring_shared *shared = calloc(1, sizeof(*shared));
	static struct edge_ring_rule list[EDGE_RING_RULES_MAX];
	uint32_t listed = 0;

	MUST(shared);
	for (uint32_t round = 0; round < 300000; round++) {
		struct edge_rule_key key = any_key();
		struct edge_ring_rule *place = edge_ring_find(shared->rules, &key);
		uint32_t known = 0;

		while (known < listed && !edge_ring_same(&list[known].key, &key))
			known++;
		MUST((known < listed) == (place->key.ifindex != 0));
		if (known < listed) {
			MUST(place->rule.slot == list[known].rule.slot);
			if (below(2)) {
				edge_ring_vacate(shared->rules, place);
				list[known] = list[--listed];
			}
		} else if (listed < EDGE_RING_RULES_MAX && below(8)) {
			*place = (struct edge_ring_rule){.key = key, .rule = {.slot = round, .depth = EDGE_DEPTH_ANY}};
			list[listed++] = *place;
		}
		edge_ring_match(shared, &key, below(4));
		edge_ring_remember(shared, &key, 1, round);
	}
	for (uint32_t i = 0; i < listed; i++)
		MUST(edge_ring_find(shared->rules, &list[i].key)->rule.slot == list[i].rule.slot);
	free(shared);
	return 0;
}

int main(void)
{
	int line = frames();

	line = line ? line : cuts();
	return line ? line : tables();
}
