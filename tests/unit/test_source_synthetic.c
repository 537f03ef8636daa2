/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"
#include "base/histogram.h"
#include "model/report.h"
#include "source/synthetic_vm.h"

#define BEGIN (5 * VS_NS_PER_S)
#define AT(s) (BEGIN + (uint64_t)((s) * 1e9))
#define NEVER UINT64_MAX

static struct vs_synthetic *synthetic;
static struct vs_sample older, newer;

static int done(void **state)
{
	(void)state;
	vs_synthetic_free(&synthetic);
	vs_sample_done(&older);
	vs_sample_done(&newer);
	return 0;
}

static void make(uint32_t vms, uint64_t seed)
{
	const struct vs_synthetic_options o = { .vms = vms, .seed = seed, .begin_ns = BEGIN };

	vs_synthetic_free(&synthetic);
	assert_int_equal(vs_synthetic_new(&o, &synthetic), 0);
}

static void make_odd(enum vs_odd what, double from_s, double to_s)
{
	const struct vs_synthetic_options o = {
		.vms = 5, .seed = 7, .begin_ns = BEGIN, .anomalies_n = 1,
		.anomalies = { { VS_SYNTHETIC_WEB, what, from_s, to_s } },
	};

	vs_synthetic_free(&synthetic);
	assert_int_equal(vs_synthetic_new(&o, &synthetic), 0);
}

static void look(double s, struct vs_sample *ret)
{
	assert_int_equal(vs_synthetic_fill(synthetic, AT(s), AT(s), NEVER, VS_LOOK_WHOLE, ret), 0);
}

/* Who made the sample owns what these point to. */
static void forget_infos(struct vs_sample *s)
{
	for (size_t i = 0; i < s->disks_n; i++)
		s->disks[i].info = NULL;
}

static void assert_alike(const struct vs_sample *a, const struct vs_sample *b)
{
#define SAME(array)                                                \
	do {                                                       \
		assert_int_equal(a->array##_n, b->array##_n);      \
		assert_memory_equal(a->array, b->array, a->array##_n * sizeof(*a->array)); \
	} while (0)
	SAME(vms);
	SAME(vnics);
	SAME(drops);
	SAME(disks);
	SAME(virtqs);
	SAME(threads);
	SAME(kvm);
#undef SAME
}

static void one_time_has_one_sample_whatever_was_asked_before(void **state)
{
	(void)state;
	make(40, 1);
	look(100, &older);
	look(7, &newer);
	look(5000, &newer);
	look(100, &newer);
	assert_alike(&older, &newer);
	/* and so in another process */
	make(40, 1);
	look(100, &newer);
	forget_infos(&older);
	forget_infos(&newer);
	assert_alike(&older, &newer);
}

static void another_seed_has_other_figures(void **state)
{
	(void)state;
	make(40, 1);
	look(100, &older);
	make(40, 2);
	look(100, &newer);
	assert_true(older.vnics[0].packets[0] != newer.vnics[0].packets[0]);
	assert_string_not_equal(older.vms[0].uuid, newer.vms[0].uuid);
}

static void nothing_ever_falls(void **state)
{
	(void)state;
	make(30, 3);
	look(0.5, &older);
	for (double s = 0.9; s < 200; s += s < 30 ? 0.4 : 7.3) {
		struct vs_sample swap;

		look(s, &newer);
		for (size_t i = 0; i < older.vnics_n; i++)
			for (int d = 0; d < 2; d++) {
				const struct vs_vnic_sample *o = &older.vnics[i],
							    *n = vs_sample_find_vnic(&newer, o->uid);

				assert_true(n->packets[d] >= o->packets[d]);
				assert_true(n->kernel_dropped[d] >= o->kernel_dropped[d]);
				assert_true(n->samples >= o->samples);
				for (uint32_t b = 0; b < VS_HIST__N; b++)
					assert_true(n->residence.n[b] >= o->residence.n[b]);
			}
		for (size_t i = 0; i < older.disks_n; i++) {
			const struct vs_disk_sample *o = &older.disks[i];
			const struct vs_disk_sample *n =
				vs_sample_find_disk(&newer, o->vm_uid, o->dev, o->op);

			assert_non_null(n);
			assert_true(n->row.total_ns >= o->row.total_ns);
			for (uint32_t b = 0; b < VS_HIST__N; b++)
				for (uint32_t p = 0; p < VS_PART__N; p++)
					assert_true(n->row.n[b][p] >= o->row.n[b][p]);
		}
		for (size_t i = 0; i < older.drops_n; i++)
			assert_true(vs_sample_find_drop(&newer, &older.drops[i])->count >=
				    older.drops[i].count);
		for (size_t i = 0; i < older.virtqs_n; i++)
			assert_true(vs_sample_find_virtq(&newer, &older.virtqs[i])->row.runs >=
				    older.virtqs[i].row.runs);
		swap = older;
		older = newer;
		newer = swap;
	}
}

static void rates_are_those_of_the_kind(void **state)
{
	const struct vs_vnic_sample *n;

	(void)state;
	make(5, 1);
	look(6070, &newer); /* ten waves */
	n = vs_sample_find_vnic(&newer, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
	/* 900 a second, half to one and a half of it by VM, the day aside */
	assert_in_range(n->packets[VS_DIR_RX] / 6070, 900 * 0.5 * 0.6, 900 * 1.5 * 1.4);
	n = vs_sample_find_vnic(&newer, vs_synthetic_vnic_uid(VS_SYNTHETIC_IDLE, 0));
	assert_in_range(n->packets[VS_DIR_RX] / 6070, 0, 6);
}

static void rates_rise_and_fall_with_the_wave(void **state)
{
	uint64_t least = UINT64_MAX, most = 0, was = 0;

	(void)state;
	make(5, 1);
	for (int s = 0; s <= 600; s += 20) {
		const struct vs_vnic_sample *n;

		look(s, &newer);
		n = vs_sample_find_vnic(&newer, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
		if (s) {
			uint64_t d = n->packets[0] - was;

			least = d < least ? d : least;
			most = d > most ? d : most;
		}
		was = n->packets[0];
	}
	assert_true(least > 0);
	assert_true(most > least + least / 5);
}

static void buckets_add_up_to_counts(void **state)
{
	(void)state;
	make(60, 5);
	look(300, &newer);
	for (size_t i = 0; i < newer.vnics_n; i++) {
		const struct vs_vnic_sample *n = &newer.vnics[i];
		uint64_t stand_for = vs_hist_count(&n->residence);

		assert_true(stand_for <= n->packets[VS_DIR_RX]);
		assert_true(stand_for + 3 * 64 > n->packets[VS_DIR_RX]);
		assert_true(n->samples <= stand_for && n->samples * 64 >= stand_for);
	}
	for (size_t i = 0; i < newer.disks_n; i++) {
		const struct vs_disk_sample *d = &newer.disks[i];
		struct vs_hist part[VS_PART__N];

		for (uint32_t p = 0; p < VS_PART__N; p++)
			vs_disk_part(&d->row, p, &part[p]);
		assert_true(vs_hist_count(&part[VS_PART_TOTAL]) > 0);
		if (d->op == VS_OP_FLUSH) {
			assert_int_equal(vs_hist_count(&part[VS_PART_DEVICE]), 0);
			assert_int_equal(part[VS_PART_QUEUE].sum_ns, 0);
			continue;
		}
		assert_int_equal(vs_hist_count(&part[VS_PART_TOTAL]), vs_hist_count(&part[VS_PART_QUEUE]));
		assert_int_equal(vs_hist_count(&part[VS_PART_TOTAL]), vs_hist_count(&part[VS_PART_DEVICE]));
		assert_int_equal(part[VS_PART_TOTAL].sum_ns,
				 part[VS_PART_QUEUE].sum_ns + part[VS_PART_DEVICE].sum_ns);
	}
	for (size_t i = 0; i < newer.virtqs_n; i++) {
		const struct vs_virtq *q = &newer.virtqs[i].row;
		uint64_t batches = 0;

		for (uint32_t b = 0; b < VS_LOG2__N; b++)
			batches += q->batch[b];
		assert_int_equal(batches, q->runs);
		assert_int_equal(q->runs, vs_hist_count(&q->kick) + vs_hist_count(&q->wake) + q->unasked);
		assert_true(q->wait_cpu_ns + q->wait_sibling_ns <= q->wait_ns);
		assert_int_equal(q->buffers, vs_sample_find_vnic(&newer, newer.virtqs[i].vnic_uid)
						     ->packets[q->direction]);
	}
}

static json_t *report(double from_s, double to_s)
{
	const struct vs_report_context context = { .host = "h", .kernel = "6", .running_as = "daemon" };
	json_t *j;

	look(from_s, &older);
	look(to_s, &newer);
	j = vs_report_build(&older, &newer, &context);
	assert_non_null(j);
	return j;
}

/* What the older sample lacks began after it: counters of one that was idle so
 * far would count from 0, which is what they did. */
static void a_report_of_two_samples_adds_up(void **state)
{
	json_t *j, *vm, *nic, *disk, *op;
	const char *name;
	size_t i, k;
	int lossy = 0;

	(void)state;
	make(50, 9);
	j = report(1000, 1010);
	assert_int_equal(json_array_size(json_object_get(j, "vms")), 50);
	json_array_foreach(json_object_get(j, "vms"), i, vm)
	{
		json_t *cpu = json_object_get(vm, "cpu");
		double used = json_number_value(json_object_get(cpu, "utilization_ratio"));
		double steal = json_number_value(json_object_get(cpu, "steal_ratio"));

		assert_true(used > 0 && used < 1 && steal > 0 && used + steal <= 1);
		assert_true(json_object_size(json_object_get(cpu, "exits")) > 0);
		json_array_foreach(json_object_get(vm, "vnics"), k, nic)
		{
			json_t *rx = json_object_get(nic, "rx"), *row;
			json_int_t losses = 0, ring = 0;
			size_t d;

			json_array_foreach(json_object_get(rx, "drops"), d, row)
			{
				json_int_t n = json_integer_value(json_object_get(row, "count"));

				assert_string_equal(json_string_value(json_object_get(row, "class")),
						    "loss");
				losses += n;
				if (!strcmp(json_string_value(json_object_get(row, "site")), "tap"))
					ring += n;
			}
			assert_int_equal(json_integer_value(json_object_get(rx, "drops_total")), losses);
			assert_int_equal(json_integer_value(json_object_get(rx, "kernel_dropped")), ring);
			assert_int_equal(json_integer_value(json_object_get(rx, "unexplained")), 0);
			lossy += ring > 0;
			assert_int_equal(json_array_size(json_object_get(nic, "vhost")), 2);
		}
		json_array_foreach(json_object_get(vm, "disks"), k, disk)
			json_object_foreach(json_object_get(disk, "ops"), name, op)
				assert_int_equal(
					json_integer_value(json_object_get(op, "count")),
					json_integer_value(json_object_get(
						json_object_get(op, "total_us"), "count")));
	}
	assert_true(lossy > 0);
	json_decref(j);
}

static double p50(double from_s, double to_s, bool disk)
{
	const struct vs_vnic_sample *n, *o;
	const struct vs_disk_sample *dn, *dd;
	uint64_t uid = vs_synthetic_vm_uid(VS_SYNTHETIC_WEB);
	struct vs_hist h, was;

	look(from_s, &older);
	look(to_s, &newer);
	if (disk) {
		dn = vs_sample_find_disk(&newer, uid, 259u << 20, VS_OP_WRITE);
		dd = vs_sample_find_disk(&older, uid, 259u << 20, VS_OP_WRITE);
		vs_disk_part(&dn->row, VS_PART_DEVICE, &h);
		vs_disk_part(&dd->row, VS_PART_DEVICE, &was);
		vs_hist_diff(&h, &was, &h);
		return vs_hist_percentile_ns(&h, 0.5);
	}
	n = vs_sample_find_vnic(&newer, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
	o = vs_sample_find_vnic(&older, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
	vs_hist_diff(&n->residence, &o->residence, &h);
	return vs_hist_percentile_ns(&h, 0.5);
}

static void an_anomaly_lasts_from_its_begin_to_its_end(void **state)
{
	(void)state;
	make_odd(VS_ODD_RESIDENCE, 100, 160);
	assert_true(p50(100, 160, false) > 8 * p50(40, 100, false));
	assert_true(p50(160, 220, false) < 3 * p50(40, 100, false));
	assert_true(p50(100, 160, true) < 3 * p50(40, 100, true));
	make_odd(VS_ODD_DISK, 100, 160);
	assert_true(p50(100, 160, true) > 8 * p50(40, 100, true));
	assert_true(p50(160, 220, true) < 3 * p50(40, 100, true));
}

static uint64_t grown(double from_s, double to_s, bool drops)
{
	const struct vs_vnic_sample *n, *o;

	look(from_s, &older);
	look(to_s, &newer);
	n = vs_sample_find_vnic(&newer, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
	o = vs_sample_find_vnic(&older, vs_synthetic_vnic_uid(VS_SYNTHETIC_WEB, 0));
	return drops ? n->kernel_dropped[VS_DIR_RX] - o->kernel_dropped[VS_DIR_RX] :
		       n->packets[VS_DIR_RX] - o->packets[VS_DIR_RX];
}

static void anomalies_of_counts_raise_the_counts(void **state)
{
	uint64_t before;

	(void)state;
	make_odd(VS_ODD_DROPS, 100, 160);
	assert_int_equal(grown(40, 100, true), 0);
	assert_true(grown(100, 160, true) > 500);
	assert_int_equal(grown(160, 220, true), 0);
	before = grown(40, 100, false);
	make_odd(VS_ODD_THROUGHPUT, 100, 160);
	assert_int_equal(grown(40, 100, false), before);
	assert_true(grown(100, 160, false) > 4 * before);
}

static void vms_come_and_go_and_are_never_the_same_again(void **state)
{
	const struct vs_synthetic_options o = { .vms = 16, .seed = 1, .begin_ns = BEGIN, .churn_s = 100 };
	uint64_t last = 0;
	size_t there = 0, absent = 0, lives = 0;

	(void)state;
	assert_int_equal(vs_synthetic_new(&o, &synthetic), 0);
	for (int s = 0; s < 1000; s += 5) {
		const struct vs_vm_sample *seen = NULL;

		look(s, &newer);
		assert_true(newer.vms_n >= 14 && newer.vms_n <= 16);
		for (size_t i = 0; i < newer.vms_n; i++) {
			assert_true(i == 0 || newer.vms[i].uid > newer.vms[i - 1].uid);
			if (strstr(newer.vms[i].name, "-0007"))
				seen = &newer.vms[i];
		}
		absent += !seen;
		there += !!seen;
		if (seen && seen->uid != last) {
			assert_true(seen->uid > last);
			last = seen->uid;
			lives++;
		}
	}
	assert_in_range(lives, 10, 11);
	assert_in_range(absent, 10, 30);
	assert_true(there > 150);
}

static void a_window_keeps_who_ended_in_it(void **state)
{
	const struct vs_synthetic_options o = { .vms = 8, .seed = 1, .begin_ns = BEGIN, .churn_s = 100 };
	size_t ended = 0;

	(void)state;
	assert_int_equal(vs_synthetic_new(&o, &synthetic), 0);
	for (int s = 0; s < 300; s += 5) {
		assert_int_equal(vs_synthetic_fill(synthetic, AT(s + 5), AT(s), AT(s), VS_LOOK_TICK, &newer), 0);
		for (size_t i = 0; i < newer.vms_n; i++)
			ended += newer.vms[i].ended;
	}
	assert_in_range(ended, 2, 3);
}

static void a_look_takes_in_what_the_live_one_does(void **state)
{
	(void)state;
	make(5, 1);
	assert_int_equal(vs_synthetic_fill(synthetic, AT(9), AT(9), NEVER, VS_LOOK_TICK, &newer), 0);
	assert_int_equal(newer.threads_ns, 0);
	assert_int_equal(newer.threads_n, 0);
	assert_null(newer.kvm_names);
	assert_int_equal(vs_synthetic_fill(synthetic, AT(9), AT(9), NEVER, VS_LOOK_THREADS, &newer), 0);
	assert_true(newer.threads_ns && newer.threads_n);
	assert_int_equal(newer.kvm_n, 0);
	look(9, &newer);
	assert_int_equal(newer.kvm_n, 5);
}

static void impossible_numbers_are_refused(void **state)
{
	struct vs_synthetic_options o = { .vms = 0 };

	(void)state;
	assert_int_equal(vs_synthetic_new(&o, &synthetic), -EINVAL);
	o.vms = VS_SYNTHETIC_MAX + 1;
	assert_int_equal(vs_synthetic_new(&o, &synthetic), -EINVAL);
}

static void a_steady_state_needs_no_more_memory(void **state)
{
	size_t size;

	(void)state;
	make(100, 1);
	look(1000, &newer);
	size = newer.vnics_size + newer.disks_size + newer.drops_size + newer.threads_size +
	       newer.virtqs_size;
	for (int s = 1000; s < 1100; s += 10)
		look(s, &newer);
	assert_int_equal(newer.vnics_size + newer.disks_size + newer.drops_size + newer.threads_size +
				 newer.virtqs_size,
			 size);
}

#define TEST(name) cmocka_unit_test_teardown(name, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(one_time_has_one_sample_whatever_was_asked_before),
		TEST(another_seed_has_other_figures),
		TEST(nothing_ever_falls),
		TEST(rates_are_those_of_the_kind),
		TEST(rates_rise_and_fall_with_the_wave),
		TEST(buckets_add_up_to_counts),
		TEST(a_report_of_two_samples_adds_up),
		TEST(an_anomaly_lasts_from_its_begin_to_its_end),
		TEST(anomalies_of_counts_raise_the_counts),
		TEST(vms_come_and_go_and_are_never_the_same_again),
		TEST(a_window_keeps_who_ended_in_it),
		TEST(a_look_takes_in_what_the_live_one_does),
		TEST(impossible_numbers_are_refused),
		TEST(a_steady_state_needs_no_more_memory),
	};

	return cmocka_run_group_tests_name("source/synthetic", tests, NULL, NULL);
}
