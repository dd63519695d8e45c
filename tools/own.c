// A farsockd of our own, for one run; and where our other parts are.
// SPDX-License-Identifier: MIT
#include "tools/own.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define FAILED   125
#define START_MS 5000 // for it to answer

bool find_part(const char *beside, char *out, size_t size) {
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0) {
        return false;
    }
    self[n] = '\0';
    char *slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
    }
    char joined[PATH_MAX + 64];
    char real_name[PATH_MAX];
    snprintf(joined, sizeof joined, "%s/%s", self, beside);
    if (!realpath(joined, real_name)) {
        return false;
    }
    snprintf(out, size, "%s", real_name);
    return true;
}

bool link_answers(const char *path) {
    struct sockaddr_un sun = {.sun_family = AF_UNIX};
    size_t len = strlen(path);
    if (len >= sizeof sun.sun_path) {
        return false;
    }
    memcpy(sun.sun_path, path, len);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    bool ok =
        fd >= 0 && connect(fd, (const struct sockaddr *)&sun, sizeof sun) == 0;
    if (fd >= 0) {
        close(fd);
    }
    return ok;
}

static int exec_daemon(const char *path, const struct own *o, pid_t parent) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    if (getppid() != parent) {
        return FAILED;
    }
    // Its messages are not the program's.
    int null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(null, 1);
    // Ctrl-C is for the program; we end the daemon after it.
    setpgid(0, 0);
    execl(path, path, "--log-level", "warn", "--link", o->link,
        o->ivshmem[0] ? "--link" : NULL, o->ivshmem, (char *)NULL);
    return FAILED;
}

bool own_start(struct own *o, bool ivshmem) {
    char path[PATH_MAX];
    const char *tmp = getenv("TMPDIR");
    snprintf(o->dir, sizeof o->dir, "%.40s/farsock-XXXXXX",
        tmp && tmp[0] == '/' ? tmp : "/tmp");
    if ((!find_part("farsockd", path, sizeof path) &&
            !find_part("../sbin/farsockd", path, sizeof path)) ||
        !mkdtemp(o->dir)) {
        return false;
    }
    snprintf(o->link, sizeof o->link, "%s/link", o->dir);
    if (ivshmem) {
        snprintf(o->ivshmem, sizeof o->ivshmem, "ivshmem:%s/core", o->dir);
    }
    pid_t self = getpid();
    o->pid = fork();
    if (o->pid == 0) {
        _exit(exec_daemon(path, o, self));
    }
    for (int ms = 0; o->pid > 0 && ms < START_MS; ms += 5) {
        if (link_answers(o->link)) {
            return true;
        }
        if (waitpid(o->pid, NULL, WNOHANG) == o->pid) {
            o->pid = 0;
            break;
        }
        usleep(5000);
    }
    return false;
}

// The ivshmem server ends with its last client, which may be now.
static void remove_core(const struct own *o) {
    if (!o->ivshmem[0]) {
        return;
    }
    const char *path = o->ivshmem + strlen("ivshmem:");
    for (int ms = 0; ms < START_MS && access(path, F_OK) == 0; ms += 5) {
        usleep(5000);
    }
}

void own_stop(struct own *o) {
    if (o->pid > 0) {
        kill(o->pid, SIGTERM);
        waitpid(o->pid, NULL, 0);
    }
    if (o->dir[0]) {
        char lock[96];
        snprintf(lock, sizeof lock, "%s.lock", o->link);
        unlink(o->link);
        unlink(lock);
        remove_core(o);
        rmdir(o->dir);
    }
}
