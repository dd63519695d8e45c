// The engine of farsockd: one epoll loop that serves links and their sockets.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_ENGINE_H
#define FARSOCKD_ENGINE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "farsock/wire.h"

// The shell (main, listener, control socket) makes one engine, watches its own
// descriptors through it and hands it links. Everything here runs in the one
// thread that calls engine_run(), except engine_stop().

struct engine;
struct link;

struct engine_config {
    unsigned resolver_threads;  // 0: 4
    unsigned resolver_spare;    // for who has no lookup at work
    uint64_t orphan_bytes;      // kept for closed sockets; 0: 256 MiB
    uint64_t orphan_link_bytes; // the same per link; 0: 16 MiB
    uint32_t user_tokens;       // sockets shared by one user; 0: 4096
    uint32_t orphan_s;          // how long; 0: 10 minutes
    bool gives_way;             // its thread does (slice.h)
};

// NULL with errno set.
struct engine *engine_new(const struct engine_config *config);

// Drops every link (their gone() is called), then frees.
void engine_free(struct engine *e);

// Serves until engine_stop(). 0, or -1 with errno if epoll itself fails.
int engine_run(struct engine *e);

// One turn of it: what is there now or, if sleep, what comes next.
int engine_turn(struct engine *e, bool sleep);

// Turns so far, with the one under way: by it a ready() that is called for many
// descriptors keeps to its share of one.
uint64_t engine_turns(const struct engine *e);

// Makes engine_run() return after its turn. From any thread or signal handler.
void engine_stop(struct engine *e);

// --- Descriptors of the shell ---

// Embed it in what it watches. ready() is called with the EPOLL bits that are
// set. A ready() may remove or free any watch, its own included.
struct watch {
    void (*ready)(struct watch *w, uint32_t events);
};

// Edge-triggered (EPOLLET is added). 0, or -1 with errno.
int engine_watch(struct engine *e, struct watch *w, int fd, uint32_t events);

// Watches what old watched with w, or with old itself, anew: what is already
// there is reported again. Needs no memory, and so cannot fail for want of it.
void engine_rewatch(struct engine *e, struct watch *old, struct watch *w,
    int fd, uint32_t events);

// A descriptor was made for something else than a socket: where they become
// few, those of sockets that nobody has asked for yet are given back.
void promises_heed(struct engine *e, int fd);

// Call before the descriptor is closed. No ready() of w comes afterwards.
void engine_unwatch(struct engine *e, struct watch *w, int fd);

// --- Links ---

// Optional features of the protocol that links may have.
#define ENGINE_FEATURES (FAR_FEATURE_RESCUE | FAR_FEATURE_BEAT)

struct link_spec {
    void *region; // mapped and zero; the engine writes only the far part
    struct far_layout layout;
    int bell_to_near;   // eventfd
    int bell_from_near; // eventfd, non-blocking, watched but never read
    int hangup;         // its HUP or RDHUP ends the link (the Unix connection);
                        // -1: the shell ends it
    uint32_t epoch;     // far's, and near's; 0: 1
    uint32_t seen;
    uint32_t features; // far_feature, agreed
    uint32_t bell;     // how near rings us, where that is to be told
    char name[64];     // for people
    pid_t pid;
    uid_t uid;
    gid_t gid;
    uint32_t max_sockets;  // 0: as many as the layout has slots
    uint32_t max_lookups;  // at work or queued; 0: half of the tags
    uint32_t max_incoming; // accepted connections that are open; 0: no limit

    // Called once when the link is over, whatever the reason: the engine has
    // forgotten region and descriptors; the shell unmaps and closes them. The
    // region may be kept for a while after the hang-up, until what near had
    // written is sent.
    void (*gone)(void *arg);
    void *arg;
};

// Initialises the far part (header, layout, lines) and serves the link from
// now on; call before the welcome is sent. *spec is copied. NULL with errno, or
// EINVAL if the layout does not hold together; gone() is not called then.
struct link *engine_link_new(struct engine *e, const struct link_spec *spec);

// Ends a link as its hang-up would. gone() may be called from within.
void engine_link_drop(struct link *l);

// Ends it without sending what is left. why: for the log.
void engine_link_abort(struct link *l, const char *why);

// --- Policy ---

struct policy_set;

// The rules for links that are there and that come, NULL: none. Stays the
// caller's, and in use until the next call.
void engine_set_policy(struct engine *e, struct policy_set *set);

// What a near core can do wrong; each is counted, by link and in all.
#define VIOLATIONS(X)                                                          \
    X(RING, "ring")       /* an index or record of its messages */             \
    X(MESSAGE, "message") /* a tag, slot or op that there is not */            \
    X(ROOM, "room")       /* it takes no answers */                            \
    X(PLACE, "place")     /* rings or slot of a new socket */                  \
    X(INDEX, "index")     /* of a socket's line */                             \
    X(RECORD, "record")   /* of a datagram, or its FLUSH */                    \
    X(BELL, "bell")       /* doorbells for nothing */

enum violation {
#define X(name, text) VIOLATION_##name,
    VIOLATIONS(X)
#undef X
        VIOLATION_KINDS
};
const char *violation_name(enum violation kind);
// In all links since the start.
uint32_t engine_violations(const struct engine *e, enum violation kind);

// --- What is there, for show and dump: values, valid now ---

// Of all links and sockets since the start, also those that are gone.
struct engine_totals {
    uint32_t links, sockets;
    uint64_t tx_bytes, rx_bytes; // to the network, from it
};
void engine_get_totals(const struct engine *e, struct engine_totals *out);

struct link_info {
    uint32_t id; // 1, 2, ... since the start
    char name[64];
    pid_t pid;
    uid_t uid;
    gid_t gid;
    uint64_t age_ns;
    struct far_counters near; // as near wrote them
    struct far_counters far;
    uint32_t sockets;                     // open
    uint32_t sockets_max;                 // slots
    uint32_t requests;                    // not yet answered
    uint32_t violations[VIOLATION_KINDS]; // broken rules of the protocol
    uint64_t orphan_bytes;                // of closed sockets, not yet sent
    const char *policy; // name of its section, NULL: there is none
    bool draining;      // near is gone, its data is still being sent
};

struct sock_info {
    uint32_t slot;
    uint32_t family; // far_af
    uint32_t type;   // far_socktype
    uint32_t proto;
    uint32_t state;            // far_state
    char state_text[16];       // "connected", "listening", ...
    struct far_addr local;     // family 0: none
    struct far_addr peer;      // family 0: none
    uint32_t tx_ring, tx_used; // bytes
    uint32_t rx_ring, rx_used;
    uint32_t tx_kernel, rx_kernel; // SIOCOUTQ, FIONREAD
    uint64_t tx_bytes, rx_bytes;   // moved since the socket was made
    uint32_t kicks_in, kicks_out;
    int32_t last_error; // far_err, 0: none so far
};

struct req_info {
    uint32_t tag;
    uint32_t op;  // far_op; far_op_name() names it
    int32_t slot; // -1: none
    uint64_t age_ns;
};

// Iterate: start with NULL; NULL at the end. Do not serve events in between.
struct link *engine_link_next(struct engine *e, struct link *l);
void link_get_info(struct link *l, struct link_info *out);

// The first open socket (unanswered request) at or after *slot (*tag): true,
// and *slot (*tag) is where to go on. Start with 0.
bool link_next_sock(struct link *l, uint32_t *slot, struct sock_info *out);
bool link_next_req(struct link *l, uint32_t *tag, struct req_info *out);

#endif
