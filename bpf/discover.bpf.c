/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * discover.bpf.c - a process that may be a VMM was started; a tap came or went.
 *
 * A guest under software emulation announces itself by neither a KVM uevent
 * nor, without a tap, a link message; its exec does. And rtnetlink speaks of
 * our own network namespace only: a tap in a pod's shows by its queueing
 * discipline, made when it comes up and reset when its reader goes away.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"
#include "vm.bpf.h"

char LICENSE[] SEC("license") = "GPL";

/* First four letters of the VMMs' names; 0 ends the list. */
const volatile __u32 cfg_vmm_prefix[16] = {};

static __always_inline int execed(struct task_struct *t)
{
	struct vs_event e = { .type = VS_EVENT_EXEC };
	union {
		char comm[16];
		__u32 prefix;
	} u = {};

	bpf_get_current_comm(u.comm, sizeof(u.comm));
	for (int i = 0; i < 16 && cfg_vmm_prefix[i]; i++) {
		if (cfg_vmm_prefix[i] != u.prefix)
			continue;
		e.pid = bpf_get_current_pid_tgid() >> 32;
		vs_tell(&e);
		break;
	}
	return 0;
}

SEC("?tp_btf/sched_process_exec")
int vs_exec(__u64 *ctx)
{
	return execed((void *)ctx[0]);
}

SEC("?raw_tp/sched_process_exec")
int vs_exec_raw(struct bpf_raw_tracepoint_args *ctx)
{
	return execed((void *)ctx->args[0]);
}

static __always_inline int tap_changed(struct net_device *dev)
{
	struct vs_event e = { .type = VS_EVENT_TAP };

	if (!dev || !vs_is_tap(dev))
		return 0;
	e.dev.ifindex = BPF_CORE_READ(dev, ifindex);
	e.dev.netns_cookie = vs_dev_netns(dev);
	vs_tell(&e);
	return 0;
}

SEC("?raw_tp/qdisc_create")
int vs_tap_up(struct bpf_raw_tracepoint_args *ctx)
{
	return tap_changed((void *)ctx->args[1]);
}

SEC("?raw_tp/qdisc_reset")
int vs_tap_down(struct bpf_raw_tracepoint_args *ctx)
{
	struct Qdisc *q = (void *)ctx->args[0];

	return tap_changed(BPF_CORE_READ(q, dev_queue, dev));
}
