// Numbers and addresses as people read them.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_TEXT_H
#define FARSOCKD_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "farsock/wire.h"

// All write into out, at least as large as the array says, and return it.

#define TEXT_ADDR 80
#define TEXT_AGE  24
#define TEXT_SIZE 16

// "192.0.2.1:80", "[fe80::1%2]:80", "-" for none.
const char *text_addr(char out[static TEXT_ADDR], const struct far_addr *a);

// "0.250 s", "12.3 s", "3 min 5 s", "2 h 10 min", "4 d 2 h".
const char *text_age(char out[static TEXT_AGE], uint64_t ns);

// "512", "12.3K", "4.0M": bytes.
const char *text_size(char out[static TEXT_SIZE], uint64_t bytes);

// "ECONNRESET" for a far_err, "-" for FAR_OK, "?" if unknown. Static.
const char *text_err(int err);

#endif
