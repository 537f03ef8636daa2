/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/report_self.h"

#include <math.h>

static struct vs_sample older, newer;

static int begin(void **state)
{
	(void)state;
	memset(&older, 0, sizeof(older));
	memset(&newer, 0, sizeof(newer));
	newer.mono_ns = 2000000000;
	return 0;
}

/* A value by its path; the report lives until the next one is built. */
static json_t *at(const char *path)
{
	static json_t *whole;
	char copy[128], *word, *rest = copy;
	json_t *j;

	json_decref(whole);
	j = whole = vs_report_self(&older, &newer);
	(void)snprintf(copy, sizeof(copy), "%s", path);
	while ((word = strsep(&rest, ".")))
		j = json_object_get(j, word);
	if (!j)
		print_error("no %s in self\n", path);
	assert_non_null(j);
	return j;
}

static json_int_t number(const char *path)
{
	assert_true(json_is_integer(at(path)));
	return json_integer_value(at(path));
}

static void who_never_ticked_has_no_ticks(void **state)
{
	(void)state;
	assert_true(json_is_null(at("ticks")));
	assert_true(json_is_null(at("sample_us")));
	assert_int_equal(json_object_size(at("maps")), 0);
	assert_int_equal(json_object_size(at("events")), 0);
}

static void ticks_are_those_of_the_report(void **state)
{
	struct vs_pace_sample *o = &older.self.pace, *n = &newer.self.pace;

	(void)state;
	o->ticks = 100;
	o->missed = 5;
	o->late.n[VS_HIST__N - 1] = 1; /* a minute, long ago */
	o->late.sum_ns = 60000000000;
	*n = *o;
	n->ticks += 2;
	n->missed += 1;
	n->late.n[vs_hist_index(3000000)] += 2;
	n->late.sum_ns += 6000000;
	n->took.n[vs_hist_index(500000)] += 2;
	newer.self.took_ns = 123456;
	assert_int_equal(number("ticks.count"), 2);
	assert_int_equal(number("ticks.missed"), 1);
	assert_int_equal(number("ticks.late_us.count"), 2);
	assert_true(json_number_value(at("ticks.late_us.max")) < 3500);
	assert_true(json_number_value(at("ticks.late_us.sum")) == 6000);
	assert_true(json_number_value(at("ticks.took_us.p50")) > 400);
	assert_true(fabs(json_number_value(at("sample_us")) - 123.456) < 1e-9);
}

static void maps_are_as_of_the_end_and_unknown_is_null(void **state)
{
	struct vs_self_sample *n = &newer.self;

	(void)state;
	n->maps_n = 2;
	n->maps[0] = (struct vs_map_sample){ "vs_drop", 7, 16384, 263040 };
	n->maps[1] = (struct vs_map_sample){ "vs_rq", VS_MAP_UNCOUNTED, 16384, 0 };
	older.self.maps_n = 1;
	older.self.maps[0] = (struct vs_map_sample){ "vs_drop", 6, 16384, 1 };
	assert_int_equal(number("maps.vs_drop.used"), 7);
	assert_int_equal(number("maps.vs_drop.max"), 16384);
	assert_int_equal(number("maps.vs_drop.bytes"), 263040);
	assert_true(json_is_null(at("maps.vs_rq.used")));
	assert_true(json_is_null(at("maps.vs_rq.bytes")));
}

static void events_are_differences_by_the_sinks_name(void **state)
{
	(void)state;
	older.self.sinks_n = 1;
	older.self.sinks[0] = (struct vs_sink_sample){ "journal", 100, 10 };
	newer.self.sinks_n = 2;
	newer.self.sinks[0] = (struct vs_sink_sample){ "file", 3, 1 };
	newer.self.sinks[1] = (struct vs_sink_sample){ "journal", 104, 12 };
	assert_int_equal(number("events.file.written"), 3);
	assert_int_equal(number("events.file.lost"), 1);
	assert_int_equal(number("events.journal.written"), 4);
	assert_int_equal(number("events.journal.lost"), 2);
}

static void a_sink_that_was_opened_anew_counts_from_zero(void **state)
{
	(void)state;
	older.self.sinks_n = newer.self.sinks_n = 1;
	older.self.sinks[0] = (struct vs_sink_sample){ "file", 100, 10 };
	newer.self.sinks[0] = (struct vs_sink_sample){ "file", 5, 0 };
	assert_int_equal(number("events.file.written"), 5);
	assert_int_equal(number("events.file.lost"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(who_never_ticked_has_no_ticks, begin),
		cmocka_unit_test_setup(ticks_are_those_of_the_report, begin),
		cmocka_unit_test_setup(maps_are_as_of_the_end_and_unknown_is_null, begin),
		cmocka_unit_test_setup(events_are_differences_by_the_sinks_name, begin),
		cmocka_unit_test_setup(a_sink_that_was_opened_anew_counts_from_zero, begin),
	};

	return cmocka_run_group_tests_name("model/report_self", tests, NULL, NULL);
}
