/* What edge.fastpath._native offers besides frame.h: the parts of the BPF programs that are pure C,
 * so that tests can try them without a kernel, and the sizes of the structs that both sides see. */
#ifndef EDGE_NATIVE_H
#define EDGE_NATIVE_H

#include <stddef.h>
#include <stdint.h>

/* cdef begin */
/* edge_police of policer.h. bucket, rate: the fields of struct edge_bucket and of struct edge_rate. */
int edge_native_police(uint64_t bucket[4], const uint64_t rate[5], uint64_t now_ns, uint64_t bytes);

/* sizeof a struct of tags.h, policer.h or mark.h and, with `field`, the offset of one of its fields; -1 when there
 * is none of that name. */
long edge_native_sizeof(const char *name);
long edge_native_offsetof(const char *name, const char *field);

/* SHA-256 over the sources that this extension was built from, in hexadecimal. */
const char *edge_native_sources(void);
/* cdef end */

#endif
