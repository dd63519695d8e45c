// Connections of a link's socket: the hello, then a link or a text.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CONN_H
#define FARSOCKD_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "daemon/engine.h"
#include "daemon/log.h"

#define LOG_BURST 5 // lines a second that peers can provoke

struct service;

// A connection that is not a link (yet).
struct conn {
    struct watch watch;
    struct service *s;
    TAILQ_ENTRY(conn) entry;
    int fd;
    struct ucred cred;
    uint64_t deadline_ns;
    bool reads; // had its welcome, takes text
    bool late;  // its hello waits for another turn
    struct ctl ctl;
    size_t len; // of the piece that waits to be sent
    char *piece;
};

// All of them, and what they count against.
struct service {
    struct engine *engine;
    const struct config *config;
    uint64_t started_ns;
    int timer_fd;      // its time is kept by service_set_timer()
    uint64_t retry_ns; // wanted of the timer beside deadlines, 0: nothing
    uint32_t silent;   // connections without a hello
    uint32_t late;     // those whose hello is there and waits for its turn
    uint64_t greeted;  // turn of the last hello
    uint32_t readers;  // of show and dump
    uint32_t links;
    struct far_log_rate rate;
    TAILQ_HEAD(conn_list, conn) conns;
};

// Takes a connection that was accepted; fd is its own from now on.
void conn_new(struct service *s, int fd);

void conn_close(struct conn *c);

// Tells a connection that cannot be served why, and closes it.
void conn_turn_away(int fd, int err);

// Closes those whose time is over.
void service_drop_late(struct service *s);

// Sets the timer to the first deadline, or stops it: it runs only while
// somebody is timed.
void service_set_timer(struct service *s);

// Watches w anew, which reports what is already there: the way to go on in the
// next turn with an edge-triggered descriptor.
void service_rewatch(struct service *s, struct watch *w, int fd,
    uint32_t events);

#endif
