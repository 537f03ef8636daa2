/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * discover.bpf.c - a process that may be a VMM has been started.
 *
 * A guest under software emulation announces itself by neither a KVM uevent
 * nor, without a tap, a link message; its exec does.
 */
#include "compat.bpf.h"
#include "maps.bpf.h"

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
