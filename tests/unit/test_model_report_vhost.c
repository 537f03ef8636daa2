/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/report_vhost.h"

#define S 1000000000ull

static struct vs_sample older, newer;

static int make(void **state)
{
	(void)state;
	older.mono_ns = 5 * S;
	newer.mono_ns = 7 * S;
	return 0;
}

static int done(void **state)
{
	(void)state;
	vs_sample_done(&older);
	vs_sample_done(&newer);
	return 0;
}

static struct vs_virtq_sample *add(struct vs_sample *s, uint64_t vq, uint32_t tid, uint8_t direction)
{
	struct vs_virtq_sample *v = vs_sample_add_virtq(s);

	v->vm_uid = 1;
	v->vnic_uid = 2;
	v->key.vq = vq;
	v->key.tid = tid;
	v->row.direction = direction;
	v->row.ifindex = 7;
	return v;
}

static json_t *build(void)
{
	vs_sample_sort(&older);
	vs_sample_sort(&newer);
	return vs_report_vhost(&older, &newer, 2);
}

static json_t *row(json_t *list, size_t i)
{
	assert_true(json_is_object(json_array_get(list, i)));
	return json_array_get(list, i);
}

static double number(const json_t *j, const char *group, const char *key)
{
	const json_t *v = json_object_get(group ? json_object_get(j, group) : j, key);

	assert_true(json_is_number(v));
	return json_number_value(v);
}

static bool is_null(const json_t *j, const char *group, const char *key)
{
	const json_t *v = json_object_get(group ? json_object_get(j, group) : j, key);

	assert_non_null(v);
	return json_is_null(v);
}

static void figures_are_differences_over_the_window(void **state)
{
	struct vs_virtq_sample *o = add(&older, 100, 11, VS_DIR_TX), *n = add(&newer, 100, 11, VS_DIR_TX);
	json_t *list, *j;

	(void)state;
	o->row.buffers = 40;
	n->row.buffers = 100;
	o->row.signals_due = o->row.signals = 5;
	n->row.signals_due = 25;
	n->row.signals = 12;
	n->row.busy_ns = S; /* of two seconds */
	n->row.kick.n[vs_hist_index(2000000)] = 3;
	o->worker_delay_ns = 1000;
	n->worker_delay_ns = 4000;
	list = build();
	j = row(list, 0);
	assert_int_equal(json_array_size(list), 1);
	assert_float_equal(number(j, NULL, "buffers"), 60, 0);
	assert_float_equal(number(j, "signals", "sent"), 7, 0);
	assert_float_equal(number(j, "signals", "suppressed"), 13, 0);
	assert_float_equal(number(j, NULL, "busy_ratio"), 0.5, 1e-9);
	assert_float_equal(number(j, "kick_delay_us", "count"), 3, 0);
	assert_float_equal(number(j, "run_delay_us", "sum"), 3, 1e-9);
	assert_true(is_null(j, NULL, "ring_depth")); /* a tx run drains no ring of the tap */
	json_decref(list);
}

static void a_virtqueue_that_is_new_counts_from_zero(void **state)
{
	json_t *list;

	(void)state;
	add(&newer, 100, 11, VS_DIR_RX)->row.runs = 9;
	list = build();
	assert_float_equal(number(row(list, 0), NULL, "runs"), 9, 0);
	json_decref(list);
}

static void rows_stand_by_queue_direction_and_worker(void **state)
{
	json_t *list;

	(void)state;
	add(&newer, 1, 30, VS_DIR_TX)->row.index = 1;
	add(&newer, 2, 20, VS_DIR_TX);
	add(&newer, 3, 21, VS_DIR_RX);
	add(&newer, 4, 12, VS_DIR_RX);
	list = build();
	assert_float_equal(number(row(list, 0), NULL, "tid"), 12, 0);
	assert_float_equal(number(row(list, 1), NULL, "tid"), 21, 0);
	assert_float_equal(number(row(list, 2), NULL, "tid"), 20, 0);
	assert_float_equal(number(row(list, 3), NULL, "tid"), 30, 0);
	json_decref(list);
}

static void the_longest_wait_is_named(void **state)
{
	static const struct {
		uint64_t cpu, sibling, buffers;
		const char *name;
	} cases[] = {
		{ S, S / 2, S / 4, "cpu" },
		{ S / 4, S, S / 2, "sibling" },
		{ S / 4, S / 2, S, "guest_buffers" },
		{ 1000, 2000, 3000, NULL }, /* nobody's problem */
		{ 0, 0, 0, NULL },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct vs_virtq_sample *n = add(&newer, 100, 11, VS_DIR_RX);
		const char *name;
		json_t *list;

		n->row.wait_cpu_ns = cases[i].cpu;
		n->row.wait_sibling_ns = cases[i].sibling;
		n->row.starved_ns = cases[i].buffers;
		list = build();
		name = json_string_value(json_object_get(json_object_get(row(list, 0), "waits"), "mostly"));
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
		else
			assert_null(name);
		json_decref(list);
		vs_sample_clear(&newer);
		(void)make(state);
	}
}

static void what_is_left_of_the_delay_is_other_and_never_negative(void **state)
{
	struct vs_virtq_sample *n = add(&newer, 100, 11, VS_DIR_RX);
	json_t *list;

	(void)state;
	n->row.wait_ns = 10000;
	n->row.wait_cpu_ns = 2000;
	n->row.wait_sibling_ns = 3000;
	list = build();
	assert_float_equal(number(row(list, 0), "waits", "other_us"), 5, 1e-9);
	json_decref(list);
	n->row.wait_sibling_ns = 9000; /* read while a run was being added */
	list = build();
	assert_float_equal(number(row(list, 0), "waits", "other_us"), 0, 0);
	json_decref(list);
}

static void sizes_fall_into_powers_of_two(void **state)
{
	struct vs_virtq_sample *n = add(&newer, 100, 11, VS_DIR_RX);
	json_t *list, *sizes;

	(void)state;
	n->row.batch[0] = 1;  /* none */
	n->row.batch[1] = 97; /* one */
	n->row.batch[7] = 2;  /* 64 to 127 */
	list = build();
	sizes = json_object_get(row(list, 0), "buffers_per_run");
	assert_float_equal(number(sizes, NULL, "count"), 100, 0);
	assert_float_equal(number(sizes, NULL, "p50"), 1, 0);
	assert_float_equal(number(sizes, NULL, "p99"), 127, 0);
	assert_int_equal(json_array_size(json_object_get(sizes, "buckets")), 3);
	assert_int_equal(json_integer_value(json_array_get(
				 json_array_get(json_object_get(sizes, "buckets"), 2), 0)), 64);
	json_decref(list);
}

static void by_tracepoints_what_is_not_seen_is_null(void **state)
{
	struct vs_virtq_sample *n = add(&newer, 0, 11, VS_DIR_BOTH);
	json_t *list, *j;

	(void)state;
	n->row.buffers = 5;
	n->row.wait_cpu_ns = 7000;
	list = build();
	j = row(list, 0);
	assert_true(is_null(j, NULL, "queue") && is_null(j, NULL, "direction"));
	assert_true(is_null(j, NULL, "kick_delay_us") && is_null(j, NULL, "ring_depth"));
	assert_true(is_null(j, "signals", "suppressed") && is_null(j, "waits", "guest_buffers_us"));
	assert_float_equal(number(j, NULL, "buffers"), 5, 0);
	assert_float_equal(number(j, "run_delay_us", "sum"), 7, 1e-9);
	json_decref(list);
}

static void a_worker_that_ended_before_is_left_out(void **state)
{
	struct vs_virtq_sample *o = add(&older, 100, 11, VS_DIR_RX), *n = add(&newer, 100, 11, VS_DIR_RX);
	json_t *list;

	(void)state;
	n->ended = true;
	o->row.runs = n->row.runs = 4;
	list = build();
	assert_int_equal(json_array_size(list), 0);
	json_decref(list);
	n->row.runs = 5; /* it ended within */
	list = build();
	assert_int_equal(json_array_size(list), 1);
	json_decref(list);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(figures_are_differences_over_the_window, make, done),
		cmocka_unit_test_setup_teardown(a_virtqueue_that_is_new_counts_from_zero, make, done),
		cmocka_unit_test_setup_teardown(rows_stand_by_queue_direction_and_worker, make, done),
		cmocka_unit_test_setup_teardown(the_longest_wait_is_named, make, done),
		cmocka_unit_test_setup_teardown(what_is_left_of_the_delay_is_other_and_never_negative, make, done),
		cmocka_unit_test_setup_teardown(sizes_fall_into_powers_of_two, make, done),
		cmocka_unit_test_setup_teardown(by_tracepoints_what_is_not_seen_is_null, make, done),
		cmocka_unit_test_setup_teardown(a_worker_that_ended_before_is_left_out, make, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
