// Options of the emulator, from the environment, and its last words.
// SPDX-License-Identifier: MIT
#include "ports/noncoherent/cache.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "farsock/wire.h"

_Static_assert(FAR_PAGE_LINES *FAR_LINE % LINE_MAX_BYTES == 0,
    "no line belongs to both parts");

// FARSOCK_NONCOHERENT: words with commas: seed=N, line=64|128,
// noise=inline|thread|both|none, early, lazy. FARSOCK_OMIT: the name of a place
// in farsock/sites.def. FARSOCK_NONCOHERENT_LOG: errors go there as well.
struct nc_options nc_options = {
    .seed = 1,
    .line = 64,
    .inlined = true,
    .threaded = true,
    .omit = OMIT_NONE,
};

static const char *const names[] = {
#define X(name, primitive, whose, place, shown, text) #name,
#include "farsock/sites.def"
#undef X
};

void nc_error(const char *fmt, ...) {
    char text[256];
    va_list args;
    va_start(args, fmt);
    vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    fprintf(stderr, "noncoherent: %s\n", text);
    const char *log = getenv("FARSOCK_NONCOHERENT_LOG");
    if (log) {
        char path[512];
        snprintf(path, sizeof path, "%s.%d", log, (int)getpid());
        FILE *f = fopen(path, "ae");
        if (f) {
            fprintf(f, "noncoherent: %s\n", text);
            fclose(f);
        }
    }
    abort();
}

static void read_word(const char *word) {
    if (strncmp(word, "seed=", 5) == 0) {
        nc_options.seed = strtoull(word + 5, NULL, 0);
    } else if (strncmp(word, "line=", 5) == 0) {
        nc_options.line = strtoull(word + 5, NULL, 0);
    } else if (strncmp(word, "noise=", 6) == 0) {
        bool both = strcmp(word + 6, "both") == 0;
        nc_options.inlined = both || strcmp(word + 6, "inline") == 0;
        nc_options.threaded = both || strcmp(word + 6, "thread") == 0;
    } else if (strcmp(word, "early") == 0) {
        nc_options.early = true;
    } else if (strcmp(word, "lazy") == 0) {
        nc_options.lazy = true;
    } else if (word[0]) {
        nc_error("unknown option %s", word);
    }
}

static void read_omit(const char *name) {
    for (unsigned i = 0; i < FAR_AT_COUNT; i++) {
        if (strcmp(names[i], name) == 0) {
            nc_options.omit = i;
            return;
        }
    }
    nc_error("no place is called %s", name);
}

void nc_read_options(void) {
    char words[256];
    char *rest = words;
    const char *env = getenv("FARSOCK_NONCOHERENT");
    snprintf(words, sizeof words, "%s", env ? env : "");
    for (char *word; (word = strsep(&rest, ",")) != NULL;) {
        read_word(word);
    }
    const char *omit = getenv("FARSOCK_OMIT");
    if (omit && omit[0]) {
        read_omit(omit);
    }
    size_t line = nc_options.line;
    if (line != FAR_LINE && line != LINE_MAX_BYTES) {
        nc_error("no line has %zu bytes", line);
    }
}
