/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The detector and the rules of stretches together: values in, starts and stops out. */
#include "unit.h"

#include "detect/stretch.h"

#include <math.h>

#define S 1000000000ull

struct scene {
	struct vs_detect_options o;
	const struct vs_form *form;
	struct vs_stretch stretch;
	struct vs_verdict verdict;
	void *detector;
	uint64_t now_s, random;
	int starts, stops;
	uint64_t start_s, stop_s;
	enum vs_stretch_cause cause;
};

static int make(void **state)
{
	struct scene *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->o = (struct vs_detect_options)VS_DETECT_DEFAULTS;
	c->form = &vs_forms[VS_SERIES_RESIDENCE];
	c->detector = calloc(1, vs_detector_ewma.state_size);
	c->now_s = 1000;
	c->random = 88172645463325252ull;
	assert_non_null(c->detector);
	vs_detector_ewma.init(c->detector, c->form->floor);
	*state = c;
	return 0;
}

static int drop(void **state)
{
	struct scene *c = *state;

	free(c->detector);
	free(c);
	return 0;
}

static void note(struct scene *c, enum vs_stretch_step step, enum vs_stretch_cause cause)
{
	if (step == VS_STRETCH_START) {
		c->starts++;
		c->start_s = c->now_s;
	} else if (step == VS_STRETCH_STOP) {
		c->stops++;
		c->stop_s = c->now_s;
		c->cause = cause;
		if (cause == VS_STRETCH_ACCEPTED)
			vs_detector_ewma.init(c->detector, c->form->floor);
	}
}

/* A value, one second after the one before. */
static void see(struct scene *c, double value)
{
	double x = vs_form_compared(c->form, value);
	enum vs_stretch_cause cause = VS_STRETCH_ENDED;
	enum vs_stretch_step step;

	c->now_s++;
	vs_detector_ewma.judge(c->detector, x, &c->verdict);
	step = vs_stretch_value(&c->stretch, &c->o, c->form, &c->verdict, x, c->now_s * S, &cause);
	if (c->stretch.has_lesson)
		vs_detector_ewma.learn(c->detector, c->stretch.lesson);
	note(c, step, cause);
}

/* The same for @n seconds, with up to 20 % of noise either way. */
static void see_for(struct scene *c, int n, double value)
{
	for (int i = 0; i < n; i++)
		see(c, value * (0.8 + 0.4 * (double)(unit_random(&c->random) % 1000) / 1000));
}

static void is_silent_during_warm_up_whatever_comes(void **state)
{
	struct scene *c = *state;

	see_for(c, 200, 100e-6);
	for (int i = 0; i < 4; i++) {
		see_for(c, 20, 50e-3 * (1 << 3 * i));
		see_for(c, 4, 100e-6);
	}
	assert_true(c->now_s - 1000 < c->o.warmup_s);
	assert_int_equal(c->starts, 0);
}

static void a_short_warm_up_needs_values_all_the_same(void **state)
{
	struct scene *c = *state;

	c->o.warmup_s = 1;
	see_for(c, VS_STRETCH_LEARNT - 5, 100e-6);
	see_for(c, 5, 50e-3);
	assert_int_equal(c->starts, 0);
}

static void a_step_up_is_one_start_and_one_stop(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 100e-6);
	see_for(c, 60, 5e-3);
	see_for(c, 400, 100e-6);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->stops, 1);
	assert_int_equal(c->start_s, 1400 + VS_STRETCH_OVER);
	assert_int_equal(c->stretch.since_ns, 1401 * S);
	assert_int_equal(c->stop_s, 1460 + VS_STRETCH_BELOW);
	assert_int_equal(c->cause, VS_STRETCH_CALM);
}

static void what_begins_during_warm_up_is_told_at_its_end(void **state)
{
	struct scene *c = *state;

	see_for(c, 296, 100e-6);
	see_for(c, 20, 50e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->start_s, 1301);
}

static void a_spike_of_one_value_is_nothing(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 100e-6);
	for (int i = 0; i < 20; i++) {
		see(c, 1.0);
		see_for(c, 30, 100e-6);
	}
	assert_int_equal(c->starts, 0);
}

static void a_wild_value_hides_nothing_that_comes_after(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 100e-6);
	see(c, 100);
	see_for(c, 2 * VS_STRETCH_OF, 100e-6);
	see_for(c, VS_STRETCH_OVER, 2e-3);
	assert_int_equal(c->starts, 1);
}

static void what_falls_is_abnormal_for_throughput_only(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 10e-3);
	see_for(c, 1, 10e-6);
	assert_true(c->verdict.deviation < -c->o.threshold);
	see_for(c, 60, 10e-6);
	assert_int_equal(c->starts, 0);

	c->form = &vs_forms[VS_SERIES_THROUGHPUT];
	c->stretch = (struct vs_stretch){0};
	vs_detector_ewma.init(c->detector, c->form->floor);
	see_for(c, 400, 50e6);
	see_for(c, 60, 0);
	assert_int_equal(c->starts, 1);
	assert_true(c->stretch.peak_deviation < 0);
}

static void throughput_must_deviate_further(void **state)
{
	struct scene *c = *state;

	c->form = &vs_forms[VS_SERIES_THROUGHPUT];
	vs_detector_ewma.init(c->detector, c->form->floor);
	see_for(c, 400, 10e6);
	see(c, 50e6);
	assert_true(c->verdict.deviation > c->o.threshold);
	see_for(c, 30, 50e6);
	assert_int_equal(c->starts, 0);
	see_for(c, 1000, 10e6);
	see_for(c, 30, 500e6);
	assert_int_equal(c->starts, 1);
}

static void values_before_the_start_do_not_widen_what_is_usual(void **state)
{
	struct scene *c = *state;

	for (int i = 0; i < 1000; i++)
		see(c, i % 2 ? 20e-3 : 5e-3);
	/* A little beyond the threshold: if one was learnt from, the next would be within. */
	for (int i = 0; i < VS_STRETCH_OVER; i++) {
		see(c, 10e-3 * exp2(6.9));
		assert_in_range(c->verdict.deviation * 100, 605, 700);
	}
	assert_int_equal(c->starts, 1);
}

static void a_jump_that_begins_within_a_value_is_seen(void **state)
{
	struct scene *c = *state;

	c->o.warmup_s = 5;
	c->form = &vs_forms[VS_SERIES_THROUGHPUT];
	vs_detector_ewma.init(c->detector, c->form->floor);
	see_for(c, VS_STRETCH_LEARNT + 1, 0);
	see(c, 4.8e6); /* almost beyond the threshold */
	see_for(c, VS_STRETCH_OVER, 28e6);
	assert_int_equal(c->starts, 1);
}

static void an_hour_of_it_teaches_the_baseline_nothing(void **state)
{
	struct scene *c = *state;
	double before;

	see_for(c, 400, 100e-6);
	before = c->verdict.expected;
	see_for(c, 3590, 50e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->stops, 0);
	assert_true(fabs(c->verdict.expected - before) < 0.02);
	see_for(c, 20, 100e-6);
	assert_int_equal(c->stops, 1);
	assert_int_equal(c->cause, VS_STRETCH_CALM);
}

static void what_lasts_is_the_new_normal(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 100e-6);
	see_for(c, 3700, 50e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->stops, 1);
	assert_int_equal(c->cause, VS_STRETCH_ACCEPTED);
	assert_int_equal(c->stop_s, 1401 + c->o.accept_s);
	see_for(c, 2000, 50e-3);
	assert_int_equal(c->starts, 1);
	/* And from there a rise is one again. */
	see_for(c, 20, 5.0);
	assert_int_equal(c->starts, 2);
}

static void hold_off_delays_the_next_start_and_teaches_nothing(void **state)
{
	struct scene *c = *state;
	uint64_t stopped;

	see_for(c, 400, 100e-6);
	see_for(c, 20, 50e-3);
	see_for(c, VS_STRETCH_BELOW, 100e-6);
	assert_int_equal(c->stops, 1);
	stopped = c->stop_s;
	see_for(c, 595, 50e-3);
	assert_int_equal(c->starts, 1);
	see_for(c, 10, 50e-3);
	assert_int_equal(c->starts, 2);
	assert_int_equal(c->start_s, stopped + c->o.hold_off_s);
}

static void without_hold_off_the_next_stretch_starts_at_once(void **state)
{
	struct scene *c = *state;

	c->o.hold_off_s = 0;
	for (int i = 1; i <= 4; i++) {
		see_for(c, 400, 100e-6);
		see_for(c, 20, 50e-3);
		assert_int_equal(c->starts, i);
	}
	assert_int_equal(c->stops, 3);
}

static void what_hovers_below_the_threshold_neither_stops_nor_prolongs(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 1e-3);
	see_for(c, 20, 50e-3);
	/* 4 usual deviations: between half of the threshold and all of it. */
	for (int i = 0; i < 30; i++)
		see(c, 2.1e-3);
	assert_in_range(c->verdict.deviation * 100, 310, 590);
	assert_int_equal(c->stops, 0);
	for (int i = 0; i < VS_STRETCH_BELOW; i++) {
		assert_int_equal(c->stops, 0);
		see(c, 1e-3);
		see(c, 2.1e-3);
	}
	assert_int_equal(c->stops, 1);
}

static void a_value_beyond_it_prolongs_a_stretch(void **state)
{
	struct scene *c = *state;

	see_for(c, 400, 1e-3);
	for (int i = 0; i < 20; i++) {
		see_for(c, VS_STRETCH_OVER, 50e-3);
		see_for(c, VS_STRETCH_BELOW - 1, 1e-3);
	}
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->stops, 0);
}

static void a_peak_is_that_of_its_own_stretch(void **state)
{
	struct scene *c = *state;

	c->o.hold_off_s = 0;
	see_for(c, 400, 100e-6);
	see_for(c, 20, 1.0);
	assert_true(vs_form_value(c->form, c->stretch.peak) > 0.9);
	see_for(c, VS_STRETCH_BELOW, 100e-6);
	see_for(c, 20, 20e-3);
	assert_int_equal(c->starts, 2);
	assert_true(vs_form_value(c->form, c->stretch.peak) < 0.03);
}

static void values_that_stop_coming_end_the_stretch(void **state)
{
	struct scene *c = *state;
	enum vs_stretch_cause cause = VS_STRETCH_CALM;

	see_for(c, 400, 100e-6);
	see_for(c, 20, 50e-3);
	assert_int_equal(vs_stretch_absent(&c->stretch, (c->now_s + 59) * S, &cause),
			 VS_STRETCH_NOTHING);
	assert_int_equal(vs_stretch_absent(&c->stretch, (c->now_s + 60) * S, &cause),
			 VS_STRETCH_STOP);
	assert_int_equal(cause, VS_STRETCH_ABSENT);
	assert_int_equal(vs_stretch_absent(&c->stretch, (c->now_s + 61) * S, &cause),
			 VS_STRETCH_NOTHING);
}

static void a_burst_of_loss_after_none_at_all_is_seen(void **state)
{
	struct scene *c = *state;

	c->form = &vs_forms[VS_SERIES_DROP_RATIO];
	vs_detector_ewma.init(c->detector, c->form->floor);
	see_for(c, 3600, 0);
	see_for(c, 10, 0.05);
	assert_int_equal(c->starts, 1);
	assert_true(isfinite(c->verdict.deviation));
	see_for(c, 20, 0);
	assert_int_equal(c->stops, 1);
}

static void a_loss_of_next_to_nothing_is_none(void **state)
{
	struct scene *c = *state;

	c->form = &vs_forms[VS_SERIES_DROP_RATIO];
	vs_detector_ewma.init(c->detector, c->form->floor);
	see_for(c, 3600, 0);
	see_for(c, 60, 0.001);
	assert_int_equal(c->starts, 0);
}

static void expected_is_near_the_mean_and_a_trend_is_followed(void **state)
{
	struct scene *c = *state;

	see_for(c, 1000, 1e-3);
	assert_true(fabs(vs_form_value(c->form, c->verdict.expected) - 1e-3) < 0.1e-3);
	/* Tenfold within an hour: no alarm for what goes slowly. */
	for (int i = 0; i < 3600; i++)
		see_for(c, 1, 1e-3 * pow(10, i / 3600.0));
	assert_int_equal(c->starts, 0);
	assert_true(vs_form_value(c->form, c->verdict.expected) > 5e-3);
}

static void compared_and_back_is_the_value(void **state)
{
	static const double values[] = {0, 1e-6, 1e-3, 0.5, 1, 60, 1e9};

	(void)state;
	for (int k = 0; k < VS_SERIES__N; k++)
		for (size_t i = 0; i < COUNT(values); i++) {
			double x = vs_form_compared(&vs_forms[k], values[i]);

			assert_true(isfinite(x));
			assert_true(fabs(vs_form_value(&vs_forms[k], x) - values[i]) <=
				    1e-9 * (1 + values[i]));
		}
}

static void a_state_is_small(void **state)
{
	(void)state;
	assert_true(sizeof(struct vs_stretch) + vs_detector_ewma.state_size <= 320);
}

/* The long run, a thousand seeds of each of eight models, is make bench-detect's. */
static void twenty_steady_days_give_no_alarm(void **state)
{
	struct scene *c = *state;

	c->form = &vs_forms[VS_SERIES_DISK_LATENCY];
	for (int day = 0; day < 20; day++) {
		c->stretch = (struct vs_stretch){0};
		vs_detector_ewma.init(c->detector, c->form->floor);
		c->random = 12345 + (uint64_t)day * 7919;
		for (int i = 0; i < 86400; i++) {
			double doublings = 0;

			/* Nearly normal, deviation 1; and one value in 64 is 30 times as high. */
			for (int k = 0; k < 12; k++)
				doublings += (double)(unit_random(&c->random) % 1000) / 1000;
			see(c, 500e-6 * exp2(0.5 * (doublings - 6)) *
				       (unit_random(&c->random) >> 58 ? 1 : 30));
		}
		assert_int_equal(c->starts, 0);
	}
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(is_silent_during_warm_up_whatever_comes),
		TEST(a_short_warm_up_needs_values_all_the_same),
		TEST(a_step_up_is_one_start_and_one_stop),
		TEST(what_begins_during_warm_up_is_told_at_its_end),
		TEST(a_spike_of_one_value_is_nothing),
		TEST(a_wild_value_hides_nothing_that_comes_after),
		TEST(what_falls_is_abnormal_for_throughput_only),
		TEST(throughput_must_deviate_further),
		TEST(values_before_the_start_do_not_widen_what_is_usual),
		TEST(a_jump_that_begins_within_a_value_is_seen),
		TEST(an_hour_of_it_teaches_the_baseline_nothing),
		TEST(what_lasts_is_the_new_normal),
		TEST(hold_off_delays_the_next_start_and_teaches_nothing),
		TEST(without_hold_off_the_next_stretch_starts_at_once),
		TEST(what_hovers_below_the_threshold_neither_stops_nor_prolongs),
		TEST(a_value_beyond_it_prolongs_a_stretch),
		TEST(a_peak_is_that_of_its_own_stretch),
		TEST(values_that_stop_coming_end_the_stretch),
		TEST(a_burst_of_loss_after_none_at_all_is_seen),
		TEST(a_loss_of_next_to_nothing_is_none),
		TEST(expected_is_near_the_mean_and_a_trend_is_followed),
		TEST(compared_and_back_is_the_value),
		TEST(a_state_is_small),
		TEST(twenty_steady_days_give_no_alarm),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
