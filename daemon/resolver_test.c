// Name lookups over a link.
// SPDX-License-Identifier: MIT
#include "daemon/rig_test.h"

static struct rig rig;

static int32_t lookup(uint32_t tag, const char *host, const char *service,
    uint32_t flags) {
    struct {
        struct far_req_getaddrinfo req;
        char strings[200];
    } m = {
        .req =
            {
                .type = FAR_SOCK_STREAM,
                .flags = flags,
                .host_len = host ? (uint16_t)strlen(host) : FAR_NO_STRING,
                .service_len =
                    service ? (uint16_t)strlen(service) : FAR_NO_STRING,
            },
    };
    char *at = m.strings;
    if (host) {
        memcpy(at, host, m.req.host_len);
        at += m.req.host_len;
    }
    if (service) {
        memcpy(at, service, m.req.service_len);
        at += m.req.service_len;
    }
    rig_put(&rig, FAR_OP_GETADDRINFO, tag, 0, &m, (size_t)(at - (char *)&m));
    return rig_wait(&rig, tag);
}

TEST(numbers_are_resolved) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(lookup(1, "127.0.0.1", "80", FAR_AI_NUMERICHOST), 0);
    struct far_rep_gai rep;
    struct far_gai_entry e;
    memcpy(&rep, rig.data, sizeof rep);
    memcpy(&e, rig.data + sizeof rep, sizeof e);
    CHECK_EQ(rep.count, 1);
    CHECK_EQ(rep.canon_len, 0);
    CHECK_EQ(e.addr.family, FAR_AF_INET);
    CHECK_EQ(e.addr.port, 80);
    CHECK_EQ(e.addr.ip[0], 127);
    CHECK_EQ(e.type, FAR_SOCK_STREAM);
    rig_down(&rig);
}

TEST(failures_have_the_links_numbers) {
    rig_up(&rig, (struct rig_options){0});
    CHECK_EQ(lookup(1, "no number", "80", FAR_AI_NUMERICHOST), FAR_EAI_NONAME);
    CHECK_EQ(lookup(2, NULL, NULL, 0), FAR_EAI_NONAME);
    CHECK_EQ(lookup(3, "127.0.0.1", "80", 0x10000), FAR_EAI_BADFLAGS);
    CHECK_EQ(lookup(4, "127.0.0.1", "no service", 0), FAR_EAI_SERVICE);
    rig_down(&rig);
}

TEST(strings_outside_the_message_are_refused) {
    rig_up(&rig, (struct rig_options){0});
    struct far_req_getaddrinfo req = {
        .host_len = 500,
        .service_len = FAR_NO_STRING,
    };
    rig_put(&rig, FAR_OP_GETADDRINFO, 1, 0, &req, sizeof req);
    CHECK_EQ(rig_wait(&rig, 1), FAR_EAI_NONAME);
    rig_down(&rig);
}

TEST(addresses_have_names) {
    rig_up(&rig, (struct rig_options){0});
    struct far_req_getnameinfo req = {
        .addr = rig_addr(9).addr,
        .flags = FAR_NI_NUMERICHOST | FAR_NI_NUMERICSERV,
    };
    rig_put(&rig, FAR_OP_GETNAMEINFO, 1, 0, &req, sizeof req);
    CHECK_EQ(rig_wait(&rig, 1), 0);
    struct far_rep_gni rep;
    memcpy(&rep, rig.data, sizeof rep);
    CHECK_EQ(rep.host_len, 9);
    CHECK(memcmp(rig.data + sizeof rep, "127.0.0.19", 10) == 0);
    rig_down(&rig);
}

TEST(a_cancel_is_answered_and_the_tag_works_again) {
    rig_up(&rig, (struct rig_options){0});
    struct {
        struct far_req_getaddrinfo req;
        char host[9];
    } m = {
        {.host_len = 9, .service_len = FAR_NO_STRING},
        {'1', '2', '7', '.', '0', '.', '0', '.', '1'},
    };
    for (int i = 0; i < 100; i++) {
        rig_put(&rig, FAR_OP_GETADDRINFO, 2, 0, &m, sizeof m.req + 9);
        rig_put(&rig, FAR_OP_CANCEL, 2, 0, NULL, 0);
        int32_t r = rig_wait(&rig, 2);
        CHECK(r == 0 || r == FAR_EAI_SYSTEM);
    }
    CHECK(!rig.gone);
    rig_down(&rig);
}

TEST(a_fetch_of_nothing_is_refused) {
    rig_up(&rig, (struct rig_options){0});
    struct far_req_fetch req = {.offset = 0};
    CHECK_EQ(rig_ask(&rig, FAR_OP_FETCH, 0, &req, sizeof req), FAR_EINVAL);
    rig_down(&rig);
}

TEST(more_lookups_than_half_of_the_tags_are_put_off) {
    rig_up(&rig, (struct rig_options){0});
    struct {
        struct far_req_getaddrinfo req;
        char host[9];
    } m = {
        {.host_len = 9, .service_len = FAR_NO_STRING},
        {'1', '2', '7', '.', '0', '.', '0', '.', '1'},
    };
    for (uint32_t t = 1; t <= 8; t++) {
        rig_put(&rig, FAR_OP_GETADDRINFO, t, 0, &m, sizeof m.req + 9);
    }
    int done = 0;
    int put_off = 0;
    struct far_msg msg;
    while (done + put_off < 8 && rig_get(&rig, &msg, PATIENCE_MS)) {
        done += rig.result == 0;
        put_off += rig.result == FAR_EAI_AGAIN;
    }
    CHECK_EQ(done + put_off, 8);
    CHECK(done >= 4);
    rig_down(&rig);
}

int main(void) {
    static const struct test_case cases[] = {
        CASE(numbers_are_resolved),
        CASE(failures_have_the_links_numbers),
        CASE(strings_outside_the_message_are_refused),
        CASE(addresses_have_names),
        CASE(a_cancel_is_answered_and_the_tag_works_again),
        CASE(a_fetch_of_nothing_is_refused),
        CASE(more_lookups_than_half_of_the_tags_are_put_off),
    };
    return RUN_TESTS(cases);
}
