// Shared memory primitives of the emulator of caches that are not coherent:
// farsock/mem.h includes this in its build (make MEMORY=noncoherent).
// SPDX-License-Identifier: MIT
#ifndef FAR_NONCOHERENT_MEM_H
#define FAR_NONCOHERENT_MEM_H

#include <stddef.h>

// at is a far_at. Memory that is no region's is left alone.
void far_nc_clean(unsigned at, const void *p, size_t n);
void far_nc_inv(unsigned at, const void *p, size_t n);
void far_nc_sync(unsigned at);
void far_nc_wmb(unsigned at);
void far_nc_rmb(unsigned at);

#define FAR_CLEAN(at, p, n) far_nc_clean(at, p, n)
#define FAR_INV(at, p, n)   far_nc_inv(at, p, n)
#define FAR_SYNC(at)        far_nc_sync(at)
#define FAR_WMB(at)         far_nc_wmb(at)
#define FAR_RMB(at)         far_nc_rmb(at)

#endif
