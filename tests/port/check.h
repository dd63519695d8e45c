// Checks of a port, in the order in which a porter needs them. They run on any
// core: no libc but string.h, and output through one function. Prints TAP.
// SPDX-License-Identifier: MIT
#ifndef PORT_CHECK_H
#define PORT_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "farsock/farsock.h"

// What a port tells the checks. NULL where it has none of it.
struct check_target {
    // Prints; on a bare core a UART will do.
    void (*write)(const char *text, size_t n);

    // The hooks; of a port that has them only with its link, as of up().
    const struct far_port *port;
    void *ctx;

    // Shared memory, for the checks "memory"; lower half near's.
    void *region;
    uint64_t region_bytes;

    // Brings the link up (again). As ports/template's far_template_up().
    int (*up)(uint64_t deadline_ns, struct far_link **out);
    // Whether somebody restarts the far side when asked to ("# far: restart").
    bool restarts;

    // Processor time that this core, or process, has used. NULL: not known.
    uint64_t (*cpu_ns)(void);
    // Calls fn(arg) in ms, in another task or in an interrupt handler.
    void (*later)(void (*fn)(void *arg), void *arg, uint32_t ms);
};

// Makes the checks of these phases, words of "hooks", "memory", "link"; true if
// none failed. *t is used from then on.
bool check_run(struct check_target *t, const char *phases);

// --- For the checks themselves ---

// One of a table. run: NULL if all is well, else what is wrong; skip(why).
struct check {
    const char *phase;
    const char *name;
    const char *(*run)(void);
    const char *look; // at what, if it fails or never ends
    bool needed;      // without it the others make no sense
};
extern const struct check check_hooks[], check_memory[], check_link[];

extern struct check_target *target;
uint64_t check_now(void);
const char *check_skip(const char *why);
// A line for people: what, number, unit.
void check_note(const char *what, uint64_t number, const char *unit);
// A request to whoever runs the checks.
void check_ask(const char *what);
// Lets time pass without the port's help.
void check_spin(uint32_t ms);

#define CHECK_MS UINT64_C(1000000) // in nanoseconds

// Least and median of times.
#define CHECK_TIMES 512u
struct check_times {
    uint64_t ns[CHECK_TIMES];
    uint32_t n;
};
void check_time(struct check_times *t, uint64_t ns);
uint64_t check_least(const struct check_times *t);
void check_note_times(const char *what, struct check_times *t);

#endif
