/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"

static void check(uint64_t ns, const char *expected)
{
	char text[VS_RFC3339__N];

	vs_clock_rfc3339(ns, text);
	assert_string_equal(text, expected);
}

static void epoch_is_the_first_of_january_1970(void **state)
{
	(void)state;
	check(0, "1970-01-01T00:00:00.000000000Z");
}

static void nanoseconds_have_nine_digits(void **state)
{
	(void)state;
	check(1, "1970-01-01T00:00:00.000000001Z");
	check(999999999, "1970-01-01T00:00:00.999999999Z");
	check(1000000000, "1970-01-01T00:00:01.000000000Z");
}

static void leap_days_are_days(void **state)
{
	(void)state;
	check(951782400ull * VS_NS_PER_S, "2000-02-29T00:00:00.000000000Z");
	check(1709251199ull * VS_NS_PER_S + 5, "2024-02-29T23:59:59.000000005Z");
}

static void the_local_zone_does_not_matter(void **state)
{
	(void)state;
	assert_int_equal(setenv("TZ", "Asia/Kathmandu", 1), 0);
	tzset();
	check(1700000000ull * VS_NS_PER_S, "2023-11-14T22:13:20.000000000Z");
	(void)unsetenv("TZ");
	tzset();
}

static void the_last_time_that_fits_is_written_whole(void **state)
{
	(void)state;
	check(UINT64_MAX, "2554-07-21T23:34:33.709551615Z");
}

static void monotonic_clock_does_not_go_back(void **state)
{
	uint64_t last = vs_clock_mono_ns();

	(void)state;
	for (int i = 0; i < 1000; i++) {
		uint64_t now = vs_clock_mono_ns();

		assert_true(now >= last);
		last = now;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(epoch_is_the_first_of_january_1970),
		cmocka_unit_test(nanoseconds_have_nine_digits),
		cmocka_unit_test(leap_days_are_days),
		cmocka_unit_test(the_local_zone_does_not_matter),
		cmocka_unit_test(the_last_time_that_fits_is_written_whole),
		cmocka_unit_test(monotonic_clock_does_not_go_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
