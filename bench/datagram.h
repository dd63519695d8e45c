// What the datagrams of udp.c carry.
// SPDX-License-Identifier: MIT
#ifndef BENCH_DATAGRAM_H
#define BENCH_DATAGRAM_H

#include <stdint.h>

#define WINDOW 64u // datagrams under way
#define ACK    32u // those that one acknowledgement is for

enum kind { DATA, GOT, SEND, COUNT };

struct head {
    uint32_t kind; // GOT: n have arrived; SEND: n of size bytes, please
    uint32_t size; // DATA: how many there will be
    uint64_t n;    // DATA: its number from 0
};

#endif
