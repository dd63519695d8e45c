// What the parts of the engine share. The shell sees engine.h only.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_CORE_H
#define FARSOCKD_CORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "daemon/engine.h"
#include "daemon/policy.h"
#include "ring/ring.h"

// One turn's share, so that nobody waits long for the others.
#define TURN_EVENTS   256u
#define TURN_MESSAGES 64u
#define TURN_BYTES    (64u * 1024u) // of one socket, near to peer
// Peer to near: with fewer system calls for the same bytes than at 64 KiB.
#define TURN_RX_PART  2u
#define TURN_RX_BYTES (TURN_RX_PART * TURN_BYTES)
// Of one that has had the loop to itself for so many turns: nobody waits. Of
// what near writes not all that its ring holds (but see bulk.c): it goes on
// meanwhile. And no more than two of loopback's segments: a third is sent by
// BBR's timer.
#define TURN_TX_ALONE  (128u * 1024u)
#define TURN_RX_ALONE  (512u * 1024u)
#define TURNS_ALONE    32u
#define TURN_ACCEPTS   16u            // connections that the policy refuses
#define TURN_DATAGRAMS 64u            // the same
#define TURN_CARRIES   4u             // pieces of a shared stream, each way
#define TURN_LINK      (512u * 1024u) // of all sockets of a link
// Whatever it is that takes long: a connect() on loopback is 50 us.
#define TURN_NS 30000u

// Beside a flood somebody moved no more than so many bytes in a turn: then what
// floods gets this part of its share for a while, so that its turns are short.
#define QUIET_BYTES 4096u
#define RIVAL_PART  4u
#define RIVAL_NS    UINT64_C(2000000)
// And near, which waits for a third of its ring to write tiny datagrams, hears
// of so much room already: a third of 256 KiB takes it 400 us to fill.
#define RIVAL_ROOM 8192u

// A stream trickles when in so many turns nobody else had one, and near rang so
// many times in a row for less than that part of the ring; no more when it
// rings for as little all the same. Likewise datagrams that come one by one.
#define TURNS_LONG    1000u
#define TRICKLE_RINGS 4u
#define TRICKLE_VAIN  64u
#define TRICKLE_PART  4u

// Before it sleeps, farsockd looks for events for so long, if that has paid
// lately: to be woken costs as much, and who wakes it on another processor has
// to interrupt that. At most that many powers of two of sleeps go by without.
#define EARLY_NS     20000u
#define EARLY_MISSES 8u

#define VIOLATIONS_MAX 8u // then the link is reset

// So many doorbells without a message within this time are a storm; the link's
// doorbell is then not heard for a while.
#define STORM_BELLS    1000u
#define STORM_NS       UINT64_C(100000000)
#define STORM_PAUSE_NS UINT64_C(10000000)

// --- Lists, intrusive and circular ---

struct node {
    struct node *next, *prev;
};

static inline void node_init(struct node *n) {
    n->next = n;
    n->prev = n;
}
static inline bool node_is_alone(const struct node *n) {
    return n->next == n;
}
static inline void node_remove(struct node *n) {
    n->prev->next = n->next;
    n->next->prev = n->prev;
    node_init(n);
}
static inline void node_append(struct node *list, struct node *n) {
    n->prev = list->prev;
    n->next = list;
    list->prev->next = n;
    list->prev = n;
}
// All of from to the end of list.
static inline void nodes_move(struct node *list, struct node *from) {
    while (!node_is_alone(from)) {
        struct node *n = from->next;
        node_remove(n);
        node_append(list, n);
    }
}
#define OF(ptr, type, member)                                                  \
    ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

// --- Engine (engine.c) ---

struct resolver;
struct policy;
struct policy_set;

// Lines of one kind in the log.
struct told {
    uint64_t second;
    uint32_t lines, more;
};

// What near rings for (trickle.c).
struct trickle {
    bool on;
    uint32_t rings; // for little, in a row
    uint32_t bytes; // moved since the last
};

// Looks for events before a sleep (engine.c).
struct early {
    uint32_t misses; // looks in vain, twice, less those that paid
    uint32_t skip;   // sleeps before the next look
};

struct engine {
    int epoll_fd;
    int stop_fd; // eventfd
    struct watch stop_watch;
    _Atomic bool stop;
    uint64_t turns;
    struct early early;
    const struct sock *runner; // whose turn was the last, never followed
    uint32_t runs;             // how many before it were, up to TURNS_LONG
    struct trickle trickle;    // of it
    struct engine_config config;
    struct epoll_event events[TURN_EVENTS];
    int event_next, event_count; // those of this turn not yet served
    struct node links;           // all
    struct node busy;            // links that something happened to
    struct node more;   // those whose turn was too short for what they have
    struct node ending; // those that are dead, and have something to do
    bool quiet;         // in this round somebody had little to do
    bool bulk;          // in this round somebody had much
    bool crowded;       // in this round more than one link has something to do
    uint64_t rival_ns;  // until then it may wait for those that flood; 0: never
    struct node ticking; // links that need to be looked at
    struct node muted;   // links whose doorbell is not heard
    _Atomic uint32_t violations[VIOLATION_KINDS]; // tests read them meanwhile
    struct told told[VIOLATION_KINDS];
    struct node lingering; // sockets whose close waits for a deadline
    struct node held;      // sockets that wait for what is held back (bulk.c)
    struct node orphans;
    struct node tokens;
    struct node reusing; // sockets with SO_REUSEPORT
    uint64_t orphan_bytes;
    uint32_t last_link_id;
    uint32_t promises; // sockets made ahead
    int promise_fds;   // the first descriptor that is none for such a one
    struct engine_totals total;
    struct resolver *resolver;
    struct dgram_batch *batch;   // NULL: none was needed yet
    struct policy_set *policies; // NULL: none
    struct watch route_watch;
    int route_fd; // -1: no rtnetlink here
};

uint64_t now_ns(void);
// Nobody waits but the link whose turn it is, as far as is known without a look
// at the events.
bool engine_is_idle(const struct engine *e);

// --- Links (link.c) ---

struct sock;
struct lookup;

struct slot {
    struct sock *sock;   // NULL: free
    uint32_t last_gen;   // of the last socket that was here
    uint32_t kicked_pos; // evt position after the last KICKED
    bool kicked;         // there was one
};

struct tag {
    uint8_t op;   // far_op of the request, 0: none is open
    int32_t slot; // -1: none
    uint64_t since_ns;
    uint8_t *data; // of the last answer, when it did not fit one reply
    uint32_t total;
    struct lookup *lookup; // at work for this tag, or NULL
};

// What SOCKET asks for.
struct kind {
    uint32_t family, type, proto;
};

// A socket made ahead (promise.c).
struct promise {
    struct sock *sock; // NULL: there is none
    struct kind kind;  // the one it is of
    struct kind last;  // the one that near asked for last
    uint32_t number;   // of the last one
    bool shown;        // near may take it; else it has done so, or gave up
    bool due;          // one is to be made
};

struct link {
    struct engine *engine;
    struct node all;
    struct node busy; // in the engine's busy, more or ending
    struct link_spec spec;
    struct far_layout layout; // private copy
    uint32_t id;
    uint64_t since_ns;
    struct watch bell, hangup;
    struct node tick; // in engine->ticking
    uint64_t tick_ns; // when it is due
    uint64_t near_beat_ns;
    uint32_t near_beat;        // as last seen
    bool suspect;              // a message was there, and no doorbell
    struct far_near_ctl *near; // never written
    struct far_far_ctl *far;
    const struct far_near_line *near_lines;
    struct far_far_line *far_lines;
    struct far_msg_reader cmd;
    struct far_msg_writer evt;
    // The message that is served, and goes on in the next turn; those behind it
    // wait.
    struct far_msg aside;
    uint64_t aside_payload[FAR_RECORD_MAX / 8u];
    uint32_t aside_to; // tx index that its socket had then
    bool is_aside;
    struct slot *slots;
    struct tag *tags;     // 0 .. layout.tags
    struct node run;      // sockets that something happened to
    struct node more;     // those whose turn was too short for what they have
    uint64_t turn_end_ns; // of the turn under way
    uint32_t sockets;     // open
    uint32_t requests;
    uint32_t lookups;
    uint32_t incoming; // accepted connections that are open
    uint32_t violations[VIOLATION_KINDS];
    struct node muted;    // in engine->muted
    uint64_t muted_ns;    // until then
    uint64_t bells_ns;    // of the last STORM_BELLS without a message, the last
    uint32_t idle_bells;  // since then
    uint32_t last_served; // messages since the hang-up
    bool reset_told;      // to its sockets
    uint32_t punished;    // of them, those that end the link when they are many
    uint32_t verdict_epoch;
    struct policy *policy; // NULL: everything is allowed
    uint32_t policy_epoch;
    uint32_t no_ports; // kinds of sockets that rules leave none (gate_port.c)
    uint64_t orphan_bytes;
    struct promise promise;
    struct far_counters count;
    bool evt_dirty; // put, not yet published
    bool evt_due;   // and near waits for some of it
    bool dead;      // near is gone: no messages, every socket closes
    bool drained;   // its last messages were served
    bool reset;     // it broke the rules: nothing is delivered any more
    bool floods;    // its last turn was too short for what there is
};

// Puts the link on the list of those that get a turn.
void link_wake(struct link *l);

// Looks at the links whose time has come: for messages whose doorbell got lost,
// and whether near lives (tick.c). link_tick_set(): whether this one needs it.
void links_tick(struct engine *e);
void link_tick_set(struct link *l);

// Serves messages and sockets. False when there is nothing left to do now and
// the link will be woken. The link may be freed: *gone.
bool link_turn(struct link *l, bool *gone);

// A turn's share of what it is at most: less while somebody waits for floods.
uint32_t engine_share(struct engine *e, uint32_t all);

// A rule of the protocol was broken; says what. Several end the link.
void link_violation(struct link *l, enum violation kind, const char *what);

// The same, of what ends it at once.
void link_breach(struct link *l, enum violation kind, const char *what);
// The same, of what has been dealt with already.
void link_nuisance(struct link *l, enum violation kind, const char *what);

// Hears a doorbell again that was muted.
void link_hear(struct link *l);

// Ends a link whose memory cannot be trusted any more: its sockets are reset.
void link_reset(struct link *l, const char *why);

// Answers the request with this tag (0: nobody asked) and closes it. data is
// copied and, if long, kept for FETCH.
void link_reply(struct link *l, uint32_t tag, int32_t result, const void *data,
    uint32_t len);

// Answers with part of an answer's total bytes; nothing is kept.
void link_reply_part(struct link *l, uint32_t tag, int32_t result,
    const void *part, uint32_t len, uint32_t total);

// True if the link's limit allows one more socket.
bool link_has_room(struct link *l);

// socket() as SOCKET asks for it: a descriptor, or -1 with errno.
int socket_open(struct link *l, const struct far_req_socket *req);

// Tells near to look at the slot's line, unless an earlier telling is still
// unread.
void link_kick(struct link *l, uint32_t slot);

// The same, of a socket that is gone: without hurry.
void link_tell_closed(struct link *l, uint32_t slot);

// Serves one message (ops.c). False: that takes longer than a turn, and it was
// put aside. op_go_on() goes on with it, with the same result.
bool op_serve(struct link *l, const struct far_msg *m, const void *payload);
bool op_go_on(struct link *l);

// --- Sockets (sock.c) ---

// A datagram on its way through the private buffer, because it is larger than
// the ring.
struct dgram_part {
    uint8_t *buf;
    struct far_addr addr;
    uint8_t ctl[FAR_CTL_MAX];
    uint32_t ctl_len;
    uint32_t len;  // of the payload
    uint32_t done; // of the padded payload
    uint32_t end;  // ring position after the record
    uint16_t flags;
    bool active;
};

struct sock {
    struct watch watch;
    struct node run;    // in link->run or link->more
    struct node linger; // in engine->lingering
    struct node held;   // in engine->held
    struct link *link;
    int fd; // -1: poisoned
    uint32_t slot, gen;
    uint32_t family, type, proto; // protocol numbers
    uint32_t events;              // EPOLL bits not yet looked at

    // Own indexes are the authority; near's are as last seen and checked.
    uint8_t *tx, *rx;
    uint32_t tx_size, rx_size;
    uint32_t tx_tail, rx_head;       // own
    uint32_t tx_head, rx_tail;       // near's
    uint32_t tx_checked, rx_checked; // own at the last wake check
    uint32_t rx_goal;    // with rx_full: go on when rx_tail passes this
    uint32_t near_flags; // as last seen
    uint32_t tx_more;    // the same: more follows what ends here
    uint32_t tx_urg_seen, tx_urg_end; // the same: urgent bytes
    bool tx_urg; // one is in the ring, and ends at tx_urg_end

    // What is published in the line.
    uint32_t state, fin_pos, err, verdict;
    uint32_t urg, urg_pos[FAR_MARKS];
    bool dirty; // one of these changed

    bool rx_ready;     // the kernel may have data
    bool rx_goes_on;   // the next turn receives more, or tells near
    bool rx_sure;      // it has, and the first byte is not urgent
    bool rx_plain;     // nothing more comes, and nothing of it is urgent
    bool urg_hint;     // it has urgent data
    bool urg_ahead;    // whose mark is published, and was not yet reached
    bool urg_inline;   // the kernel's SO_OOBINLINE
    bool oob_inline;   // near's
    bool rx_full;      // no room for more
    bool tx_blocked;   // the kernel has no room; EPOLLOUT will tell
    bool tx_dead;      // nothing can be sent any more: discard
    bool tx_tiny;      // datagrams: a turn was full before its bytes were
    bool tx_part_seen; // what is in the ring is no whole datagram yet
    bool fin_seen;     // the peer's FIN came before anything else
    bool shut_rd;      // shutdown() of the reading side was done here
    bool failed;       // an error other than EPIPE ended the stream
    bool connected;    // datagrams: connect() was done
    bool recverr;      // IP_RECVERR or IPV6_RECVERR: errors without connect()
    bool wants_out;    // datagrams: EPOLLOUT is on
    bool wants_ctl;    // an option asks for control data with each datagram
    bool closing;      // near has closed
    bool abort;        // close with RST
    bool cut;          // what the kernel does not take at once is dropped then
    bool linger_wait;  // all sent; waits for the peer to have it

    uint8_t policy_proto; // enum policy_proto
    bool incoming;        // it was accepted
    bool policy_void;     // rules forbid where it listens, or is bound
    bool port_named;      // near chose its port, not the kernel
    bool scoped;          // may have an interface by a link-local address
    uint32_t policy_seen; // the link's policy_epoch, when last looked at
    uint32_t local_seen;  // the same, of a datagram socket's own address

    bool connect_waits;     // near sleeps until the connection stands
    bool connect_known;     // it does, and this is what connect() gave:
    int32_t connect_result; // 0 or a far_err
    bool connect_told;      // that it stands, without asking the kernel
    struct far_addr goal;   // of that connect()

    int shut_how; // protocol number of a SHUTDOWN that waits for the ring
    bool shut_waits;
    uint32_t shut_pos;

    bool linger_on; // SO_LINGER, never given to the kernel before close
    int linger_s;
    uint64_t linger_until_ns;
    int rcvlowat; // SO_RCVLOWAT, near's affair; answered from here

    uint32_t flush_tag, flush_pos; // the FLUSH that waits
    uint32_t flushed_to;           // what the last one answered ended at
    uint32_t run_limit;            // the longest datagram of a run (run.c)
    bool run_known;
    bool flush_waits, flush_nowait;
    struct dgram_part tx_part, rx_part;
    uint32_t rx_guess; // length of the next one's payload, padded
    uint32_t rx_taken; // datagrams in the last turn

    struct stamps *stamps; // NULL: none came

    struct node reuse; // in engine->reusing
    struct policy_addr reuse_at;

    struct shared *shared; // NULL: no other process has this datagram socket
    struct node share;     // in its list

    uint32_t segment;       // the largest of the kernel's, or 1
    uint32_t segment_turns; // until it is asked for again
    uint8_t bulk_full;      // turns that began with a full ring, less others
    uint8_t bulk_part;      // turns until one may take all of it again
    bool bulk_low;          // TCP_NOTSENT_LOWAT is ours
    bool bulk_known;        // it was looked at
    uint64_t held_ns;       // how long the kernel may take no more for that

    uint64_t tx_bytes, rx_bytes;
    uint32_t kicks_in, kicks_out;
    uint32_t kicks_seen; // kicks_in at the last turn
    uint32_t err_seq;
    int32_t last_error; // far_err
};

// A socket in this slot around fd, which it owns afterwards; its line is made,
// published, and epoll watches it. NULL with errno; fd is then the caller's.
struct sock *sock_new(struct link *l, uint32_t slot,
    const struct far_rings *rings, int fd, uint32_t family, uint32_t type,
    uint32_t proto);

// The same in two steps. In no slot yet; epoll tells of fd by ready. NULL with
// errno; fd is then the caller's.
struct sock *sock_make(struct link *l, int fd, const struct kind *kind,
    void (*ready)(struct watch *w, uint32_t events));
void sock_place(struct sock *s, uint32_t slot, const struct far_rings *rings);

static inline struct far_far_line *sock_line(const struct sock *s) {
    return &s->link->far_lines[s->slot];
}

// Something may be to do: s gets a turn.
void sock_wake(struct sock *s);

// s has used up its turn: it gets another one, after those that have had none.
void sock_again(struct sock *s);

// One turn. s may be freed. Returns the bytes moved.
uint32_t sock_turn(struct sock *s);

// Loads near's line. False if it broke a rule: s is poisoned.
bool sock_look(struct sock *s);

// Publishes the line, arms the wakes, looks again, and kicks near if one of its
// wakes was passed or state changed. If that look found more, s gets a turn.
void sock_publish(struct sock *s);

// Asks the kernel for its poll bits and derives the state. Also collects a
// pending error.
void sock_refresh(struct sock *s);

// Publishes an error number (the host's) in the line. Not yet stored.
void sock_set_error(struct sock *s, int host_errno);

void sock_set_state(struct sock *s, uint32_t set, uint32_t clear);

// near broke a rule about this socket: breaks it, and counts.
void sock_poison(struct sock *s, enum violation kind, const char *what);

// Ends a socket that cannot go on, with this error (the host's): resets the
// connection; the slot stays near's until it closes.
void sock_break(struct sock *s, const char *what, int host_errno);

// Hands the kernel what the tx ring holds up to that index, as far as it takes
// it. False: it may take more, but this turn's share is used up.
bool sock_flush(struct sock *s, uint32_t to);

// Lets go of the slot: FAR_ST_CLOSED. fd, if still there, is closed. s is
// freed.
void sock_finish(struct sock *s);

// Performs a SHUTDOWN that waited, if the ring has drained to its position.
void sock_try_shutdown(struct sock *s);

// Closing (close.c): one turn of a socket that near has closed. s may be freed.
void close_turn(struct sock *s);
void close_expired(struct sock *s);

// The kernel's SO_ERROR, which this clears.
int take_so_error(int fd);
bool is_connected(int fd); // has it a peer?

// Bytes went to the network, came from it.
static inline void count_tx(struct sock *s, uint64_t n) {
    s->tx_bytes += n;
    s->link->engine->total.tx_bytes += n;
}
static inline void count_rx(struct sock *s, uint64_t n) {
    s->rx_bytes += n;
    s->link->engine->total.rx_bytes += n;
}

// Bytes in the rings.
static inline uint32_t tx_used(const struct sock *s) {
    return s->tx_head - s->tx_tail;
}
static inline uint32_t rx_free(const struct sock *s) {
    return s->rx_size - (s->rx_head - s->rx_tail);
}
// The ring's memory at pos, n bytes, as one or two pieces; how many.
int ring_iov(uint8_t *data, uint32_t size, uint32_t pos, uint32_t n,
    struct iovec iov[2]);
// rx is full: near shall KICK when room bytes, at least a third of the ring,
// are free.
void rx_wait_room(struct sock *s, uint32_t room);

// --- Streams (stream.c), datagrams (dgram.c): bytes moved, at most budget ---

uint32_t stream_tx(struct sock *s, uint32_t budget);
// Of n bytes, a turn's share, so many that they end where a segment does, if
// there are more in the ring.
uint32_t stream_share(struct sock *s, uint32_t n);
uint32_t stream_rx(struct sock *s, uint32_t budget);
uint32_t dgram_tx(struct sock *s, uint32_t budget);
uint32_t dgram_rx(struct sock *s, uint32_t budget);
// A payload in the tx ring, for the kernel: as ring_iov().
int dgram_iov(struct sock *s, uint32_t payload, uint32_t len,
    struct iovec iov[2]);
// Each item of control data may grow on its way to the host's form.
#define HOST_CTL (FAR_CTL_MAX * 4u)
// Takes one datagram; 0 if there is none (rx_ready is off then), no room, or an
// error in its place.
uint32_t dgram_take(struct sock *s);
// Puts a copy of the next one into the ring (FAR_DGRAM_COPY), with at most room
// bytes of payload: its length, FAR_EAGAIN, or FAR_OK: look again.
int32_t dgram_copy(struct sock *s, uint32_t room);
// The payload of a datagram larger than the ring, whose head is there, follows.
bool dgram_begin_part(struct sock *s, const uint8_t *payload, uint32_t len);
void dgram_flush(struct sock *s, uint32_t tag, const struct far_req_flush *req);
void dgram_cancel(struct sock *s, int32_t result); // a FLUSH that waits
// True if a record is in the tx ring that could go now.
bool dgram_has_work(const struct sock *s);

// --- Streams over loopback with much to send (bulk.c) ---

// Its segments are known: the kernel shall have no more than it can send, if
// near has no say in that.
void bulk_begin(struct sock *s);
// The kernel's socket becomes as near has made it; if bulk_begin() had changed
// it, for good.
void bulk_end(struct sock *s);
// The kernel takes no more. For so long, at most, if that is our doing:
// bulk_deadline() says until when, UINT64_MAX if nobody waits.
void bulk_hold(struct sock *s);
uint64_t bulk_deadline(struct engine *e);
void bulk_expire(struct engine *e, uint64_t now);
// At the beginning of a turn of who is alone: n, or all that is in the ring but
// for what makes no segment.
uint32_t bulk_share(struct sock *s, uint32_t n);
// At its end: so much was to move, and has moved.
void bulk_note(struct sock *s, uint32_t share, uint32_t moved);

// --- Sockets made ahead (promise.c) ---

// After a SOCKET of near's that was served.
void promise_asked(struct link *l, const struct far_req_socket *req);
// Makes one if that is due.
void promise_make(struct link *l);
// The one that req takes. NULL: there is none like that.
struct sock *promise_take(struct link *l, const struct far_req_socket *req);
// Takes it back. False: there is none, or near has taken it.
bool promise_revoke(struct link *l);
// Takes back those of all links, for want of descriptors. False: there was
// none.
bool promises_revoke(struct engine *e);
// The link is over.
void promise_end(struct link *l);

// --- Streams that trickle (trickle.c) ---

// After a turn of s that moved so much to the peer and got so much from it.
void trickle_note(struct sock *s, uint32_t moved, uint32_t got);
// Somebody waits.
void trickle_end(struct engine *e);

// --- Urgent data (urgent.c) ---

// Before a recv() of which it is not sure that it begins with plain data: takes
// note of a mark. False if there is nothing to recv(); then rx_ready is off.
bool urgent_look(struct sock *s);
// Takes note of urgent data wherever it is. What recv(MSG_OOB) would say: 1, or
// 0, or a far_err.
int32_t urgent_find(struct sock *s);

// --- Ports that sockets share (reuse.c) ---

// SO_REUSEPORT or the local address of s may have changed.
void reuse_note(struct sock *s);

// Before bind(): 0, or EADDRINUSE if another user's socket has the port, which
// the kernel takes for one of ours.
int reuse_bind(const struct sock *s, const struct sockaddr_storage *at,
    socklen_t len);

// --- Errors and times (errqueue.c, stamps.c) ---

// recvmsg(MSG_ERRQUEUE): rest gets control data and then at most room bytes of
// payload; it has room for FAR_CTL_MAX more. FAR_OK, or a far_err.
int32_t errqueue_take(struct sock *s, uint32_t room,
    struct far_rep_errqueue *rep, uint8_t *rest);
// Keeps what came with the bytes that end at rx_head.
void stamps_note(struct sock *s, const struct msghdr *m);
// The control data, bytes of it, of the bytes that end there; at most
// FAR_CTL_MAX.
uint32_t stamps_find(const struct sock *s, uint32_t end, uint8_t *ctl);
void stamps_free(struct sock *s);

// --- Datagram sockets that several processes have (shared.c) ---

// What they have in common. Nothing is read ahead any more: whoever asks gets
// the next datagram, the first of all those that had been read ahead.
struct shared;

// Makes s such a one. NULL: no memory.
struct shared *shared_begin(struct sock *s);
// Takes what its rx ring holds, and near passes over. As the kernel's queue
// does, this one loses what there is no memory for.
void shared_keep(struct sock *s);
struct shared *shared_ref(struct shared *h);
void shared_unref(struct shared *h); // NULL: nothing
void shared_join(struct sock *s, struct shared *h);
void shared_leave(struct sock *s);
// Length of the next datagram if it had been read ahead, else below 0.
int32_t shared_next(const struct sock *s);
// Serves RECV.
int32_t shared_recv(struct sock *s, const struct far_req_recv *req);

// --- Tokens (token.c): sockets that several processes have ---

// Serves SHARE: takes the token that waits at the link's connection. A
// connected stream is gone afterwards; what it answers is a far_err.
int32_t token_share(struct sock *s);
// Serves ADOPT: the kernel's socket of the token that waits there, duplicated,
// or a far_err.
struct adopted {
    uint32_t state;
    bool carried;          // its bytes go elsewhere
    struct shared *shared; // a reference, or NULL
};
int32_t token_adopt(struct link *l, struct adopted *out);
void tokens_free(struct engine *e);

// --- Orphans (orphan.c): what a closed stream still has to send ---

// Takes s->fd and the rest of s's tx ring. False if the budget does not allow
// it: nothing has happened then.
bool orphan_take(struct sock *s);
void orphans_forget_link(struct link *l);
// When the first one's time is over, UINT64_MAX: there are none. Ends those
// whose time is.
uint64_t orphans_deadline(struct engine *e);
void orphans_expire(struct engine *e, uint64_t now);
void orphans_free(struct engine *e);

// --- Options (sockopt.c): 0 or a far_err; getting returns bytes ---

int32_t opt_set(struct sock *s, int32_t level, int32_t opt, const void *val,
    uint32_t len);
int32_t opt_get(struct sock *s, int32_t level, int32_t opt, void *val,
    uint32_t size);

// --- ioctl and interfaces (ioctl.c) ---

int32_t ioctl_do(struct sock *s, uint32_t request, struct far_ifreq *arg);
// malloc()ed entries, *len bytes of them; how many, or a far_err.
int32_t ioctl_ifaddrs(struct far_ifaddr **out, uint32_t *len);
int32_t ioctl_ifname(struct far_req_ifname *arg);

// --- Lookups (resolver.c) ---

struct resolver *resolver_new(struct engine *e, unsigned threads,
    unsigned spare);
void resolver_free(struct resolver *r);
void resolver_ask(struct link *l, uint32_t tag, const struct far_msg *m,
    const void *payload);
void resolver_cancel(struct link *l, uint32_t tag);
void resolver_forget_link(struct link *l);

// --- Routes (route.c) ---

// What near has learned about the fate of datagrams is void.
void link_forget_verdicts(struct link *l);

// Watches rtnetlink; without it (no netlink here) nothing is told.
void route_open(struct engine *e);
void route_close(struct engine *e);

#endif
