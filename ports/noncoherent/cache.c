// Lines and their moves: CLEAN, INV and barriers.
// SPDX-License-Identifier: MIT
#include "ports/noncoherent/cache.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#define POSTED 16u // CLEANs under way

pthread_mutex_t nc_lock = PTHREAD_MUTEX_INITIALIZER;

// A child finds it open, whichever thread forked. Before others ask for the
// same: what they do just before a fork is done without it, what a child does
// first comes after.
static void before_fork(void) {
    pthread_mutex_lock(&nc_lock);
}

static void in_parent(void) {
    pthread_mutex_unlock(&nc_lock);
}

static void forget_posted(void);

// What its parent's processor has posted is not the child's to write.
static void in_child(void) {
    forget_posted();
    pthread_mutex_unlock(&nc_lock);
}

__attribute__((constructor(101))) static void keep_over_forks(void) {
    pthread_atfork(before_fork, in_parent, in_child);
}
struct nc_region *nc_regions;

// A CLEAN whose line has left for memory and has not arrived there.
struct posted {
    struct nc_region *r;
    size_t at;
    pthread_t thread; // whose barrier waits for it
    uint8_t bytes[LINE_MAX_BYTES];
};
static struct posted posted[POSTED];
static uint32_t posted_count;
static uint64_t clock_of_fetches;

static bool is_omitted(unsigned at) {
    return at == nc_options.omit;
}

// Word by word, each whole: the program may use the words at the same time.
void nc_copy(uint8_t *to, const uint8_t *from, size_t n) {
    for (size_t i = 0; i < n; i += sizeof(uint64_t)) {
        uint64_t v =
            atomic_load_explicit((const _Atomic uint64_t *)(const void *)(from +
                                                                          i),
                memory_order_relaxed);
        atomic_store_explicit((_Atomic uint64_t *)(void *)(to + i), v,
            memory_order_relaxed);
    }
}

static void transfer_begin(struct nc_region *r) {
    if (pthread_mutex_lock(r->transfer) == EOWNERDEAD) {
        pthread_mutex_consistent(r->transfer);
    }
}

static void transfer_end(struct nc_region *r) {
    pthread_mutex_unlock(r->transfer);
}

static struct nc_region *find(const void *p) {
    for (struct nc_region *r = nc_regions; r; r = r->next) {
        const uint8_t *b = p;
        if (b >= r->view && b < r->view + r->bytes) {
            return r;
        }
    }
    return NULL;
}

static bool is_own(const struct nc_region *r, size_t at) {
    return at >= r->own_from && at < r->own_to;
}

static void forget_posted(void) {
    posted_count = 0;
}

static struct posted *find_posted(const struct nc_region *r, size_t at) {
    for (uint32_t i = 0; i < posted_count; i++) {
        if (posted[i].r == r && posted[i].at == at) {
            return &posted[i];
        }
    }
    return NULL;
}

// The line as it is at one moment: a cache moves no half-written one.
static void snapshot(uint8_t *to, const struct nc_region *r, size_t at) {
    uint8_t again[LINE_MAX_BYTES];
    do {
        nc_copy(to, r->view + at, nc_options.line);
        atomic_thread_fence(memory_order_acquire);
        nc_copy(again, r->view + at, nc_options.line);
    } while (memcmp(to, again, nc_options.line) != 0);
}

// Far's and near's parts share no line, so memory holds what we last put there.
static void write_back(struct nc_region *r, size_t at, const uint8_t *bytes) {
    transfer_begin(r);
    if (memcmp(r->memory + at, r->seen + at, nc_options.line) != 0) {
        nc_error("the line at %zu has two writers", at);
    }
    nc_copy(r->memory + at, bytes, nc_options.line);
    transfer_end(r);
    nc_copy(r->seen + at, bytes, nc_options.line);
}

static void complete(struct posted *p) {
    write_back(p->r, p->at, p->bytes);
    *p = posted[--posted_count];
}

bool nc_complete_one(void) {
    if (posted_count == 0) {
        return false;
    }
    complete(&posted[nc_random(posted_count)]);
    return true;
}

void nc_complete_all(void) {
    while (nc_complete_one()) {
    }
}

bool nc_is_posted(void) {
    return posted_count > 0;
}

void nc_forget_posted(void) {
    posted_count = 0;
}

// Whether this side has stored into the line since it last moved; then *bytes
// is what it holds.
static bool is_dirty(const struct nc_region *r, size_t at, uint8_t *bytes) {
    const struct posted *p = find_posted(r, at);
    snapshot(bytes, r, at);
    bool dirty =
        memcmp(bytes, p ? p->bytes : r->seen + at, nc_options.line) != 0;
    if (dirty && !is_own(r, at)) {
        nc_error("a store into the peer's line at %zu", at);
    }
    return dirty;
}

void nc_evict(struct nc_region *r, size_t at) {
    uint8_t bytes[LINE_MAX_BYTES];
    at -= at % nc_options.line;
    if (is_own(r, at) && is_dirty(r, at, bytes)) {
        struct posted *p = find_posted(r, at);
        if (p) {
            *p = posted[--posted_count];
        }
        write_back(r, at, bytes);
    }
}

static void put_in_view(struct nc_region *r, size_t at, const uint8_t *bytes) {
    nc_copy(r->view + at, bytes, nc_options.line);
    nc_copy(r->seen + at, bytes, nc_options.line);
}

void nc_fetch(struct nc_region *r, size_t at) {
    uint8_t bytes[LINE_MAX_BYTES];
    at -= at % nc_options.line;
    if (find_posted(r, at) || is_dirty(r, at, bytes)) {
        return;
    }
    transfer_begin(r);
    nc_copy(bytes, r->memory + at, nc_options.line);
    transfer_end(r);
    put_in_view(r, at, bytes);
    r->fetched[at / nc_options.line] = ++clock_of_fetches;
}

// --- CLEAN ---

static void clean_line(struct nc_region *r, size_t at) {
    uint8_t bytes[LINE_MAX_BYTES];
    r->hot_own[nc_random(HOT)] = at;
    if (!is_dirty(r, at, bytes)) {
        return;
    }
    struct posted *p = find_posted(r, at);
    if (!p && nc_random(4) == 0) {
        write_back(r, at, bytes);
        return;
    }
    if (!p) {
        if (posted_count == POSTED) {
            nc_complete_one();
        }
        p = &posted[posted_count++];
        *p = (struct posted){.r = r, .at = at};
    }
    p->thread = pthread_self();
    nc_copy(p->bytes, bytes, nc_options.line);
}

void far_nc_clean(unsigned at, const void *p, size_t n) {
    atomic_signal_fence(memory_order_seq_cst);
    if (is_omitted(at) || n == 0) {
        return;
    }
    pthread_mutex_lock(&nc_lock);
    struct nc_region *r = find(p);
    if (r) {
        size_t from = (size_t)((const uint8_t *)p - r->view);
        nc_noise();
        size_t size = nc_options.line;
        for (size_t i = from - from % size; i < from + n; i += size) {
            clean_line(r, i);
        }
    }
    pthread_mutex_unlock(&nc_lock);
}

// --- INV ---

// A processor may run an INV before an earlier load, unless a barrier stands
// between them: then the line is one of before that load. This is done for
// bytes of rings: where they are likely to be read next is copied, time passes,
// and only then the line that leads (an index) is looked at.

#define AHEAD   4u // lines behind where bytes were last read
#define STREAMS 2u

static _Thread_local struct {
    unsigned since; // INVs since the last barrier
    uint32_t count; // of lines copied ahead
    uint64_t clock; // when that was
    struct {
        struct nc_region *r;
        size_t at;
        uint8_t bytes[LINE_MAX_BYTES];
    } line[STREAMS * AHEAD];
    struct {
        struct nc_region *r;
        size_t at;
    } end[STREAMS];
    unsigned next;
} ahead;

static bool reads_bytes(unsigned at) {
    return at == FAR_AT_RING_GET || at == FAR_AT_IOV_GET ||
           at == FAR_AT_RECV_PEEK || at == FAR_AT_FAR_SEND ||
           at == FAR_AT_FAR_DGRAM_SEND;
}

static bool is_known(const struct nc_region *r) {
    for (const struct nc_region *k = nc_regions; k; k = k->next) {
        if (k == r) {
            return true;
        }
    }
    return false;
}

static void look_ahead(void) {
    size_t size = nc_options.line;
    ahead.count = 0;
    for (unsigned s = 0; s < STREAMS; s++) {
        struct nc_region *r = ahead.end[s].r;
        for (unsigned i = 0; is_known(r) && i < AHEAD; i++) {
            size_t at = ahead.end[s].at + i * size;
            if (at >= r->bytes || is_own(r, at)) {
                break;
            }
            ahead.line[ahead.count].r = r;
            ahead.line[ahead.count].at = at;
            transfer_begin(r);
            nc_copy(ahead.line[ahead.count++].bytes, r->memory + at, size);
            transfer_end(r);
        }
    }
    ahead.clock = clock_of_fetches;
    if (ahead.count > 0) {
        nc_pause(nc_random(4) ? 500 : 20000);
    }
}

// The line as it was ahead of time. False: it was not, or has been seen since.
static bool take_ahead(struct nc_region *r, size_t at) {
    for (uint32_t i = 0; i < ahead.count; i++) {
        if (ahead.line[i].r == r && ahead.line[i].at == at) {
            if (r->fetched[at / nc_options.line] > ahead.clock) {
                return false;
            }
            put_in_view(r, at, ahead.line[i].bytes);
            return true;
        }
    }
    return false;
}

static void inv_line(struct nc_region *r, size_t at) {
    uint8_t bytes[LINE_MAX_BYTES];
    struct posted *p = find_posted(r, at);
    if (p) {
        complete(p);
    }
    if (is_dirty(r, at, bytes)) {
        nc_error("INV of the line at %zu, which holds stores", at);
    }
    if (!is_own(r, at)) {
        r->hot_peer[nc_random(HOT)] = at;
    }
    if (!take_ahead(r, at)) {
        nc_fetch(r, at);
    }
}

void far_nc_inv(unsigned at, const void *p, size_t n) {
    atomic_signal_fence(memory_order_seq_cst);
    if (is_omitted(at) || n == 0) {
        return;
    }
    pthread_mutex_lock(&nc_lock);
    struct nc_region *r = find(p);
    if (r) {
        size_t from = (size_t)((const uint8_t *)p - r->view);
        size_t size = nc_options.line;
        nc_noise();
        if (nc_options.early && ahead.since++ == 0 && nc_random(4) == 0) {
            look_ahead();
        }
        for (size_t i = from - from % size; i < from + n; i += size) {
            inv_line(r, i);
        }
        if (nc_options.early && reads_bytes(at)) {
            unsigned s = ahead.next++ % STREAMS;
            ahead.end[s].r = r;
            ahead.end[s].at = (from + n) - (from + n) % size;
        }
    }
    pthread_mutex_unlock(&nc_lock);
}

// --- Barriers ---

static void forget_ahead(void) {
    ahead.since = 0;
    ahead.count = 0;
}

// One of this thread's, whichever: they arrive in any order.
static struct posted *some_posted_here(void) {
    uint32_t seen = 0;
    struct posted *found = NULL;
    for (uint32_t i = 0; i < posted_count; i++) {
        if (pthread_equal(posted[i].thread, pthread_self()) &&
            nc_random(++seen) == 0) {
            found = &posted[i];
        }
    }
    return found;
}

static void drain(void) {
    pthread_mutex_lock(&nc_lock);
    nc_noise();
    for (struct posted *p; (p = some_posted_here()) != NULL;) {
        complete(p);
        if (nc_random(4) == 0) {
            nc_pause(20000);
        }
    }
    pthread_mutex_unlock(&nc_lock);
}

void far_nc_sync(unsigned at) {
    if (!is_omitted(at)) {
        forget_ahead();
        drain();
        atomic_thread_fence(memory_order_seq_cst);
    }
}

void far_nc_wmb(unsigned at) {
    if (!is_omitted(at)) {
        drain();
        atomic_thread_fence(memory_order_release);
    }
}

void far_nc_rmb(unsigned at) {
    if (!is_omitted(at)) {
        forget_ahead();
        atomic_thread_fence(memory_order_acquire);
    }
}
