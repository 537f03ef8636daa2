// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Programs that do nothing, on the hooks that virtscope uses.
 *
 * What the kernel reports as a program's run time holds the price of reading
 * the clock twice, some 50 ns.  An empty program of the same type on the same
 * hook, measured in the same second, is the only honest zero line.
 *
 * tp_btf and raw_tp are the types of our own programs, tp is what bpftrace
 * uses.  The loader decides by hook which of them exist on this kernel; those
 * with a question mark, of tier 2, only if it is asked for them.
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
#define EMPTY_FUNC(func)                                                       \
	EMPTY_PROG("?fentry/" #func, ef_##func)                                \
	EMPTY_PROG("?kprobe/" #func, ek_##func)
#define EMPTY_RETURN(func)                                                     \
	EMPTY_PROG("?fexit/" #func, efx_##func)                                \
	EMPTY_PROG("?kretprobe/" #func, ekr_##func)

/* clang-format off */
EMPTY(net, net_dev_start_xmit)
EMPTY(net, net_dev_xmit)
EMPTY(skb, skb_copy_datagram_iovec)
EMPTY(skb, kfree_skb)
EMPTY(block, block_io_start)
EMPTY(block, block_rq_insert)
EMPTY(block, block_rq_issue)
EMPTY(block, block_rq_complete)

EMPTY_FUNC(vhost_poll_wakeup)
EMPTY_FUNC(handle_rx_kick)
EMPTY_FUNC(handle_tx_kick)
EMPTY_FUNC(handle_rx_net)
EMPTY_FUNC(handle_tx_net)
EMPTY_FUNC(vhost_add_used_and_signal_n)
EMPTY_FUNC(eventfd_signal)
EMPTY_FUNC(eventfd_signal_mask)
EMPTY_FUNC(vhost_net_busy_poll)
EMPTY_RETURN(handle_rx_kick)
EMPTY_RETURN(handle_tx_kick)
EMPTY_RETURN(handle_rx_net)
EMPTY_RETURN(handle_tx_net)
EMPTY_RETURN(vhost_net_busy_poll)
EMPTY_PROG("?raw_tp/netif_receive_skb", ew_netif_receive_skb)
EMPTY_PROG("?raw_tp/sched_waking", ew_sched_waking)
EMPTY_PROG("?raw_tp/sched_switch", ew_sched_switch)
EMPTY_PROG("?raw_tp/kvm_msi_set_irq", ew_kvm_msi_set_irq)
/* clang-format on */
