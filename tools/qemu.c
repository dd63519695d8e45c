// farsock qemu: MicroPython on an emulated core without an operating system.
// SPDX-License-Identifier: MIT
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tools/own.h"
#include "tools/tool.h"

// What the core finds in its memory: ports/qemu-ivshmem/virt.ld.
#define PACK_AT   "0x84000000"
#define PACK_MAX  ((64u << 20) - 64u)
#define FILES_MAX 64

static const char usage[] =
    "usage: farsock [--link ivshmem:PATH] qemu [--arch rv64|rv32] "
    "[--image FILE] [--file NAME=PATH]... [SCRIPT [ARGUMENT...]]";
static const char options[] =
    "\nRun a script on an emulated RISC-V core without an operating system, or "
    "give its\nterminal: Ctrl-C interrupts, Ctrl-D resets, Ctrl-A X ends. The "
    "exit "
    "status is the\nscript's, 1 if it raised something.\n\n"
    "  --arch rv64|rv32  the core, else rv64\n"
    "  --image FILE      its program, else the MicroPython that make qemu "
    "builds\n"
    "  --file NAME=PATH  a file for it: PATH of this machine is /NAME there\n"
    "  --link PATH       ivshmem:PATH, a farsockd that waits there, else one "
    "of its own\n\n"
    "See farsock(1).";
static const char prefix[] = "ivshmem:";

struct plan {
    const char *arch;
    const char *image; // NULL: ours
    int files;
    const char *file[FILES_MAX]; // NAME=PATH
    char **script;               // and its arguments; NULL: a terminal
    FILE *pack; // memory that the emulator gets by its descriptor
};

// --- The pack: files for the core's memory ---

static bool put(FILE *out, const void *data, size_t len) {
    static const char zero[8];
    return fwrite(data, 1, len, out) == len &&
           fwrite(zero, 1, -len % 8, out) == -len % 8;
}

static bool put_entry(FILE *out, const char *name, size_t name_len,
    const void *data, size_t len) {
    uint32_t head[2] = {(uint32_t)name_len, (uint32_t)len};
    return len < PACK_MAX && fwrite(head, sizeof head, 1, out) == 1 &&
           put(out, name, name_len) && put(out, data, len);
}

// True, or one line on stderr.
static bool put_file(FILE *out, const char *name, size_t name_len,
    const char *path) {
    FILE *in = fopen(path, "re");
    char *data = in ? malloc(PACK_MAX) : NULL;
    size_t len = data ? fread(data, 1, PACK_MAX, in) : 0;
    bool ok = data && !ferror(in);
    if (!ok) {
        tool_fail(0, "cannot read %s: %s", path, strerror(errno));
    } else if (len == PACK_MAX || !put_entry(out, name, name_len, data, len)) {
        ok = false;
        tool_fail(0, "%s is too large for the core's memory", path);
    }
    free(data);
    if (in) {
        fclose(in);
    }
    return ok;
}

static bool put_script(FILE *out, char **script) {
    char argv[4096];
    size_t used = 0;
    for (char **word = script; *word; word++) {
        int n = snprintf(argv + used, sizeof argv - used, "%s\n", *word);
        if (n < 0 || (size_t)n >= sizeof argv - used) {
            tool_fail(0, "the arguments are too long");
            return false;
        }
        used += (size_t)n;
    }
    return put_entry(out, "argv", 4, argv, used) &&
           put_file(out, "script", 6, script[0]);
}

// On the core a file is /NAME.
static bool put_given(FILE *out, const char *given) {
    const char *path = strchr(given, '=') + 1;
    char name[256];
    int n =
        snprintf(name, sizeof name, "/%.*s", (int)(path - given - 1), given);
    return n > 1 && n < (int)sizeof name &&
           put_file(out, name, (size_t)n, path);
}

static bool make_pack(struct plan *p) {
    int fd = memfd_create("farsock-pack", MFD_CLOEXEC);
    FILE *out = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (!out) {
        tool_fail(0, "no memory for files: %s", strerror(errno));
        return false;
    }
    p->pack = out;
    bool ok = fwrite("FARPACK1", 8, 1, out) == 1;
    for (int i = 0; ok && i < p->files; i++) {
        ok = put_given(out, p->file[i]);
    }
    ok = ok && (!p->script || put_script(out, p->script));
    uint64_t end = 0;
    ok = ok && fwrite(&end, sizeof end, 1, out) == 1;
    if (ok && fflush(out) != 0) {
        ok = false;
        tool_fail(0, "no memory for files: %s", strerror(errno));
    }
    return ok;
}

// --- The emulator ---

static int exec_qemu(const struct plan *p, const char *image,
    const char *path) {
    bool terminal = isatty(0);
    if (terminal && !p->script) {
        fputs("Ctrl-A X ends this core, Ctrl-A Ctrl-A types Ctrl-A.\n", stderr);
    }
    char emulator[32];
    char chardev[PATH_MAX + 32];
    char loader[160];
    snprintf(emulator, sizeof emulator, "qemu-system-riscv%s", p->arch + 2);
    snprintf(chardev, sizeof chardev, "socket,id=link,path=%s", path);
    snprintf(loader, sizeof loader,
        "loader,force-raw=on,addr=" PACK_AT ",file=/proc/self/fd/%d",
        fileno(p->pack));
    fcntl(fileno(p->pack), F_SETFD, 0);
    // On a terminal Ctrl-C is the core's, and Ctrl-A X ends the emulator.
    execlp(emulator, emulator, "-M", "virt,aia=aplic-imsic", "-m", "128",
        "-bios", "none", "-display", "none", "-no-user-config", "-nodefaults",
        "-chardev",
        terminal ? "stdio,id=console,signal=off,mux=on"
                 : "stdio,id=console,signal=off",
        "-serial", "chardev:console", terminal ? "-mon" : "-global",
        terminal ? "chardev=console" : "virtio-mmio.force-legacy=false",
        "-global", "virtio-mmio.force-legacy=false", "-device",
        "virtio-rng-device", "-chardev", chardev, "-device",
        "ivshmem-doorbell,chardev=link,vectors=1", "-device", loader, "-kernel",
        image, (char *)NULL);
    return errno == ENOENT
               ? tool_fail(TOOL_FAILED,
                     "no %s here (try: apt install qemu-system-misc)", emulator)
               : tool_fail(TOOL_FAILED, "cannot run %s: %s", emulator,
                     strerror(errno));
}

static pid_t child;
static volatile sig_atomic_t ended_by; // a signal; 0: none

static void pass_on(int sig) {
    ended_by = sig;
    if (child > 0) {
        kill(child, sig);
    }
}

static int run_qemu(const struct plan *p, const char *image, const char *path) {
    pid_t self = getpid();
    child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM); // it is nobody else's
        _exit(getppid() == self ? exec_qemu(p, image, path) : TOOL_FAILED);
    }
    signal(SIGINT, pass_on);
    signal(SIGTERM, pass_on);
    signal(SIGHUP, pass_on);
    int status = 0;
    while (child > 0 && waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
    // The emulator takes a signal for a good end.
    return child < 0           ? tool_fail(TOOL_FAILED, "no process")
           : ended_by          ? 128 + ended_by
           : WIFEXITED(status) ? WEXITSTATUS(status)
                               : 128 + WTERMSIG(status);
}

static bool find_image(const struct plan *p, char *out, size_t size) {
    char beside[64];
    if (p->image) {
        snprintf(out, size, "%s", p->image);
        return access(out, R_OK) == 0;
    }
    snprintf(beside, sizeof beside, "../qemu/%s/micropython.elf", p->arch);
    if (find_part(beside, out, size)) {
        return true;
    }
    snprintf(beside, sizeof beside, "../lib/farsock/%s/micropython.elf",
        p->arch);
    return find_part(beside, out, size);
}

static int run_with_own(const struct plan *p, const char *image) {
    struct own own = {0};
    int status;
    if (own_start(&own, true)) {
        status = run_qemu(p, image, own.ivshmem + strlen(prefix));
    } else {
        status = tool_fail(TOOL_FAILED, "no farsockd of our own starts");
    }
    own_stop(&own);
    return status;
}

static int run_with_given(const struct plan *p, const char *image,
    const char *path) {
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode)) {
        return tool_fail(TOOL_FAILED, "no farsockd waits for a core at %s",
            path);
    }
    return run_qemu(p, image, path);
}

// --- The command line ---

// NULL, or what is wrong.
static const char *take_option(struct plan *p, const char *name,
    const char *value) {
    if (strcmp(name, "--arch") == 0) {
        p->arch = value;
        return strcmp(value, "rv64") == 0 || strcmp(value, "rv32") == 0
                   ? NULL
                   : "is rv64 or rv32";
    }
    if (strcmp(name, "--image") == 0) {
        p->image = value;
        return NULL;
    }
    if (strcmp(name, "--file") != 0) {
        return "is no option";
    }
    if (strchr(value, '=') == NULL) {
        return "is NAME=PATH";
    }
    if (p->files == FILES_MAX) {
        return "may stand there 64 times";
    }
    p->file[p->files++] = value;
    return NULL;
}

// TOOL_OK, or one line on stderr.
static int parse(struct plan *p, int argc, char **argv) {
    int i = 1;
    *p = (struct plan){.arch = "rv64"};
    for (; i < argc && argv[i][0] == '-'; i += 2) {
        if (strcmp(argv[i], "--") == 0) {
            i++;
            break;
        }
        const char *wrong = i + 1 < argc ? take_option(p, argv[i], argv[i + 1])
                                         : "is no option, or lacks its value";
        if (wrong) {
            return tool_fail(TOOL_USAGE, "%s %s (try farsock qemu --help)",
                argv[i], wrong);
        }
    }
    p->script = i < argc ? argv + i : NULL;
    return TOOL_OK;
}

// What the environment says is for programs on this machine.
static bool is_named(const char *link) {
    return link && link != getenv("FARSOCK_LINK");
}

int tool_qemu(const struct tool_options *o, int argc, char **argv) {
    struct plan p;
    char image[PATH_MAX];
    if (argc > 1 && strcmp(argv[1], "--help") == 0) {
        puts(usage);
        puts(options);
        return TOOL_OK;
    }
    int status = parse(&p, argc, argv);
    if (status != TOOL_OK) {
        return status;
    }
    bool ours = o->link && strncmp(o->link, prefix, sizeof prefix - 1) == 0;
    if (!ours && is_named(o->link)) {
        return tool_fail(TOOL_USAGE, "a core has no link to %s, only to %sPATH",
            o->link, prefix);
    }
    if (!find_image(&p, image, sizeof image)) {
        return tool_fail(TOOL_FAILED, "no %s for %s: try make qemu",
            p.image ? p.image : "micropython.elf", p.arch);
    }
    status = TOOL_FAILED;
    if (make_pack(&p)) {
        status = ours ? run_with_given(&p, image, o->link + sizeof prefix - 1)
                      : run_with_own(&p, image);
    }
    if (p.pack) {
        fclose(p.pack);
    }
    return status;
}
