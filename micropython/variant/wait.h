// How MicroPython's waits meet the link: what the socket module tells wait.c,
// and what wait.c asks of the socket module.
// SPDX-License-Identifier: MIT
//
// Threads here run without a GIL. When the script ends mp_thread_deinit()
// cancels the others wherever they are, holding whatever lock, joins none, and
// main() returns without finalisers. So nothing that runs at exit may take a
// lock, and a call that blocks may not switch cancellation off. A collection
// signals every other thread (SIGRTMIN + 5, no SA_RESTART): EINTR is common and
// means only "look again". Finalisers run with the heap's lock held: whoever
// holds a lock that a finaliser takes must not allocate from that heap.

#ifndef FAR_MP_WAIT_H
#define FAR_MP_WAIT_H

#include <stdbool.h>
#include <stdint.h>

// --- For the socket module to call ---

// A socket of ours was asked MP_STREAM_POLL, whatever the answer: a wait for it
// ends by the doorbell. An SSLSocket or WebSocket passes the question on to its
// socket and is covered by the same call.
void far_mp_asked(void);

// True if a wait could sleep through what it waits for: since the first object
// of this poll was asked, far_mp_port_sequence() has moved. False in a wait
// that no poll began.
bool far_mp_stale(void);

// Sleep until a descriptor is ready, the deadline, a signal or, on the main
// thread, until MicroPython has something to run there: for far_mp_port_wait()
// while there is no link. Result as there.
int far_mp_plain_wait(const int *fds, const short *events, unsigned n,
    int64_t timeout_ns);

// --- For the socket module to define; wait.c has weak stand-ins ---

// Sleep until the doorbell rings, a descriptor extra_fds[i] has one of the
// poll(2) events[i] (or an error), or timeout_ns has passed (< 0: for ever).
//
// Must return at once
// - if the doorbell has rung and nobody has taken it yet;
// - if far_mp_stale(), asked where no other thread can take the doorbell or a
//   message before this one sleeps (under the lock that elects the waiter);
// - if far_mp_interrupt() was called since this thread's last wait, and this is
//   the main thread.
// May return early for no reason. Must not raise, nor call into MicroPython.
//
//   returns  > 0 something happened, 0 the time is up, < 0 a signal
int far_mp_port_wait(int *extra_fds, short *events, unsigned n,
    int64_t timeout_ns);

// Differs from an earlier value if any thread has meanwhile taken a doorbell or
// a message from far. Private memory only: called once per poll.
unsigned far_mp_port_sequence(void);

// The main thread must stop waiting and look at what is pending: end its
// far_mp_port_wait(), and make its blocking call run mp_handle_pending().
// Called in a signal handler, on whichever thread the signal struck: no locks,
// no memory. Also called when another thread schedules a function.
void far_mp_interrupt(void);

#endif
