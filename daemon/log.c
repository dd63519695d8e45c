// One line for people, on stderr.
// SPDX-License-Identifier: MIT
#include "daemon/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};

// syslog's priorities, which the journal reads from the front of a line.
static const char *const journal_prefix[] = {"<3>", "<4>", "<6>", "<7>"};

static _Atomic int limit = FAR_LOG_INFO;
static bool to_journal;
static pthread_once_t looked = PTHREAD_ONCE_INIT;

static void look_where_stderr_goes(void) {
    to_journal = getenv("JOURNAL_STREAM") != NULL && isatty(STDERR_FILENO) == 0;
}

// The journal stamps its lines itself; for everybody else we do.
static size_t put_prefix(char *line, size_t room, enum far_log_level level) {
    pthread_once(&looked, look_where_stderr_goes);
    if (to_journal) {
        return (size_t)snprintf(line, room, "%s", journal_prefix[level]);
    }
    struct timespec now;
    struct tm tm;
    clock_gettime(CLOCK_REALTIME, &now);
    localtime_r(&now.tv_sec, &tm);
    size_t n = strftime(line, room, "%F %T", &tm);
    return n + (size_t)snprintf(line + n, room - n, ".%03ld %-5s ",
                   now.tv_nsec / 1000000, level_names[level]);
}

static void blank_controls(char *text) {
    for (; *text != '\0'; text++) {
        if ((unsigned char)*text < 0x20 || *text == 0x7f) {
            *text = '?';
        }
    }
}

void far_log(enum far_log_level level, const char *fmt, ...) {
    if ((int)level > atomic_load_explicit(&limit, memory_order_relaxed)) {
        return;
    }
    int saved = errno;
    char line[1024];
    size_t n = put_prefix(line, sizeof(line) - 1, level);
    va_list args;
    va_start(args, fmt);
    vsnprintf(line + n, sizeof(line) - 1 - n, fmt, args);
    va_end(args);
    blank_controls(line);
    n = strlen(line);
    line[n] = '\n';
    // One write, so that lines of several threads do not mix. If stderr is
    // full or gone there is nobody left to tell.
    ssize_t wrote = write(STDERR_FILENO, line, n + 1);
    (void)wrote;
    errno = saved;
}

void far_log_limit(enum far_log_level level) {
    atomic_store_explicit(&limit, (int)level, memory_order_relaxed);
}

int far_log_level_parse(const char *text) {
    for (int i = FAR_LOG_ERROR; i <= FAR_LOG_DEBUG; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

const char *far_log_level_name(enum far_log_level level) {
    return level_names[level];
}

bool far_log_allowed(struct far_log_rate *r, uint32_t burst) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t second = (uint64_t)now.tv_sec;
    if (second != r->second) {
        uint32_t dropped = r->dropped;
        *r = (struct far_log_rate){.second = second};
        if (dropped > 0) {
            far_log(FAR_LOG_WARN, "%u similar lines left out", dropped);
        }
    }
    if (r->lines >= burst) {
        r->dropped++;
        return false;
    }
    r->lines++;
    return true;
}
