/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "model/drop.h"

#include "abi.h"
#include "base/text.h"

#include <stddef.h>
#include <string.h>

static bool any_prefix(const char *s, const char *const *prefixes)
{
	for (; *prefixes; prefixes++)
		if (vs_text_starts(s, *prefixes))
			return true;
	return false;
}

static bool any_equal(const char *s, const char *const *words)
{
	for (; *words; words++)
		if (strcmp(s, *words) == 0)
			return true;
	return false;
}

/* Frees on the way from the guest into the stack, before skb_iif is set: BPF
 * takes them for packets on their way into the guest. */
static const char *const from_guest[] = { "tun_get_user",    "tun_build_skb", "tun_xdp_one",
					  "tun_rx_batched",  "tun_napi",      "tun_sendmsg",
					  "tun_chr_write",   "tap_get_user",  "tap_sendmsg",
					  "netif_receive",   "__netif_receive", "netif_rx",
					  "enqueue_to_back", "do_xdp_generic", "napi_gro",
					  "dev_gro",	     NULL };

/* Reader or device goes away with packets in hand. */
static const char *const teardown[] = { "tun_queue_purge", "tun_ptr_free",   "tun_detach",
					"__tun_detach",	   "tun_chr_close",  "tun_free_netdev",
					"tap_put_queue",   "tap_del_queues", "ptr_ring_cleanup",
					"__skb_array_des", "qdisc_reset",    "__qdisc_reset",
					"qdisc_destroy",   "__qdisc_destroy", "pfifo_fast_reset",
					"dev_deactivate",  "rtnl_kfree_skbs", "skb_queue_purge",
					"__skb_queue_purge", "unregister_net", "netdev_run_todo",
					"flush_backlog",   "dev_cpu_dead",   "neigh_flush",
					NULL };

/* The host's own protocols: the packet arrived, its receiver did not want it. */
static const char *const host_local[] = { "tcp_",   "udp_",  "__udp",  "udpv6", "icmp",	 "igmp",
					  "mld_",   "ndisc", "arp_",   "raw_",	"rawv6", "ip_local",
					  "ip6_input", "ip6_mc", "ipv6_mc", "packet_rcv", "tpacket_rcv",
					  "llc_",   "stp_",  NULL };

/* A bridge frees what no port takes; for a frame that it flooded this is the
 * ordinary end. */
static const char *const bridge_benign[] = { "br_flood", "br_forward", "__br_forward",
					     "br_handle_frame", "br_multicast_flood", NULL };

static const char *const benign_reasons[] = { "OTHERHOST",    "UNHANDLED_PROTO", "NO_SOCKET",
					      "SKB_CONSUMED",
					      "PACKET_SOCK_ERROR", NULL };

static const char *const qdisc_symbols[] = { "__dev_queue_xmit", "__dev_xmit_skb", "sch_direct_xmit",
					     "qdisc_", "__qdisc_", "tbf_", "htb_", "fq_", "pfifo",
					     "bfifo", "sfq_", "red_", "prio_", "hfsc_", "cake_",
					     "noop_enqueue", "dev_qdisc", "net_tx_action", NULL };

static const char *const filter_symbols[] = { "nf_",	 "nft_",  "ebt_",	  "ipt_", "ip6t_",
					      "tcf_",	 "tcx_",  "sch_handle_", "bpf_", "do_xdp_generic",
					      "netkit_", NULL };

static const char *const filter_reasons[] = { "NETFILTER_DROP", "TC_INGRESS", "TC_EGRESS", "XDP",
					      "BPF_CGROUP_EGRESS", NULL };

static enum vs_site site_of(const char *reason, const char *symbol)
{
	if (vs_text_starts(symbol, "tun_") || vs_text_starts(symbol, "__tun_") ||
	    vs_text_starts(symbol, "tap_") || vs_text_starts(symbol, "macvtap"))
		return VS_SITE_TAP;
	if (any_equal(reason, filter_reasons) || any_prefix(symbol, filter_symbols))
		return VS_SITE_FILTER;
	if (vs_text_starts(reason, "QDISC_") || any_prefix(symbol, qdisc_symbols))
		return VS_SITE_QDISC;
	if (vs_text_starts(reason, "BRIDGE_") || vs_text_starts(symbol, "br_") ||
	    vs_text_starts(symbol, "__br_"))
		return VS_SITE_BRIDGE;
	return VS_SITE_OTHER;
}

static enum vs_class class_of(const char *reason, const char *symbol)
{
	if (any_prefix(symbol, teardown) || strcmp(reason, "QUEUE_PURGE") == 0)
		return VS_CLASS_TEARDOWN;
	if (any_equal(reason, benign_reasons) || any_prefix(symbol, host_local))
		return VS_CLASS_BENIGN;
	if (any_prefix(symbol, bridge_benign) &&
	    (!*reason || strcmp(reason, "NOT_SPECIFIED") == 0 || strcmp(reason, "NO_TX_TARGET") == 0))
		return VS_CLASS_BENIGN;
	return VS_CLASS_LOSS;
}

struct vs_drop_kind vs_drop_classify(const char *reason, const char *symbol, uint8_t direction,
				     uint8_t flags)
{
	struct vs_drop_kind kind = {
		.site = site_of(reason, symbol),
		.class = class_of(reason, symbol),
		.direction = direction,
	};

	if ((flags & VS_DROP_IIF0) && direction == VS_DIR_RX && any_prefix(symbol, from_guest))
		kind.direction = VS_DIR_TX;

	kind.by_noop = kind.direction == VS_DIR_RX && strcmp(symbol, "noop_enqueue") == 0;
	if (kind.direction == VS_DIR_RX)
		/* tun_net_xmit counts every refusal */
		kind.kernel_counts = strcmp(symbol, "tun_net_xmit") == 0;
	else if (!(flags & VS_DROP_PEER))
		kind.kernel_counts =
			vs_text_starts(symbol, "tun_get_user") ||
			strcmp(symbol, "enqueue_to_backlog") == 0 ||
			(vs_text_starts(symbol, "__netif_receive_skb") &&
			 (!*reason || strcmp(reason, "UNHANDLED_PROTO") == 0));
	if (flags & VS_DROP_PEER)
		kind.site = VS_SITE_PEER;
	return kind;
}

const char *vs_site_name(enum vs_site site)
{
	static const char *const names[] = {
#define X(name, label) [VS_SITE_##name] = label,
		VS_SITES(X)
#undef X
	};

	return names[site];
}

const char *vs_class_name(enum vs_class class)
{
	static const char *const names[] = {
#define X(name, label) [VS_CLASS_##name] = label,
		VS_CLASSES(X)
#undef X
	};

	return names[class];
}
