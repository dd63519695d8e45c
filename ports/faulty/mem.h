// Coherent memory whose every store is a step (faulty.h).
// SPDX-License-Identifier: MIT
#ifndef FAR_FAULTY_MEM_H
#define FAR_FAULTY_MEM_H

#include <stdatomic.h>
#include <stddef.h>

void faulty_step(const char *what);
// A copy of two steps, the second in the middle of it.
void faulty_store_bytes(void *to, const void *src, size_t n);

#define FAR_COHERENT 1

#define FAR_CLEAN(at, p, n)         ((void)(at), (void)(p), (void)(n))
#define FAR_INV(at, p, n)           ((void)(at), (void)(p), (void)(n))
#define FAR_SYNC(at)                atomic_thread_fence(memory_order_seq_cst)
#define FAR_WMB(at)                 atomic_thread_fence(memory_order_release)
#define FAR_RMB(at)                 atomic_thread_fence(memory_order_acquire)
#define FAR_STEP()                  faulty_step("store")
#define FAR_STORE_BYTES(to, src, n) faulty_store_bytes(to, src, n)

#endif
