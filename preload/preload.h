// What the parts of the preload library share.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_PRELOAD_H
#define FARSOCK_PRELOAD_H

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "farsock/farsock.h"
#include "farsock/port.h"
#include "farsock/posix.h"
#include "preload/real.h"

// Each wrapper is a symbol that the program finds before the C library's.
#define EXPORT __attribute__((visibility("default")))

// --- Descriptors (table.c) ---

#define FD_MAX (1 << 20) // no higher descriptor can be a far socket

// A link of this process. Never freed: a socket may name it.
struct plink {
    struct far_posix *posix;
    struct far_link *near;
    struct psock *_Atomic *by_slot; // of far_slot(), the last that was there
};

enum psock_kind {
    PSOCK_FREE,
    PSOCK_FAR,       // a socket of this process's link
    PSOCK_INHERITED, // of the process we were forked from, not yet adopted
};

// An open file description whose socket is far. Its memory is used for another
// one later, never given back, so that a late look is harmless.
struct psock {
    _Atomic int kind; // psock_kind
    struct plink *link;
    int handle;
    _Atomic int refs; // descriptors that name it
    _Atomic bool nonblock;
    _Atomic bool rcvtimeo, sndtimeo; // one is set
    bool traced;                     // its edges are counted
    bool shared;                     // its token leads to farsockd
    ino_t ino;                       // of the token then
    int family, type, proto;
    struct far_addr goal; // of the last connect()
    // How often it had nothing, or no room, for a call: what comes afterwards
    // is an edge (EPOLLET).
    _Atomic uint32_t dry, full;
    struct psock *next_free;
    // In epoll instances (watch.c). These outlive the socket.
    _Atomic bool watched, marked;
    struct psock *next_marked;
    struct entry *entries;
};

// The far socket of a descriptor, or NULL: it is none.
extern struct psock *_Atomic fari_fds[FD_MAX];
static inline struct psock *psock_at(int fd) {
    if (fd < 0 || fd >= FD_MAX) {
        return NULL;
    }
    return atomic_load_explicit(&fari_fds[fd], memory_order_acquire);
}

// Under the table's lock: changes what descriptors mean.
void table_lock(void);
void table_unlock(void);

#define SLOTS_MAX 0x10000u
// The socket is its link's in this slot.
void psock_in_slot(struct psock *s);
struct psock *psock_new(struct plink *link, int handle, int family, int type,
    int proto);
void table_set(int fd, struct psock *s); // takes a reference
// The descriptor is about to be closed or replaced: true if it was one of ours.
// The last one closes the socket.
bool table_drop(int fd, bool linger);
// The same, and it stays that socket until it is let go, whoever closes it.
struct psock *psock_hold(int fd);
void psock_let_go(struct psock *s);
// No descriptor at or above it is a far socket.
extern _Atomic int fari_fds_top;
// Under the lock, in a child: every socket is inherited.
void table_inherit(void);
// The library's own descriptors, which the program shall not close.
void guard_add(int fd);
void guard_remove(int fd);
bool guard_has(int fd);
// The first guarded descriptor in [from, to], -1: none.
int guard_next(int from, int to);
int guard_floor(void);  // where own descriptors go
int guard_lift(int fd); // there

// --- Signals (signal.c) ---

// Handlers that ran in this thread: all, and those without SA_RESTART.
struct signals_run {
    uint32_t all, ending;
};
extern _Thread_local struct signals_run fari_signals
    __attribute__((tls_model("initial-exec")));

// From begin to end, which nest, this thread holds a lock or leads the link's
// wait: a call that a handler of the program made would wait for it without
// end. The handlers of signals that come meanwhile run at the end.
extern _Thread_local struct far_held fari_held
    __attribute__((tls_model("initial-exec")));
static inline void hold_begin(void) {
    far_hold(&fari_held);
}
// Runs them.
void hold_let_go(void);
static inline void hold_end(void) {
    if (far_unhold(&fari_held)) {
        hold_let_go();
    }
}
// In a child: what came while its parent forked is the parent's.
void hold_forget(void);
static inline void own_lock(pthread_mutex_t *m) {
    hold_begin();
    pthread_mutex_lock(m);
}
static inline void own_unlock(pthread_mutex_t *m) {
    pthread_mutex_unlock(m);
    hold_end();
}

// --- Links and calls (link.c) ---

// The link, opened if it is not. NULL with errno.
struct plink *link_get(void);
struct plink *link_if_open(void);
void link_forget_after_fork(void);
// How many links were found dead: all that their sockets show has changed.
uint32_t link_deaths(void);

// The result of a far call as a system call's: -1 with errno.
int far_done(int r);
ssize_t far_done_long(ssize_t r);

// The socket's handle on a link of this process, made to be so if it was
// inherited. False with errno.
bool psock_adopt(struct psock *s);
static inline bool psock_use(struct psock *s) {
    return atomic_load_explicit(&s->kind, memory_order_relaxed) == PSOCK_FAR ||
           psock_adopt(s);
}

// Begins a call that a signal may end. restarts: a handler with SA_RESTART does
// not.
void call_begin(bool restarts);
static inline uint64_t wait_of(const struct psock *s, bool dontwait) {
    return dontwait || atomic_load_explicit(&s->nonblock, memory_order_relaxed)
               ? FAR_NOWAIT
               : FAR_FOREVER;
}
bool call_was_interrupted(void);
// What begins from now on is (or is not) the rest of a call that has moved
// something: a handler ends it, whatever its flags, as natively.
void call_part(bool moved);
// In a handler: its thread's call notices it, however close to its sleep it is.
// held: also one that goes on, since the program's handler is still to run.
void call_wake(bool held);
// Around a handler, which may make calls itself.
struct call_state {
    struct signals_run before; // had been handled when it began
    uint32_t slept;            // all of them, after its last sleep
    bool restarts;
    bool part;   // an earlier part of the program's call has moved something
    bool sleeps; // it looked whether to, or did
};
struct call_state call_suspend(void);
void call_resume(const struct call_state *c);

// --- Addresses (addr.c) ---

// Out of the program's memory: FAR_OK, FAR_EFAULT, FAR_EINVAL.
int addr_take(struct sockaddr_storage *out, const struct sockaddr *sa,
    socklen_t len);
// FAR_OK, or a far_err as the kernel's for such an address.
int addr_to_far(const struct sockaddr_storage *sa, socklen_t len,
    struct far_addr *out);
// FAR_OK, or what bind() and connect() say of an address because it is as long
// as it is: of that far's kernel sees nothing.
int addr_refused(const struct psock *s, const struct sockaddr_storage *sa,
    socklen_t len, bool connects);
// Into the program's memory, as the kernel writes one: 0, or -1 with errno.
int addr_give(const struct far_addr *a, struct sockaddr *sa, socklen_t *len);

// --- The program's memory ---

// Copies from or to it: 0, or -1 with EFAULT.
int user_copy(void *to, const void *from, size_t n);
// False with EFAULT: no program has memory there.
bool user_range(uintptr_t at, size_t n);

// --- Waiting (wait.c) ---

// A mask that a call swaps in while it sleeps: until then, and from then on, no
// signal comes, as if it were one system call. swap: 0, or -1 with EFAULT.
struct swapped {
    sigset_t inside;
    const sigset_t *mask; // for the sleep; NULL: none is swapped
    sigset_t before;
};
int mask_swap(struct swapped *w, const sigset_t *mask);
void mask_back(const struct swapped *w);

// A wait for far sockets and other descriptors.
struct mixed {
    struct pollfd *fds; // count own ones, and room for two more
    nfds_t count;
    const sigset_t *mask; // NULL: as it is
    int ready;            // how many of fds are, after a sleep
};
// What far_link_events() says, before the sockets are asked and armed.
uint32_t mixed_begin(void);
// Sleeps until one of fds is ready, something happened on the link, or the
// deadline. 0, or -1 with errno EINTR; *timed_out.
int mixed_wait(struct mixed *m, uint32_t events, uint64_t deadline_ns,
    bool *timed_out);
// Looks at the descriptors only; lets signals in if nothing else is ready.
int mixed_look(struct mixed *m, bool idle);
// Makes every mixed_wait() of this process look again.
void mixed_poke(void);
// Called when a listener or a datagram socket has failed because its link is
// dead: lets the calling thread do that ten times a second.
void dead_pause(void);
uint64_t deadline_of_ms(int ms);
uint64_t deadline_of_timespec(const struct timespec *t);

// --- Epoll (epoll.c) ---

// Far sockets in an epoll instance. NULL: it has none.
bool epoll_has_far(int epfd);
// Whether epoll_wait() would find a far socket ready; arms them if arm.
bool epoll_far_ready(int epfd, bool arm);
// Something may have changed at the socket: far told so, or a call of ours did
// it. After the change.
void psock_mark(struct psock *s);
// Around a fork, under the table's lock.
void epoll_before_fork(void);
void epoll_after_fork(bool child);
void epoll_forget_sock(struct psock *s); // under the table's lock
void epoll_forget_fd(int fd);            // an epoll descriptor is closed
void epoll_forget_range(int from, int to);
void epoll_dup(int fd, int copy);

// --- Data (data.c) ---

ssize_t far_send_bytes(struct psock *s, const void *buf, size_t len, int flags,
    const struct sockaddr *to, socklen_t to_len);
ssize_t far_recv_bytes(struct psock *s, void *buf, size_t len, int flags,
    struct sockaddr *from, socklen_t *from_len);
// False with errno: flags that no program may give a call of messages.
bool flags_good(int flags);
// *total: as many bytes as it should send.
ssize_t far_send_msg(struct psock *s, const struct msghdr *msg, int flags,
    size_t *total);
// later: not the first of its call, which leaves an error to the next one.
ssize_t far_recv_msg(struct psock *s, struct msghdr *msg, int flags,
    bool later);
ssize_t far_writev(struct psock *s, const struct iovec *iov, int count);
ssize_t far_readv(struct psock *s, const struct iovec *iov, int count);

// Of a call that has moved a part when its stream became a carried one
// (rest.c): goes on with the rest.
ssize_t send_rest_of(int fd, const void *buf, size_t len, int flags,
    ssize_t done);
ssize_t send_rest_pieces(int fd, const struct iovec *user, size_t count,
    int flags, ssize_t done);
ssize_t recv_rest_of(int fd, void *buf, size_t len, int flags, ssize_t done);
// Most calls have none.
static inline ssize_t send_rest(int fd, const void *buf, size_t len, int flags,
    ssize_t done) {
    return done > 0 && (size_t)done < len
               ? send_rest_of(fd, buf, len, flags, done)
               : done;
}
static inline ssize_t recv_rest(int fd, void *buf, size_t len, int flags,
    ssize_t done) {
    return done > 0 && (size_t)done < len && (flags & MSG_WAITALL)
               ? recv_rest_of(fd, buf, len, flags, done)
               : done;
}

// --- Sockets of several processes (fork.c, carried.c, token.c) ---

// One thread at a time makes tokens known to farsockd, or shows them.
void sharing_lock(void);
void sharing_unlock(void);
// Makes the sockets' tokens ones by which other processes find them: of the
// descriptors for which it is true, and of one (FAR_OK or a far_err).
typedef bool share_which(int fd);
void share_some(share_which *which);
int share_fd(int fd);

// Writes on the token for what it stands; its inode.
ino_t token_mark(int token, const struct psock *s, bool carried);
// Whether it has been written there.
bool token_is(int fd);
// Makes a descriptor from another process a far socket, if it is a token.
void token_take(int fd);

// Before and after messages between processes (rights.c): what they bring shall
// be of use to the other one. False with errno: one cannot be.
bool rights_share(const struct msghdr *user);
bool rights_share_all(const struct mmsghdr *all, unsigned count);
void rights_take(const struct msghdr *user);
void rights_take_all(const struct mmsghdr *all, int count);

// A stream that farsockd carries over its token: the kernel's for all but what
// concerns the connection.
struct carried {
    int refs; // under the lock of all
    int family, proto;
    bool named; // these are known
    struct far_addr local, peer;
};
bool is_carried(int fd);
// The same after an error, which may have come while another thread forks.
bool carried_now(int fd);
// A call failed because another thread forked meanwhile: it is to be made anew.
bool failed_carried(int fd);
static inline bool now_carried(int fd, ssize_t n) {
    return n < 0 && failed_carried(fd);
}
void carried_set(int fd, struct carried *c); // takes a reference
void carried_let_go(struct carried *c);
void carried_dup(int fd, int copy);
void carried_lock(void); // around a fork, too
void carried_unlock(void);
void carried_forget(int from, int to);
// The result of a call on a slot of the connection's, or a far_err.
typedef int carried_call(struct far_link *l, int sock, void *arg);
int carried_ask(int fd, carried_call *call, void *arg);
// getsockname() and getpeername().
int carried_name(int fd, bool peer, struct sockaddr *sa, socklen_t *len);
// Makes a connection one that is carried.
void psock_carry(int fd);
// Under no lock: its entries become the kernel's.
void epoll_to_kernel(struct psock *s);

int ioctl_ask(struct psock *s, unsigned long request, void *arg);

#endif
