/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/slots.h"

static int make(void **state)
{
	struct vs_slots *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	assert_int_equal(vs_slots_init(s, 4), 0); /* slots 1, 2 and 3 */
	*state = s;
	return 0;
}

static int drop(void **state)
{
	vs_slots_done(*state);
	free(*state);
	return 0;
}

static uint32_t take(struct vs_slots *s, uint64_t now_ns, uint32_t *ret_gen)
{
	uint32_t slot = 0;

	assert_int_equal(vs_slots_alloc(s, now_ns, &slot, ret_gen), 0);
	return slot;
}

static void slot_zero_is_never_given_out(void **state)
{
	uint32_t gen;

	for (int i = 0; i < 3; i++)
		assert_int_not_equal(take(*state, 0, &gen), 0);
}

static void slots_in_use_differ(void **state)
{
	uint32_t gen, a = take(*state, 0, &gen), b = take(*state, 0, &gen),
		      c = take(*state, 0, &gen);

	assert_true(a != b && b != c && a != c);
	assert_true(a < 4 && b < 4 && c < 4);
}

static void exhaustion_is_enospc_and_leaves_the_outputs_alone(void **state)
{
	uint32_t slot = 77, gen = 88;

	for (int i = 0; i < 3; i++)
		(void)take(*state, 0, &gen);
	gen = 88;
	assert_int_equal(vs_slots_alloc(*state, 0, &slot, &gen), -ENOSPC);
	assert_int_equal(slot, 77);
	assert_int_equal(gen, 88);
}

static void freed_slot_rests_for_ten_seconds(void **state)
{
	uint32_t gen, slot = 0;

	for (int i = 0; i < 3; i++)
		slot = take(*state, 0, &gen);
	vs_slots_release(*state, slot, 1000);
	assert_int_equal(vs_slots_alloc(*state, 1000 + VS_SLOT_REST_NS - 1, &slot, &gen), -ENOSPC);
	assert_int_equal(take(*state, 1000 + VS_SLOT_REST_NS, &gen), slot);
}

static void resting_slot_is_passed_over_for_a_fresh_one(void **state)
{
	uint32_t gen, first = take(*state, 0, &gen);

	vs_slots_release(*state, first, 0);
	assert_int_not_equal(take(*state, 1, &gen), first);
}

static void rested_slot_is_preferred_to_a_fresh_one(void **state)
{
	uint32_t gen, first = take(*state, 0, &gen);

	vs_slots_release(*state, first, 0);
	assert_int_equal(take(*state, VS_SLOT_REST_NS, &gen), first);
}

static void generation_grows_each_time_a_slot_is_given_out(void **state)
{
	uint32_t gen = 0, last = 0, slot = take(*state, 0, &last);
	uint64_t now = 0;

	assert_int_not_equal(last, 0);
	for (int i = 0; i < 10; i++, last = gen) {
		vs_slots_release(*state, slot, now);
		now += VS_SLOT_REST_NS;
		assert_int_equal(take(*state, now, &gen), slot);
		assert_int_equal(gen, last + 1);
	}
}

static void freed_slots_come_back_in_the_order_of_their_release(void **state)
{
	uint32_t gen, s[3];

	for (int i = 0; i < 3; i++)
		s[i] = take(*state, 0, &gen);
	vs_slots_release(*state, s[2], 10);
	vs_slots_release(*state, s[0], 20);
	vs_slots_release(*state, s[1], 30);
	assert_int_equal(take(*state, VS_SLOT_REST_NS + 30, &gen), s[2]);
	assert_int_equal(take(*state, VS_SLOT_REST_NS + 30, &gen), s[0]);
	assert_int_equal(take(*state, VS_SLOT_REST_NS + 30, &gen), s[1]);
}

static void no_slot_is_given_out_twice_in_a_long_random_life(void **state)
{
	struct vs_slots *s = *state;
	uint32_t held[4] = { 0 }, gen, gens[4] = { 0 };
	uint64_t seed = 3, now = 0, freed_ns[4] = { 0 };
	int n = 0;

	for (int i = 0; i < 100000; i++) {
		uint32_t slot;

		now += unit_random(&seed) % VS_SLOT_REST_NS;
		if (unit_random(&seed) & 1) {
			if (vs_slots_alloc(s, now, &slot, &gen))
				continue;
			assert_true(slot >= 1 && slot < 4 && !held[slot]);
			assert_true(gen > gens[slot]);
			assert_true(!gens[slot] || now - freed_ns[slot] >= VS_SLOT_REST_NS);
			gens[slot] = gen;
			held[slot] = 1;
			n++;
		} else {
			slot = 1 + (uint32_t)(unit_random(&seed) % 3);
			if (!held[slot])
				continue;
			held[slot] = 0;
			freed_ns[slot] = now;
			vs_slots_release(s, slot, now);
		}
	}
	assert_true(n > 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(slot_zero_is_never_given_out, make, drop),
		cmocka_unit_test_setup_teardown(slots_in_use_differ, make, drop),
		cmocka_unit_test_setup_teardown(exhaustion_is_enospc_and_leaves_the_outputs_alone, make, drop),
		cmocka_unit_test_setup_teardown(freed_slot_rests_for_ten_seconds, make, drop),
		cmocka_unit_test_setup_teardown(resting_slot_is_passed_over_for_a_fresh_one, make, drop),
		cmocka_unit_test_setup_teardown(rested_slot_is_preferred_to_a_fresh_one, make, drop),
		cmocka_unit_test_setup_teardown(generation_grows_each_time_a_slot_is_given_out, make, drop),
		cmocka_unit_test_setup_teardown(freed_slots_come_back_in_the_order_of_their_release, make, drop),
		cmocka_unit_test_setup_teardown(no_slot_is_given_out_twice_in_a_long_random_life, make, drop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
