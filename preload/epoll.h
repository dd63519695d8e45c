// What epoll.c and watch.c share: an epoll instance's far sockets.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_PRELOAD_EPOLL_H
#define FARSOCK_PRELOAD_EPOLL_H

#include <pthread.h>
#include <sys/epoll.h>

#include "preload/preload.h"

// A far socket in an instance. Listed: it is to be looked at. Not listed: it
// was looked at and armed, and whatever changes it lists it again.
struct entry {
    struct psock *sock;
    struct ep *ep;
    struct entry *of_sock;                    // the next of this socket
    struct entry *next, **link;               // of the instance
    struct entry *next_listed, **link_listed; // NULL: it is not
    int fd;                                   // as it was added
    uint32_t idle; // looks in a row that found nothing
    uint32_t events;
    epoll_data_t data;
    // What an edge-triggered one has told, and when.
    uint32_t told, mark, dry, full;
};

struct ep {
    pthread_mutex_t lock;
    struct ep *next;            // of all
    _Atomic int refs;           // descriptors
    _Atomic int count;          // entries
    _Atomic int natives;        // were added to the kernel's
    _Atomic int kernel_waiters; // sleep in the kernel's epoll_wait
    _Atomic int far_waiters;
    int poke; // descriptor that wakes those in the kernel's, -1: none
    _Atomic uint32_t forks, deaths; // of which it knows
    struct entry *entries;
    struct entry *listed, **listed_end;
    int listed_count;
};

// Locks, in this order: the table's, the watch lock, an instance's.
void watch_lock(void);
void watch_unlock(void);

// Under the watch lock and the instance's.
struct entry *watch_find(const struct ep *e, int fd, const struct psock *s);
struct entry *watch_add(struct ep *e, int fd, struct psock *s);
void watch_remove(struct entry *it);
// Under the instance's: to the end of what is to be looked at, or out of it.
void watch_list(struct entry *it);
void watch_unlist(struct entry *it);
// Under no lock, before an instance is looked at: lists what was told.
void watch_sort(struct ep *e);
// In a child, under the locks.
void watch_after_fork(struct ep *all);

#endif
