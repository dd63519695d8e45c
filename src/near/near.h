// Private state of the near library, and what its parts offer each other.
// SPDX-License-Identifier: MIT
#ifndef FARI_NEAR_H
#define FARI_NEAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/farsock.h"
#include "ring/ring.h"

// Locks, taken in this order, never while sleeping for the peer:
//   a socket's tx_lock, then its rx_lock, then the link's lock.
// A lock word: 0 free, 1 held, 2 held and somebody parks on it.

// What the short way of a call has no use for stays out of its function; and
// what is less than a call shall not become one where code shall be small.
#define FARI_APART  __attribute__((noinline))
#define FARI_WITHIN static inline __attribute__((always_inline))
#ifdef __OPTIMIZE_SIZE__
    #define FARI_SMALL 1
    #define FARI_QUICK static inline
    #define FARI_WAITS FARI_WITHIN
    #define FARI_PLACE FARI_APART // place.c has it
#else
    #define FARI_SMALL 0
    #define FARI_QUICK FARI_WITHIN
    #define FARI_WAITS static __attribute__((noinline, unused))
    #define FARI_PLACE static inline
#endif
// Its result for a slot never changes, once the link is made.
#define FARI_FIXED __attribute__((const))

#define FARI_NO_SLOT  0xffffffffu
#define FARI_WAITERS  256u
#define FARI_VERDICTS 128u
// Bytes of a getaddrinfo answer that a call takes: about 100 entries. On the
// stack of the caller.
#define FARI_LOOKUP_ROOM 4096u

enum fari_use {
    FARI_FREE,
    FARI_OPEN,
    FARI_CLOSING, // closed by near; far has not let go yet
    FARI_MOVING,  // open; far is asked whether it takes its rings over
    FARI_MOVED,   // far did: as closing for all but the calls that are in it
};

enum fari_sock_flag {
    FARI_SHUT_RD = 0x1,
    FARI_SHUT_WR = 0x2,
    FARI_TX_BUSY = 0x4,    // a datagram's result is awaited: others queue
    FARI_GATHERS = 0x8,    // a datagram has begun, and goes with the next
    FARI_DOWN_TOLD = 0x10, // the far core's death was reported once
    FARI_LINGER = 0x20,    // close waits (SO_LINGER n)
    FARI_RX_BUSY = 0x40,   // a large datagram is being read: others queue
    FARI_INLINE = 0x80,    // SO_OOBINLINE
};

// What a receive on a stream has to say beside its bytes.
struct fari_got {
    uint32_t flags; // far_msg_flag, as msg_flags
    uint32_t end;   // rx index behind its bytes
};

// Of the last urgent mark, which is gone once rx_tail has passed it.
enum fari_urg {
    FARI_URG_NONE,
    FARI_URG_VALID,
    FARI_URG_READ, // its byte was taken with MSG_OOB
};

// A socket, private to near. Indexes here are the authority; `_pub` is what
// the line in shared memory says, `_checked` the index at the last wake check.
struct fari_sock {
    _Atomic uint32_t tx_lock;
    _Atomic uint32_t rx_lock;
    _Atomic uint32_t gen; // written under the link's lock
    uint32_t tx_head;
    uint32_t tx_tail; // far's, as last seen
    uint32_t rx_tail;
    uint32_t rx_head; // far's, as last seen
    uint32_t rx_pub;
    uint32_t rx_checked;
    uint32_t tx_more;   // near's line: the position after which more follows
    uint32_t urg_count; // the same: urgent bytes sent, and where the last ends
    uint32_t urg_end;
    uint32_t urg_word;         // far's urg as last seen; under rx_lock
    _Atomic uint32_t urg_pos;  // of the mark
    _Atomic uint8_t urg_state; // fari_urg
    _Atomic uint8_t stamped;   // its bytes have control data: a time
    _Atomic bool over_v4;      // a datagram socket of IPv6: connected over IPv4
    _Atomic bool own_headers;  // a raw socket: IP_HDRINCL
    uint32_t kick_pos;         // end of our last KICK in the cmd ring
    uint32_t err_seen;         // sequence of the last error taken
    uint32_t rcvlowat;
    uint32_t rcvtimeo_ms; // 0: none
    uint32_t sndtimeo_ms;
    uint16_t users; // calls that sleep or ask; under the link's lock
    uint16_t proto;
    _Atomic uint8_t use;   // fari_use; written under all three locks
    _Atomic uint8_t flags; // fari_sock_flag; written under the link's lock
    uint8_t family;
    _Atomic uint8_t type; // the next socket's, to who has a stale handle
    uint32_t next_free;
};

// Words of a socket that a poll looks at without the lock under which they are
// written: these are so, each for itself, and these looks.
FARI_WITHIN void fari_set(uint32_t *p, uint32_t v) {
    FAR_STORE_WORD(p, v, memory_order_relaxed);
}
FARI_WITHIN uint32_t fari_get(const uint32_t *p) {
    return atomic_load_explicit((const _Atomic uint32_t *)(const void *)p,
        memory_order_relaxed);
}

// The same of its _Atomic fields, which in C would else be in one order with
// all others: a fence or two each.
#define FARI_GET(field) atomic_load_explicit(&(field), memory_order_relaxed)
#define FARI_SET(field, v)                                                     \
    atomic_store_explicit(&(field), v, memory_order_relaxed)
FARI_WITHIN bool fari_has(const struct fari_sock *s, uint32_t flags) {
    return (FARI_GET(s->flags) & flags) != 0;
}
FARI_WITHIN uint32_t fari_type(const struct fari_sock *s) {
    return FARI_GET(s->type);
}
FARI_WITHIN uint32_t fari_urg(const struct fari_sock *s) {
    return FARI_GET(s->urg_state);
}
// Who sees what use it is in sees which socket it then is.
FARI_WITHIN uint32_t fari_use(const struct fari_sock *s) {
    return atomic_load_explicit(&s->use, memory_order_acquire);
}
FARI_WITHIN void fari_set_use(struct fari_sock *s, enum fari_use use) {
    atomic_store_explicit(&s->use, (uint8_t)use, memory_order_release);
}

// Under the link's lock: nobody else writes between load and store, so that no
// core needs a read-modify-write of a byte, which not all have.
static inline void fari_mark(struct fari_sock *s, uint32_t flags) {
    FARI_SET(s->flags, (uint8_t)(FARI_GET(s->flags) | flags));
}
static inline void fari_unmark(struct fari_sock *s, uint32_t flags) {
    FARI_SET(s->flags, (uint8_t)(FARI_GET(s->flags) & ~flags));
}

enum fari_tag_state {
    FARI_TAG_FREE,
    FARI_TAG_ASKED,
    FARI_TAG_DONE,
    FARI_TAG_LEFT, // nobody waits any more; rests until it is answered
};

struct fari_tag {
    uint8_t state;
    uint8_t op;
    uint16_t len; // bytes in data
    int32_t result;
    uint32_t total;
    uint32_t slot;  // of a socket to be closed if a left tag succeeds
    uint64_t asked; // now_ns
    uint8_t data[FAR_REPLY_DATA_MAX];
};

enum fari_wait_kind {
    FARI_WAIT_NONE,
    FARI_WAIT_SOCK, // anything about socket id
    FARI_WAIT_TAG,  // the answer with tag id
    FARI_WAIT_ANY,  // anything about any socket
    FARI_WAIT_FREE, // a tag or a slot became free
};

struct fari_waiter {
    _Atomic uint32_t word;           // 1: look again
    const struct far_beside *beside; // NULL: parks on word
    uint8_t kind;
    uint32_t id;
};

// What a look without a doorbell found. It may be on its way: only what is
// there at the next look was forgotten.
struct fari_rescue {
    bool evt;          // something is in the evt ring
    uint32_t unread;   // looks in a row at which far had not read
    uint32_t cmd_tail; // to here
};

// Looks for a while before a sleep pay or not: after misses in a row that many
// powers of two are left out.
struct fari_busy {
    uint32_t misses;
    uint32_t skip; // sleeps without one
};

// A datagram destination that was good at last: sends to it need no answer.
struct fari_verdict {
    uint32_t slot;
    uint32_t gen;
    uint32_t link_epoch;
    uint32_t sock_epoch;
    uint32_t max_len; // the longest payload that went
    struct far_addr addr;
};

// What moves the bytes of streams. It comes with the calls that connect one: a
// program without them needs none of it.
struct fari_streams {
    int32_t (*send_bytes)(struct far_link *l, int sock, const void *buf,
        size_t len, uint32_t flags, uint64_t deadline_ns);
    int32_t (*send)(struct far_link *l, int sock, const struct far_iov *iov,
        size_t count, uint32_t flags, uint64_t deadline_ns);
    int32_t (*recv)(struct far_link *l, int sock, const struct far_iov *iov,
        size_t count, uint32_t flags, struct fari_got *got,
        uint64_t deadline_ns);
};

// What most calls look at comes first: small processors reach it in fewer bytes
// of code.
struct far_link {
    struct fari_sock *socks;
    uint8_t *region;
    const struct far_port *port;
    void *ctx;
    struct fari_tag *tags; // [lay.tags + 1], 0 unused
    _Atomic uint32_t lock;
    _Atomic uint32_t down;
    // NULL: none was ever connected.
    const struct fari_streams *_Atomic streams;
    struct far_layout lay;
    _Atomic uint32_t interrupts;
    uint32_t interrupts_seen;
    _Atomic uint32_t events; // KICKs taken
    uint32_t free_slot;
    struct far_msg_writer cmd;
    struct far_msg_reader evt;
    uint32_t leader;      // waiter + 1 that sleeps in port->wait; 0: nobody
    bool leader_custom;   // with a wait of its own
    bool leader_sleeps;   // in that wait, or about to enter it
    uint32_t claim;       // waiter + 1 that wants to lead with its own wait
    uint32_t waiters_top; // waiters in use are below this
    uint32_t open_count;  // slots that are not free
    uint32_t lookups;
    uint32_t promise; // the last that was taken
    struct far_counters count;
    struct fari_rescue rescue;
    struct fari_busy busy;
    _Atomic uint32_t silent; // far's heart stands still
    uint32_t beat;           // far's, as last seen; the timer's own
    uint64_t beat_ns;        // when it came
    struct fari_waiter waiters[FARI_WAITERS];
    struct fari_verdict verdicts[FARI_VERDICTS];
};

// --- link.c ---
// far_port.held
static inline void fari_hold(const struct far_link *l) {
    if (l->port->held) {
        far_hold(l->port->held());
    }
}
static inline void fari_unhold(const struct far_link *l) {
    if (l->port->held && far_unhold(l->port->held())) {
        l->port->let_go();
    }
}
void fari_lock(struct far_link *l, _Atomic uint32_t *word);
void fari_unlock(struct far_link *l, _Atomic uint32_t *word);
void fari_lock_link(struct far_link *l);
void fari_unlock_link(struct far_link *l);
// The same without a call, for the short ways of calls that move bytes: where
// code need not be small.
#if FARI_SMALL
    #define fari_lock_here   fari_lock
    #define fari_unlock_here fari_unlock
    #define fari_put_here    fari_put_piece
#else
    #define fari_lock_here   fari_lock_within
    #define fari_unlock_here fari_unlock_within
    #define fari_put_here    fari_put_within
#endif
// Somebody else has the lock.
FARI_WAITS void fari_lock_wait(struct far_link *l, _Atomic uint32_t *word) {
    while (atomic_exchange_explicit(word, 2u, memory_order_acquire) != 0) {
        l->port->park(l->ctx, word, 2u, FAR_FOREVER);
    }
}
FARI_WITHIN void fari_lock_within(struct far_link *l, _Atomic uint32_t *word) {
    uint32_t free = 0;
    fari_hold(l);
    if (!atomic_compare_exchange_strong_explicit(word, &free, 1u,
            memory_order_acquire, memory_order_relaxed)) {
        fari_lock_wait(l, word);
    }
}
// The first half of fari_unlock(); the other is fari_unhold().
FARI_WITHIN void fari_let_in(struct far_link *l, _Atomic uint32_t *word) {
    if (atomic_exchange_explicit(word, 0u, memory_order_release) == 2u) {
        l->port->unpark(l->ctx, word);
    }
}
FARI_WITHIN void fari_unlock_within(struct far_link *l,
    _Atomic uint32_t *word) {
    fari_let_in(l, word);
    fari_unhold(l);
}
FARI_WITHIN uint8_t *fari_at_line(const struct far_link *l, uint32_t at) {
    return l->region + (size_t)at * FAR_LINE;
}
// --- place.h ---
FARI_PLACE struct fari_sock *fari_sock(const struct far_link *l,
    uint32_t slot) FARI_FIXED;
FARI_PLACE struct far_near_line *fari_near_line(const struct far_link *l,
    uint32_t slot) FARI_FIXED;
FARI_PLACE struct far_far_line *fari_far_line(const struct far_link *l,
    uint32_t slot) FARI_FIXED;
FARI_PLACE uint8_t *fari_tx_ring(const struct far_link *l,
    uint32_t slot) FARI_FIXED;
FARI_PLACE uint8_t *fari_rx_ring(const struct far_link *l,
    uint32_t slot) FARI_FIXED;
// Far's line if it belongs to the slot's present generation, else NULL.
FARI_PLACE const struct far_far_line *fari_far_says(const struct far_link *l,
    uint32_t slot);
// A third of the ring is free. Without tx_lock: or was a moment ago.
FARI_PLACE bool fari_has_room(const struct far_link *l, uint32_t slot);
// fari_lock() and fari_check_ring().
FARI_PLACE int fari_lock_ring(struct far_link *l, uint32_t slot, int sock,
    _Atomic uint32_t *lock);
// True if pos is that of the mark.
FARI_PLACE bool fari_urg_is_at(const struct fari_sock *s, uint32_t pos);
// True if what is at pos is no data: it is urgent, and that is not in line.
FARI_PLACE bool fari_urg_is_hole(const struct fari_sock *s, uint32_t pos);

FARI_WITHIN bool fari_is_down(const struct far_link *l) {
    return atomic_load_explicit(&l->down, memory_order_relaxed) != 0;
}
uint64_t fari_now(struct far_link *l);
// The time at which a wait of ms milliseconds, begun now, is over.
uint64_t fari_deadline(struct far_link *l, uint32_t ms);
void fari_bell(struct far_link *l);

// --- wait.c ---
// A waiter is registered, the caller looks whether it must wait at all, then
// sleeps as often as needed, then ends. What happens after begin is not lost.
uint32_t fari_wait_begin(struct far_link *l, enum fari_wait_kind kind,
    uint32_t id);
// FAR_OK (look again), FAR_ETIMEDOUT, FAR_EINTR, FAR_ELINKDOWN.
int fari_wait_step(struct far_link *l, uint32_t waiter, uint64_t deadline_ns);
int fari_wait_step_with(struct far_link *l, uint32_t waiter,
    uint64_t deadline_ns, int (*wait)(void *arg, uint64_t deadline_ns),
    void *arg);
void fari_wait_end(struct far_link *l, uint32_t waiter);
// One step towards something that far does at once, and that cannot be given up
// half-way: an interruption does not end it. A far that has not done it by
// until never will: the link is down then.
#define FARI_PART_MS 60000u
void fari_wait_far(struct far_link *l, uint32_t waiter, uint64_t until);
// Under the link's lock: has those waiters look again.
void fari_wake(struct far_link *l, enum fari_wait_kind kind, uint32_t id);
// Under the link's lock: a call has changed what another thread's poll of the
// socket shows. As after a KICK, who is about to sleep looks again.
void fari_changed(struct far_link *l, uint32_t slot);
// Under the link's lock: it is down. Requests are answered with that, and all
// who sleep look again.
void fari_break(struct far_link *l);
// Sleeps where nothing can come any more: FAR_ETIMEDOUT, FAR_EINTR, or FAR_OK
// before it is time. Without threads there is nothing to sleep at.
int fari_idle(struct far_link *l, uint64_t deadline_ns);
// A short sleep and a look, for who is interrupted but must go on.
void fari_pause(struct far_link *l);
// Looks once whether far rang, or died, if nobody else is looking.
void fari_glance(struct far_link *l);

// --- rescue.c ---
// Until when a sleeper may sleep before it looks by itself.
uint64_t fari_rescue_until(struct far_link *l, uint64_t deadline_ns);
// Under the link's lock: such a look. False: what is in the evt ring, if
// anything, is to be left for the doorbell that may be on its way.
bool fari_rescue_look(struct far_link *l);

// --- request.c ---
struct fari_ask {
    uint8_t op;
    uint32_t slot;
    const void *req; // the op's struct, and what follows it
    uint32_t req_len;
    const void *more;
    uint32_t more_len;
    void *data; // room for the answer's data, whole
    uint32_t room;
    uint32_t got;   // out: bytes in data
    uint32_t total; // out: bytes that far had
    uint32_t undo;  // slot to close if a left request succeeds, FARI_NO_SLOT
    bool answered;  // out: the result is far's own
    bool left;      // out: given up; what far still does will be undone
    bool slow;      // may take long: is cancelled when the deadline passes
    int why;        // out: a slow one was answered after it was cancelled
};
// Sends and waits for the answer: its result, or FAR_ENETDOWN, FAR_EINTR,
// FAR_ETIMEDOUT.
int fari_request(struct far_link *l, struct fari_ask *ask,
    uint64_t deadline_ns);
// One of the plain kind: about a socket that there is, if any, however long it
// takes. The answer's data is data's room at the most.
int fari_ask(struct far_link *l, uint8_t op, uint32_t slot, const void *req,
    size_t req_len, void *data, size_t room);
// Under the link's lock: an answer came.
void fari_answer(struct far_link *l, const struct far_msg *m, const void *buf);
// Under the link's lock: far is gone; everybody is answered.
void fari_answer_all(struct far_link *l);

// --- slot.c ---
void fari_slots_init(struct far_link *l);
// Finds an open socket. FARI_NO_SLOT if the handle is none.
uint32_t fari_find(struct far_link *l, int handle);
// A handle is the slot and the low bits of its generation, so that a stale one
// is noticed.
#define FARI_HANDLE_GEN_MASK 0x7fffu
static inline int fari_handle(const struct far_link *l, uint32_t slot) {
    uint32_t gen = FARI_GET(fari_sock(l, slot)->gen) & FARI_HANDLE_GEN_MASK;
    return (int)(gen << 16 | slot);
}
// True for a stream that may be open: whoever takes a lock of it has to look
// again. No handle of the link's: false.
static inline bool fari_is_stream(const struct far_link *l, int handle) {
    uint32_t slot = far_slot(handle);
    return handle >= 0 && slot < l->lay.sockets &&
           fari_type(fari_sock(l, slot)) == FAR_SOCK_STREAM;
}
// Finds and pins: the slot stays until fari_unpin(), whoever closes it.
uint32_t fari_pin(struct far_link *l, int handle);
void fari_unpin(struct far_link *l, uint32_t slot);
// Takes a free slot, its lines zero under a new generation. FARI_NO_SLOT if
// all are in use (after waiting a little for those that far still holds).
uint32_t fari_slot_new(struct far_link *l, struct far_rings *rings);
// Opens a slot whose socket exists now; gives one back that came to nothing.
void fari_slot_open(struct far_link *l, uint32_t slot, uint32_t family,
    uint32_t type, uint32_t proto);
void fari_slot_drop(struct far_link *l, uint32_t slot);
// Under the link's lock: a KICKED for this slot came; frees it if it closed.
void fari_slot_kicked(struct far_link *l, uint32_t slot);
// Under the link's lock: makes far look at the socket. The caller rings if
// true.
bool fari_kick_locked(struct far_link *l, uint32_t slot);
void fari_kick(struct far_link *l, uint32_t slot);
// Under the link's lock, after cmd's head went on from before: forgets old
// KICKs, whose positions would else come round again after 4 GiB of messages.
void fari_age_kicks(struct far_link *l, uint32_t before);

// --- promise.c ---
// A socket that far has made already, in that slot: the message that says so is
// put, and goes with the next one. False: there is none like req.
bool fari_promise_take(struct far_link *l, uint32_t slot,
    struct far_req_socket *req);

// --- state.c ---
// Sets or clears flags, under the link's lock, which it takes.
void fari_set_flags(struct far_link *l, uint32_t slot, uint32_t flags, bool on);
// Its state bits, and whether an error waits. A line of another generation is
// all zero.
uint32_t fari_state(const struct far_link *l, uint32_t slot);
// The pending error (negative) without taking it, 0 if none.
int fari_peek_error(const struct far_link *l, uint32_t slot);
// Takes it.
int fari_take_error(struct far_link *l, uint32_t slot);
// Refresh the private copy of far's index under the socket's tx (rx) lock.
// FAR_OK, or FAR_EBADMSG (far broke the rules: the link is down).
int fari_refresh_tx(struct far_link *l, uint32_t slot);
int fari_refresh_rx(struct far_link *l, uint32_t slot);
// Under tx_lock: publishes tx_head, kicks if far waits for it.
void fari_publish_tx(struct far_link *l, uint32_t slot, uint32_t old_head);
// Its two halves, between which there must be a full barrier. The second one
// needs no lock: what has become of the slot meanwhile, a KICK only makes far
// look.
FARI_WITHIN void fari_store_tx(struct far_link *l, uint32_t slot,
    uint32_t head) {
    struct far_near_line *mine = fari_near_line(l, slot);
    FAR_WMB(FAR_AT_TX_DATA);
    far_store(&mine->tx_head, head);
    FAR_CLEAN(FAR_AT_TX_HEAD, mine, sizeof *mine);
}
FARI_WITHIN void fari_tell_tx(struct far_link *l, uint32_t slot,
    uint32_t old_head, uint32_t head) {
    const struct far_far_line *theirs = fari_far_says(l, slot);
    if (theirs && far_crossed(far_load(&theirs->tx_wake), old_head, head)) {
        fari_kick(l, slot);
    }
}
// Under rx_lock: publishes rx_tail if that is due (or force), kicks.
void fari_publish_rx(struct far_link *l, uint32_t slot, bool force);
// Under tx_lock (rx_lock): asks for a KICK at room (data), then looks again.
// True: still nothing, the KICK will come. seen: the rx_head at which the
// caller found too little; it may have moved since, and then nobody would tell
// of it.
bool fari_arm_tx(struct far_link *l, uint32_t slot);
bool fari_arm_rx(struct far_link *l, uint32_t slot, uint32_t seen);
// True while the handle names this slot's socket. A call that neither sleeps
// nor asks needs no pin: close takes the socket's locks, so under one of them
// an open socket stays open. FARI_PINNED in place of the handle: it is pinned.
#define FARI_PINNED (-1)
bool fari_is_open(struct far_link *l, uint32_t slot, int sock);
// Under one of a socket's two locks, for a call that touches its rings: waits
// while far is just taking them over. FAR_OK, or what the call gives: also then
// the lock is held.
int fari_check_ring(struct far_link *l, uint32_t slot, int sock,
    _Atomic uint32_t *lock);
// Sleeps on a pinned socket until something about it changed. The deadline's
// error is already the call's: FAR_EAGAIN or FAR_ETIMEDOUT, FAR_EINTR.
int fari_sleep(struct far_link *l, uint32_t waiter, uint64_t deadline_ns,
    uint32_t timeo_ms, uint64_t *timeo_ns);
// Before such a sleep: whether the call has moved a part already.
static inline void fari_tell_moved(const struct far_link *l, size_t done) {
    if (done > 0 && l->port->moved) {
        l->port->moved(l->ctx);
    }
}
// Under tx_lock: whether a stream can be written to now. FAR_OK, FAR_EAGAIN (it
// connects), or the error that send gives. It is taken only if tell: a call
// that has sent a part leaves it for the next.
int fari_may_send(struct far_link *l, uint32_t slot, bool tell);
// True at the end of what can be read: *result is what recv says then. An error
// is taken only if tell: a call that has bytes to return leaves it for the
// next. hole: 1 if the byte at rx_tail is urgent, and only looked past.
bool fari_stream_over(struct far_link *l, uint32_t slot, uint32_t hole,
    bool tell, int *result);
// The part of it that is far's death, for any socket.
bool fari_over_by_death(struct far_link *l, uint32_t slot, bool tell,
    int *result);

// --- control.c, errqueue.c ---
// Appends items of control data to m's, which has that much room.
void fari_give_ctl(struct far_msghdr *m, size_t room, const uint8_t *ctl,
    uint32_t len);
// Of a stream's bytes that end there; pinned.
void fari_stream_ctl(struct far_link *l, uint32_t slot, uint32_t end,
    struct far_msghdr *m, size_t room);
// recvmsg(MSG_ERRQUEUE); pinned. It never waits for anything but far.
int32_t fari_errqueue_recv(struct far_link *l, uint32_t slot,
    struct far_msghdr *m);

// --- iov.c ---
// As the kernel: no call moves more than this.
#define FARI_MOST 0x7ffff000u
// Bytes in all, at most that.
size_t fari_iov_sum(const struct far_iov *iov, size_t count);
static inline size_t fari_iov_len(const struct far_iov *iov, size_t count) {
    if (count == 1) {
        return iov->len < FARI_MOST ? iov->len : FARI_MOST;
    }
    return fari_iov_sum(iov, count);
}
// Copies n bytes, of those pieces from byte at on, into the ring of that slot
// at count pos; and out of it. FAR_OK, or FAR_EFAULT: not all of the caller's
// memory is there.
int fari_move(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n, bool in);
static inline int fari_gather(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    return fari_move(l, slot, pos, iov, at, n, true);
}
static inline int fari_scatter(struct far_link *l, uint32_t slot, uint32_t pos,
    const struct far_iov *iov, size_t at, uint32_t n) {
    return fari_move(l, slot, pos, iov, at, n, false);
}
// The same for one piece that does not go round the ring's end.
int fari_put_piece(struct far_link *l, uint32_t slot, uint32_t pos,
    const void *src, uint32_t n);
int fari_get_piece(struct far_link *l, uint32_t slot, uint32_t pos, void *dst,
    uint32_t n);
// The first of them without a call, for the short way of a send.
FARI_WITHIN int fari_put_within(struct far_link *l, uint32_t slot, uint32_t pos,
    const void *src, uint32_t n) {
    uint8_t *to = fari_tx_ring(l, slot) + (pos & (l->lay.tx_ring - 1u));
    if (!l->port->copy) {
        FAR_STORE_BYTES(to, src, n);
    } else if (!l->port->copy(l->ctx, to, src, n)) {
        return FAR_EFAULT;
    }
    FAR_CLEAN(FAR_AT_IOV_PUT, to, n);
    return FAR_OK;
}
// n bytes to the beginning of those pieces, which have room for them.
int fari_give(struct far_link *l, const struct far_iov *iov, const uint8_t *src,
    uint32_t n);
// Whether the first n bytes of those pieces can be read.
bool fari_is_there(struct far_link *l, const struct far_iov *iov, size_t count,
    size_t n);

// --- verdict.c ---
struct fari_epochs {
    uint32_t link;
    uint32_t sock;
};
struct fari_epochs fari_now_epochs(const struct far_link *l, uint32_t slot);
// addr NULL: the connected peer.
bool fari_is_trusted(struct far_link *l, uint32_t slot,
    const struct far_addr *addr, size_t len, struct fari_epochs e);
void fari_trust(struct far_link *l, uint32_t slot, const struct far_addr *addr,
    size_t len, struct fari_epochs e);
// Forgets what is known of a socket's destinations.
void fari_forget_verdicts(struct far_link *l, uint32_t slot);
// Does an IPv6 socket send to it over IPv4?
bool fari_is_ipv4(const struct far_addr *a);

// --- urgent.c: MSG_OOB. Under rx_lock, but for the last three. ---
// Far's line has another urg, word: which marks there are now.
void fari_urg_news(struct far_link *l, uint32_t slot,
    const struct far_far_line *line, uint32_t word);
// Of n bytes from pos on, those before a mark further on.
static inline uint32_t fari_urg_before(const struct fari_sock *s, uint32_t pos,
    uint32_t n) {
    uint32_t ahead = FARI_GET(s->urg_pos) - pos;
    bool limits = fari_urg(s) != FARI_URG_NONE && ahead > 0 && ahead < n;
    return limits ? ahead : n;
}
// rx_tail has moved.
static inline void fari_urg_pass(struct fari_sock *s) {
    if (fari_urg(s) != FARI_URG_NONE &&
        (int32_t)(s->rx_tail - FARI_GET(s->urg_pos)) > 0) {
        FARI_SET(s->urg_state, FARI_URG_NONE);
    }
}
// recv(MSG_OOB) where there is no urgent byte: the error that it gives, or
// FAR_EAGAIN if far knows; and that, pinned and without rx_lock.
int fari_urg_none(struct far_link *l, uint32_t slot);
int fari_urg_ask(struct far_link *l, uint32_t slot);
// recv(MSG_OOB).
int32_t fari_urg_recv(struct far_link *l, uint32_t slot, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags, uint32_t *out);
// SIOCATMARK of a stream, pinned; and what FIONREAD says where it found n.
int fari_urg_at_mark(struct far_link *l, uint32_t slot, int32_t *at);
uint32_t fari_urg_unread(struct far_link *l, uint32_t slot, uint32_t n);

// --- stream.c, stream_rx.c, dgram.c, dgram_rx.c ---
// Streams check the handle and pin by themselves; its slot is one of the
// link's.
int32_t fari_stream_send(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    uint64_t deadline_ns);
int32_t fari_stream_send_bytes(struct far_link *l, int sock, const void *buf,
    size_t len, uint32_t flags, uint64_t deadline_ns);
int32_t fari_stream_recv(struct far_link *l, int sock,
    const struct far_iov *iov, size_t count, uint32_t flags,
    struct fari_got *got, uint64_t deadline_ns);
// Before a stream of this link may become connected.
void fari_has_streams(struct far_link *l);
// Datagrams: the caller has pinned.
int32_t fari_dgram_send(struct far_link *l, uint32_t slot,
    const struct far_msghdr *m, uint32_t flags, uint64_t deadline_ns);
int32_t fari_dgram_recv(struct far_link *l, uint32_t slot, struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns);

#if !FARI_SMALL
    #include "near/place.h"
#endif

#endif
