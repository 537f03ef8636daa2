/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "abi.h"
#include "model/drop.h"

struct expected {
	const char *reason, *symbol;
	uint8_t direction, flags;
	enum vs_site site;
	enum vs_class class;
	uint8_t is_direction;
	bool counted;
};

#define RX   VS_DIR_RX
#define TX   VS_DIR_TX
#define IIF0 VS_DROP_IIF0
#define PEER VS_DROP_PEER

static void check(const struct expected *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const struct expected *e = &rows[i];
		struct vs_drop_kind k = vs_drop_classify(e->reason, e->symbol, e->direction, e->flags);

		if (k.site != e->site || k.class != e->class || k.direction != e->is_direction ||
		    k.kernel_counts != e->counted)
			print_error("%s@%s: site %s, class %s, direction %d, counted %d\n", e->reason,
				    e->symbol, vs_site_name(k.site), vs_class_name(k.class),
				    k.direction, k.kernel_counts);
		assert_int_equal(k.site, e->site);
		assert_int_equal(k.class, e->class);
		assert_int_equal(k.direction, e->is_direction);
		assert_int_equal(k.kernel_counts, e->counted);
	}
}
#define CHECK(...)                                            \
	do {                                                  \
		static const struct expected rows[] = { __VA_ARGS__ }; \
		check(rows, COUNT(rows));                     \
	} while (0)

static void refusals_of_the_tap_driver_are_counted_losses(void **state)
{
	(void)state;
	CHECK({ "FULL_RING", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true },
	      { "DEV_READY", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true },
	      { "SOCKET_FILTER", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true },
	      { "TAP_FILTER", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true },
	      { "TAP_TXFILTER", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true },
	      { "FULL_RING", "tun_net_xmit", RX, IIF0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true });
}

static void refusal_is_counted_without_a_reason_too(void **state)
{
	(void)state;
	CHECK({ "", "tun_net_xmit", RX, 0, VS_SITE_TAP, VS_CLASS_LOSS, RX, true });
}

static void shaping_drop_is_a_loss_that_the_tap_does_not_count(void **state)
{
	(void)state;
	CHECK({ "QDISC_DROP", "__dev_queue_xmit", RX, 0, VS_SITE_QDISC, VS_CLASS_LOSS, RX, false },
	      { "QDISC_OVERLIMIT", "__dev_queue_xmit", RX, 0, VS_SITE_QDISC, VS_CLASS_LOSS, RX, false },
	      { "", "tbf_enqueue", RX, 0, VS_SITE_QDISC, VS_CLASS_LOSS, RX, false });
}

static void noop_qdisc_of_a_tap_without_reader_is_told_apart(void **state)
{
	struct vs_drop_kind k = vs_drop_classify("QDISC_DROP", "noop_enqueue", RX, 0);

	(void)state;
	assert_int_equal(k.class, VS_CLASS_LOSS);
	assert_int_equal(k.direction, RX);
	assert_true(k.by_noop);
	assert_false(k.kernel_counts); /* that is for the running kernel to say */
	k = vs_drop_classify("QDISC_DROP", "__dev_queue_xmit", RX, 0);
	assert_false(k.by_noop);
	assert_true(k.site == VS_SITE_QDISC || k.site == VS_SITE_TAP);
}

static void purge_of_a_closing_reader_is_teardown(void **state)
{
	(void)state;
	CHECK({ "NOT_SPECIFIED", "tun_queue_purge", RX, 0, VS_SITE_TAP, VS_CLASS_TEARDOWN, RX, false },
	      { "", "tun_queue_purge", RX, 0, VS_SITE_TAP, VS_CLASS_TEARDOWN, RX, false },
	      { "QUEUE_PURGE", "", RX, 0, VS_SITE_OTHER, VS_CLASS_TEARDOWN, RX, false },
	      { "NOT_SPECIFIED", "tun_ptr_free", RX, IIF0, VS_SITE_TAP, VS_CLASS_TEARDOWN, RX, false });
}

static void unknown_protocol_from_a_guest_is_benign_and_counted(void **state)
{
	(void)state;
	CHECK({ "UNHANDLED_PROTO", "__netif_receive_skb_core", TX, 0, VS_SITE_OTHER,
		VS_CLASS_BENIGN, TX, true },
	      { "UNHANDLED_PROTO", "__netif_receive_skb_core.constprop.0", TX, 0, VS_SITE_OTHER,
		VS_CLASS_BENIGN, TX, true });
}

static void frame_that_the_driver_refuses_from_the_guest_is_tx(void **state)
{
	(void)state;
	CHECK({ "DEV_READY", "tun_get_user", RX, IIF0, VS_SITE_TAP, VS_CLASS_LOSS, TX, true },
	      { "DEV_READY", "tun_get_user", TX, 0, VS_SITE_TAP, VS_CLASS_LOSS, TX, true });
}

static void interface_zero_alone_does_not_turn_a_drop_round(void **state)
{
	(void)state;
	/* the host's own packets into the guest have skb_iif 0, too */
	assert_int_equal(vs_drop_classify("QDISC_DROP", "__dev_queue_xmit", RX, IIF0).direction, RX);
	assert_int_equal(vs_drop_classify("DEV_READY", "tun_get_user", RX, 0).direction, RX);
}

static void drop_at_another_guest_is_at_the_peer_and_not_counted_here(void **state)
{
	(void)state;
	CHECK({ "FULL_RING", "tun_net_xmit", TX, PEER, VS_SITE_PEER, VS_CLASS_LOSS, TX, false },
	      { "UNHANDLED_PROTO", "__netif_receive_skb_core", TX, PEER, VS_SITE_PEER,
		VS_CLASS_BENIGN, TX, false });
}

static void firewall_and_tc_drops_are_at_the_filter(void **state)
{
	(void)state;
	CHECK({ "NETFILTER_DROP", "nf_hook_slow", TX, 0, VS_SITE_FILTER, VS_CLASS_LOSS, TX, false },
	      { "NETFILTER_DROP", "", TX, 0, VS_SITE_FILTER, VS_CLASS_LOSS, TX, false },
	      { "TC_INGRESS", "__netif_receive_skb_core.constprop.0", TX, 0, VS_SITE_FILTER,
		VS_CLASS_LOSS, TX, false },
	      { "", "nft_do_chain", RX, 0, VS_SITE_FILTER, VS_CLASS_LOSS, RX, false },
	      { "XDP", "do_xdp_generic", RX, IIF0, VS_SITE_FILTER, VS_CLASS_LOSS, TX, false });
}

static void frame_that_no_bridge_port_takes_is_benign(void **state)
{
	(void)state;
	CHECK({ "NOT_SPECIFIED", "br_forward", TX, 0, VS_SITE_BRIDGE, VS_CLASS_BENIGN, TX, false },
	      { "", "br_flood", TX, 0, VS_SITE_BRIDGE, VS_CLASS_BENIGN, TX, false },
	      { "NOT_SPECIFIED", "br_handle_frame_finish", TX, 0, VS_SITE_BRIDGE, VS_CLASS_BENIGN, TX,
		false },
	      { "NO_TX_TARGET", "br_flood", TX, 0, VS_SITE_BRIDGE, VS_CLASS_BENIGN, TX, false });
}

static void bridge_drop_with_a_real_reason_is_a_loss(void **state)
{
	(void)state;
	CHECK({ "BRIDGE_INGRESS_STP_STATE", "br_handle_frame_finish", TX, 0, VS_SITE_BRIDGE,
		VS_CLASS_LOSS, TX, false },
	      { "NOMEM", "br_forward", TX, 0, VS_SITE_BRIDGE, VS_CLASS_LOSS, TX, false });
}

static void full_backlog_is_a_counted_loss(void **state)
{
	(void)state;
	CHECK({ "CPU_BACKLOG", "enqueue_to_backlog", TX, 0, VS_SITE_OTHER, VS_CLASS_LOSS, TX, true },
	      { "CPU_BACKLOG", "enqueue_to_backlog", RX, IIF0, VS_SITE_OTHER, VS_CLASS_LOSS, TX,
		true });
}

static void what_the_hosts_own_protocols_discard_is_benign(void **state)
{
	(void)state;
	CHECK({ "NO_SOCKET", "udp_queue_rcv_one_skb", TX, 0, VS_SITE_OTHER, VS_CLASS_BENIGN, TX,
		false },
	      { "OTHERHOST", "ip_rcv_core", TX, 0, VS_SITE_OTHER, VS_CLASS_BENIGN, TX, false },
	      { "NOT_SPECIFIED", "arp_process", TX, 0, VS_SITE_OTHER, VS_CLASS_BENIGN, TX, false });
}

static void garbage_from_a_guest_is_a_loss_that_nobody_counts(void **state)
{
	(void)state;
	CHECK({ "IP_INHDR", "ip_rcv_core", TX, 0, VS_SITE_OTHER, VS_CLASS_LOSS, TX, false });
}

static void drop_of_which_nothing_is_known_is_a_loss(void **state)
{
	(void)state;
	CHECK({ "", "", RX, 0, VS_SITE_OTHER, VS_CLASS_LOSS, RX, false },
	      { "SUBSYS_7_1", "a_function_of_tomorrow", TX, IIF0, VS_SITE_OTHER, VS_CLASS_LOSS, TX,
		false });
}

static void every_site_and_class_has_a_name(void **state)
{
	(void)state;
	for (int i = 0; i < VS_SITE__N; i++)
		assert_true(*vs_site_name((enum vs_site)i));
	for (int i = 0; i < VS_CLASS__N; i++)
		assert_true(*vs_class_name((enum vs_class)i));
	assert_string_equal(vs_site_name(VS_SITE_PEER), "peer");
	assert_string_equal(vs_class_name(VS_CLASS_TEARDOWN), "teardown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(refusals_of_the_tap_driver_are_counted_losses),
		cmocka_unit_test(refusal_is_counted_without_a_reason_too),
		cmocka_unit_test(shaping_drop_is_a_loss_that_the_tap_does_not_count),
		cmocka_unit_test(noop_qdisc_of_a_tap_without_reader_is_told_apart),
		cmocka_unit_test(purge_of_a_closing_reader_is_teardown),
		cmocka_unit_test(unknown_protocol_from_a_guest_is_benign_and_counted),
		cmocka_unit_test(frame_that_the_driver_refuses_from_the_guest_is_tx),
		cmocka_unit_test(interface_zero_alone_does_not_turn_a_drop_round),
		cmocka_unit_test(drop_at_another_guest_is_at_the_peer_and_not_counted_here),
		cmocka_unit_test(firewall_and_tc_drops_are_at_the_filter),
		cmocka_unit_test(frame_that_no_bridge_port_takes_is_benign),
		cmocka_unit_test(bridge_drop_with_a_real_reason_is_a_loss),
		cmocka_unit_test(full_backlog_is_a_counted_loss),
		cmocka_unit_test(what_the_hosts_own_protocols_discard_is_benign),
		cmocka_unit_test(garbage_from_a_guest_is_a_loss_that_nobody_counts),
		cmocka_unit_test(drop_of_which_nothing_is_known_is_a_loss),
		cmocka_unit_test(every_site_and_class_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
