// Coherent memory: the region is the file's own pages.
// SPDX-License-Identifier: MIT
#include "ports/posix/map.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

void far_map_prepare(void) {
}

size_t far_map_file_bytes(size_t bytes) {
    return bytes;
}

void *far_map(int memfd, size_t bytes, size_t far_at, bool near) {
    uint8_t *mem =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
    if (mem == MAP_FAILED) {
        return NULL;
    }
    if (far_at % (size_t)sysconf(_SC_PAGESIZE) == 0) {
        mprotect(near ? mem + far_at : mem, near ? bytes - far_at : far_at,
            PROT_READ);
    }
    return mem;
}

void far_unmap(void *region, size_t bytes) {
    munmap(region, bytes);
}
