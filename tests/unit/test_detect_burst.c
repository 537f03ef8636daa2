/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"
#include "detect/burst.h"

#define FULL_RING 80

struct scene {
	struct vs_burst_detector *d;
	struct vs_sample s;
	int found;
	struct vs_burst_finding last;
};

static uint64_t ns(double s)
{
	return (uint64_t)(s * 1e9);
}

static int make(void **state)
{
	struct scene *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	assert_int_equal(vs_burst_new(&c->d), 0);
	*state = c;
	return 0;
}

static int drop(void **state)
{
	struct scene *c = *state;

	vs_burst_free(&c->d);
	assert_null(c->d);
	vs_sample_done(&c->s);
	free(c);
	return 0;
}

static void on_burst(void *data, const struct vs_burst_finding *f)
{
	struct scene *c = data;

	c->found++;
	c->last = *f;
}

static void add(struct scene *c, uint64_t vnic, uint8_t direction, const char *location,
		enum vs_class class, uint64_t count)
{
	struct vs_drop_sample *d = vs_sample_add_drop(&c->s);

	d->vnic_uid = vnic;
	d->kind.direction = direction;
	d->kind.class = class;
	d->kind.site = VS_SITE_TAP;
	d->reason = "FULL_RING";
	d->raw_reason = FULL_RING;
	d->location = location;
	d->address = (uintptr_t)location;
	d->count = count;
}

/* A tick at @now_s; of what add() put in. Return: events. */
static int tick(struct scene *c, double now_s)
{
	c->found = 0;
	c->s.mono_ns = ns(now_s);
	vs_sample_sort(&c->s);
	vs_burst_tick(c->d, &c->s, on_burst, c);
	vs_sample_clear(&c->s);
	return c->found;
}

/* A tick at which vNIC 10 has lost @count so far. */
static int tick_at(struct scene *c, double now_s, uint64_t count)
{
	add(c, 10, VS_DIR_RX, "tun_net_xmit", VS_CLASS_LOSS, count);
	return tick(c, now_s);
}

static void note(struct scene *c, double now_s)
{
	vs_burst_note(c->d, 10, FULL_RING, ns(now_s));
}

static void burst_is_told_once_it_has_settled(void **state)
{
	struct scene *c = *state;

	assert_int_equal(tick_at(c, 1, 0), 0);
	note(c, 1.5);
	assert_int_equal(tick_at(c, 2, 30), 0);
	assert_int_equal(tick_at(c, 3, 50), 1);
	assert_int_equal(c->last.count, 50);
	assert_int_equal(c->last.vnic_uid, 10);
	assert_int_equal(c->last.direction, VS_DIR_RX);
	assert_int_equal(c->last.site, VS_SITE_TAP);
	assert_string_equal(c->last.reason, "FULL_RING");
	assert_string_equal(c->last.location, "tun_net_xmit");
	assert_int_equal(c->last.over_ns, ns(2));
	assert_int_equal(tick_at(c, 4, 50), 0);
}

static void burst_of_a_new_row_counts_from_zero(void **state)
{
	struct scene *c = *state;

	assert_int_equal(tick(c, 1), 0);
	note(c, 1.5);
	assert_int_equal(tick_at(c, 2, 12), 0);
	assert_int_equal(tick_at(c, 3, 12), 1);
	assert_int_equal(c->last.count, 12);
}

static void losses_before_the_burst_are_not_in_it(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 1000);
	(void)tick_at(c, 2, 1003);
	note(c, 2.5);
	(void)tick_at(c, 3, 1020);
	assert_int_equal(tick_at(c, 4, 1020), 1);
	assert_int_equal(c->last.count, 17);
}

static void fewer_than_ten_are_no_burst(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 1.5);
	(void)tick_at(c, 2, 9);
	assert_int_equal(tick_at(c, 3, 9), 0);
	for (int s = 4; s < 20; s++)
		assert_int_equal(tick_at(c, s, 9), 0);
}

static void ten_are_a_burst(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 1.5);
	(void)tick_at(c, 2, 10);
	assert_int_equal(tick_at(c, 3, 10), 1);
}

static void slow_losses_without_a_note_are_no_burst(void **state)
{
	struct scene *c = *state;

	for (int s = 1; s < 60; s++)
		assert_int_equal(tick_at(c, s, (uint64_t)s * 9), 0);
}

static void lasting_loss_is_told_every_ten_seconds_and_sums_add_up(void **state)
{
	struct scene *c = *state;
	uint64_t told = 0, lost = 0;
	double last = 0;
	int events = 0;

	(void)tick_at(c, 1, 0);
	for (int s = 2; s <= 60; s++) {
		lost += 100;
		note(c, s - 0.5);
		if (!tick_at(c, s, lost))
			continue;
		assert_true(!last || s - last >= 10);
		told += c->last.count;
		assert_int_equal(told, lost);
		last = s;
		events++;
	}
	assert_in_range(events, 5, 6);
}

static void losses_in_the_quiet_time_are_told_by_the_next_event(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 1.5);
	(void)tick_at(c, 2, 20);
	assert_int_equal(tick_at(c, 3, 20), 1);
	for (int s = 4; s < 13; s++) {
		if (s == 7)
			note(c, 6.5);
		assert_int_equal(tick_at(c, s, s < 7 ? 20 : 70), 0);
	}
	assert_int_equal(tick_at(c, 13, 75), 1);
	assert_int_equal(c->last.count, 55);
	assert_int_equal(c->last.over_ns, ns(10));
}

static void places_of_one_reason_are_one_burst(void **state)
{
	struct scene *c = *state;

	(void)tick(c, 1);
	note(c, 1.5);
	for (int s = 2; s <= 3; s++) {
		add(c, 10, VS_DIR_RX, "little", VS_CLASS_LOSS, 4);
		add(c, 10, VS_DIR_RX, "most", VS_CLASS_LOSS, 8);
		(void)tick(c, s);
	}
	assert_int_equal(c->found, 1);
	assert_int_equal(c->last.count, 12);
	assert_string_equal(c->last.location, "most");
}

static void location_is_the_one_that_lost_most_in_this_burst(void **state)
{
	struct scene *c = *state;

	for (int s = 1; s <= 3; s++) {
		add(c, 10, VS_DIR_RX, "yesterday", VS_CLASS_LOSS, 1000);
		add(c, 10, VS_DIR_RX, "today", VS_CLASS_LOSS, s == 1 ? 0 : 50);
		if (s == 2)
			note(c, 1.5);
		(void)tick(c, s);
	}
	assert_int_equal(c->found, 1);
	assert_int_equal(c->last.count, 50);
	assert_string_equal(c->last.location, "today");
}

static void benign_and_teardown_rows_are_not_counted(void **state)
{
	struct scene *c = *state;

	(void)tick(c, 1);
	note(c, 1.5);
	for (int s = 2; s <= 4; s++) {
		add(c, 10, VS_DIR_RX, "a", VS_CLASS_BENIGN, 1000);
		add(c, 10, VS_DIR_RX, "b", VS_CLASS_TEARDOWN, 1000);
		add(c, 10, VS_DIR_RX, "c", VS_CLASS_LOSS, 9);
		assert_int_equal(tick(c, s), 0);
	}
}

static void drops_of_nobody_are_no_burst(void **state)
{
	struct scene *c = *state;

	(void)tick(c, 1);
	vs_burst_note(c->d, 0, FULL_RING, ns(1.5));
	for (int s = 2; s <= 4; s++) {
		add(c, 0, VS_DIR_RX, "a", VS_CLASS_LOSS, 1000);
		assert_int_equal(tick(c, s), 0);
	}
}

static void vnics_burst_each_for_itself(void **state)
{
	struct scene *c = *state;

	(void)tick(c, 1);
	note(c, 1.5);
	vs_burst_note(c->d, 11, FULL_RING, ns(1.5));
	for (int s = 2; s <= 3; s++) {
		add(c, 10, VS_DIR_RX, "a", VS_CLASS_LOSS, 10);
		add(c, 11, VS_DIR_RX, "a", VS_CLASS_LOSS, 20);
		add(c, 12, VS_DIR_RX, "a", VS_CLASS_LOSS, 30); /* nobody noted it */
		(void)tick(c, s);
	}
	assert_int_equal(c->found, 2);
}

static void vanished_vnic_is_forgotten(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 1.5);
	(void)tick_at(c, 2, 50);
	assert_int_equal(tick(c, 3), 0);
	assert_int_equal(tick(c, 4), 0);
}

static void note_of_an_unknown_vnic_is_forgotten_at_the_next_tick(void **state)
{
	struct scene *c = *state;

	note(c, 0.5);
	assert_int_equal(tick(c, 1), 0);
	(void)tick_at(c, 2, 50);
	for (int s = 3; s < 6; s++)
		assert_int_equal(tick_at(c, s, 50), 0);
}

static void note_younger_than_the_sample_waits_too(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 2.001); /* noted while the sample of 2.000 was being read */
	assert_int_equal(tick_at(c, 2, 30), 0);
	assert_int_equal(tick_at(c, 3.5, 50), 1);
	assert_int_equal(c->last.count, 50);
}

static void thousands_of_notes_do_no_harm(void **state)
{
	struct scene *c = *state;

	(void)tick_at(c, 1, 0);
	note(c, 1.5);
	for (uint64_t i = 0; i < 5000; i++)
		vs_burst_note(c->d, 100 + i, FULL_RING, ns(1.6));
	(void)tick_at(c, 2, 30);
	assert_int_equal(tick_at(c, 3, 30), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(burst_is_told_once_it_has_settled, make, drop),
		cmocka_unit_test_setup_teardown(burst_of_a_new_row_counts_from_zero, make, drop),
		cmocka_unit_test_setup_teardown(losses_before_the_burst_are_not_in_it, make, drop),
		cmocka_unit_test_setup_teardown(fewer_than_ten_are_no_burst, make, drop),
		cmocka_unit_test_setup_teardown(ten_are_a_burst, make, drop),
		cmocka_unit_test_setup_teardown(slow_losses_without_a_note_are_no_burst, make, drop),
		cmocka_unit_test_setup_teardown(lasting_loss_is_told_every_ten_seconds_and_sums_add_up, make, drop),
		cmocka_unit_test_setup_teardown(losses_in_the_quiet_time_are_told_by_the_next_event, make, drop),
		cmocka_unit_test_setup_teardown(places_of_one_reason_are_one_burst, make, drop),
		cmocka_unit_test_setup_teardown(location_is_the_one_that_lost_most_in_this_burst, make, drop),
		cmocka_unit_test_setup_teardown(benign_and_teardown_rows_are_not_counted, make, drop),
		cmocka_unit_test_setup_teardown(drops_of_nobody_are_no_burst, make, drop),
		cmocka_unit_test_setup_teardown(vnics_burst_each_for_itself, make, drop),
		cmocka_unit_test_setup_teardown(vanished_vnic_is_forgotten, make, drop),
		cmocka_unit_test_setup_teardown(note_of_an_unknown_vnic_is_forgotten_at_the_next_tick, make, drop),
		cmocka_unit_test_setup_teardown(note_younger_than_the_sample_waits_too, make, drop),
		cmocka_unit_test_setup_teardown(thousands_of_notes_do_no_harm, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
