// How a side under test reads its peer's memory: every read is seen, and may be
// answered by a change.
// SPDX-License-Identifier: MIT
#ifndef FUZZ_MEM_H
#define FUZZ_MEM_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

uint32_t watch_load(const uint32_t *p);
void watch_copy(void *to, const void *from, size_t n);
void watch_inv(const void *p, size_t n);

#define FAR_COHERENT 1

#define FAR_CLEAN(at, p, n) ((void)(at), (void)(p), (void)(n))
#define FAR_INV(at, p, n)   ((void)(at), watch_inv((p), (n)))
#define FAR_SYNC(at)        ((void)(at), atomic_thread_fence(memory_order_seq_cst))
#define FAR_WMB(at)         ((void)(at), atomic_thread_fence(memory_order_release))
#define FAR_RMB(at)         ((void)(at), atomic_thread_fence(memory_order_acquire))

#define FAR_LOAD(p)              watch_load(p)
#define FAR_COPY_IN(to, from, n) watch_copy(to, from, n)

#endif
