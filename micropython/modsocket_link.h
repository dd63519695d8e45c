// What the socket module needs of the platform: links, numbers, waiting.
// SPDX-License-Identifier: MIT
#ifndef MODSOCKET_LINK_H
#define MODSOCKET_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "farsock/farsock.h"

// modsocket_posix.c is this for MicroPython's unix port. All functions may be
// called from any thread; none raises, runs Python or allocates from the heap
// that is garbage-collected.

// A link of this process. It outlives farsockd's death as long as somebody
// holds a reference: every open socket, and every call that is under way.
struct far_mp_link;

// The process's link, opened if there is none or the last one is down. With a
// reference, which the caller gives back. FAR_OK, or as far_posix_open().
int far_mp_link_open(struct far_mp_link **out);

// One more reference. False if the last was given back: the link is gone.
bool far_mp_link_ref(struct far_mp_link *link);
void far_mp_link_unref(struct far_mp_link *link);

// The near library's link; valid while the caller has a reference.
struct far_link *far_mp_link_near(struct far_mp_link *link);

// What fileno() is: small, unique among the open sockets of this process. The
// number takes over a reference to link. -1 if there is no memory.
int far_mp_number_new(struct far_mp_link *link, int sock);

// The socket that has this number now. No reference comes with it. False if
// there is none.
bool far_mp_number_find(int number, struct far_mp_link **link, int *sock);

// Frees the number if it is still this socket's. True if it was: the caller
// now owns the number's reference, and nobody else will close the socket.
bool far_mp_number_drop(int number, struct far_mp_link *link, int sock);

// The clock of far_mp_link_near()'s deadlines.
uint64_t far_mp_now(void);

// A socket was asked whether it is ready: the wait that follows is for the
// doorbell. [variant/wait.c]
void far_mp_asked(void);

// True if a non-blocking read() that finds nothing gives b"" and not None, as
// the scripts of the K230's vendor expect.
bool far_mp_compat_k230(void);

// A socket of link is watched (option 20), or was read: from now on calls
// far_mp_watch_look() whenever one may have become readable, until that says
// FAR_MP_UNWATCHED. A port that has no means does nothing.
void far_mp_watch(struct far_mp_link *link);

enum far_mp_watch {
    FAR_MP_UNWATCHED, // no socket of this link is watched
    FAR_MP_WATCHED,   // all are armed, or told
    FAR_MP_FULL,      // one could not be told: look again in a while
};

// Arms the watched sockets of link, and schedules the functions of those that
// are readable. May be called from a thread that MicroPython does not know.
enum far_mp_watch far_mp_watch_look(struct far_mp_link *link);

#endif
