// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that do nothing, on the hooks that virtscope uses.
 *
 * What the kernel reports as a program's run time holds the price of reading
 * the clock twice, some 50 ns.  An empty program of the same type on the same
 * hook, measured in the same second, is the only honest zero line.
 *
 * tp_btf and raw_tp are the types of our own programs, tp is what bpftrace
 * uses.  The loader decides by hook which of them exist on this kernel.
 */
#include "vmlinux.h"
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "GPL";

#define EMPTY_PROG(section, name)                                              \
	SEC(section) int name(void *ctx)                                       \
	{                                                                      \
		(void)ctx;                                                     \
		return 0;                                                      \
	}
#define EMPTY(group, hook)                                                     \
	EMPTY_PROG("tp_btf/" #hook, eb_##hook)                                 \
	EMPTY_PROG("raw_tp/" #hook, er_##hook)                                 \
	EMPTY_PROG("tp/" #group "/" #hook, et_##hook)

/* clang-format off */
EMPTY(net, net_dev_start_xmit)
EMPTY(net, net_dev_xmit)
EMPTY(skb, skb_copy_datagram_iovec)
EMPTY(skb, kfree_skb)
EMPTY(block, block_io_start)
EMPTY(block, block_rq_insert)
EMPTY(block, block_rq_issue)
EMPTY(block, block_rq_complete)
/* clang-format on */
