// Every byte in shared memory: SPEC.md as C.
// SPDX-License-Identifier: MIT
#ifndef FARSOCK_WIRE_H
#define FARSOCK_WIRE_H

#include <stddef.h>
#include <stdint.h>

// All numbers are little-endian and of fixed width; offsets stand for pointers,
// so a 32-bit and a 64-bit core share a region. A region has two parts: the
// first is written by near only, the second by far only; no cache line ever has
// two writers.
//
//   near part                          far part (page aligned)
//   +--------------------+             +--------------------+
//   | struct far_near_ctl|             | struct far_far_ctl |
//   | near socket lines  |             | far socket lines   |
//   | cmd ring           |             | evt ring           |
//   | tx pool            |             | rx pool            |
//   +--------------------+             +--------------------+

#define FAR_WIRE_MAGIC   0x4b534146u // "FASK"
#define FAR_WIRE_VERSION 1u
#define FAR_LINE         64u // bytes; unit of every offset (`_at`) in a layout
#define FAR_PAGE_LINES   64u // lines; the far part starts on a 4 KiB boundary
#define FAR_RECORD_MAX   1024u // bytes of one message record, header included
#define FAR_RING_MIN     1024u // bytes of a byte ring
#define FAR_RING_MAX     (1u << 24) // bytes of a byte ring
#define FAR_SOCKETS_MAX  65535u
#define FAR_TAGS_MAX     1024u
#define FAR_DGRAM_MAX    65535u // bytes of payload of one datagram

// Where everything is. Far makes it at link-up (far_layout_make) and publishes
// it; both work from a private, checked copy (far_layout_check).
struct far_layout {
    uint32_t lines;      // of the whole region
    uint32_t far_at;     // line where the far part begins
    uint32_t sockets;    // slots 0 .. sockets - 1
    uint32_t tags;       // tags 1 .. tags; 0 is none
    uint32_t near_socks; // line of near's socket line 0
    uint32_t far_socks;  // line of far's socket line 0
    uint32_t cmd_at;     // line of the cmd ring
    uint32_t cmd_bytes;  // power of two
    uint32_t evt_at;
    uint32_t evt_bytes;
    uint32_t tx_at;   // line of the tx pool, which ends where far_at begins
    uint32_t rx_at;   // line of the rx pool, which ends where the region ends
    uint32_t tx_ring; // bytes of a socket's share of the tx pool, power of two
    uint32_t rx_ring;
    uint32_t index_base; // first value of every index of the link (tests: wrap)
    uint32_t reserved;
};
_Static_assert(sizeof(struct far_layout) == 64, "SPEC: layout");

// First line of each part: who is there. See SPEC.md "Link-up".
struct far_part_header {
    uint32_t magic;
    uint32_t version;
    uint32_t features; // of far_feature, after negotiation
    uint32_t epoch;
    uint32_t seen;
    uint32_t ready;
    uint32_t bell;  // fixed memory: how this side is rung, for the port to use
    uint32_t beat;  // with FAR_FEATURE_BEAT: advances while this side lives
    uint32_t taken; // near: number of the promise that it takes, 0: none
    uint32_t reserved[7];
};
_Static_assert(sizeof(struct far_part_header) == 64, "SPEC: part header");

enum far_feature {
    FAR_FEATURE_NONE = 0,
    FAR_FEATURE_RESCUE = 0x1, // doorbells may get lost
    FAR_FEATURE_BEAT = 0x2,   // nobody reports a death but silence
};

#define FAR_RESCUE_MS 10u   // how often a side looks for lost doorbells
#define FAR_BEAT_MS   100u  // a side's beat advances at least so often
#define FAR_SILENT_MS 1000u // and is dead without

// Writer's line of a message ring, and its reader's.
struct far_msg_head {
    uint32_t head; // bytes ever published
    uint32_t reserved[15];
};
struct far_msg_tail {
    uint32_t tail; // bytes ever consumed
    uint32_t wake; // "ring my doorbell when head passes this"
    uint32_t reserved[14];
};

// Counters for people (farsock show); no protocol meaning. They wrap.
struct far_counters {
    uint32_t kicks;     // KICK records sent
    uint32_t doorbells; // doorbells rung
    uint32_t wakeups;   // returns from sleeping
    uint32_t rescues;   // work found by a timer that no doorbell announced
    uint32_t spurious;  // wake-ups that found nothing
    uint32_t reserved[11];
};

struct far_near_ctl {
    struct far_part_header hdr;
    struct far_msg_head cmd;
    struct far_msg_tail evt;
    struct far_counters count;
};
_Static_assert(sizeof(struct far_near_ctl) == 256, "SPEC: near control");

struct far_far_ctl {
    struct far_part_header hdr;
    struct far_layout layout;
    struct far_msg_head evt;
    struct far_msg_tail cmd;
    struct far_counters count;
    // Advanced when routes or addresses changed: datagram verdicts made before
    // are void (SPEC.md "Datagrams").
    uint32_t verdict_epoch;
    // A socket that is made already: its number, 0: there is none (SPEC.md
    // "Promises"), and what SOCKET says of such a one.
    uint32_t promise;
    uint32_t promise_family;
    uint32_t promise_type;
    uint32_t promise_proto;
    uint32_t reserved[11];
};
_Static_assert(sizeof(struct far_far_ctl) == 384, "SPEC: far control");

// --- Socket lines ---
//
// A line whose gen is not the slot's current one counts as: every index
// index_base, everything else zero.

enum far_near_flag {
    FAR_NEAR_CLOSE = 0x1, // near is done: tx_head and rx_tail are final
    FAR_NEAR_RESET = 0x2, // with CLOSE: reset the connection, drop unsent data
};

struct far_near_line {
    uint32_t gen;       // 1 .. 2^32-1, other than the slot's last one
    uint32_t tx_head;   // bytes ever written to the tx ring
    uint32_t rx_tail;   // bytes ever taken from the rx ring
    uint32_t tx_wake;   // "KICK me when tx_tail passes this"
    uint32_t rx_wake;   // "KICK me when rx_head passes this"
    uint32_t flags;     // far_near_flag
    uint32_t tx_more;   // "more follows what ends here" (MSG_MORE)
    uint32_t urg_count; // urgent bytes written (MSG_OOB); wraps
    uint32_t urg_end;   // tx index behind the last of them
    uint32_t reserved[7];
};
_Static_assert(sizeof(struct far_near_line) == 64, "SPEC: near line");

// Levels, never events. Names as poll(2) and the kernel's socket states.
enum far_state {
    FAR_ST_CONNECTING = 0x1, // connect() is under way
    FAR_ST_CONNECTED = 0x2,  // a stream that is or was connected
    FAR_ST_LISTENING = 0x4,
    FAR_ST_ACCEPT = 0x8,     // listener: accept() would find a connection
    FAR_ST_FIN = 0x10,       // the peer ended its side: data ends at fin_pos
    FAR_ST_HUP = 0x20,       // both directions are over (kernel: POLLHUP)
    FAR_ST_RDHUP = 0x40,     // kernel: POLLRDHUP; data may still come before it
    FAR_ST_PRI = 0x80,       // kernel: POLLPRI, of what is no stream
    FAR_ST_CLOSED = 0x100,   // far has let go of the slot and its rings
    FAR_ST_ERRQUEUE = 0x200, // the error queue is not empty (POLLERR, no errno)
    // A stream that was reset (or whose connect failed) without a FIN before
    // it: set with HUP once the kernel's queue is empty, so that rx_head is
    // final. Near returns data, then err, then end of file. After a real FIN
    // (recv gave 0 before any error, or the error is EPIPE: a reset in
    // CLOSE_WAIT) FAR_ST_FIN is set in its place, and end of file goes first.
    // Beware: once SO_ERROR was fetched, the kernel's recv gives 0 for both.
    // Set alone when near shut down its reading side: only an error, or what
    // the kernel still lets in, comes before end of file.
    FAR_ST_DRAINED = 0x400,
    // Datagrams: several processes have the socket. Nothing is read ahead; RECV
    // brings one, if DATA is on.
    FAR_ST_SHARED = 0x800,
    FAR_ST_DATA = 0x1000,
};

// Above the bits: the sequence of the error that is in the line by then.
#define FAR_ST_ERR_SHIFT 16u

#define FAR_MARKS 4u // urgent marks that far's line remembers

struct far_far_line {
    uint32_t gen;     // equal to near's once far knows the socket
    uint32_t tx_tail; // bytes ever taken from the tx ring
    uint32_t rx_head; // bytes ever written to the rx ring
    uint32_t tx_wake; // "KICK me when tx_head passes this"
    uint32_t rx_wake; // "KICK me when rx_tail passes this"
    uint32_t state;   // far_state
    uint32_t fin_pos; // valid with FAR_ST_FIN: the value rx_head ends at
    uint32_t err;     // sequence << 16 | error number (positive); 0: none yet
    uint32_t verdict; // advanced when this socket's datagram verdicts are void
    uint32_t urg;     // sequence << 16 | the last urgent byte; 0: none yet
    uint32_t urg_pos[FAR_MARKS]; // rx index of mark n is at n % FAR_MARKS
    uint32_t reserved[2];
};
_Static_assert(sizeof(struct far_far_line) == 64, "SPEC: far line");

// An address. Ports in host order (the number people say), ip in the order of
// the network, IPv4 in its first four bytes. family is passed as it is, so that
// the kernel judges a wrong one; FAR_AF_UNSPEC in connect dissolves.
struct far_addr {
    uint16_t family;
    uint16_t port;
    uint32_t flowinfo; // as a number
    uint32_t scope;
    uint8_t ip[16];
    uint32_t reserved; // zero
};
_Static_assert(sizeof(struct far_addr) == 32, "SPEC: address");

// --- Datagrams in the byte rings ---
//
// Header, then address if FAR_DGRAM_ADDR, then ctl bytes, then payload; each
// part, and so the record, is padded to 8. Everything may wrap; only the header
// never does. A record is published whole where it fits the ring, else part by
// part as room comes.
enum far_dgram_flag {
    FAR_DGRAM_ADDR = 0x1,  // an address follows
    FAR_DGRAM_TRUNC = 0x2, // far to near: the kernel had cut it
    FAR_DGRAM_CTRUNC = 0x4,
    FAR_DGRAM_VOID = 0x8, // near to far: taken back, skip it
    // Near to far: a FLUSH asks for its result; far does not send it before it
    // has that FLUSH, so that the result cannot get lost.
    FAR_DGRAM_SYNC = 0x10,
    FAR_DGRAM_MORE = 0x20, // near to far: MSG_MORE, and so on
    FAR_DGRAM_DONTROUTE = 0x40,
    FAR_DGRAM_CONFIRM = 0x80,
    FAR_DGRAM_PROBE = 0x100, // not sent: only what is refused before that
    FAR_DGRAM_COPY = 0x200,  // far to near: only for who asked (FAR_RECV_PEEK)
};
struct far_dgram {
    uint32_t len;     // bytes of payload
    uint16_t ctl_len; // bytes of control data
    uint16_t flags;   // far_dgram_flag
};
_Static_assert(sizeof(struct far_dgram) == 8, "SPEC: datagram");

// Control data: items, each this and len bytes, padded to 8.
#define FAR_CTL_MAX  512u    // bytes of control data of one datagram
#define FAR_CTL_NONE 0xffffu // level of an item that fills a gap
struct far_ctl {
    uint32_t len;
    uint16_t level; // far_level, another is passed on
    uint16_t type;  // far_ctl_type
};
_Static_assert(sizeof(struct far_ctl) == 8, "SPEC: control data");

// FAR_CTL_FORM_ERROR: Linux's sock_extended_err and whose it is.
struct far_ctl_error {
    uint32_t err; // a far_err, positive
    uint8_t origin;
    uint8_t type;
    uint8_t code;
    uint8_t reserved;
    uint32_t info;
    uint32_t data;
    struct far_addr offender; // family 0: unknown
};
_Static_assert(sizeof(struct far_ctl_error) == 48, "SPEC: extended error");

// FAR_CTL_FORM_STAMPS: Linux's scm_timestamping.
struct far_ctl_stamps {
    int64_t time[3][2]; // software, none, hardware: seconds, nanoseconds
};
_Static_assert(sizeof(struct far_ctl_stamps) == 48, "SPEC: time stamps");

// --- Messages ---
//
// A record: this header and len bytes of payload, padded to 8; never split over
// the ring's end (FAR_OP_PAD fills it).
struct far_msg {
    uint8_t op;    // far_op
    uint8_t flags; // zero
    uint16_t tag;  // of the request, 1 .. tags; 0 where no answer is wanted
    uint16_t sock; // slot, 0 where none is meant
    uint16_t len;  // bytes of payload, without padding
};
_Static_assert(sizeof(struct far_msg) == 8, "SPEC: message");

enum far_op {
#define X(name, num, request, needs_socket, text) FAR_OP_##name = num,
#include "farsock/ops.def"
#undef X
};

// Start of the payload of every REPLY; data follows.
struct far_reply {
    int32_t result; // >= 0 the answer, < 0 a far_err (lookups: a far_eai)
    uint32_t total; // bytes of data in all; what is not here is had by FETCH
};
#define FAR_REPLY_DATA_MAX                                                     \
    (FAR_RECORD_MAX - sizeof(struct far_msg) - sizeof(struct far_reply))

// Requests. A request's struct is followed by its variable data, where it has
// some. Replies carry what their line in ops.def says.
struct far_req_none { // stands for an empty payload
    uint8_t none;
};
struct far_rings {
    uint32_t tx_at; // line within the region
    uint32_t rx_at;
    uint8_t tx_log2; // size in bytes is 1 << log2
    uint8_t rx_log2;
    uint16_t reserved;
    uint32_t gen; // the slot's new generation
};
enum far_promise {
    FAR_PROMISE_NONE = 0,
    FAR_PROMISE_WISH = 0x1, // near would take one; numbers are from 2
};
struct far_req_socket {
    struct far_rings rings;
    uint32_t family;
    uint32_t type;
    uint32_t proto;
    uint32_t promise; // SOCKET: number of the one taken, or far_promise
};
enum far_connect_flag {
    // The caller sleeps until the stream is connected: far tells the kernel so
    // then, and a reset that follows is not connect()'s any more.
    FAR_CONNECT_WAITS = 0x1,
};
struct far_req_addr {
    struct far_addr addr;
    uint32_t flags; // CONNECT: far_connect_flag
    uint32_t reserved;
};
struct far_req_listen {
    int32_t backlog;
    uint32_t reserved;
};
struct far_req_accept {
    struct far_rings rings;
    uint32_t slot; // an unused slot of near's, for the new socket
    uint32_t reserved;
};
struct far_req_shutdown {
    uint32_t how;
    uint32_t reserved;
};
struct far_req_setsockopt { // followed by the value
    int32_t level;
    int32_t opt;
};
struct far_group {      // FAR_OPT_GROUP
    uint32_t interface; // index, 0: any
    uint32_t reserved;
    struct far_addr group;
    struct far_addr source;
};
_Static_assert(sizeof(struct far_group) == 72, "SPEC: group");
struct far_req_getsockopt {
    int32_t level;
    int32_t opt;
    uint32_t size; // bytes that near can take
    uint32_t reserved;
};
enum far_flush_flag {
    FAR_FLUSH_NOWAIT = 0x1, // kernel full: void the datagram, answer EAGAIN
};
struct far_req_flush {
    uint32_t pos; // tx position after the datagram whose result is wanted
    uint32_t flags;
};
struct far_req_fetch {
    uint32_t offset; // into the data of the tag's last answer
    uint32_t reserved;
};
#define FAR_NO_STRING 0xffffu
struct far_req_getaddrinfo { // followed by host, then service; no terminators
    int32_t family;
    int32_t type;
    int32_t proto;
    uint32_t flags;    // far_ai_flag
    uint16_t host_len; // bytes, or FAR_NO_STRING
    uint16_t service_len;
    uint32_t reserved;
};
struct far_req_getnameinfo {
    struct far_addr addr;
    uint32_t flags; // far_ni_flag
    uint32_t reserved;
};

// What an ioctl is about: an interface, or a number.
#define FAR_IF_NAME 16u // bytes of an interface's name, with its end
struct far_ifreq {
    char name[FAR_IF_NAME];
    struct far_addr addr;
    int32_t value;    // index, flags, MTU, bytes, ...
    uint16_t hw_type; // ARPHRD_..., of Linux
    uint16_t hw_len;
    uint8_t hw[16];
};
_Static_assert(sizeof(struct far_ifreq) == 72, "SPEC: ifreq");
struct far_req_ioctl {
    uint32_t request; // far_ioctl
    uint32_t reserved;
    struct far_ifreq arg;
};
struct far_req_errqueue {
    uint32_t room; // bytes of payload that near can take
    uint32_t reserved;
};
enum far_recv_flag {
    FAR_RECV_PEEK = 0x1, // a copy, FAR_DGRAM_COPY; answers the real length
};
struct far_req_recv {
    uint32_t room;  // of a copy: bytes of payload that near can take
    uint32_t flags; // far_recv_flag
};
struct far_req_control {
    uint32_t end; // rx index behind the bytes whose control data is asked for
    uint32_t reserved;
};
struct far_req_ifname {
    uint32_t index; // 0: that of name is asked for
    char name[FAR_IF_NAME];
    uint32_t reserved;
};

// Data of replies.
struct far_rep_ioctl {
    uint32_t rx_head; // of the socket, when the kernel was asked
    uint32_t tx_tail;
    struct far_ifreq arg;
};
// ERRQUEUE: this, then control data, then payload.
struct far_rep_errqueue {
    struct far_addr to; // where the datagram went; family 0: unknown
    struct far_dgram dgram;
};
_Static_assert(sizeof(struct far_rep_errqueue) == 40, "SPEC: error queue");
// GETIFADDRS: as getifaddrs(3) lists them. An interface itself has family 0.
struct far_ifaddr {
    char name[FAR_IF_NAME];
    uint32_t index;
    uint32_t flags; // IFF_..., of Linux
    struct far_addr addr;
    struct far_addr netmask;
    struct far_addr other; // broadcast address, or the other end's
    uint16_t hw_type;
    uint16_t hw_len;
    uint8_t hw[12];
};
_Static_assert(sizeof(struct far_ifaddr) == 136, "SPEC: interface address");
struct far_rep_accept {
    struct far_addr peer;
    struct far_addr local;
};
// GETADDRINFO: this, the canonical name padded to 8, then count entries.
struct far_rep_gai {
    uint16_t count;
    uint16_t canon_len; // 0: none
    uint32_t reserved;
};
struct far_gai_entry {
    int32_t type;
    int32_t proto;
    struct far_addr addr; // its family is the entry's family
};
_Static_assert(sizeof(struct far_gai_entry) == 40, "SPEC: getaddrinfo entry");
// GETNAMEINFO: this, then host, then service; no terminators.
struct far_rep_gni {
    uint16_t host_len;
    uint16_t service_len;
    uint32_t reserved;
};

#define FAR_ALIGN8(n) (((n) + 7u) & ~7u)

// --- Layout (src/wire/layout.c) ---

// Makes a layout for what near wishes. sockets 1 .. FAR_SOCKETS_MAX, tags
// 1 .. FAR_TAGS_MAX, ring sizes any (rounded up to a power of two within
// FAR_RING_MIN .. FAR_RING_MAX). FAR_OK, or FAR_EINVAL if a wish is out of
// range or the region would not fit 2^32 lines. Pure.
int far_layout_make(struct far_layout *out, uint32_t sockets, uint32_t tags,
    uint32_t tx_ring, uint32_t rx_ring, uint32_t index_base);

// Makes a layout for memory of a given size, its parts the two halves, and the
// rings as large as they can be. region_bytes: a multiple of two pages. FAR_OK,
// or FAR_EINVAL if that many sockets and tags do not fit. Pure.
int far_layout_fit(struct far_layout *out, uint64_t region_bytes,
    uint32_t sockets, uint32_t tags, uint32_t index_base);

// Checks a layout that a peer wrote, against the region's real size. FAR_OK or
// FAR_EBADMSG. After FAR_OK every place the layout names is inside the region,
// aligned, and in its writer's part. Pure.
int far_layout_check(const struct far_layout *l, uint64_t region_bytes);

// Bytes of the region.
uint64_t far_layout_bytes(const struct far_layout *l);

// Checks a socket's rings as near named them: sizes powers of two within
// bounds, inside the pools. FAR_OK or FAR_EBADMSG. Pure.
int far_rings_check(const struct far_layout *l, const struct far_rings *r);

// Checks the length of a message's payload for its op. FAR_OK or FAR_EBADMSG
// (unknown op included). Pure.
int far_msg_check(const struct far_msg *m);

// The name of op num as in ops.def, "?" if unknown.
const char *far_op_name(unsigned num);

#endif
