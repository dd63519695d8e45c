// Link-up: near's half of the conversation over the Unix socket.
// SPDX-License-Identifier: MIT
#ifndef FAR_POSIX_HELLO_H
#define FAR_POSIX_HELLO_H

#include "farsock/posix.h"

// Connects to the link at path. FAR_OK with *fd, or why not.
int far_posix_dial(const char *path, int *fd);

// Says hello and waits for the welcome, which comes with exactly count
// descriptors (then the caller's). FAR_OK, the welcome's status, or why there
// was none; w->text says it for people if it is not empty.
int far_posix_hello(int conn, const struct far_hello *hello,
    struct far_welcome *w, int *fds, int count);

// Beats for the link (FAR_FEATURE_BEAT) until it is stopped or far is silent.
struct far_posix_beat;
struct far_posix_beat *far_posix_beat_start(struct far_link *l);
void far_posix_beat_stop(struct far_posix_beat *b);

#endif
