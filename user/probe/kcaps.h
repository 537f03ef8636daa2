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
	X(sched_waking)              \
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
	bool fentry;	 /* a program at a function's entry loads */
	bool kprobe;	 /* the kernel can probe functions the old way */
	bool ringbuf;	 /* a ring buffer can be made */
	bool tun_types;	 /* types of the tun driver, in the kernel or its module */
	bool sched_info; /* tasks carry their run-queue delay */
	bool drop_reason; /* kfree_skb tells why */
	uint32_t qdisc_drop; /* number of the reason QDISC_DROP, 0 if there is none */
	uint8_t tp_args[VS_TP__N]; /* arguments of a tracepoint; 0: absent */
	struct btf *vmlinux;	   /* NULL without btf, and once forgotten */
	char **reasons;		   /* names by number, NULL where there is none; or NULL */
	uint32_t reasons_n;
	char others[32][32];	   /* names made for reasons of other subsystems */
};

/* Functions that vhost probes attach to; modules come and go, so these facts do. */
#define VS_VHOST_FUNCS(X)          \
	X(vhost, vhost_poll_wakeup)   \
	X(vhost, vhost_add_used_and_signal_n) \
	X(vhost_net, handle_rx_kick)  \
	X(vhost_net, handle_tx_kick)  \
	X(vhost_net, handle_rx_net)   \
	X(vhost_net, handle_tx_net)   \
	X(vhost_net, vhost_net_busy_poll) \
	X(vmlinux, eventfd_signal)    \
	X(vmlinux, eventfd_signal_mask)
enum vs_vhost_func {
#define X(module, func) VS_VHOST_##func,
	VS_VHOST_FUNCS(X)
#undef X
	VS_VHOST_FUNC__N,
};

struct vs_vhost_facts {
	bool loaded;	/* the module vhost_net, or it is built in */
	bool types;	/* its structures are known */
	bool funcs[VS_VHOST_FUNC__N];
};

/* What is there of vhost now. Takes some ms: loads the modules' type information. */
void vs_kcaps_vhost(const struct vs_kcaps *caps, struct vs_vhost_facts *ret);
/* Are the types of the tun driver known now? Its module may have been loaded since. */
bool vs_kcaps_tun_types(const struct vs_kcaps *caps);

/**
 * vs_kcaps_probe() - find out. Takes some ms; loads and drops tiny programs.
 *
 * Return: 0 or -ENOMEM. What cannot be known reads as not there.
 */
int vs_kcaps_probe(struct vs_kcaps *ret);
void vs_kcaps_done(struct vs_kcaps *caps);
/* Gives back the memory of the kernel's types, some 8 MiB; who needs them once more
 * (the two above) reads them anew. */
void vs_kcaps_forget_types(struct vs_kcaps *caps);

const char *vs_tp_name(enum vs_tp tp);

/**
 * vs_kcaps_reason() - name of a drop reason, without its prefix.
 * Return: text that lives as long as @caps, "" for reason 0 and without BTF. Numbers
 * that no enum holds (of other subsystems) come as "SUBSYS_n_m".
 */
const char *vs_kcaps_reason(struct vs_kcaps *caps, uint32_t reason);
