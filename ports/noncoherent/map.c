// Regions: a copy for this process, the memory that both sides share, and the
// lock that makes the move of a line one thing, as a bus does.
// SPDX-License-Identifier: MIT
#include "ports/posix/map.h"
#include "ports/noncoherent/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096u
// Bytes of the peer's part that are rubbish until they are invalidated.
#define STALE_BYTES 65536u

// In the page behind the region. It is zero at first.
struct shared {
    _Atomic uint32_t made;
    pthread_mutex_t transfer;
};

size_t far_map_file_bytes(size_t bytes) {
    return bytes + PAGE;
}

// Far maps first, and makes it. A side that dies holding it leaves it to the
// other.
static void make_lock(struct shared *sh) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&sh->transfer, &a);
    pthread_mutexattr_destroy(&a);
    sh->made = 1;
}

static void *anonymous(size_t bytes) {
    void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return m == MAP_FAILED ? NULL : m;
}

static void free_region(struct nc_region *r) {
    if (r->view) {
        munmap(r->view, r->bytes);
    }
    if (r->seen) {
        munmap(r->seen, r->bytes);
    }
    if (r->fetched) {
        munmap(r->fetched, r->bytes);
    }
    if (r->memory) {
        munmap(r->memory, r->bytes + PAGE);
    }
    free(r);
}

static bool map_all(struct nc_region *r, int memfd) {
    r->view = anonymous(r->bytes);
    r->seen = anonymous(r->bytes);
    r->fetched = anonymous(r->bytes); // a number for each line: enough
    void *m = mmap(NULL, r->bytes + PAGE, PROT_READ | PROT_WRITE, MAP_SHARED,
        memfd, 0);
    r->memory = m == MAP_FAILED ? NULL : m;
    return r->view && r->seen && r->fetched && r->memory;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

// What a cache may hold of earlier lives: of the peer's part rubbish, of its
// own what memory has, but for the first line.
static void make_stale(struct nc_region *r, size_t far_at, bool near) {
    size_t from = near ? far_at : 0;
    size_t n = least(near ? r->bytes - far_at : far_at, STALE_BYTES);
    memset(r->view + from, 0xa5, n);
    memset(r->seen + from, 0xa5, n);
    from = r->own_from + nc_options.line;
    n = least(r->own_to - r->own_from, STALE_BYTES) - nc_options.line;
    memcpy(r->view + from, r->memory + from, n);
    memcpy(r->seen + from, r->memory + from, n);
}

static void after_fork_in_child(void) {
    // The regions are the parent's; a link of our own has its own.
    pthread_mutex_init(&nc_lock, NULL);
    nc_regions = NULL;
    nc_forget_posted();
}

static void begin(void) {
    nc_read_options();
    pthread_atfork(NULL, NULL, after_fork_in_child);
}

void far_map_prepare(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, begin);
    pthread_mutex_lock(&nc_lock);
    nc_start_thread();
    pthread_mutex_unlock(&nc_lock);
}

void *far_map(int memfd, size_t bytes, size_t far_at, bool near) {
    far_map_prepare();
    struct nc_region *r = calloc(1, sizeof *r);
    if (!r) {
        return NULL;
    }
    r->bytes = bytes;
    if (!map_all(r, memfd)) {
        int saved = errno;
        free_region(r);
        errno = saved;
        return NULL;
    }
    for (size_t i = 0; i < HOT; i++) {
        r->hot_own[i] = r->hot_peer[i] = NOWHERE;
    }
    r->own_from = near ? 0 : far_at;
    r->own_to = near ? far_at : bytes;
    make_stale(r, far_at, near);
    struct shared *sh = (struct shared *)(void *)(r->memory + bytes);
    if (!near && !sh->made) {
        make_lock(sh);
    }
    r->transfer = &sh->transfer;
    pthread_mutex_lock(&nc_lock);
    r->next = nc_regions;
    nc_regions = r;
    pthread_mutex_unlock(&nc_lock);
    return r->view;
}

void far_unmap(void *region, size_t bytes) {
    (void)bytes;
    struct nc_region *found = NULL;
    pthread_mutex_lock(&nc_lock);
    nc_complete_all();
    for (struct nc_region **at = &nc_regions; *at; at = &(*at)->next) {
        if ((*at)->view == region) {
            found = *at;
            *at = found->next;
            break;
        }
    }
    pthread_mutex_unlock(&nc_lock);
    if (found) {
        free_region(found);
    }
}
