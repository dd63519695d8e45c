// One line for people, on stderr.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_LOG_H
#define FARSOCKD_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum far_log_level { FAR_LOG_ERROR, FAR_LOG_WARN, FAR_LOG_INFO, FAR_LOG_DEBUG };

// Writes one line if level is not above the limit. No newline in fmt; control
// characters in what it prints become '?', because names come from peers. May
// be called from any thread; keeps errno.
void far_log(enum far_log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

// Lines above level are dropped from now on (default FAR_LOG_INFO).
void far_log_limit(enum far_log_level level);

// The level that text names, or -1. The name of a level.
int far_log_level_parse(const char *text);
const char *far_log_level_name(enum far_log_level level);

// For lines that a peer can provoke as often as it likes: at most burst lines
// in a second, then silence, then one line that says how many were left out.
// Zeroed is ready. One thread.
struct far_log_rate {
    uint64_t second;
    uint32_t lines;
    uint32_t dropped;
};
// True if a line may be written now.
bool far_log_allowed(struct far_log_rate *r, uint32_t burst);

#endif
