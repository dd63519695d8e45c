// Options of Linux that the C library's headers may lack.
// SPDX-License-Identifier: MIT
#ifndef FARSOCKD_HOST_OPTIONS_H
#define FARSOCKD_HOST_OPTIONS_H

#ifndef SO_NO_CHECK
    #define SO_NO_CHECK 11
#endif
#ifndef UDP_GRO
    #define UDP_GRO 104
#endif
#ifndef SO_DETACH_FILTER
    #define SO_DETACH_FILTER 27
#endif
#ifndef SO_RXQ_OVFL
    #define SO_RXQ_OVFL 40
#endif
#ifndef SO_WIFI_STATUS
    #define SO_WIFI_STATUS 41
#endif
#ifndef SO_NOFCS
    #define SO_NOFCS 43
#endif
#ifndef SO_LOCK_FILTER
    #define SO_LOCK_FILTER 44
#endif
#ifndef SO_SELECT_ERR_QUEUE
    #define SO_SELECT_ERR_QUEUE 45
#endif
#ifndef SO_BUSY_POLL
    #define SO_BUSY_POLL 46
#endif
#ifndef SO_BPF_EXTENSIONS
    #define SO_BPF_EXTENSIONS 48
#endif
#ifndef SO_CNX_ADVICE
    #define SO_CNX_ADVICE 53
#endif
#ifndef SO_MEMINFO
    #define SO_MEMINFO 55
#endif
#ifndef SO_INCOMING_NAPI_ID
    #define SO_INCOMING_NAPI_ID 56
#endif
#ifndef SO_COOKIE
    #define SO_COOKIE 57
#endif
#ifndef SO_TXTIME
    #define SO_TXTIME 61
#endif
#ifndef SO_BINDTOIFINDEX
    #define SO_BINDTOIFINDEX 62
#endif
#ifndef SO_DETACH_REUSEPORT_BPF
    #define SO_DETACH_REUSEPORT_BPF 68
#endif
#ifndef SO_PREFER_BUSY_POLL
    #define SO_PREFER_BUSY_POLL 69
#endif
#ifndef SO_BUSY_POLL_BUDGET
    #define SO_BUSY_POLL_BUDGET 70
#endif
#ifndef SO_NETNS_COOKIE
    #define SO_NETNS_COOKIE 71
#endif
#ifndef SO_BUF_LOCK
    #define SO_BUF_LOCK 72
#endif
#ifndef SO_RESERVE_MEM
    #define SO_RESERVE_MEM 73
#endif
#ifndef SO_TXREHASH
    #define SO_TXREHASH 74
#endif
#ifndef IP_ROUTER_ALERT
    #define IP_ROUTER_ALERT 5
#endif
#ifndef IP_RETOPTS
    #define IP_RETOPTS 7
#endif
#ifndef IP_NODEFRAG
    #define IP_NODEFRAG 22
#endif
#ifndef IP_CHECKSUM
    #define IP_CHECKSUM 23
#endif
#ifndef IP_RECVFRAGSIZE
    #define IP_RECVFRAGSIZE 25
#endif
#ifndef IP_RECVERR_RFC4884
    #define IP_RECVERR_RFC4884 26
#endif
#ifndef IP_UNBLOCK_SOURCE
    #define IP_UNBLOCK_SOURCE 37
#endif
#ifndef IP_BLOCK_SOURCE
    #define IP_BLOCK_SOURCE 38
#endif
#ifndef IP_MSFILTER
    #define IP_MSFILTER 41
#endif
#ifndef MCAST_JOIN_GROUP
    #define MCAST_JOIN_GROUP 42
#endif
#ifndef MCAST_BLOCK_SOURCE
    #define MCAST_BLOCK_SOURCE 43
#endif
#ifndef MCAST_UNBLOCK_SOURCE
    #define MCAST_UNBLOCK_SOURCE 44
#endif
#ifndef MCAST_LEAVE_GROUP
    #define MCAST_LEAVE_GROUP 45
#endif
#ifndef MCAST_JOIN_SOURCE_GROUP
    #define MCAST_JOIN_SOURCE_GROUP 46
#endif
#ifndef MCAST_LEAVE_SOURCE_GROUP
    #define MCAST_LEAVE_SOURCE_GROUP 47
#endif
#ifndef IP_PROTOCOL
    #define IP_PROTOCOL 52
#endif
#ifndef TCP_THIN_DUPACK
    #define TCP_THIN_DUPACK 17
#endif
#ifndef TCP_FASTOPEN_KEY
    #define TCP_FASTOPEN_KEY 33
#endif
#ifndef TCP_FASTOPEN_NO_COOKIE
    #define TCP_FASTOPEN_NO_COOKIE 34
#endif
#ifndef TCP_TX_DELAY
    #define TCP_TX_DELAY 37
#endif
#ifndef TCP_IS_MPTCP
    #define TCP_IS_MPTCP 43
#endif
#ifndef TCP_RTO_MAX_MS
    #define TCP_RTO_MAX_MS 44
#endif
#ifndef TCP_RTO_MIN_US
    #define TCP_RTO_MIN_US 45
#endif
#ifndef TCP_DELACK_MAX_US
    #define TCP_DELACK_MAX_US 46
#endif
#ifndef IPV6_FLOWINFO
    #define IPV6_FLOWINFO 11
#endif
#ifndef IPV6_ROUTER_ALERT
    #define IPV6_ROUTER_ALERT 22
#endif
#ifndef IPV6_JOIN_ANYCAST
    #define IPV6_JOIN_ANYCAST 27
#endif
#ifndef IPV6_LEAVE_ANYCAST
    #define IPV6_LEAVE_ANYCAST 28
#endif
#ifndef IPV6_ROUTER_ALERT_ISOLATE
    #define IPV6_ROUTER_ALERT_ISOLATE 30
#endif
#ifndef IPV6_RECVERR_RFC4884
    #define IPV6_RECVERR_RFC4884 31
#endif
#ifndef IPV6_FLOWINFO_SEND
    #define IPV6_FLOWINFO_SEND 33
#endif
#ifndef IPV6_HDRINCL
    #define IPV6_HDRINCL 36
#endif
#ifndef IPV6_AUTOFLOWLABEL
    #define IPV6_AUTOFLOWLABEL 70
#endif
#ifndef IPV6_ADDR_PREFERENCES
    #define IPV6_ADDR_PREFERENCES 72
#endif
#ifndef IPV6_RECVORIGDSTADDR
    #define IPV6_RECVORIGDSTADDR 74
#endif
#ifndef IPV6_TRANSPARENT
    #define IPV6_TRANSPARENT 75
#endif
#ifndef IPV6_RECVFRAGSIZE
    #define IPV6_RECVFRAGSIZE 77
#endif
#ifndef ICMP6_FILTER
    #define ICMP6_FILTER 1
#endif
#ifndef ICMP_FILTER
    #define ICMP_FILTER 1
#endif
#ifndef IP_LOCAL_PORT_RANGE
    #define IP_LOCAL_PORT_RANGE 51
#endif
#ifndef TCP_NOTSENT_LOWAT
    #define TCP_NOTSENT_LOWAT 25
#endif
#ifndef TCP_CC_INFO
    #define TCP_CC_INFO 26
#endif
#ifndef IPV6_MULTICAST_ALL
    #define IPV6_MULTICAST_ALL 29
#endif
#ifndef IPV6_UNICAST_IF
    #define IPV6_UNICAST_IF 76
#endif
#ifndef TCP_FASTOPEN_CONNECT
    #define TCP_FASTOPEN_CONNECT 30
#endif
#ifndef UDP_SEGMENT
    #define UDP_SEGMENT 103
#endif

#endif
