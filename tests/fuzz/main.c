// Runs a fuzz target on files and on the files of directories, once each, where
// no fuzzer drives it.
// SPDX-License-Identifier: MIT
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "fuzz/input.h"

#define INPUT_MAX (1u << 20)

#pragma weak LLVMFuzzerInitialize

static unsigned count;

// Clang's counters, where this build has them.
// NOLINTBEGIN(readability-identifier-naming)
extern uint64_t *__llvm_profile_begin_counters(void) __attribute__((weak));
extern uint64_t *__llvm_profile_end_counters(void) __attribute__((weak));
// NOLINTEND(readability-identifier-naming)

// With FUZZ_NEW in the environment: names an input by which a counter is not 0
// any more that was 0 after all before it.
static void say_new(const char *path) {
    static uint8_t *seen;
    bool some = false;
    if (!getenv("FUZZ_NEW") || !__llvm_profile_begin_counters) {
        return;
    }
    const uint64_t *from = __llvm_profile_begin_counters();
    size_t n = (size_t)(__llvm_profile_end_counters() - from);
    seen = seen ? seen : calloc(n, 1);
    for (size_t i = 0; i < n; i++) {
        some |= from[i] != 0 && !seen[i];
        seen[i] |= from[i] != 0;
    }
    if (some) {
        printf("new: %s\n", path);
    }
}

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
        say_new(path);
    }
}

static void run_path(const char *path) {
    struct dirent **names;
    // In this order everywhere.
    int count_of = scandir(path, &names, NULL, alphasort);
    if (count_of < 0) {
        run_file(path);
        return;
    }
    for (int i = 0; i < count_of; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, names[i]->d_name);
        if (names[i]->d_name[0] != '.') {
            run_file(name);
        }
        free(names[i]);
    }
    free(names);
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
