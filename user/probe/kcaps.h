/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * kcaps.h - facts about this kernel. No decisions: those are plan.h's.
 *
 * Every fact was looked up in the kernel's own type information or tried, none
 * follows from a version.
 *
 * Layer:   probe
 * State:   struct vs_kcaps
 * Threads: any
 */
#pragma once
#include <bpf/btf.h>
#include <stdbool.h>
#include <stdint.h>

/* The tracepoints that we can use. */
#define VS_TPS(X)                    \
	X(net_dev_start_xmit)        \
	X(skb_copy_datagram_iovec)   \
	X(kfree_skb)                 \
	X(netif_receive_skb)         \
	X(block_io_start)            \
	X(block_rq_insert)           \
	X(block_rq_issue)            \
	X(block_rq_complete)         \
	X(block_rq_merge)            \
	X(sched_process_exec)        \
	X(qdisc_create)              \
	X(qdisc_reset)               \
	X(sched_switch)              \
	X(sched_wakeup)              \
	X(sched_migrate_task)
enum vs_tp {
#define X(name) VS_TP_##name,
	VS_TPS(X)
#undef X
	VS_TP__N,
};

struct vs_kcaps {
	int bpf_error;	 /* 0, or the errno of trying to use bpf() */
	bool btf;	 /* /sys/kernel/btf/vmlinux was read */
	bool tp_btf;	 /* a typed tracepoint program loads */
	bool raw_tp;	 /* a raw tracepoint program loads */
	bool iter;	 /* a file iterator program loads */
	bool ringbuf;	 /* a ring buffer can be made */
	bool tun_types;	 /* types of the tun driver, in the kernel or its module */
	bool sched_info; /* tasks carry their run-queue delay */
	bool drop_reason; /* kfree_skb tells why */
	uint32_t qdisc_drop; /* number of the reason QDISC_DROP, 0 if there is none */
	uint8_t tp_args[VS_TP__N]; /* arguments of a tracepoint; 0: absent */
	struct btf *vmlinux;	   /* NULL without btf */
	char others[32][32];	   /* names made for reasons of other subsystems */
};

/**
 * vs_kcaps_probe() - find out. Takes some ms; loads and drops tiny programs.
 *
 * Return: 0 or -ENOMEM. What cannot be known reads as not there.
 */
int vs_kcaps_probe(struct vs_kcaps *ret);
void vs_kcaps_done(struct vs_kcaps *caps);

const char *vs_tp_name(enum vs_tp tp);

/**
 * vs_kcaps_reason() - name of a drop reason, without its prefix.
 * Return: text that lives as long as @caps, "" for reason 0 and without BTF. Numbers
 * that no enum holds (of other subsystems) come as "SUBSYS_n_m".
 */
const char *vs_kcaps_reason(struct vs_kcaps *caps, uint32_t reason);
