// Runs a fuzz target on files and on the files of directories, once each, where
// no fuzzer drives it.
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "fuzz/input.h"

#define INPUT_MAX (1u << 20)

__attribute__((weak)) int LLVMFuzzerInitialize(int *argc, char ***argv);

static unsigned count;

static void run_file(const char *path) {
    static uint8_t buf[INPUT_MAX];
    FILE *f = fopen(path, "re");
    if (f) {
        size_t n = fread(buf, 1, sizeof buf, f);
        fclose(f);
        // Memory of just that size, so that ASan sees a read past its end.
        uint8_t *data = malloc(n ? n : 1);
        memcpy(data, buf, n);
        LLVMFuzzerTestOneInput(data, n);
        free(data);
        count++;
    }
}

static void run_path(const char *path) {
    struct stat st;
    DIR *dir =
        stat(path, &st) == 0 && S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (!dir) {
        run_file(path);
        return;
    }
    struct dirent *e;
    while ((e = readdir(dir))) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, e->d_name);
        if (e->d_name[0] != '.') {
            run_file(name);
        }
    }
    closedir(dir);
}

int main(int argc, char **argv) {
    if (LLVMFuzzerInitialize) {
        LLVMFuzzerInitialize(&argc, &argv);
    }
    for (int i = 1; i < argc; i++) {
        run_path(argv[i]);
    }
    printf("%u inputs\n", count);
    return 0;
}
