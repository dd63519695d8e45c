// Barriers and cache maintenance of this port: farsock/mem.h includes this if
// the near library is compiled with -DFAR_PORT_MEM_H='"ports/template/mem.h"'.
// Only the near library: farsockd has its own view of the memory.
// SPDX-License-Identifier: MIT
#ifndef FAR_TEMPLATE_MEM_H
#define FAR_TEMPLATE_MEM_H

#include <stddef.h>

void far_template_clean(const void *p, size_t n);
void far_template_drop(const void *p, size_t n);

// Where the shared memory is coherent, or is mapped uncached on this core,
// leave these two empty: ((void)(at), (void)(p), (void)(n)). If it is coherent
// and cached, also define FAR_COHERENT to 1: then sends fetch lines of a ring
// ahead.
#define FAR_CLEAN(at, p, n) ((void)(at), far_template_clean(p, n))
#define FAR_INV(at, p, n)   ((void)(at), far_template_drop(p, n))

// Called often: instructions, not calls. C11's fences order what other threads
// of this core's system see, which need not be what another core sees:
//
//            coherent RISC-V   T-Head, not coherent           arm64
//   FAR_SYNC fence iorw,iorw   th.sync, then fence iorw,iorw  dsb sy
//   FAR_WMB  fence w,w         the same as FAR_SYNC           dmb st
//   FAR_RMB  fence r,rw        fence r,rw                     dmb ld
//
// FAR_SYNC also waits until lines that were cleaned have arrived in memory, and
// so must FAR_WMB. Each is a barrier for the compiler, too (asm volatile with a
// "memory" clobber).
#define FAR_SYNC(at) ((void)(at), atomic_thread_fence(memory_order_seq_cst))
#define FAR_WMB(at)  ((void)(at), atomic_thread_fence(memory_order_release))
#define FAR_RMB(at)  ((void)(at), atomic_thread_fence(memory_order_acquire))

// Not defined here: FAR_LOAD and FAR_COPY_IN, for memory that must be read in a
// special way (uncached memory on some cores is slow byte by byte, or traps on
// accesses that are not aligned: copy it in aligned words).

#endif
