/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/histogram.h"

#include <math.h>

#define FIRST_NS (1ull << VS_HIST_FIRST_LOG2)
#define LAST_NS	 (1ull << VS_HIST_LAST_LOG2)

/* The bucket as the comment in abi.h defines it, without shifting bits: count
 * octaves by doubling, then steps by dividing. */
static uint32_t bucket_by_division(uint64_t ns)
{
	uint64_t octave_ns = FIRST_NS;
	uint32_t octave = 0;

	if (ns < FIRST_NS)
		return 0;
	if (ns >= LAST_NS)
		return VS_HIST__N - 1;
	while (ns >= octave_ns * 2) {
		octave_ns *= 2;
		octave++;
	}
	return 1 + octave * VS_HIST_STEPS + (uint32_t)((ns - octave_ns) / (octave_ns / VS_HIST_STEPS));
}

/* Calls @check around each edge there is, and for many values of each size. */
static void each_value(void (*check)(uint64_t ns))
{
	uint64_t state = 88172645463325252ull;

	for (uint32_t bit = 0; bit < 64; bit++)
		for (int64_t off = -2; off <= 2; off++)
			check((1ull << bit) + (uint64_t)off);
	for (uint32_t i = 0; i < VS_HIST__N; i++)
		for (int64_t off = -1; off <= 1; off++)
			check(vs_hist_lower_ns(i) + (uint64_t)off);
	for (int i = 0; i < 200000; i++) {
		uint64_t r = unit_random(&state);

		check(r >> (r & 63));
	}
	check(0);
	check(UINT64_MAX);
}

static void check_against_division(uint64_t ns)
{
	assert_int_equal(vs_hist_index(ns), bucket_by_division(ns));
}

static void index_agrees_with_counting_octaves_and_steps(void **state)
{
	(void)state;
	each_value(check_against_division);
}

static void check_edges(uint64_t ns)
{
	uint32_t i = vs_hist_index(ns);

	assert_true(i < VS_HIST__N);
	assert_true(ns >= vs_hist_lower_ns(i));
	if (i < VS_HIST__N - 1)
		assert_true(ns < vs_hist_upper_ns(i));
}

static void every_value_lies_between_its_buckets_edges(void **state)
{
	(void)state;
	each_value(check_edges);
}

static void check_monotonic(uint64_t ns)
{
	if (ns < UINT64_MAX)
		assert_true(vs_hist_index(ns) <= vs_hist_index(ns + 1));
}

static void index_never_falls_as_values_grow(void **state)
{
	(void)state;
	each_value(check_monotonic);
}

static void buckets_touch_and_leave_no_gap(void **state)
{
	(void)state;
	assert_int_equal(vs_hist_lower_ns(0), 0);
	for (uint32_t i = 0; i + 1 < VS_HIST__N; i++) {
		assert_int_equal(vs_hist_upper_ns(i), vs_hist_lower_ns(i + 1));
		assert_true(vs_hist_lower_ns(i) < vs_hist_upper_ns(i));
	}
	assert_int_equal(vs_hist_lower_ns(1), FIRST_NS);
	assert_int_equal(vs_hist_lower_ns(VS_HIST__N - 1), LAST_NS);
}

static void bucket_is_at_most_an_eighth_of_its_values_wide(void **state)
{
	(void)state;
	for (uint32_t i = 1; i + 1 < VS_HIST__N; i++)
		assert_true((vs_hist_upper_ns(i) - vs_hist_lower_ns(i)) * 8 <= vs_hist_lower_ns(i));
}

static int by_size(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void percentiles_are_within_an_eighth_of_the_sorted_sample(void **state)
{
	static const int sizes[] = { 1, 2, 3, 7, 10, 99, 100, 101, 5000 };
	static const double qs[] = { 0.01, 0.5, 0.9, 0.95, 0.99, 1.0 };
	uint64_t seed = 42, *values = calloc(5000, sizeof(*values));

	(void)state;
	assert_non_null(values);
	for (int round = 0; round < 50; round++)
		for (size_t s = 0; s < COUNT(sizes); s++) {
			int n = sizes[s];
			struct vs_hist h = { 0 };

			for (int i = 0; i < n; i++) {
				/* uniform over the logarithm, inside the finite buckets */
				double u = (double)(unit_random(&seed) >> 11) / 9007199254740992.0;

				values[i] = (uint64_t)exp2(10 + 25.9 * u);
				h.n[vs_hist_index(values[i])]++;
			}
			qsort(values, (size_t)n, sizeof(*values), by_size);
			for (size_t k = 0; k < COUNT(qs); k++) {
				int rank = (int)ceil(qs[k] * n);
				double truth = (double)values[rank < 1 ? 0 : rank - 1];
				double p = vs_hist_percentile_ns(&h, qs[k]);

				assert_true(fabs(p - truth) <= 0.125 * truth);
			}
		}
	free(values);
}

static void percentile_of_one_value_lies_in_its_bucket(void **state)
{
	(void)state;
	for (uint32_t i = 0; i + 1 < VS_HIST__N; i++) {
		struct vs_hist h = { 0 };
		double p;

		h.n[i] = 1;
		p = vs_hist_percentile_ns(&h, 0.5);
		assert_true(p >= (double)vs_hist_lower_ns(i) && p < (double)vs_hist_upper_ns(i));
	}
}

static void percentiles_never_fall_as_the_share_grows(void **state)
{
	struct vs_hist h = { 0 };
	double last = 0;
	uint64_t seed = 7;

	(void)state;
	for (uint32_t i = 0; i < VS_HIST__N; i++)
		h.n[i] = (uint32_t)(unit_random(&seed) % 1000);
	for (int i = 0; i <= 1000; i++) {
		double p = vs_hist_percentile_ns(&h, i / 1000.0);

		assert_true(p >= last);
		last = p;
	}
}

static void percentile_beyond_the_last_edge_is_that_edge(void **state)
{
	struct vs_hist h = { 0 };

	(void)state;
	h.n[VS_HIST__N - 1] = 5;
	assert_true(vs_hist_percentile_ns(&h, 0.5) == (double)LAST_NS);
}

static void percentile_of_nothing_is_zero(void **state)
{
	struct vs_hist h = { 0 };

	(void)state;
	assert_true(vs_hist_percentile_ns(&h, 0.99) == 0);
}

static void counts_beyond_32_bits_add_up(void **state)
{
	struct vs_hist h = { 0 };

	(void)state;
	h.n[1] = h.n[2] = UINT32_MAX;
	assert_true(vs_hist_count(&h) == 2ull * UINT32_MAX);
}

static void difference_wraps_modulo_2_32(void **state)
{
	struct vs_hist older = { 0 }, newer = { 0 }, d;

	(void)state;
	older.n[5] = UINT32_MAX - 2;
	newer.n[5] = 7;
	older.sum_ns = 100;
	newer.sum_ns = 1100;
	vs_hist_diff(&newer, &older, &d);
	assert_int_equal(d.n[5], 10);
	assert_int_equal(d.sum_ns, 1000);
	assert_int_equal(vs_hist_count(&d), 10);
}

static void difference_from_nothing_is_the_newer_one(void **state)
{
	struct vs_hist newer = { .sum_ns = 9 }, d;

	(void)state;
	newer.n[0] = 1;
	newer.n[VS_HIST__N - 1] = 2;
	vs_hist_diff(&newer, NULL, &d);
	assert_memory_equal(&d, &newer, sizeof(d));
}

static void difference_may_replace_the_newer_one(void **state)
{
	struct vs_hist older = { .sum_ns = 1 }, newer = { .sum_ns = 3 };

	(void)state;
	older.n[3] = 4;
	newer.n[3] = 9;
	vs_hist_diff(&newer, &older, &newer);
	assert_int_equal(newer.n[3], 5);
	assert_int_equal(newer.sum_ns, 2);
}

static void maximum_is_the_upper_edge_of_the_highest_bucket_in_use(void **state)
{
	struct vs_hist h = { 0 };

	(void)state;
	assert_int_equal(vs_hist_max_ns(&h), 0);
	h.n[0] = 3;
	assert_int_equal(vs_hist_max_ns(&h), FIRST_NS);
	h.n[vs_hist_index(5000000)] = 1;
	assert_true(vs_hist_max_ns(&h) > 5000000 && vs_hist_max_ns(&h) <= 5000000 * 9 / 8);
	h.n[VS_HIST__N - 1] = 1;
	assert_int_equal(vs_hist_max_ns(&h), LAST_NS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(index_agrees_with_counting_octaves_and_steps),
		cmocka_unit_test(every_value_lies_between_its_buckets_edges),
		cmocka_unit_test(index_never_falls_as_values_grow),
		cmocka_unit_test(buckets_touch_and_leave_no_gap),
		cmocka_unit_test(bucket_is_at_most_an_eighth_of_its_values_wide),
		cmocka_unit_test(percentiles_are_within_an_eighth_of_the_sorted_sample),
		cmocka_unit_test(percentile_of_one_value_lies_in_its_bucket),
		cmocka_unit_test(percentiles_never_fall_as_the_share_grows),
		cmocka_unit_test(percentile_beyond_the_last_edge_is_that_edge),
		cmocka_unit_test(percentile_of_nothing_is_zero),
		cmocka_unit_test(counts_beyond_32_bits_add_up),
		cmocka_unit_test(difference_wraps_modulo_2_32),
		cmocka_unit_test(difference_from_nothing_is_the_newer_one),
		cmocka_unit_test(difference_may_replace_the_newer_one),
		cmocka_unit_test(maximum_is_the_upper_edge_of_the_highest_bucket_in_use),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
