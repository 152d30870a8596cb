/* The compiled policies of corpus.py: a 32-bit length and the octets, one after the other. They are read from
 * $EDGE_FUZZ_TABLES.
 */
#ifndef EDGE_FUZZ_TABLES_H
#define EDGE_FUZZ_TABLES_H

#include "../lanes.h"
#include "fuzz.h"

#define TABLES_MOST 64

static struct edge_policy *tables[TABLES_MOST];
static size_t table_count;

static inline struct edge_policy *new_table(const void *from, size_t octets)
{
	struct edge_policy *table = aligned_alloc(8, EDGE_POLICY_SIZE);

	MUST(table && octets <= EDGE_POLICY_SIZE);
	memset(table, 0, EDGE_POLICY_SIZE);
	memcpy(table, from, octets);
	return table;
}

static inline void load_tables(void)
{
	const char *path = getenv("EDGE_FUZZ_TABLES");
	struct input in = {0};
	uint8_t *data;
	size_t octets;

	data = read_file(path ? path : "tables.bin", &octets);
	in.at = data;
	in.left = octets;
	while (in.left) {
		uint32_t length = take32(&in);

		MUST(length <= in.left && table_count < TABLES_MOST);
		tables[table_count] = new_table(in.at, length);
		MUST(edge_policy_check(tables[table_count]) == 0);
		table_count++;
		in.at += length;
		in.left -= length;
	}
	MUST(table_count);
	free(data);
}

#endif
