/* What the fuzz targets share: octets taken from the front of the input, memory that ends where it should, and
 * the compiled policies that corpus.py writes. A target that finds two answers where there must be one aborts.
 */
#ifndef EDGE_FUZZ_H
#define EDGE_FUZZ_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MUST(condition)                                                                                              \
	do {                                                                                                         \
		if (!(condition)) {                                                                                  \
			fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                      \
			abort();                                                                                     \
		}                                                                                                    \
	} while (0)

struct input {
	const uint8_t *at;
	size_t left;
};

/* The next octets of the input, fewer at its end. */
static inline size_t take(struct input *in, void *to, size_t octets)
{
	size_t given = octets < in->left ? octets : in->left;

	memset(to, 0, octets);
	if (given)
		memcpy(to, in->at, given);
	in->at += given;
	in->left -= given;
	return given;
}

static inline uint8_t take8(struct input *in)
{
	uint8_t value;

	take(in, &value, sizeof(value));
	return value;
}

static inline uint16_t take16(struct input *in)
{
	uint16_t value;

	take(in, &value, sizeof(value));
	return value;
}

static inline uint32_t take32(struct input *in)
{
	uint32_t value;

	take(in, &value, sizeof(value));
	return value;
}

/* A copy in memory of exactly that size, so that a step beyond either end is seen. */
static inline uint8_t *copy_of(const void *from, size_t octets)
{
	uint8_t *copy = malloc(octets ? octets : 1);

	MUST(copy);
	if (octets)
		memcpy(copy, from, octets);
	return copy;
}

/* A whole file in memory. */
static inline uint8_t *read_file(const char *path, size_t *octets)
{
	FILE *file = fopen(path, "rb");
	uint8_t *data;
	long end;

	if (!file) {
		fprintf(stderr, "cannot read %s; make -C csrc fuzz-corpus writes it\n", path);
		exit(3);
	}
	MUST(!fseek(file, 0, SEEK_END) && (end = ftell(file)) >= 0 && !fseek(file, 0, SEEK_SET));
	*octets = (size_t)end;
	data = malloc(*octets + 1);
	MUST(data && fread(data, 1, *octets, file) == *octets);
	fclose(file);
	return data;
}

#endif
