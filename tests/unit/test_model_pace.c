/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/histogram.h"
#include "model/pace.h"

#define S  1000000000ull
#define MS 1000000ull

static struct vs_pace pace;

static int begin(void **state)
{
	(void)state;
	vs_pace_init(&pace, 5 * S, S);
	return 0;
}

static void a_punctual_tick_is_not_late(void **state)
{
	(void)state;
	for (uint64_t i = 6; i < 16; i++) {
		vs_pace_begin(&pace, i * S);
		vs_pace_end(&pace, i * S);
	}
	assert_int_equal(pace.sample.ticks, 10);
	assert_int_equal(pace.sample.missed, 0);
	assert_int_equal(pace.sample.late.sum_ns, 0);
	assert_int_equal(pace.sample.late.n[0], 10);
}

static void a_tick_before_its_time_is_not_late_either(void **state)
{
	(void)state;
	vs_pace_begin(&pace, 6 * S - 20);
	assert_int_equal(pace.sample.late.sum_ns, 0);
	assert_int_equal(pace.sample.missed, 0);
}

static void lateness_does_not_add_up_over_ticks(void **state)
{
	(void)state;
	vs_pace_begin(&pace, 6 * S + 300 * MS);
	vs_pace_begin(&pace, 7 * S + 300 * MS);
	assert_int_equal(pace.sample.late.sum_ns, 600 * MS);
	vs_pace_begin(&pace, 8 * S);
	assert_int_equal(pace.sample.late.sum_ns, 600 * MS);
	assert_int_equal(vs_hist_count(&pace.sample.late), 3);
}

static void ticks_that_never_began_are_counted(void **state)
{
	(void)state;
	vs_pace_begin(&pace, 6 * S);
	vs_pace_begin(&pace, 9 * S + 100 * MS); /* for those of 7, 8 and 9 */
	assert_int_equal(pace.sample.ticks, 2);
	assert_int_equal(pace.sample.missed, 2);
	assert_int_equal(pace.sample.late.sum_ns, 2100 * MS);
	vs_pace_begin(&pace, 10 * S);
	assert_int_equal(pace.sample.missed, 2);
	assert_int_equal(pace.sample.late.sum_ns, 2100 * MS);
}

static void what_a_tick_took_is_from_begin_to_end(void **state)
{
	(void)state;
	vs_pace_begin(&pace, 6 * S + 10 * MS);
	vs_pace_end(&pace, 6 * S + 14 * MS);
	assert_int_equal(pace.sample.took.sum_ns, 4 * MS);
	assert_int_equal(pace.sample.took.n[vs_hist_index(4 * MS)], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_punctual_tick_is_not_late, begin),
		cmocka_unit_test_setup(a_tick_before_its_time_is_not_late_either, begin),
		cmocka_unit_test_setup(lateness_does_not_add_up_over_ticks, begin),
		cmocka_unit_test_setup(ticks_that_never_began_are_counted, begin),
		cmocka_unit_test_setup(what_a_tick_took_is_from_begin_to_end, begin),
	};

	return cmocka_run_group_tests_name("model/pace", tests, NULL, NULL);
}
