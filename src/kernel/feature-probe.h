/* SPDX-License-Identifier: Apache-2.0 */
/*
 * feature-probe: the probes behind the rows of feature.c. Each tries the real thing on a child or
 * an object of its own and removes it again; detail is as in struct feature.
 */
#pragma once

#include "kernel/feature.h"

/* feature-probe-task.c: what is done to other tasks */
enum feature_state probe_pidfd_getfd(char *detail);
enum feature_state probe_kcmp(char *detail);
enum feature_state probe_kcmp_epoll(char *detail);
enum feature_state probe_process_vm(char *detail);
enum feature_state probe_clone3_set_tid(char *detail);
enum feature_state probe_proc_children(char *detail);
enum feature_state probe_timer_restore_ids(char *detail);
enum feature_state probe_set_mm(char *detail);
enum feature_state probe_time_ns(char *detail);
enum feature_state probe_capabilities(char *detail);
enum feature_state probe_cap_sys_resource(char *detail);

/* feature-probe-memory.c: finding and tracking pages */
enum feature_state probe_pagemap_scan(char *detail);
enum feature_state probe_pagemap_pfn(char *detail);
enum feature_state probe_soft_dirty(char *detail);
enum feature_state probe_uffd_wp_async(char *detail);
enum feature_state probe_map_files(char *detail);

/* feature-probe-net.c: sockets */
enum feature_state probe_tcp_repair(char *detail);
enum feature_state probe_so_peek_off(char *detail);
enum feature_state probe_sock_diag_tcp(char *detail);
enum feature_state probe_sock_diag_udp(char *detail);
enum feature_state probe_sock_diag_raw(char *detail);
enum feature_state probe_sock_diag_unix(char *detail);
enum feature_state probe_sock_diag_netlink(char *detail);
enum feature_state probe_sock_diag_packet(char *detail);
enum feature_state probe_net_ns(char *detail);

/* feature-probe-fs.c: mounts and files */
enum feature_state probe_overlayfs(char *detail);
enum feature_state probe_mount_api(char *detail);
enum feature_state probe_openat2(char *detail);
enum feature_state probe_cgroup(char *detail);
enum feature_state probe_open_by_handle(char *detail);
