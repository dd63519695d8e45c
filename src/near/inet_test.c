// Tests of addresses as text, against the host's C library.
// SPDX-License-Identifier: MIT
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "farsock/farsock.h"
#include "unit.h"

static uint32_t any(void) {
    static uint32_t state = 1;
    state = state * 1664525u + 1013904223u;
    return state >> 8;
}

// Whether both say the same of text, and leave the same in ip.
static bool same_pton(int host_family, uint32_t family, const char *text) {
    uint8_t want[16];
    uint8_t got[16];
    memset(want, 0x5a, sizeof want);
    memset(got, 0x5a, sizeof got);
    bool same = inet_pton(host_family, text, want) ==
                    far_inet_pton(family, text, got) &&
                memcmp(got, want, sizeof got) == 0;
    if (!same) {
        printf("# %s\n", text);
    }
    return same;
}

static bool same_both(const char *text) {
    return same_pton(AF_INET, FAR_AF_INET, text) &&
           same_pton(AF_INET6, FAR_AF_INET6, text);
}

static bool same_ntop(const uint8_t ip[16]) {
    char want[INET6_ADDRSTRLEN];
    char got[FAR_INET_TEXT];
    inet_ntop(AF_INET, ip, want, sizeof want);
    int len = far_inet_ntop(FAR_AF_INET, ip, got);
    bool same = strcmp(got, want) == 0 && len == (int)strlen(want);
    inet_ntop(AF_INET6, ip, want, sizeof want);
    len = far_inet_ntop(FAR_AF_INET6, ip, got);
    same = same && strcmp(got, want) == 0 && len == (int)strlen(want);
    if (!same) {
        printf("# %s, not %s\n", got, want);
    }
    return same;
}

TEST(text_is_what_the_host_takes_it_for) {
    static const char *const texts[] = {"", "0.0.0.0", "255.255.255.255",
        "256.1.1.1", "1.2.3", "1.2.3.4.", "1.2.3.4.5", "01.2.3.4", "1..2.3",
        " 1.2.3.4", "1.2.3.4 ", "+1.2.3.4", "::", ":::", "::1", "1::", ":1",
        "1:", "1::2::3", "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::", "::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8:9",
        "1:2:3:4:5:6:7", "12345::", "ABCD:ef::", "::ffff:1.2.3.4", "::1.2.3",
        "1:2:3:4:5:6:1.2.3.4", "1:2:3:4:5:6:7:1.2.3.4", "::1.2.3.4:5",
        "fe80::1%lo", "g::"};
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        CHECK(same_both(texts[i]));
    }
}

// A letter for a letter, so that much of it is nearly an address.
TEST(so_is_random_text) {
    static const char letters[] = "0019a:::f..2G";
    for (int i = 0; i < 300000; i++) {
        char text[24];
        size_t len = any() % (sizeof text - 1);
        for (size_t k = 0; k < len; k++) {
            text[k] = letters[any() % (sizeof letters - 1)];
        }
        text[len] = '\0';
        CHECK(same_both(text));
    }
}

TEST(bytes_have_the_hosts_text) {
    static const uint8_t parts[] = {0, 0, 0, 1, 0xff, 0x10, 0xab};
    for (int i = 0; i < 100000; i++) {
        uint8_t ip[16];
        for (int k = 0; k < 16; k++) {
            ip[k] = parts[any() % sizeof parts];
        }
        for (uint32_t k = any() % 16; k > 0 && i % 2; k--) {
            ip[k] = 0;
        }
        CHECK(same_ntop(ip));
    }
}

TEST(other_families_have_no_text) {
    uint8_t ip[16] = {0};
    char text[FAR_INET_TEXT];
    CHECK_EQ(far_inet_pton(1, "1.2.3.4", ip), FAR_EAFNOSUPPORT);
    CHECK_EQ(far_inet_ntop(1, ip, text), FAR_EAFNOSUPPORT);
}

int main(void) {
    static const struct test_case all[] = {
        CASE(text_is_what_the_host_takes_it_for),
        CASE(so_is_random_text),
        CASE(bytes_have_the_hosts_text),
        CASE(other_families_have_no_text),
    };
    return RUN_TESTS(all);
}
