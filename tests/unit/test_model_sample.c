/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/sample.h"

static struct vs_sample s;

static int done(void **state)
{
	(void)state;
	vs_sample_done(&s);
	return 0;
}

static void appended_elements_are_zero_even_in_used_memory(void **state)
{
	static const struct vs_vnic_sample zero;

	(void)state;
	memset(vs_sample_add_vnic(&s), 0xff, sizeof(zero));
	vs_sample_clear(&s);
	assert_int_equal(s.vnics_n, 0);
	assert_memory_equal(vs_sample_add_vnic(&s), &zero, sizeof(zero));
	assert_int_equal(s.vnics_n, 1);
}

static void thousands_of_elements_keep_their_values(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 5000; i++) {
		vs_sample_add_vm(&s)->uid = i;
		vs_sample_add_vnic(&s)->uid = i * 2;
		vs_sample_add_drop(&s)->vnic_uid = i * 3;
		if (i < 100)
			vs_sample_add_disk(&s)->vm_uid = i * 4;
	}
	assert_int_equal(s.vms_n, 5000);
	for (uint64_t i = 0; i < 5000; i++) {
		assert_int_equal(s.vms[i].uid, i);
		assert_int_equal(s.vnics[i].uid, i * 2);
		assert_int_equal(s.drops[i].vnic_uid, i * 3);
	}
	assert_int_equal(s.disks[99].vm_uid, 396);
}

static void clearing_keeps_the_memory(void **state)
{
	void *was;

	(void)state;
	was = vs_sample_add_vm(&s);
	s.self.cpu_ns = 5;
	vs_sample_clear(&s);
	assert_int_equal(s.self.cpu_ns, 0);
	assert_ptr_equal(vs_sample_add_vm(&s), was);
}

static void vnics_are_found_by_uid_once_sorted(void **state)
{
	static const uint64_t uids[] = { 70, 3, UINT64_MAX, 12, 1ull << 40 };

	(void)state;
	for (size_t i = 0; i < COUNT(uids); i++)
		vs_sample_add_vnic(&s)->uid = uids[i];
	vs_sample_sort(&s);
	for (size_t i = 0; i < COUNT(uids); i++)
		assert_int_equal(vs_sample_find_vnic(&s, uids[i])->uid, uids[i]);
	for (size_t i = 1; i < COUNT(uids); i++)
		assert_true(s.vnics[i - 1].uid < s.vnics[i].uid);
}

static void what_is_not_there_is_not_found(void **state)
{
	struct vs_drop_sample like = { .vnic_uid = 9 };

	(void)state;
	assert_null(vs_sample_find_vnic(&s, 1)); /* in nothing at all */
	assert_null(vs_sample_find_drop(&s, &like));
	assert_null(vs_sample_find_disk(&s, 0, 0, 0));
	vs_sample_add_vnic(&s)->uid = 2;
	vs_sample_add_drop(&s)->vnic_uid = 8;
	vs_sample_add_disk(&s)->vm_uid = 1;
	vs_sample_sort(&s);
	assert_null(vs_sample_find_vnic(&s, 1));
	assert_null(vs_sample_find_drop(&s, &like));
	assert_null(vs_sample_find_disk(&s, 1, 0, 1));
}

static void drops_are_told_apart_by_every_part_of_their_key(void **state)
{
	(void)state;
	for (uint64_t i = 0; i < 64; i++) {
		struct vs_drop_sample *d = vs_sample_add_drop(&s);

		d->vnic_uid = 1 + (i & 1);
		d->kind.direction = i >> 1 & 1;
		d->kind.site = i >> 2 & 1 ? VS_SITE_TAP : VS_SITE_QDISC;
		d->kind.class = i >> 3 & 1 ? VS_CLASS_LOSS : VS_CLASS_BENIGN;
		d->raw_reason = (uint32_t)(i >> 4 & 1);
		d->address = i >> 5 & 1;
		d->count = i;
	}
	vs_sample_sort(&s);
	for (size_t i = 0; i < 64; i++)
		assert_ptr_equal(vs_sample_find_drop(&s, &s.drops[i]), &s.drops[i]);
}

static void drop_is_found_whatever_its_count_and_texts(void **state)
{
	struct vs_drop_sample *d = vs_sample_add_drop(&s), like;

	(void)state;
	d->vnic_uid = 5;
	d->raw_reason = 80;
	d->count = 7;
	d->reason = "FULL_RING";
	like = *d;
	like.count = 99;
	like.reason = NULL;
	vs_sample_sort(&s);
	assert_int_equal(vs_sample_find_drop(&s, &like)->count, 7);
}

static void disks_are_found_by_vm_device_and_operation(void **state)
{
	(void)state;
	for (int i = 26; i >= 0; i--) {
		struct vs_disk_sample *d = vs_sample_add_disk(&s);

		d->vm_uid = (uint64_t)(i / 9);
		d->dev = (uint32_t)(i / 3 % 3);
		d->op = (uint32_t)(i % 3);
		d->row.bytes = (uint64_t)i;
	}
	vs_sample_sort(&s);
	for (uint32_t i = 0; i < 27; i++)
		assert_int_equal(vs_sample_find_disk(&s, i / 9, i / 3 % 3, i % 3)->row.bytes, i);
}

static void rows_of_one_disk_stand_together_once_sorted(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 12; i++) {
		struct vs_disk_sample *d = vs_sample_add_disk(&s);

		d->vm_uid = 1;
		d->dev = i % 3;
		d->op = i / 3;
	}
	vs_sample_sort(&s);
	for (uint32_t i = 0; i < 12; i++) {
		assert_int_equal(s.disks[i].dev, i / 4);
		assert_int_equal(s.disks[i].op, i % 4);
	}
}

static void every_number_has_a_name_and_no_other_does(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < VS_OP__N; i++)
		assert_string_not_equal(vs_op_name(i), "?");
	for (uint32_t i = 0; i < VS_PART__N; i++)
		assert_string_not_equal(vs_part_name(i), "?");
	for (uint32_t i = 0; i < VS_LOST__N; i++) {
		assert_string_not_equal(vs_lost_name(i), "?");
		assert_string_not_equal(vs_lost_help(i), "?");
	}
	assert_string_equal(vs_op_name(VS_OP__N), "?");
	assert_string_equal(vs_part_name(VS_PART__N), "?");
	assert_string_equal(vs_lost_name(UINT32_MAX), "?");
	assert_string_equal(vs_op_name(VS_OP_FLUSH), "flush");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(appended_elements_are_zero_even_in_used_memory, done),
		cmocka_unit_test_teardown(thousands_of_elements_keep_their_values, done),
		cmocka_unit_test_teardown(clearing_keeps_the_memory, done),
		cmocka_unit_test_teardown(vnics_are_found_by_uid_once_sorted, done),
		cmocka_unit_test_teardown(what_is_not_there_is_not_found, done),
		cmocka_unit_test_teardown(drops_are_told_apart_by_every_part_of_their_key, done),
		cmocka_unit_test_teardown(drop_is_found_whatever_its_count_and_texts, done),
		cmocka_unit_test_teardown(disks_are_found_by_vm_device_and_operation, done),
		cmocka_unit_test_teardown(rows_of_one_disk_stand_together_once_sorted, done),
		cmocka_unit_test_teardown(every_number_has_a_name_and_no_other_does, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
