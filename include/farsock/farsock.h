// The near library: BSD sockets whose network is on the far core.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_FARSOCK_H
#define FARSOCK_FARSOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/errors.h"
#include "farsock/port.h"
#include "farsock/proto.h"
#include "farsock/wire.h"

// Conventions. Results >= 0 are answers, < 0 are FAR_E... (lookups: FAR_EAI_).
// Constants are the protocol's (proto.h), not the host's. A socket is a handle
// >= 0; a closed one is FAR_EBADF for ever (handles carry a generation).
//
// deadline_ns is absolute, on the port's clock: FAR_NOWAIT (0) never waits and
// gives FAR_EAGAIN (connect: FAR_EINPROGRESS); FAR_FOREVER waits as long as
// SO_RCVTIMEO or SO_SNDTIMEO allow (then FAR_EAGAIN, as natively); any other
// gives FAR_ETIMEDOUT when it has passed. Every call that can wait may give
// FAR_EINTR if the port says that it was interrupted; nothing has been lost,
// and the call can be made again.
//
// Any call: FAR_EBADF (not a socket of this link). When far is gone: data that
// had arrived is still read, then FAR_ECONNRESET once and end of file; calls
// that need far give FAR_ENETDOWN. All calls may be made from any task, on one
// socket at the same time, but not from an interrupt (those marked [I] may).
#define FAR_NOWAIT  0u
#define FAR_FOREVER UINT64_MAX

struct far_link;

// --- Link ---

// Bytes of private memory a link with this layout needs (aligned as
// max_align_t), and its initialisation in mem, which must stay until
// far_link_down() and the last call returned. region: the mapped shared memory;
// its layout is read from the far part once, into private memory, and checked.
// Returns the link or NULL with *err set: FAR_EBADMSG (layout), FAR_ELINKPROTO
// (version).
size_t far_link_size(const struct far_layout *layout);
struct far_link *far_link_init(void *mem, void *region, uint64_t region_bytes,
    const struct far_layout *layout, const struct far_port *port, void *ctx,
    int *err);

// Link-up on memory that stays, whoever dies (SPEC.md "Fixed memory"). The
// memory's upper half is far's. Zero the struct, fill in the first part, then
//   begin; step until it gives FAR_OK; far_link_size(&j.layout);
//   far_link_init_joined().
// When holds() is false the link is over: far_link_down(), and begin again.
struct far_join {
    void *region;
    uint64_t region_bytes;
    uint32_t bell;  // how far rings us, as the port's platform has it
    uint32_t wants; // bits of far_feature, see port.h and far_link_beat()
    const struct far_port *port;
    void *ctx;
    // Out, valid after FAR_OK:
    struct far_layout layout;
    uint32_t epoch; // of this life of ours
    uint32_t far_epoch;
    uint32_t far_bell; // [after the first step] how we ring far; 0: unknown
    uint32_t features; // those wanted that far has, too
};

// Announces a new life of near. Whatever lay in near's half is given up.
void far_join_begin(struct far_join *j);

// Looks, answers and rings as needed, and never waits: the caller sleeps in
// port->wait between steps, and had better not trust a doorbell before the
// first FAR_OK. FAR_OK, FAR_EAGAIN, FAR_ELINKPROTO or FAR_EBADMSG (of far's
// version or layout; it may get better: far may be restarted).
int far_join_step(struct far_join *j);

// As far_link_init(), with what was agreed upon.
struct far_link *far_link_init_joined(void *mem, const struct far_join *j,
    int *err);

// [TI] False when far has ended, or begun a new life. cost: one line of shared
// memory
bool far_join_holds(const struct far_join *j);

// Tells the library that far is gone (a port whose wait() cannot say so). Wakes
// every waiter. Idempotent.
void far_link_down(struct far_link *l);

// [TI] Where nobody reports far's death (FAR_FEATURE_BEAT): tells far that near
// lives. The port calls it from a timer, every FAR_BEAT_MS or more often, as
// long as the link is used. False when far has been silent for FAR_SILENT_MS:
// then every waiter finds the link down.
bool far_link_beat(struct far_link *l);

// True until far is known to be gone.
bool far_link_is_up(const struct far_link *l);

// What both sides counted, as `farsock show` prints it. far's are far's word.
void far_link_counters(struct far_link *l, struct far_counters *near,
    struct far_counters *far);

// Sockets that are open, or not yet let go by far.
uint32_t far_link_sockets(struct far_link *l);

// [I] Makes every waiter ask its port's interrupted().
void far_link_interrupt(struct far_link *l);

// --- Sockets ---

// A socket's handle. Errors as socket(2), and FAR_EMFILE when the link's slots
// are used up. cost: one round trip
int far_socket(struct far_link *l, uint32_t family, uint32_t type,
    uint32_t proto);

// Closes. Returns when near is done with it (at once, but SO_LINGER makes it
// wait up to deadline_ns as natively). FAR_OK or FAR_EBADF.
int far_close(struct far_link *l, int sock, uint64_t deadline_ns);

// Closes without waiting, allocating or sleeping: for finalisers.
void far_close_nowait(struct far_link *l, int sock);

int far_bind(struct far_link *l, int sock, const struct far_addr *addr);
int far_listen(struct far_link *l, int sock, int backlog);

// As connect(2) on a socket that is blocking (deadline_ns other than
// FAR_NOWAIT) or not: FAR_EINPROGRESS, FAR_EALREADY, FAR_EISCONN... After
// FAR_ETIMEDOUT or FAR_EINTR the attempt goes on; calling again waits for it.
int far_connect(struct far_link *l, int sock, const struct far_addr *addr,
    uint64_t deadline_ns);

// Handle of the new socket; *peer (may be NULL) is its peer's address.
int far_accept(struct far_link *l, int sock, struct far_addr *peer,
    uint64_t deadline_ns);

// As send(2)/sendto(2) with flags of far_msg_flag: bytes taken. Streams, when
// they may wait: all of them unless an error, a signal or the deadline comes
// after a part; then that part. addr NULL: the connected peer.
// cost: one copy; streams: no message while far is busy with this socket
int32_t far_sendto(struct far_link *l, int sock, const void *buf, size_t len,
    uint32_t flags, const struct far_addr *addr, uint64_t deadline_ns);

// As recv(2)/recvfrom(2): bytes, 0 at the end of a stream. *from (may be NULL)
// gets a datagram's sender (family 0 for streams); *out_flags (may be NULL)
// FAR_MSG_TRUNC as msg_flags would. With FAR_MSG_TRUNC in flags a datagram's
// full length is returned.
// cost: one copy; no message while data is there
int32_t far_recvfrom(struct far_link *l, int sock, void *buf, size_t len,
    uint32_t flags, struct far_addr *from, uint32_t *out_flags,
    uint64_t deadline_ns);

// The same for streams only (else FAR_EOPNOTSUPP): a program that uses these
// and no other calls of the kind does not link what datagrams need.
int32_t far_send(struct far_link *l, int sock, const void *buf, size_t len,
    uint32_t flags, uint64_t deadline_ns);
int32_t far_recv(struct far_link *l, int sock, void *buf, size_t len,
    uint32_t flags, uint64_t deadline_ns);

// Pieces of memory, for calls with several.
struct far_iov {
    void *base;
    size_t len;
};
#define FAR_IOV_MAX 1024u

struct far_msghdr {
    struct far_addr *name; // to whom, or room for from whom; may be NULL
    const struct far_iov *iov;
    size_t iov_count;
    void *ctl;      // far_ctl items (wire.h)
    size_t ctl_len; // bytes of it; receiving: room, then bytes
    uint32_t flags; // out, receiving: FAR_MSG_TRUNC, FAR_MSG_CTRUNC
};

// As sendmsg(2) and recvmsg(2), otherwise as far_sendto() and far_recvfrom().
// Control data goes with datagrams; a stream's bytes come with times, if an
// option asks for them. With FAR_MSG_ERRQUEUE the error queue is read, at most
// 2048 bytes of payload. FAR_EMSGSIZE: more than
// FAR_IOV_MAX pieces. FAR_EINVAL: control data that does not hold together, or
// that the kernel refuses. FAR_ENOBUFS: more than FAR_CTL_MAX bytes of it.
// cost: with control data or FAR_MSG_MORE, one round trip for each datagram,
// and one for a stream's times
int32_t far_sendmsg(struct far_link *l, int sock, const struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns);
int32_t far_recvmsg(struct far_link *l, int sock, struct far_msghdr *m,
    uint32_t flags, uint64_t deadline_ns);

struct far_mmsghdr {
    struct far_msghdr hdr;
    uint32_t len; // out: what its call returned
};
// As sendmmsg(2) and recvmmsg(2): how many messages went or came; an error only
// if it met the first. FAR_MSG_WAITFORONE: only the first may be waited for.
// Who makes such a call of several far_recvmsg() gives those after the first
// FAR_MSG_LATER: an error stays pending, for the next call.
#define FAR_MSG_LATER 0x80000000u
int far_sendmmsg(struct far_link *l, int sock, struct far_mmsghdr *v,
    uint32_t count, uint32_t flags, uint64_t deadline_ns);
int far_recvmmsg(struct far_link *l, int sock, struct far_mmsghdr *v,
    uint32_t count, uint32_t flags, uint64_t deadline_ns);

// --- Without a copy ---
//
// Streams only (else FAR_EOPNOTSUPP). The pointers are into shared memory and
// valid until the matching call; one task at a time may be between the two, for
// each direction of a socket, and meanwhile nobody may send (receive) on it or
// close it. What is peeked at may change if far is malicious: take out what is
// checked.

// Waits as send for room, and points *p at 1 to want bytes of it, to the ring's
// end at most: how many. Otherwise as far_sendto().
int32_t far_send_reserve(struct far_link *l, int sock, void **p, size_t want,
    uint64_t deadline_ns);
// Sends the first n bytes that were reserved; 0 gives them up. FAR_OK, an error
// as of send, FAR_EINVAL: more than were reserved.
int far_send_commit(struct far_link *l, int sock, size_t n);

// Waits as recv for data, and points *p at 1 to want bytes of it, to the ring's
// end at most: how many. 0: end of file. Otherwise as far_recvfrom().
int32_t far_recv_peek(struct far_link *l, int sock, const void **p, size_t want,
    uint64_t deadline_ns);
// Takes n of the bytes that were peeked at. FAR_OK, FAR_EINVAL: more than that.
int far_recv_consume(struct far_link *l, int sock, size_t n);

int far_shutdown(struct far_link *l, int sock, int how);
int far_getsockname(struct far_link *l, int sock, struct far_addr *addr);
int far_getpeername(struct far_link *l, int sock, struct far_addr *addr);

// Values in the link's form (far_opt_kind). getsockopt: *len in: room, out:
// bytes. SO_RCVTIMEO and SO_SNDTIMEO are kept here; SO_ERROR takes the pending
// error if one is here, else asks.
int far_setsockopt(struct far_link *l, int sock, int level, int opt,
    const void *val, size_t len);
int far_getsockopt(struct far_link *l, int sock, int level, int opt, void *val,
    size_t *len);

// As ioctl(2), request one of far_ioctl; what goes in and out is in *arg: a
// number in value, an interface in name (SIOCGIFNAME: its index in value).
// FAR_FIONREAD and FAR_SIOCOUTQ count ring and kernel. FAR_ENOTTY: another one.
int far_ioctl(struct far_link *l, int sock, uint32_t request,
    struct far_ifreq *arg);

// As sockatmark(3): 1 if the next byte to be read is urgent data, or was; 0.
int far_sockatmark(struct far_link *l, int sock);

// Type, family and protocol given at creation, known here. FAR_OK, FAR_EBADF.
int far_sockinfo(struct far_link *l, int sock, uint32_t *family, uint32_t *type,
    uint32_t *proto);

// --- Sharing with other processes (posix; the port has sent the token) ---

// SHARE. A connected stream is closed here by it, whatever uses it now gets
// FAR_ENOTCONN, and FAR_OK says that far has it; with an error nothing changed.
int far_share(struct far_link *l, int sock);

// ADOPT: handle of a socket that another link shares.
int far_adopt(struct far_link *l, uint32_t family, uint32_t type,
    uint32_t proto);

// --- Readiness ---

// The socket's poll bits: those asked for in events, and FAR_POLLERR,
// FAR_POLLHUP; FAR_POLLNVAL for a handle that is none. Never FAR_E.... If none
// is set and arm is true, the socket is armed: far's next KICK about any of
// events ends a far_link_wait().
// cost: loads; no message
uint32_t far_ready(struct far_link *l, int sock, uint32_t events, bool arm);

// The slot of a socket, by which far_port.told names it.
static inline uint32_t far_slot(int sock) {
    return (uint32_t)sock & 0xffffu;
}

// Takes what far has told so far, without sleeping: far_port.told is called for
// it. A socket that was armed, has shown nothing, and of which nothing is told,
// need not be looked at again. An own call may change it, too.
// cost: a lock and a load, where there is nothing
void far_link_take(struct far_link *l);

// How many KICKs were taken on this link (any thread's), and how many calls
// have changed what a poll in another thread shows; wraps. A caller that will
// far_link_wait() samples it before it asks and arms its first socket.
uint32_t far_link_events(struct far_link *l);

// Sleeps until something happens on the link (to any socket that is armed), a
// far_link_interrupt() or the deadline; returns at once if far_link_events() is
// no longer events. So nothing that happens after the sample is lost, even if
// another thread takes the KICK. wait, if not NULL, replaces the port's wait()
// for this call (a poll that also watches other descriptors); same contract.
// FAR_OK (perhaps for no reason), FAR_ETIMEDOUT, FAR_EINTR, FAR_ELINKDOWN.
int far_link_wait(struct far_link *l, uint32_t events, uint64_t deadline_ns,
    int (*wait)(void *arg, uint64_t deadline_ns), void *arg);

// The same for threads that watch descriptors of their own, several at a time.
// wait() sleeps at those descriptors and, if it leads, at the link's too, else
// until wake(): FAR_OK (the link's, or woken), FAR_ETIMEDOUT (an own one, or
// the deadline), FAR_EINTR, FAR_ELINKDOWN. wake() is called by other threads
// under a lock: it must not sleep, and one that comes just before a wait() must
// end it. It may come until far_link_wait_beside() has returned.
struct far_beside {
    int (*wait)(void *arg, bool lead, uint64_t deadline_ns);
    void (*wake)(void *arg);
    void *arg;
};
int far_link_wait_beside(struct far_link *l, uint32_t events,
    uint64_t deadline_ns, const struct far_beside *beside);

// A number that changes when far says or sends something new about this socket:
// for edges, which poll bits alone do not show. 0 for a handle that is none.
// arm as in far_ready(), for bytes beyond those that are there.
uint32_t far_mark(struct far_link *l, int sock, bool arm);

struct far_pollfd {
    int sock; // < 0: ignored
    uint32_t events;
    uint32_t revents;
};
// As poll(2): how many have revents; 0 when deadline_ns has passed.
int far_poll(struct far_link *l, struct far_pollfd *fds, size_t count,
    uint64_t deadline_ns);

// --- Names ---

struct far_gai_result {
    uint32_t count;  // entries found, may exceed max
    char canon[256]; // "" if none
};
// As getaddrinfo(3): host and service are strings or NULL; up to max entries.
// 0, or a FAR_EAI_...; FAR_EAI_SYSTEM with *sys a far_err (interrupted, link
// down, ...; sys may be NULL). An interrupted or timed-out lookup is cancelled.
int far_getaddrinfo(struct far_link *l, const char *host, const char *service,
    const struct far_req_getaddrinfo *hints, struct far_gai_entry *out,
    size_t max, struct far_gai_result *res, int *sys, uint64_t deadline_ns);

// As getnameinfo(3). host_len, service_len: room; results end in NUL.
int far_getnameinfo(struct far_link *l, const struct far_addr *addr,
    uint32_t flags, char *host, size_t host_len, char *service,
    size_t service_len, int *sys, uint64_t deadline_ns);

// Numeric addresses as text, without a link. As inet_pton(3): 1, 0 if text is
// none, FAR_EAFNOSUPPORT. As inet_ntop(3): characters, or FAR_EAFNOSUPPORT.
#define FAR_INET_TEXT 46u // room for the longest, its end included
int far_inet_pton(uint32_t family, const char *text, uint8_t *ip);
int far_inet_ntop(uint32_t family, const uint8_t *ip, char text[FAR_INET_TEXT]);

// --- Interfaces of the far core ---

// As getifaddrs(3): how many there are, of which up to max are in out. FAR_E...
int far_getifaddrs(struct far_link *l, struct far_ifaddr *out, size_t max);

// As if_nametoindex(3) and if_indextoname(3): the index, or FAR_ENODEV, and
// FAR_OK, or FAR_ENXIO. name: FAR_IF_NAME bytes, ends in NUL.
int far_if_nametoindex(struct far_link *l, const char *name);
int far_if_indextoname(struct far_link *l, uint32_t index, char *name);

#endif
