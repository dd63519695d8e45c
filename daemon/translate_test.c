// The tables at the daemon's edge.
// SPDX-License-Identifier: MIT
#include "daemon/translate.h"

#include <errno.h>
#include <netdb.h>
#include <string.h>

#include <netinet/in.h>
#include <netinet/tcp.h>

#include "farsock/errors.h"
#include "farsock/proto.h"
#include "unit.h"

TEST(errors_have_the_protocols_numbers) {
    static const struct {
        int host;
        int32_t far;
    } want[] = {
        {0, FAR_OK}, {EAGAIN, FAR_EAGAIN}, {EWOULDBLOCK, FAR_EAGAIN},
        {EINPROGRESS, FAR_EINPROGRESS}, {ECONNREFUSED, FAR_ECONNREFUSED},
        {EADDRINUSE, FAR_EADDRINUSE}, {EMSGSIZE, FAR_EMSGSIZE},
        {ENOTSUP, FAR_EOPNOTSUPP}, {EXDEV, FAR_EIO}, // none of the link's
    };
    for (size_t i = 0; i < sizeof want / sizeof *want; i++) {
        CHECK_EQ(far_errno(want[i].host), want[i].far);
    }
}

TEST(every_error_of_the_link_comes_from_its_own_errno) {
    // On Linux asm-generic the numbers are equal, which this relies on.
    for (int e = 1; e < 134; e++) {
        int32_t far = far_errno(e);
        CHECK(far == -e || far == FAR_EIO);
    }
}

TEST(a_result_is_the_answer_or_errno) {
    CHECK_EQ(far_result(7), 7);
    errno = ENOTCONN;
    CHECK_EQ(far_result(-1), FAR_ENOTCONN);
}

TEST(lookup_errors_have_numbers_of_their_own) {
    CHECK_EQ(far_eai_of(0), 0);
    CHECK_EQ(far_eai_of(EAI_NONAME), FAR_EAI_NONAME);
    CHECK_EQ(far_eai_of(EAI_SERVICE), FAR_EAI_SERVICE);
    CHECK_EQ(far_eai_of(-1234), FAR_EAI_FAIL);
}

TEST(families_types_and_shuts_go_both_ways_or_not_at_all) {
    CHECK_EQ(host_family(FAR_AF_INET6), AF_INET6);
    CHECK_EQ(far_family(AF_INET6), FAR_AF_INET6);
    CHECK_EQ(host_family(1), -1);
    CHECK_EQ(host_socktype(FAR_SOCK_DGRAM), SOCK_DGRAM);
    CHECK_EQ(host_socktype(5), -1);
    CHECK_EQ(far_socktype(SOCK_RAW), FAR_SOCK_RAW);
    CHECK_EQ(host_shut(FAR_SHUT_RDWR), SHUT_RDWR);
    CHECK_EQ(host_shut(3), -1);
}

TEST(unknown_lookup_flags_stay_unknown) {
    CHECK_EQ(host_ai_flags(FAR_AI_PASSIVE | FAR_AI_NUMERICHOST),
        AI_PASSIVE | AI_NUMERICHOST);
    CHECK(host_ai_flags(0x8000) & (1 << 30));
    CHECK_EQ(host_ni_flags(FAR_NI_NUMERICHOST), NI_NUMERICHOST);
}

TEST(options_are_an_allowlist) {
    int level;
    int name;
    int kind;
    CHECK_EQ(host_opt(FAR_IPPROTO_TCP, FAR_TCP_NODELAY, &level, &name, &kind),
        0);
    CHECK(level == IPPROTO_TCP && name == TCP_NODELAY && kind == FAR_OPT_INT);
    CHECK_EQ(host_opt(FAR_SOL_SOCKET, FAR_SO_LINGER, &level, &name, &kind), 0);
    CHECK_EQ(kind, FAR_OPT_LINGER);
    CHECK_EQ(host_opt(FAR_SOL_SOCKET, 26 /* attach a filter */, &level, &name,
                 &kind),
        FAR_ENOPROTOOPT);
}

TEST(addresses_survive_the_journey) {
    struct far_addr v6 = {
        .family = FAR_AF_INET6,
        .port = 4660,
        .flowinfo = 5,
        .scope = 2,
        .ip = {0xfe, 0x80, [15] = 1},
    };
    struct far_addr v4 = {.family = FAR_AF_INET, .port = 80, .ip = {1, 2, 3}};
    struct sockaddr_storage sa;
    struct far_addr back;
    far_addr_of(&sa, host_addr(&v6, &sa), &back);
    CHECK(memcmp(&back, &v6, sizeof v6) == 0);
    far_addr_of(&sa, host_addr(&v4, &sa), &back);
    CHECK(memcmp(&back, &v4, sizeof v4) == 0);
    CHECK_EQ(((struct sockaddr_in *)&sa)->sin_port, htons(80));
}

TEST(a_strange_family_is_left_to_the_kernel) {
    struct far_addr a = {.family = 77};
    struct sockaddr_storage sa;
    CHECK_EQ(host_addr(&a, &sa), sizeof(struct sockaddr_in));
    CHECK_EQ(sa.ss_family, 77);
    far_addr_of(&sa, sizeof(struct sockaddr_in), &a);
    CHECK_EQ(a.family, 0);
    far_addr_of(&sa, 0, &a);
    CHECK_EQ(a.family, 0);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(errors_have_the_protocols_numbers),
        CASE(every_error_of_the_link_comes_from_its_own_errno),
        CASE(a_result_is_the_answer_or_errno),
        CASE(lookup_errors_have_numbers_of_their_own),
        CASE(families_types_and_shuts_go_both_ways_or_not_at_all),
        CASE(unknown_lookup_flags_stay_unknown),
        CASE(options_are_an_allowlist),
        CASE(addresses_survive_the_journey),
        CASE(a_strange_family_is_left_to_the_kernel),
    };
    return RUN_TESTS(cases);
}
