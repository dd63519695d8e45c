// A path that farsockd listens at, and no other farsockd does.
// SPDX-License-Identifier: MIT
#include "daemon/place.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define BACKLOG 64

struct reason {
    char *text;
    size_t len;
};

__attribute__((format(printf, 2, 3))) static int fail(struct reason *r,
    const char *fmt, ...) {
    va_list args;
    va_start(args, fmt);
    vsnprintf(r->text, r->len, fmt, args);
    va_end(args);
    return -1;
}

static void lock_path(char *out, size_t len, const char *path) {
    snprintf(out, len, "%s.lock", path);
}

// --- The lock: who holds it owns the path ---

static int say_who_serves(int lock, const char *path, struct reason *r) {
    char pid[16] = "";
    ssize_t n = pread(lock, pid, sizeof(pid) - 1, 0);
    pid[n > 0 ? strspn(pid, "0123456789") : 0] = '\0';
    return fail(r, "%s is served by another farsockd%s%s%s", path,
        pid[0] ? " (process " : "", pid, pid[0] ? ")" : "");
}

// True if the file that was locked is still the one of that name: who stops
// removes it while he holds it, and we may have waited for that very file.
static bool still_named(int lock, const char *name) {
    struct stat ours;
    struct stat named;
    return fstat(lock, &ours) == 0 && lstat(name, &named) == 0 &&
           ours.st_dev == named.st_dev && ours.st_ino == named.st_ino;
}

// For people only: if it cannot be written, the lock holds all the same.
static void write_pid(int lock) {
    if (ftruncate(lock, 0) == 0) {
        dprintf(lock, "%d\n", (int)getpid());
    }
}

static int take_lock(const char *path, struct reason *r) {
    char name[CONFIG_TEXT + 8];
    lock_path(name, sizeof(name), path);
    for (;;) {
        int fd = open(name, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
        if (fd < 0) {
            return fail(r, "cannot open %s: %s", name, strerror(errno));
        }
        if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
            if (errno == EWOULDBLOCK) {
                say_who_serves(fd, path, r);
            } else {
                fail(r, "cannot lock %s: %s", name, strerror(errno));
            }
            close(fd);
            return -1;
        }
        if (!still_named(fd, name)) {
            close(fd);
            continue;
        }
        write_pid(fd);
        return fd;
    }
}

// --- The socket ---

static struct sockaddr_un address(const char *path) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len < sizeof(sun.sun_path)) { // which config_add_link() made sure of
        memcpy(sun.sun_path, path, len);
    }
    return sun;
}

// Nobody listens there: what a killed process leaves behind.
static bool is_dead(const char *path, int type) {
    int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_un sun = address(path);
    int rc = connect(fd, (const struct sockaddr *)&sun, sizeof(sun));
    bool dead = fd >= 0 && rc < 0 && errno == ECONNREFUSED;
    if (fd >= 0) {
        close(fd);
    }
    return dead;
}

// We hold the lock, so no farsockd serves path, but it may be anything else.
static int clear_path(struct place *p, int type, struct reason *r) {
    struct stat st;
    if (lstat(p->path, &st) < 0) {
        return errno == ENOENT ? 0
                               : fail(r, "%s: %s", p->path, strerror(errno));
    }
    if (!S_ISSOCK(st.st_mode)) {
        return fail(r, "%s exists and is no socket", p->path);
    }
    if (!is_dead(p->path, type)) {
        return fail(r, "%s is served by another program", p->path);
    }
    if (unlink(p->path) < 0) {
        return fail(r, "cannot remove the old %s: %s", p->path,
            strerror(errno));
    }
    p->took_over = true;
    return 0;
}

static int listen_at(struct place *p, int type, uint32_t mode,
    struct reason *r) {
    struct sockaddr_un sun = address(p->path);
    p->fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    // By umask, so that there is no moment with other permissions.
    mode_t before = umask((mode_t)(0777u & ~mode));
    int rc = bind(p->fd, (const struct sockaddr *)&sun, sizeof(sun));
    int saved = errno;
    umask(before);
    errno = saved;
    if (rc == 0 && listen(p->fd, BACKLOG) < 0) {
        rc = -1;
        saved = errno;
        unlink(p->path);
        errno = saved;
    }
    if (rc < 0) {
        fail(r, "cannot listen at %s: %s", p->path, strerror(errno));
        if (p->fd >= 0) {
            close(p->fd);
        }
    }
    return rc;
}

int place_give(const struct place *p, uint32_t user, uint32_t group,
    char *reason, size_t reason_len) {
    if (user == IDS_NONE && group == IDS_NONE) {
        return 0;
    }
    struct reason r = {reason, reason_len};
    // IDS_NONE is what lchown() knows as "no change".
    return lchown(p->path, user, group) < 0
               ? fail(&r, "cannot give %s to user or group: %s", p->path,
                     strerror(errno))
               : 0;
}

void place_unlock(const char *path, int lock) {
    char name[CONFIG_TEXT + 8];
    lock_path(name, sizeof(name), path);
    unlink(name); // before the lock goes: it is still ours
    close(lock);
}

int place_lock(const char *path, char *reason, size_t reason_len) {
    struct reason r = {reason, reason_len};
    return take_lock(path, &r);
}

int place_open(struct place *p, const char *path, int type, uint32_t mode,
    char *reason, size_t reason_len) {
    struct reason r = {reason, reason_len};
    *p = (struct place){.fd = -1};
    snprintf(p->path, sizeof(p->path), "%s", path);
    p->lock = take_lock(p->path, &r);
    if (p->lock < 0) {
        return -1;
    }
    if (clear_path(p, type, &r) < 0 || listen_at(p, type, mode, &r) < 0) {
        place_unlock(p->path, p->lock);
        return -1;
    }
    return 0;
}

void place_close(struct place *p) {
    unlink(p->path);
    close(p->fd);
    place_unlock(p->path, p->lock);
}

// --- Where, if nobody says ---

// The directory gets the permissions only if we make it.
static bool can_use(const char *dir, mode_t mode) {
    if (mkdir(dir, mode) == 0) {
        return chmod(dir, mode) == 0; // whatever the umask is
    }
    return errno == EEXIST && access(dir, W_OK | X_OK) == 0;
}

int place_default(char *path, size_t path_len, char *reason,
    size_t reason_len) {
    struct sockaddr_un sun;
    char dir[CONFIG_TEXT];
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    struct reason r = {reason, reason_len};
    if (can_use("/run/farsock", 0755)) {
        snprintf(path, path_len, "/run/farsock/link");
        return 0;
    }
    int saved = errno;
    if (runtime == NULL || runtime[0] != '/') {
        return fail(&r, "no --link, and /run/farsock: %s", strerror(saved));
    }
    int n = snprintf(dir, sizeof(dir), "%s/farsock", runtime);
    if ((size_t)n + sizeof("/link") > sizeof(sun.sun_path)) {
        return fail(&r, "no --link, and XDG_RUNTIME_DIR is too long");
    }
    if (!can_use(dir, 0700)) {
        return fail(&r, "no --link, and /run/farsock: %s; %s: %s",
            strerror(saved), dir, strerror(errno));
    }
    snprintf(path, path_len, "%s/link", dir);
    return 0;
}
