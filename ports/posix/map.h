// A region's memory, as either side of a posix link maps it.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_MAP_H
#define FAR_POSIX_MAP_H

#include <stdbool.h>
#include <stddef.h>

// Call once before rights are given up that a mapping might need later.
void far_map_prepare(void);

// Bytes of the file behind a region of that many bytes.
size_t far_map_file_bytes(size_t bytes);

// Maps the region: far's part begins at far_at. The part that is not ours is
// mapped so that our own bugs cannot write it, where pages allow it. NULL with
// errno.
void *far_map(int memfd, size_t bytes, size_t far_at, bool near);

void far_unmap(void *region, size_t bytes);

#endif
