// What the parts of the sweep share: native servers, the near program, a
// farsockd that can be killed anywhere, and the table of calls.
// SPDX-License-Identifier: MIT
#ifndef SWEEP_H
#define SWEEP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "farsock/farsock.h"
#include "farsock/posix.h"
#include "ports/faulty/faulty.h"

#define RING       4096u  // bytes of a ring, each way
#define GREETING   3000u  // bytes that the greeting server sends
#define LONG_BYTES 20000u // more than the rings
#define LIMIT_S    30u    // a near program that takes longer hangs
#define SOCKS      4

// Byte i of every stream and datagram.
static inline uint8_t pattern(size_t i) {
    return (uint8_t)(i * 7u + (i >> 8) * 13u + (i >> 16));
}
static inline struct far_addr loopback(uint16_t port) {
    return (struct far_addr){
        .family = FAR_AF_INET, .port = port, .ip = {127, 0, 0, 1}};
}
void fill(void *buf, size_t from, size_t n);
bool is_pattern(const void *buf, size_t from, size_t n);

// --- Native servers (peers.c), in a thread of the process that drives ---

enum peer {
    PEER_SINK,    // reads to the end, checks the pattern
    PEER_GREET,   // sends GREETING bytes, then as the sink
    PEER_BYE,     // the same, and ends its side behind them
    PEER_LONG,    // sends LONG_BYTES, then as the sink
    PEER_ECHO,    // sends back what comes
    PEER_DGRAMS,  // datagrams: checks number and pattern
    PEER_ANSWERS, // datagrams: sends back what comes
    PEER_REFUSES, // nobody is there
    PEERS,
};

// What the sink and the datagram server got since the last peers_reset().
struct received {
    _Atomic uint32_t bytes;
    _Atomic uint32_t bad;   // first byte that is wrong, plus 1
    _Atomic uint32_t reset; // connections that ended by an error
    _Atomic uint32_t dgrams;
    _Atomic uint32_t open; // connections that live
    _Atomic uint32_t run;  // datagrams of an earlier run do not count
};
extern struct received received;
extern uint16_t peer_ports[PEERS];

void peers_start(void);
// A new run; its number.
uint32_t peers_reset(void);

// --- What near tells the process that drives ---

struct notes {
    uint32_t run;
    _Atomic uint32_t sent;       // bytes that a send to the sink took
    _Atomic uint32_t dgrams;     // datagrams that a send took
    _Atomic uint32_t called;     // the call returned
    _Atomic uint32_t done;       // all was checked
    _Atomic uint32_t rescues[2]; // by side
    char error[256];
};
extern struct notes *notes;

// --- The near program (near.c) ---

struct near {
    struct far_posix *port;
    struct far_link *l;
    int s[SOCKS]; // -1: none
    size_t read_at[SOCKS];
    int fd;             // a native socket of its own, -1
    int fds;            // descriptors before the link
    bool resets[SOCKS]; // its ECONNRESET was told
    const char *path;
    bool rescue; // doorbells may get lost
};

struct sweep_call {
    const char *name;
    void (*set_up)(struct near *n);
    int (*call)(struct near *n);
    int want;      // its result
    uint32_t kind; // SWEEP_...
};
enum {
    SWEEP_LINK = 0x1,   // makes its link itself
    SWEEP_ENDS = 0x2,   // the stream's end or a reset may come before the death
    SWEEP_LOOKUP = 0x4, // results are EAI_...
    SWEEP_LOOKS = 0x8,  // an answer of the peer's comes by itself
};
extern const struct sweep_call sweep_calls[];
extern const size_t sweep_call_count;

// Ends the program with a message if it does not hold.
void must(bool holds, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int open_link(struct near *n, double wait_s);
int near_stream(struct near *n, int i, enum peer peer);
int near_dgram(struct near *n, int i);
int descriptors(void);

// Runs in a process of its own, which ends: status 0 if all is well.
_Noreturn void near_run(const struct sweep_call *c, const char *path,
    bool rescue);

// --- farsockd (far.c) ---

struct far {
    const char *program;
    const char *path; // of the link
    pid_t pid;
    int fds; // of an idle farsockd
    int threads;
    uint32_t live; // allocations
};

void far_start(struct far *f, const char *extra);
void far_end(struct far *f); // killed, if it lives
// Takes what an idle farsockd holds as what is normal.
void far_baseline(struct far *f);
// Waits until it holds no more than that: NULL, or what is too much.
const char *far_leak(struct far *f);
// Waits until the kernel has no socket of anybody's here but listeners and
// TIME_WAIT, and so many of UDP: NULL, or what is too much.
const char *far_sockets(unsigned udp);

#endif
