// farsock run: a program whose sockets go over a link.
// SPDX-License-Identifier: MIT
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "farsock/posix.h"
#include "tools/own.h"
#include "tools/tool.h"

// As env(1) and nice(1) end when they could not do what they were to do.
enum { RUN_FAILED = 125, RUN_NOT_EXECUTABLE = 126, RUN_NOT_FOUND = 127 };

#define PATHS_MAX 4

// --- The program ---

static bool find_program(const char *name, char *out, size_t size) {
    if (strchr(name, '/')) {
        snprintf(out, size, "%s", name);
        return access(out, F_OK) == 0;
    }
    const char *path = getenv("PATH");
    for (const char *p = path ? path : "/usr/bin:/bin"; *p;) {
        size_t n = strcspn(p, ":");
        snprintf(out, size, "%.*s/%s", n ? (int)n : 1, n ? p : ".", name);
        if (access(out, X_OK) == 0) {
            return true;
        }
        p += n + (p[n] == ':');
    }
    return false;
}

// Whether the file asks for the dynamic loader, without which nothing is
// preloaded. Scripts and what we cannot read get the benefit of the doubt.
static bool is_static(const char *path) {
    Elf64_Ehdr head;
    Elf64_Phdr part;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool elf = fd >= 0 &&
               read(fd, &head, sizeof head) == (ssize_t)sizeof head &&
               memcmp(head.e_ident, ELFMAG, SELFMAG) == 0 &&
               head.e_ident[EI_CLASS] == ELFCLASS64;
    bool found = !elf;
    for (unsigned i = 0; elf && !found && i < head.e_phnum; i++) {
        off_t at = (off_t)(head.e_phoff + (uint64_t)i * sizeof part);
        found = pread(fd, &part, sizeof part, at) != (ssize_t)sizeof part ||
                part.p_type == PT_INTERP;
    }
    if (fd >= 0) {
        close(fd);
    }
    return !found;
}

// --- The link ---

static const char *default_link(void) {
    const char *paths[PATHS_MAX];
    int n = far_posix_paths(paths, PATHS_MAX);
    for (int i = 0; i < n; i++) {
        if (link_answers(paths[i])) {
            return paths[i];
        }
    }
    return NULL;
}

// --- Running ---

static void set_environment(const char *library, const char *link) {
    const char *others = getenv("LD_PRELOAD");
    char all[2 * PATH_MAX];
    snprintf(all, sizeof all, "%s%s%s", library, others && others[0] ? ":" : "",
        others && others[0] ? others : "");
    setenv("LD_PRELOAD", all, 1);
    setenv("FARSOCK_LINK", link, 1);
}

static int exec_program(const char *path, char **argv) {
    execv(path, argv);
    int err = errno;
    tool_fail(0, "cannot run %s: %s", path, strerror(err));
    return err == ENOENT ? RUN_NOT_FOUND : RUN_NOT_EXECUTABLE;
}

static pid_t child;

static void pass_on(int sig) {
    if (child > 0) {
        kill(child, sig);
    }
}

// Ends as the program did.
static int wait_program(void) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int run_with_own(const char *library, const char *path, char **argv) {
    struct own own = {0};
    if (!own_start(&own, false)) {
        own_stop(&own);
        return tool_fail(RUN_FAILED,
            "no farsockd answers, and none of our own starts");
    }
    set_environment(library, own.link);
    child = fork();
    if (child == 0) {
        _exit(exec_program(path, argv));
    }
    signal(SIGINT, SIG_IGN); // the terminal sends it to the program too
    signal(SIGQUIT, SIG_IGN);
    signal(SIGTERM, pass_on);
    signal(SIGHUP, pass_on);
    int status = child > 0 ? wait_program() : RUN_FAILED;
    own_stop(&own);
    return status;
}

// run [--link PATH] [--] PROGRAM [ARGUMENT...]
static int parse(int argc, char **argv, const char **link) {
    int i = 1;
    while (i < argc && argv[i][0] == '-') {
        if (strcmp(argv[i], "--") == 0) {
            return i + 1;
        }
        if (strcmp(argv[i], "--link") == 0 && i + 1 < argc) {
            *link = argv[i + 1];
            i += 2;
        } else if (strncmp(argv[i], "--link=", 7) == 0) {
            *link = argv[i] + 7;
            i++;
        } else {
            return -1;
        }
    }
    return i;
}

int tool_run(const struct tool_options *o, int argc, char **argv) {
    const char *link = o->link;
    int at = parse(argc, argv, &link);
    if (at < 0 || at >= argc) {
        return tool_fail(TOOL_USAGE,
            "usage: farsock run [--link PATH] [--] PROGRAM [ARGUMENT...]");
    }
    char path[PATH_MAX];
    char library[PATH_MAX];
    if (!find_program(argv[at], path, sizeof path)) {
        return tool_fail(RUN_NOT_FOUND, "no program %s", argv[at]);
    }
    if (is_static(path)) {
        return tool_fail(RUN_NOT_EXECUTABLE,
            "%s is a static program: its sockets cannot be carried", path);
    }
    if (!find_part("../lib/libfarsock-preload.so", library, sizeof library)) {
        return tool_fail(RUN_FAILED, "libfarsock-preload.so is not there");
    }
    if (link && !link_answers(link)) {
        return tool_fail(RUN_FAILED, "no farsockd answers at %s", link);
    }
    link = link ? link : default_link();
    if (!link) {
        return run_with_own(library, path, argv + at);
    }
    set_environment(library, link);
    return exec_program(path, argv + at);
}
