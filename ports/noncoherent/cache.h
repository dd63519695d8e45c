// What the parts of the emulator share.
// SPDX-License-Identifier: MIT
#ifndef FAR_NONCOHERENT_CACHE_H
#define FAR_NONCOHERENT_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifndef FAR_PORT_MEM_H
    #define FAR_PORT_MEM_H "ports/noncoherent/mem.h"
#endif
#include "farsock/mem.h"

// Each process sees a region through a copy of its own, as a core does through
// its cache. Only CLEAN and INV move lines between the copy and the memory that
// both share - and, at any moment, the noise: a dirty line is evicted, a clean
// one is fetched anew, a posted CLEAN completes. What neither moves stays old.

#define LINE_MAX_BYTES 128u
#define NOWHERE        SIZE_MAX
#define OMIT_NONE      0xffffffffu
#define HOT            64u // lines of late: where noise does most harm

struct nc_region {
    struct nc_region *next;
    uint8_t *view;   // what the program sees
    uint8_t *seen;   // each line as it was last moved, either way
    uint8_t *memory; // shared
    uint64_t *fetched;
    size_t bytes;
    size_t own_from, own_to;   // the part that this side writes
    pthread_mutex_t *transfer; // a line moves as one; shared with the peer
    size_t hot_own[HOT];
    size_t hot_peer[HOT];
};

struct nc_options {
    uint64_t seed;
    size_t line;   // bytes of a cache line
    bool inlined;  // noise in the hooks: the same for the same seed
    bool threaded; // noise from a thread
    bool lazy;     // what is posted stays so for long, unless a barrier comes
    bool early;    // an INV may run before loads that no barrier orders
    unsigned omit; // far_at that is left out
};

extern struct nc_options nc_options;
extern struct nc_region *nc_regions; // under nc_lock
extern pthread_mutex_t nc_lock;

// --- options.c ---
void nc_read_options(void);
// An error in how memory is used: said, and the process ends.
void nc_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// --- cache.c, all under nc_lock ---
void nc_copy(uint8_t *to, const uint8_t *from, size_t n);
// Moves a line to memory now if this side has written it.
void nc_evict(struct nc_region *r, size_t at);
// Gets a line from memory.
void nc_fetch(struct nc_region *r, size_t at);
// One posted CLEAN, some one, comes to its end. False: there was none.
bool nc_complete_one(void);
void nc_complete_all(void);
bool nc_is_posted(void);
void nc_forget_posted(void);

// --- noise.c ---
uint32_t nc_random(uint32_t below); // under nc_lock
// Time passes, with nc_lock open.
void nc_pause(uint32_t most);
void nc_noise(void);        // under nc_lock, at each hook
void nc_start_thread(void); // the first time only; under nc_lock
void nc_stir(void);         // something is posted; under nc_lock

#endif
