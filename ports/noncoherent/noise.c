// What a cache does of its own accord, at random: from the hooks, and from a
// thread.
// SPDX-License-Identifier: MIT
#include "ports/noncoherent/cache.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define IDLE_ROUNDS 64u  // of the thread, without a hook: then it sleeps
#define LAZY        200u // as slow

static uint64_t state;
static pthread_cond_t stirred = PTHREAD_COND_INITIALIZER;
static uint32_t quiet; // rounds since the last hook
static bool thread_sleeps;
static pid_t thread_of; // the process that has the thread

uint32_t nc_random(uint32_t below) {
    if (!state) {
        state = nc_options.seed * 0x9e3779b97f4a7c15u + 1u;
    }
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (uint32_t)(state >> 32) % below;
}

void nc_stir(void) {
    quiet = 0;
    if (thread_sleeps) {
        thread_sleeps = false;
        pthread_cond_signal(&stirred);
    }
}

static struct nc_region *some_region(void) {
    uint32_t count = 0;
    struct nc_region *found = NULL;
    for (struct nc_region *r = nc_regions; r; r = r->next) {
        if (nc_random(++count) == 0) {
            found = r;
        }
    }
    return found;
}

static void touch_one(struct nc_region *r) {
    size_t own = r->hot_own[nc_random(HOT)];
    size_t peer = r->hot_peer[nc_random(HOT)];
    if (nc_random(4) && own != NOWHERE) {
        nc_evict(r, own);
    } else if (peer != NOWHERE) {
        nc_fetch(r, peer);
    }
}

void nc_pause(uint32_t most) {
    uint32_t turns = nc_random(most);
    if (nc_options.inlined) {
        pthread_mutex_unlock(&nc_lock);
        for (uint32_t i = 0; i < turns; i++) {
            atomic_signal_fence(memory_order_seq_cst);
        }
        pthread_mutex_lock(&nc_lock);
    }
}

void nc_noise(void) {
    nc_stir();
    if (!nc_options.inlined) {
        return;
    }
    uint32_t n = nc_random(64);
    if (n < 8) {
        nc_complete_one();
    } else if (n < 12 && nc_regions) {
        touch_one(nc_regions);
    } else if (n < 16) {
        // Time passes: what is posted stays so a little longer.
        nc_pause(n == 12 ? 100000 : 5000);
    }
}

static void nap(uint32_t us) {
    struct timespec t = {.tv_nsec = (long)us * 1000};
    nanosleep(&t, NULL);
}

// A posted CLEAN ends some time, whatever the hooks do. While nothing happens
// the thread sleeps.
static void *run(void *arg) {
    (void)arg;
    pthread_mutex_lock(&nc_lock);
    for (;;) {
        while (quiet >= (nc_options.threaded ? IDLE_ROUNDS : 1u) &&
               !nc_is_posted()) {
            thread_sleeps = true;
            pthread_cond_wait(&stirred, &nc_lock);
        }
        quiet++;
        uint32_t us = 20u + nc_random(nc_random(8) ? 200 : 3000);
        pthread_mutex_unlock(&nc_lock);
        nap(nc_options.lazy ? us * LAZY : us);
        pthread_mutex_lock(&nc_lock);
        while (nc_complete_one() && nc_random(4)) {
        }
        struct nc_region *r = some_region();
        if (nc_options.threaded && r) {
            touch_one(r);
        }
    }
    return NULL;
}

void nc_start_thread(void) {
    sigset_t all;
    sigset_t old;
    pthread_t t;
    pthread_attr_t a;
    if (thread_of == getpid()) {
        return;
    }
    thread_of = getpid();
    thread_sleeps = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pthread_attr_init(&a);
    pthread_attr_setdetachstate(&a, PTHREAD_CREATE_DETACHED);
    // No cache fails to be there: a failure that a test has planned is passed.
    int err = EAGAIN;
    for (int i = 0; i < 10 && err == EAGAIN; i++) {
        err = pthread_create(&t, &a, run, NULL);
    }
    if (err != 0) {
        nc_error("no thread: %s", strerror(err));
    }
    // Tests leave it out of account, from the first: it may not run yet.
    pthread_setname_np(t, "noncoherent");
    pthread_attr_destroy(&a);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}
