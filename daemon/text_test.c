// Numbers and addresses as people read them.
// SPDX-License-Identifier: MIT
#include "daemon/text.h"

#include <string.h>

#include "farsock/errors.h"
#include "farsock/proto.h"
#include "unit.h"

#define SECOND UINT64_C(1000000000)

#define SAYS(text, wanted) CHECK(strcmp((text), (wanted)) == 0)

TEST(addresses_read_as_in_an_url) {
    char out[TEXT_ADDR];
    struct far_addr none = {.family = FAR_AF_UNSPEC};
    struct far_addr v4 = {FAR_AF_INET, 80, 0, 0, {192, 0, 2, 1}, 0};
    struct far_addr v6 = {FAR_AF_INET6, 65535, 0, 0, {[15] = 1}, 0};
    SAYS(text_addr(out, &none), "-");
    SAYS(text_addr(out, &v4), "192.0.2.1:80");
    SAYS(text_addr(out, &v6), "[::1]:65535");
    v6.scope = 3;
    SAYS(text_addr(out, &v6), "[::1%3]:65535");
}

TEST(the_longest_address_fits) {
    char out[TEXT_ADDR];
    struct far_addr v6 = {.family = FAR_AF_INET6, .port = 65535};
    memset(v6.ip, 0xfe, sizeof(v6.ip));
    v6.scope = UINT32_MAX;
    SAYS(text_addr(out, &v6),
        "[fefe:fefe:fefe:fefe:fefe:fefe:fefe:fefe%4294967295]:65535");
}

TEST(ages_have_two_units_at_most) {
    char out[TEXT_AGE];
    SAYS(text_age(out, 0), "0.000 s");
    SAYS(text_age(out, SECOND / 4), "0.250 s");
    SAYS(text_age(out, 10 * SECOND - 1), "9.999 s");
    SAYS(text_age(out, 60 * SECOND - 1), "59.9 s");
    SAYS(text_age(out, 61 * SECOND), "1 min 1 s");
    SAYS(text_age(out, 3600 * SECOND - 1), "59 min 59 s");
    SAYS(text_age(out, 7380 * SECOND), "2 h 3 min");
    SAYS(text_age(out, 90000 * SECOND), "1 d 1 h");
    CHECK(strlen(text_age(out, UINT64_MAX)) > 0);
}

TEST(sizes_have_one_decimal_above_a_kilobyte) {
    char out[TEXT_SIZE];
    SAYS(text_size(out, 0), "0");
    SAYS(text_size(out, 1023), "1023");
    SAYS(text_size(out, 1024), "1.0K");
    SAYS(text_size(out, 3000), "2.9K");
    SAYS(text_size(out, (1u << 20) - 1), "1.0M");
    SAYS(text_size(out, 4u << 20), "4.0M");
    SAYS(text_size(out, UINT64_C(5) << 40), "5.0T");
    SAYS(text_size(out, UINT64_MAX), "16777216.0T");
}

TEST(errors_have_the_names_of_errno) {
    SAYS(text_err(FAR_OK), "-");
    SAYS(text_err(FAR_ECONNRESET), "ECONNRESET");
    SAYS(text_err(FAR_ELINKPROTO), "ELINKPROTO");
    SAYS(text_err(1), "?");
    SAYS(text_err(-9999), "?");
}

static const struct test_case cases[] = {
    CASE(addresses_read_as_in_an_url),
    CASE(the_longest_address_fits),
    CASE(ages_have_two_units_at_most),
    CASE(sizes_have_one_decimal_above_a_kilobyte),
    CASE(errors_have_the_names_of_errno),
};

int main(void) {
    return RUN_TESTS(cases);
}
