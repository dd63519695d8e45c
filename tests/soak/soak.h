// What the parts of the soak share.
// SPDX-License-Identifier: MIT
#ifndef SOAK_H
#define SOAK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/sweep/sweep.h"

#define NEARS     6     // near cores at a time
#define WORKS     400   // sockets of each
#define SINKS     65536 // connections whose delivery is followed, a ring of them
#define LIVES_MAX 100000u

enum soak_port {
    SOAK_ECHO,  // sends back
    SOAK_SINK,  // checks what comes
    SOAK_SLOW,  // sends back, a little at a time
    SOAK_BITES, // as the sink, a little at a time
    SOAK_RESET, // resets the connection after some bytes
    SOAK_DGRAM, // sends datagrams back
    SOAK_PORTS,
};

// A connection to the sink: near says what a send took, the sink what came.
struct soak_sink {
    _Atomic uint32_t key;
    _Atomic uint32_t taken;
    _Atomic uint32_t far_lives; // when near began it: the sink may accept late
};

struct soak {
    _Atomic uint32_t stop;      // near cores shall end
    _Atomic uint32_t far_lives; // farsockd has been killed so often
    _Atomic uint32_t rescue;    // new links: doorbells may get lost
    _Atomic uint32_t next_sink;
    _Atomic uint64_t bytes;   // checked
    _Atomic uint64_t sockets; // opened
    _Atomic uint64_t dgrams;  // that came back
    _Atomic uint32_t rescues;
    _Atomic uint32_t delivered; // sinks whose near core was killed, all there
    _Atomic uint32_t alive[NEARS]; // advances
    _Atomic uint32_t open[NEARS];
    char error[256]; // the first
    _Atomic uint32_t failed;
    struct soak_sink sinks[SINKS];
};
extern struct soak *soak;
extern uint16_t soak_ports[SOAK_PORTS];

// Says what is wrong; the soak ends.
void soak_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

// Byte i of the stream with this key.
static inline uint8_t soak_byte(uint32_t key, uint64_t i) {
    return (uint8_t)(pattern((size_t)i) + (uint8_t)(key * 31u));
}

// The native side, in a thread.
void soak_peers_start(void);

// A near core, in a process of its own.
_Noreturn void soak_near(unsigned number, unsigned seed, const char *path);

#endif
