// CLEAN and INV of ranges: every line that holds a byte of it, also where range
// and lines begin and end in different places.
// SPDX-License-Identifier: MIT
#include "ports/template/board.h"
#include "ports/template/mem.h"

static uintptr_t line_of(const void *p) {
    return (uintptr_t)p & ~(uintptr_t)(BOARD_LINE - 1u);
}

void far_template_clean(const void *p, size_t n) {
    uintptr_t end = (uintptr_t)p + n;
    for (uintptr_t at = line_of(p); n > 0 && at < end; at += BOARD_LINE) {
        board_clean_line(at);
    }
}

void far_template_drop(const void *p, size_t n) {
    uintptr_t end = (uintptr_t)p + n;
    for (uintptr_t at = line_of(p); n > 0 && at < end; at += BOARD_LINE) {
        board_drop_line(at);
    }
}
