// The heart of a near core on posix: a thread, where a board has a timer.
// SPDX-License-Identifier: MIT
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "ports/posix/hello.h"

struct far_posix_beat {
    struct far_link *link;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t stopped;
    bool stop;
};

static struct timespec next_beat(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_nsec += FAR_BEAT_MS / 2 * 1000000L;
    t.tv_sec += t.tv_nsec / 1000000000L;
    t.tv_nsec %= 1000000000L;
    return t;
}

static void *run(void *arg) {
    struct far_posix_beat *b = arg;
    pthread_mutex_lock(&b->lock);
    while (!b->stop && far_link_beat(b->link)) {
        struct timespec at = next_beat();
        pthread_cond_timedwait(&b->stopped, &b->lock, &at);
    }
    pthread_mutex_unlock(&b->lock);
    return NULL;
}

struct far_posix_beat *far_posix_beat_start(struct far_link *l) {
    struct far_posix_beat *b = calloc(1, sizeof *b);
    if (!b) {
        return NULL;
    }
    b->link = l;
    pthread_mutex_init(&b->lock, NULL);
    pthread_cond_init(&b->stopped, NULL);
    // The program's signals are for its own threads.
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(&b->thread, NULL, run, b);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err != 0) {
        free(b);
        return NULL;
    }
    return b;
}

void far_posix_beat_stop(struct far_posix_beat *b) {
    pthread_mutex_lock(&b->lock);
    b->stop = true;
    pthread_cond_signal(&b->stopped);
    pthread_mutex_unlock(&b->lock);
    pthread_join(b->thread, NULL);
    pthread_cond_destroy(&b->stopped);
    pthread_mutex_destroy(&b->lock);
    free(b);
}
