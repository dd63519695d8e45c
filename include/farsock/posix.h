// The posix port: near and far are processes of one Linux.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_POSIX_H
#define FARSOCK_POSIX_H

#include <stdbool.h>
#include <stdint.h>

#include "farsock/farsock.h"

// --- Link-up over a Unix socket (SOCK_SEQPACKET) ---
//
// near connects, sends one far_hello; farsockd answers one far_welcome. status
// FAR_OK comes with three descriptors: the region (sealed memfd), the eventfd
// that rings far, the eventfd that rings near. The connection then stays open
// and silent: its hang-up is the death of the other side. Eventfds are watched
// edge-triggered and never read.

#define FAR_HELLO_MAGIC 0x4f4c4548u // "HELO"

enum far_hello_kind {
    FAR_HELLO_LINK = 0,
    FAR_HELLO_SHOW = 1, // welcome, then text in packets, then hang-up
    FAR_HELLO_DUMP = 2,
};

struct far_hello {
    uint32_t magic;
    uint16_t version; // FAR_WIRE_VERSION
    uint16_t kind;    // far_hello_kind
    uint32_t features;
    uint32_t sockets; // wishes; 0: farsockd's default
    uint32_t tags;
    uint32_t tx_ring;
    uint32_t rx_ring;
    uint32_t index_base;
    char name[32]; // for people; NUL-padded
};

struct far_welcome {
    uint32_t magic;
    uint16_t version; // farsockd's own
    uint16_t reserved;
    int32_t status; // FAR_OK or why not: FAR_ELINKPROTO, FAR_EACCES...
    uint32_t features;
    uint64_t region_bytes;
    uint32_t far_at; // line where the far part, and so the layout, begins
    char text[100];  // one line for people if status is not FAR_OK
};
_Static_assert(sizeof(struct far_hello) == 64, "SPEC: hello");
_Static_assert(sizeof(struct far_welcome) == 128, "SPEC: welcome");

// --- Opening a link ---

struct far_posix; // one link: its mapping, descriptors and far_link

struct far_posix_options {
    const char *path;    // NULL: $FARSOCK_LINK, else the defaults
    const char *name;    // for farsock show; NULL: the process's name
    double wait_s;       // keep trying that long; < 0: $FARSOCK_WAIT, else 0
    uint32_t sockets;    // wishes, 0: default
    uint32_t ring;       // bytes each way, 0: default
    uint32_t index_base; // 0: $FARSOCK_INDEX_BASE, else one that copies well
    int first_fd; // the link's descriptors get this number or a higher one
    bool quiet;   // no line on stderr
    // For tests, and for who does not trust that a death is always told: as if
    // doorbells could get lost, and as if no kernel reported a death.
    bool rescue, beat;
    uint32_t busy_poll_us; // as far_port's; 0: $FARSOCK_BUSY_POLL, else none
    bool (*interrupted)(void *arg);         // as far_port.interrupted
    void (*moved)(void *arg);               // as far_port.moved
    void (*told)(void *arg, uint32_t slot); // as far_port.told
    struct far_held *(*held)(void);         // as far_port.held, with let_go
    void (*let_go)(void);
    void *arg;
};

// Connects to farsockd. FAR_OK, FAR_ENETDOWN (nobody there; one line on stderr,
// once per process, says which paths were tried), FAR_ELINKPROTO, FAR_EACCES,
// FAR_ENOMEM, FAR_EINTR. *out is the caller's until far_posix_close().
int far_posix_open(struct far_posix **out, const struct far_posix_options *o);

// The link of p, for the calls of farsock.h. Valid until far_posix_close().
struct far_link *far_posix_link(struct far_posix *p);

// [signal handler] Wakes whoever sleeps on this link.
void far_posix_interrupt(struct far_posix *p);

// A descriptor that polls readable when the link has something to do (for
// poll(2) beside other descriptors); after it does, far_posix_ack() it: FAR_OK,
// or FAR_ELINKDOWN, which a wait given to far_link_wait() returns.
int far_posix_fd(struct far_posix *p);
int far_posix_ack(struct far_posix *p);

// The link's own descriptors, for a library that must keep others off them:
// fills out[i], returns how many (at most max).
int far_posix_fds(struct far_posix *p, int *out, int max);

// far_share(), token being one end of a pair of connected sockets and end the
// other, which the caller then closes; and far_adopt(). One thread at a time.
int far_posix_share(struct far_posix *p, int sock, int token, int end);
int far_posix_adopt(struct far_posix *p, int token, uint32_t family,
    uint32_t type, uint32_t proto);

// Unmaps and frees. No thread may be in a call on the link.
void far_posix_close(struct far_posix *p);

// now_ns of the port: CLOCK_MONOTONIC.
uint64_t far_posix_now(void);

// --- The host's numbers and structures, and the link's ---

struct msghdr;
struct sockaddr_storage;

// An errno as a far_err (FAR_EIO if the link has no number for it), and back.
int far_posix_error(int host_errno);
int far_posix_errno(int err);

// An address as the host has it; its length. A family that the link does not
// know is passed on as it is.
uint32_t far_posix_sockaddr(const struct far_addr *a,
    struct sockaddr_storage *out);
// And back; family 0 if it is none of the link's, or shorter than that.
void far_posix_addr(struct far_addr *out, const void *sa, uint32_t len);
// And back, of one that a datagram from sock shall go to. What the link does
// not know, or what is too short, becomes what a kernel refuses in the same
// way; of a raw socket, which has no port that would do, the error is told.
int far_posix_name(struct far_link *l, int sock, struct far_addr *out,
    const void *sa, uint32_t len);

// Whether the items of m's control data lie within it.
bool far_posix_ctl_good(const struct msghdr *m);
// The control data of m, which is good, as far_ctl items: bytes; *cut if not
// all fit. What the link has no number for becomes an item that the kernel will
// judge.
uint32_t far_posix_ctl_in(void *ctl, uint32_t room, const struct msghdr *m,
    bool *cut);
// And back, into m->msg_control with room for m->msg_controllen bytes: sets the
// latter, and MSG_CTRUNC in m->msg_flags, as recvmsg(2) does.
void far_posix_ctl_out(struct msghdr *m, const void *ctl, uint32_t len);

// far_sendmsg() and far_recvmsg() with the host's structures; flags are those
// of farsock.h, to which the host's are equal. On failure m is as it was.
int32_t far_posix_sendmsg(struct far_link *l, int sock, const struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns);
int32_t far_posix_recvmsg(struct far_link *l, int sock, struct msghdr *m,
    uint32_t flags, uint64_t deadline_ns);

// far_setsockopt() with the host's structures, where the link has others
// (MCAST_JOIN_GROUP and its like).
int far_posix_setsockopt(struct far_link *l, int sock, int level, int opt,
    const void *val, size_t len);

// far_ioctl() with the host's numbers and structures (int, ifreq, ifconf).
int far_posix_ioctl(struct far_link *l, int sock, unsigned long request,
    void *arg);

// As getifaddrs(3) and freeifaddrs(3), without ifa_data. A far_err, or 0.
struct ifaddrs;
int far_posix_getifaddrs(struct far_link *l, struct ifaddrs **out);
void far_posix_freeifaddrs(struct ifaddrs *list);

// Default paths in the order in which they are tried: fills out[i] (static
// strings), returns how many (at most max).
int far_posix_paths(const char **out, int max);

#endif
