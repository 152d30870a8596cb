/* Capture files: read whole and read in pieces they give the same packets, the same fate and the same octets, and
 * nothing but packets is touched.
 *
 * Input: how long pieces are (octet pair, 0 to 9 shifts it), then the file.
 */
#include "../pcap.h"
#include "tables.h"

#define ROOM 7

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	(void)argc;
	(void)argv;
	load_tables();
	return 0;
}

struct result {
	enum edge_capture_status status;
	uint64_t offset;
	struct edge_pcap_counts *counts;
	uint8_t *written;
	size_t octets;
};

/* Marks a file that arrives `piece` octets at a time, through windows of exactly their size. */
static struct result marked(const uint8_t *file, size_t size, size_t piece)
{
	struct edge_capture *state = malloc(sizeof(*state));
	struct result r = {EDGE_CAPTURE_MORE, 0, calloc(1, sizeof(*r.counts)), malloc(size + 1), 0};
	size_t begin = 0, end = 0;

	MUST(state && r.counts && r.written);
	edge_capture_begin(state);
	while (end < size) {
		size_t more = piece < size - end ? piece : size - end;
		uint64_t consumed;
		uint8_t *window;

		end += more;
		window = copy_of(file + begin, end - begin);
		r.status = edge_pcap_mark(state, tables[0], window, end - begin, r.counts, &consumed);
		MUST(r.status != EDGE_CAPTURE_FULL && consumed <= end - begin);
		memcpy(r.written + r.octets, window, consumed);
		MUST(!memcmp(window + consumed, file + begin + consumed, end - begin - consumed));
		free(window);
		r.octets += consumed;
		begin += consumed;
		if (r.status != EDGE_CAPTURE_MORE)
			break;
		MUST(end - begin <= EDGE_CAPTURE_WINDOW || end - begin < piece + EDGE_CAPTURE_WINDOW);
	}
	if (r.status == EDGE_CAPTURE_MORE)
		r.status = edge_capture_end(state, size - begin);
	r.offset = state->offset;
	MUST(r.octets == begin && state->offset == begin);
	free(state);
	return r;
}

static void release(struct result *r)
{
	free(r->counts);
	free(r->written);
}

/* Every octet outside of the packets that the reader names is as it was. */
static void check_untouched(const uint8_t *file, size_t size, const struct result *r)
{
	struct edge_capture *state = malloc(sizeof(*state));
	struct edge_capture_packet packets[ROOM];
	uint8_t *inside = calloc(1, size + 1);
	enum edge_capture_status status;
	uint64_t begin = 0;

	MUST(state && inside);
	edge_capture_begin(state);
	do {
		uint64_t consumed;
		uint32_t count;

		status = edge_capture_step(state, file + begin, size - begin, packets, ROOM, &count, &consumed);
		MUST(count <= ROOM && consumed <= size - begin);
		for (uint32_t i = 0; i < count; i++) {
			MUST(packets[i].length <= EDGE_CAPTURE_HEAD);
			MUST((uint64_t)packets[i].at + packets[i].length <= consumed);
			memset(inside + begin + packets[i].at, 1, packets[i].length);
		}
		begin += consumed;
	} while (status == EDGE_CAPTURE_FULL);
	MUST(begin == r->octets);
	for (size_t i = 0; i < r->octets; i++)
		MUST(inside[i] || r->written[i] == file[i]);
	free(inside);
	free(state);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {data, size};
	uint16_t number = take16(&in);
	size_t piece = ((size_t)number >> (number % 10)) + 1;
	struct result whole = marked(in.at, in.left, in.left), pieces = marked(in.at, in.left, piece);

	MUST(whole.status == pieces.status && whole.offset == pieces.offset && whole.octets == pieces.octets);
	MUST(!memcmp(whole.written, pieces.written, whole.octets));
	MUST(!memcmp(whole.counts, pieces.counts, sizeof(*whole.counts)));
	check_untouched(in.at, in.left, &whole);
	release(&whole);
	release(&pieces);
	return 0;
}
