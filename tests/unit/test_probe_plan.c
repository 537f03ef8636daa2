/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "probe/plan.h"

static struct vs_kcaps caps;
static struct vs_plan plan;

/* A kernel that has everything. */
static int make(void **state)
{
	(void)state;
	memset(&caps, 0, sizeof(caps));
	caps.btf = caps.tp_btf = caps.raw_tp = caps.iter = caps.ringbuf = true;
	caps.tun_types = caps.drop_reason = caps.sched_info = caps.fentry = caps.kprobe = true;
	for (int i = 0; i < VS_TP__N; i++)
		caps.tp_args[i] = 3;
	return 0;
}

static const struct vs_plan_probe *probe(enum vs_probe p)
{
	return &plan.probes[p];
}

static bool loads(enum vs_probe p, const char *program)
{
	for (uint32_t i = 0; i < probe(p)->programs_n; i++)
		if (strcmp(probe(p)->programs[i], program) == 0)
			return true;
	return false;
}

static bool says(enum vs_probe p, const char *words)
{
	return strstr(probe(p)->reason, words);
}

static void decide(unsigned int denied)
{
	memset(&plan, 0xa5, sizeof(plan));
	vs_plan_decide(&caps, denied, &plan);
	/* Whatever it decided: less than wished has a reason, absent loads
	 * nothing, and what loads is named. */
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		const struct vs_plan_probe *p = &plan.probes[i];

		assert_true(*p->name && *p->gives && *p->lost);
		assert_true(p->state == VS_STATE_ACTIVE || *p->reason);
		assert_true(p->state != VS_STATE_ABSENT || !p->programs_n);
		assert_true(p->programs_n <= VS_PLAN_PROGRAMS);
		for (uint32_t k = 0; k < p->programs_n; k++)
			assert_non_null(p->programs[k]);
	}
}

static void capable_kernel_gets_everything_as_wished(void **state)
{
	(void)state;
	decide(0);
	assert_int_equal(plan.tier, 1);
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		if (i == VS_PROBE_TAP_LEARN || i == VS_PROBE_VHOST_WORKER)
			continue;
		assert_int_equal(plan.probes[i].state, VS_STATE_ACTIVE);
		assert_string_equal(plan.probes[i].reason,
				    i == VS_PROBE_SCHED_DEEP ? "on demand: report --deep" : "");
	}
	assert_true(loads(VS_PROBE_TAP_DROPS, "vs_tap_free"));
	assert_true(loads(VS_PROBE_BLOCK_LATENCY, "vs_block_start"));
	assert_true(loads(VS_PROBE_DISCOVER_FILES, "vs_files"));
}

static void learning_is_not_needed_where_files_name_devices(void **state)
{
	(void)state;
	decide(0);
	assert_int_equal(probe(VS_PROBE_TAP_LEARN)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_TAP_LEARN, "not needed"));
}

static void without_typed_tracepoints_raw_ones_are_used(void **state)
{
	(void)state;
	caps.tp_btf = false;
	decide(0);
	assert_int_equal(plan.tier, 1);
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_TAP_DROPS, "vs_tap_free_raw"));
	assert_true(says(VS_PROBE_TAP_DROPS, "does not load"));
	assert_true(loads(VS_PROBE_BLOCK_LATENCY, "vs_block_start_raw"));
	assert_true(loads(VS_PROBE_DISCOVER_EXEC, "vs_exec_raw"));
}

static void denied_typed_tracepoints_are_named_as_denied(void **state)
{
	(void)state;
	decide(1u << VS_HOOK_TP_BTF);
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_TAP_DROPS, "vs_tap_free_raw"));
	assert_true(says(VS_PROBE_TAP_DROPS, "denied"));
}

static void residence_prefers_raw_programs_to_typed_ones(void **state)
{
	(void)state;
	decide(0);
	assert_true(loads(VS_PROBE_TAP_RESIDENCE, "vs_tap_xmit_raw"));
	assert_true(loads(VS_PROBE_TAP_RESIDENCE, "vs_tap_copy_raw"));
	decide(1u << VS_HOOK_TP_BTF);
	assert_int_equal(probe(VS_PROBE_TAP_RESIDENCE)->state, VS_STATE_ACTIVE);
	decide(1u << VS_HOOK_RAW_TP);
	assert_int_equal(probe(VS_PROBE_TAP_RESIDENCE)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_TAP_RESIDENCE, "vs_tap_xmit"));
	assert_true(loads(VS_PROBE_TAP_RESIDENCE, "vs_tap_copy"));
	assert_true(says(VS_PROBE_TAP_RESIDENCE, "denied"));
}

static void denied_raw_tracepoints_are_not_missed_where_typed_ones_load(void **state)
{
	(void)state;
	decide(1u << VS_HOOK_RAW_TP);
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_ACTIVE);
	assert_int_equal(probe(VS_PROBE_BLOCK_LATENCY)->state, VS_STATE_ACTIVE);
}

static void without_both_kinds_the_probe_is_absent(void **state)
{
	(void)state;
	decide(1u << VS_HOOK_RAW_TP | 1u << VS_HOOK_TP_BTF);
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_ABSENT);
	assert_int_equal(probe(VS_PROBE_DISCOVER_FILES)->state, VS_STATE_ACTIVE);
	caps.raw_tp = caps.tp_btf = caps.iter = false;
	decide(0);
	assert_int_equal(plan.tier, 0);
}

static void check_no_bpf(const char *words)
{
	assert_int_equal(plan.tier, 0);
	for (int i = 0; i < VS_PROBE__COUNT; i++) {
		assert_int_equal(plan.probes[i].programs_n, 0);
		assert_non_null(strstr(plan.probes[i].reason, words));
		assert_int_equal(plan.probes[i].state,
				 i == VS_PROBE_DISCOVER_FILES || i == VS_PROBE_CPU_THREADS ?
					 VS_STATE_FALLBACK :
					 VS_STATE_ABSENT);
	}
}

static void denied_bpf_is_tier_zero(void **state)
{
	(void)state;
	decide(1u << VS_HOOK_BPF);
	check_no_bpf("denied");
}

static void refused_bpf_is_tier_zero_and_says_why(void **state)
{
	(void)state;
	caps.bpf_error = EPERM;
	decide(0);
	check_no_bpf(strerror(EPERM));
}

static void missing_type_information_is_tier_zero(void **state)
{
	(void)state;
	caps.btf = false;
	decide(0);
	check_no_bpf("/sys/kernel/btf/vmlinux");
}

static void missing_ring_buffer_is_tier_zero(void **state)
{
	(void)state;
	caps.ringbuf = false;
	decide(0);
	check_no_bpf("ring buffer");
}

static void old_block_layer_gets_the_old_programs(void **state)
{
	(void)state;
	caps.tp_args[VS_TP_block_io_start] = 0;
	decide(0);
	assert_int_equal(probe(VS_PROBE_BLOCK_LATENCY)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_BLOCK_LATENCY, "vs_block_insert_old"));
	assert_true(loads(VS_PROBE_BLOCK_LATENCY, "vs_block_issue_old"));
	assert_true(says(VS_PROBE_BLOCK_LATENCY, "block_io_start"));
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_ACTIVE);
}

static void without_any_block_tracepoint_disks_are_absent(void **state)
{
	(void)state;
	caps.tp_args[VS_TP_block_rq_complete] = 0;
	decide(0);
	assert_int_equal(probe(VS_PROBE_BLOCK_LATENCY)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_BLOCK_LATENCY, "block_rq_complete"));
	caps.tp_args[VS_TP_block_io_start] = 0;
	decide(0);
	assert_int_equal(probe(VS_PROBE_BLOCK_LATENCY)->state, VS_STATE_ABSENT);
}

static void probe_takes_all_its_programs_or_none(void **state)
{
	(void)state;
	caps.tp_args[VS_TP_skb_copy_datagram_iovec] = 0;
	decide(0);
	assert_int_equal(probe(VS_PROBE_TAP_RESIDENCE)->state, VS_STATE_ABSENT);
	assert_int_equal(probe(VS_PROBE_TAP_RESIDENCE)->programs_n, 0);
	assert_true(says(VS_PROBE_TAP_RESIDENCE, "skb_copy_datagram_iovec"));
}

static void without_tun_types_devices_are_learnt_from_traffic(void **state)
{
	(void)state;
	caps.tun_types = false;
	decide(0);
	assert_int_equal(probe(VS_PROBE_DISCOVER_FILES)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_DISCOVER_FILES, "tun"));
	assert_true(loads(VS_PROBE_TAP_LEARN, "vs_tap_learn"));
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_ACTIVE);
}

static void learning_does_not_blame_what_works(void **state)
{
	(void)state;
	caps.tun_types = false; /* typed tracepoints load here */
	decide(0);
	assert_false(says(VS_PROBE_TAP_LEARN, "tp_btf does not load"));
}

static void denied_or_missing_iterator_means_walking_proc(void **state)
{
	(void)state;
	decide(1u << VS_HOOK_ITER);
	assert_int_equal(probe(VS_PROBE_DISCOVER_FILES)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_DISCOVER_FILES, "denied"));
	assert_true(loads(VS_PROBE_TAP_LEARN, "vs_tap_learn"));
	caps.iter = false;
	decide(0);
	assert_int_equal(probe(VS_PROBE_DISCOVER_FILES)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_DISCOVER_FILES, "/proc"));
}

static void threads_without_their_iterator_are_read_from_proc(void **state)
{
	(void)state;
	decide(0);
	assert_true(loads(VS_PROBE_CPU_THREADS, "vs_tasks"));
	decide(1u << VS_HOOK_ITER);
	assert_int_equal(probe(VS_PROBE_CPU_THREADS)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_CPU_THREADS, "denied"));
	caps.sched_info = false;
	decide(0);
	assert_int_equal(probe(VS_PROBE_CPU_THREADS)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_CPU_THREADS, "sched_info"));
}

static void deep_window_is_on_demand_raw_where_it_must_and_can_be_denied(void **state)
{
	(void)state;
	decide(0);
	assert_true(loads(VS_PROBE_SCHED_DEEP, "vs_sched_switch"));
	assert_true(says(VS_PROBE_SCHED_DEEP, "on demand"));
	decide(1u << VS_HOOK_TP_BTF);
	assert_int_equal(probe(VS_PROBE_SCHED_DEEP)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_SCHED_DEEP, "vs_sched_switch_raw"));
	decide(1u << VS_HOOK_SCHED);
	assert_int_equal(probe(VS_PROBE_SCHED_DEEP)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_SCHED_DEEP, "denied"));
	caps.tp_args[VS_TP_sched_migrate_task] = 0;
	decide(0);
	assert_int_equal(probe(VS_PROBE_SCHED_DEEP)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_SCHED_DEEP, "sched_migrate_task"));
}

static void drops_without_reasons_are_a_fallback(void **state)
{
	(void)state;
	caps.drop_reason = false;
	decide(0);
	assert_int_equal(probe(VS_PROBE_TAP_DROPS)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_TAP_DROPS, "vs_tap_free"));
	assert_true(says(VS_PROBE_TAP_DROPS, "reason"));
}

static void kernel_with_nothing_is_decided_too(void **state)
{
	(void)state;
	memset(&caps, 0, sizeof(caps));
	for (unsigned int denied = 0; denied < 1u << VS_HOOK__N; denied++)
		decide(denied);
	assert_int_equal(plan.tier, 0);
}

static void every_combination_of_facts_has_a_sound_plan(void **state)
{
	(void)state;
	/* The scheduler's tracepoints come or lack together here: one bit for all. */
	for (unsigned int bits = 0; bits < 1u << (6 + VS_TP_sched_switch); bits++) {
		caps.tp_btf = bits & 1;
		caps.raw_tp = bits & 2;
		caps.iter = bits & 4;
		caps.tun_types = bits & 8;
		caps.drop_reason = bits & 16;
		for (int i = 0; i < VS_TP__N; i++)
			caps.tp_args[i] =
				bits >> (5 + (i < VS_TP_sched_switch ? i : VS_TP_sched_switch)) & 1;
		decide(0);
	}
}

/* ---- vhost: decided anew whenever a VM begins or ceases to use it ---- */

static struct vs_vhost_facts facts;

/* A kernel up to 6.7: eventfd_signal is a function of its own. */
static int make_vhost(void **state)
{
	(void)make(state);
	memset(&facts, 0, sizeof(facts));
	facts.loaded = facts.types = true;
	for (int i = 0; i < VS_VHOST_FUNC__N; i++)
		facts.funcs[i] = true;
	decide(0);
	return 0;
}

static const struct vs_plan_probe *decide_vhost(unsigned int denied, bool in_use)
{
	struct vs_plan_probe *p = &plan.probes[VS_PROBE_VHOST_WORKER];

	vs_plan_vhost(&caps, &facts, denied, in_use, p);
	assert_true(p->state == VS_STATE_ACTIVE || *p->reason);
	assert_true(p->state != VS_STATE_ABSENT || !p->programs_n);
	assert_true(p->programs_n <= VS_PLAN_PROGRAMS);
	for (uint32_t i = 0; i < p->programs_n; i++)
		assert_non_null(p->programs[i]);
	return p;
}

static void unused_vhost_is_left_alone(void **state)
{
	(void)state;
	assert_int_equal(decide_vhost(0, false)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_VHOST_WORKER, "no VM uses"));
}

static void vhost_in_use_is_attached_to_by_fentry(void **state)
{
	(void)state;
	assert_int_equal(decide_vhost(0, true)->state, VS_STATE_ACTIVE);
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_rx_kick"));
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_rx_kick_end"));
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_wake"));
}

static void interrupts_are_counted_by_one_of_two_functions(void **state)
{
	(void)state;
	(void)decide_vhost(0, true);
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_call"));
	assert_false(loads(VS_PROBE_VHOST_WORKER, "vs_vq_call_mask"));
	facts.funcs[VS_VHOST_eventfd_signal] = false;
	(void)decide_vhost(0, true);
	assert_false(loads(VS_PROBE_VHOST_WORKER, "vs_vq_call"));
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_call_mask"));
}

static void without_fentry_vhost_is_probed_the_old_way(void **state)
{
	(void)state;
	assert_int_equal(decide_vhost(1u << VS_HOOK_FENTRY, true)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_vq_rx_kick_kp"));
	assert_true(says(VS_PROBE_VHOST_WORKER, "denied"));
	caps.fentry = false;
	assert_int_equal(decide_vhost(0, true)->state, VS_STATE_FALLBACK);
	assert_true(says(VS_PROBE_VHOST_WORKER, "does not load"));
}

static void without_functions_vhost_is_seen_by_tracepoints(void **state)
{
	(void)state;
	decide_vhost(1u << VS_HOOK_FENTRY | 1u << VS_HOOK_KPROBE, true);
	assert_int_equal(probe(VS_PROBE_VHOST_WORKER)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_ws_switch"));
	assert_false(loads(VS_PROBE_VHOST_WORKER, "vs_vq_wake"));
	assert_true(says(VS_PROBE_VHOST_WORKER, "denied"));
	/* and by functions again, once that is possible */
	assert_int_equal(decide_vhost(0, true)->object, VS_OBJECT_VHOST);
}

static void vhost_without_types_is_seen_by_tracepoints(void **state)
{
	(void)state;
	facts.types = false;
	assert_int_equal(decide_vhost(0, true)->state, VS_STATE_FALLBACK);
	assert_true(loads(VS_PROBE_VHOST_WORKER, "vs_ws_switch"));
	assert_true(says(VS_PROBE_VHOST_WORKER, "type information"));
}

static void vhost_whose_handlers_have_gone_is_absent(void **state)
{
	(void)state;
	facts.funcs[VS_VHOST_handle_rx_net] = false;
	assert_int_equal(decide_vhost(0, true)->state, VS_STATE_ABSENT);
	assert_true(says(VS_PROBE_VHOST_WORKER, "vs_vq_rx_net"));
}

static void vhost_lives_without_what_is_optional(void **state)
{
	(void)state;
	facts.funcs[VS_VHOST_vhost_net_busy_poll] = false;
	facts.funcs[VS_VHOST_eventfd_signal] = facts.funcs[VS_VHOST_eventfd_signal_mask] = false;
	assert_int_equal(decide_vhost(0, true)->state, VS_STATE_ACTIVE);
	assert_false(loads(VS_PROBE_VHOST_WORKER, "vs_vq_poll"));
}

static void hooks_are_known_by_their_names(void **state)
{
	(void)state;
	assert_int_equal(vs_hook_parse("tp_btf"), VS_HOOK_TP_BTF);
	assert_int_equal(vs_hook_parse("raw_tp"), VS_HOOK_RAW_TP);
	assert_int_equal(vs_hook_parse("iter"), VS_HOOK_ITER);
	assert_int_equal(vs_hook_parse("sched"), VS_HOOK_SCHED);
	assert_int_equal(vs_hook_parse("bpf"), VS_HOOK_BPF);
	assert_int_equal(vs_hook_parse("fentry"), VS_HOOK_FENTRY);
	assert_int_equal(vs_hook_parse("kprobe"), VS_HOOK_KPROBE);
	assert_int_equal(vs_hook_parse("uprobe"), -1);
	assert_int_equal(vs_hook_parse(""), -1);
	assert_int_equal(vs_hook_parse("BPF"), -1);
}

static void states_have_names(void **state)
{
	(void)state;
	assert_string_equal(vs_state_name(VS_STATE_ABSENT), "absent");
	assert_string_equal(vs_state_name(VS_STATE_FAILED), "failed");
	assert_string_equal(vs_state_name(VS_STATE_FALLBACK), "fallback");
	assert_string_equal(vs_state_name(VS_STATE_ACTIVE), "active");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(capable_kernel_gets_everything_as_wished, make),
		cmocka_unit_test_setup(learning_is_not_needed_where_files_name_devices, make),
		cmocka_unit_test_setup(without_typed_tracepoints_raw_ones_are_used, make),
		cmocka_unit_test_setup(denied_typed_tracepoints_are_named_as_denied, make),
		cmocka_unit_test_setup(residence_prefers_raw_programs_to_typed_ones, make),
		cmocka_unit_test_setup(denied_raw_tracepoints_are_not_missed_where_typed_ones_load, make),
		cmocka_unit_test_setup(without_both_kinds_the_probe_is_absent, make),
		cmocka_unit_test_setup(denied_bpf_is_tier_zero, make),
		cmocka_unit_test_setup(refused_bpf_is_tier_zero_and_says_why, make),
		cmocka_unit_test_setup(missing_type_information_is_tier_zero, make),
		cmocka_unit_test_setup(missing_ring_buffer_is_tier_zero, make),
		cmocka_unit_test_setup(old_block_layer_gets_the_old_programs, make),
		cmocka_unit_test_setup(without_any_block_tracepoint_disks_are_absent, make),
		cmocka_unit_test_setup(probe_takes_all_its_programs_or_none, make),
		cmocka_unit_test_setup(without_tun_types_devices_are_learnt_from_traffic, make),
		cmocka_unit_test_setup(learning_does_not_blame_what_works, make),
		cmocka_unit_test_setup(denied_or_missing_iterator_means_walking_proc, make),
		cmocka_unit_test_setup(threads_without_their_iterator_are_read_from_proc, make),
		cmocka_unit_test_setup(
			deep_window_is_on_demand_raw_where_it_must_and_can_be_denied, make),
		cmocka_unit_test_setup(drops_without_reasons_are_a_fallback, make),
		cmocka_unit_test_setup(kernel_with_nothing_is_decided_too, make),
		cmocka_unit_test_setup(every_combination_of_facts_has_a_sound_plan, make),
		cmocka_unit_test_setup(unused_vhost_is_left_alone, make_vhost),
		cmocka_unit_test_setup(vhost_in_use_is_attached_to_by_fentry, make_vhost),
		cmocka_unit_test_setup(interrupts_are_counted_by_one_of_two_functions, make_vhost),
		cmocka_unit_test_setup(without_fentry_vhost_is_probed_the_old_way, make_vhost),
		cmocka_unit_test_setup(without_functions_vhost_is_seen_by_tracepoints, make_vhost),
		cmocka_unit_test_setup(vhost_without_types_is_seen_by_tracepoints, make_vhost),
		cmocka_unit_test_setup(vhost_whose_handlers_have_gone_is_absent, make_vhost),
		cmocka_unit_test_setup(vhost_lives_without_what_is_optional, make_vhost),
		cmocka_unit_test_setup(hooks_are_known_by_their_names, make),
		cmocka_unit_test_setup(states_have_names, make),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
