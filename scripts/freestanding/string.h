// What src/ may use of <string.h>: the four that a compiler may call anyway.
// `make lint` compiles src/ against this header and the compiler's own only.
// SPDX-License-Identifier: MIT
#ifndef FREESTANDING_STRING_H
#define FREESTANDING_STRING_H

#include <stddef.h>

void *memcpy(void *restrict dst, const void *restrict src, size_t len);
void *memmove(void *dst, const void *src, size_t len);
void *memset(void *dst, int byte, size_t len);
int memcmp(const void *a, const void *b, size_t len);

#endif
