/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/clock.h"
#include "model/report.h"

static const struct vs_report_context context = { "host1", "6.18.0", "standalone" };
static const struct vs_disk_info loop0 = { .name = "loop0", .kind = "loop", .backing = "/srv/a" };

static struct vs_sample older, newer;

static int done(void **state)
{
	(void)state;
	vs_sample_done(&older);
	vs_sample_done(&newer);
	return 0;
}

static json_t *build(void)
{
	json_t *j;

	vs_sample_sort(&older);
	vs_sample_sort(&newer);
	j = vs_report_build(&older, &newer, &context);
	assert_non_null(j);
	return j;
}

/* A value by a path of keys and indexes, as "vms.0.vnics.0.rx.packets". */
static json_t *at(json_t *j, const char *path)
{
	char copy[128], *word, *rest = copy;

	(void)snprintf(copy, sizeof(copy), "%s", path);
	while ((word = strsep(&rest, ".")))
		j = json_is_array(j) ? json_array_get(j, strtoul(word, NULL, 10)) :
				       json_object_get(j, word);
	if (!j)
		print_error("no %s in the report\n", path);
	assert_non_null(j);
	return j;
}

static json_int_t number(json_t *j, const char *path)
{
	assert_true(json_is_integer(at(j, path)));
	return json_integer_value(at(j, path));
}

static void add_vm(struct vs_sample *s, uint64_t uid)
{
	struct vs_vm_sample *v = vs_sample_add_vm(s);

	v->uid = uid;
	v->pid = 4711;
	v->source = "proc";
	(void)snprintf(v->name, sizeof(v->name), "vm%u", (unsigned int)uid);
}

static struct vs_vnic_sample *add_vnic(struct vs_sample *s, uint64_t uid, uint64_t packets)
{
	struct vs_vnic_sample *n = vs_sample_add_vnic(s);

	n->uid = uid;
	n->vm_uid = 1;
	n->ifindex = 7;
	n->attached = n->has_link = n->has_drops = n->has_residence = true;
	(void)snprintf(n->name, sizeof(n->name), "tap%u", (unsigned int)uid);
	for (uint64_t d = 0; d < 2; d++) {
		n->packets[d] = packets + d;
		n->bytes[d] = 100 * packets + d;
		n->kernel_dropped[d] = packets / 10 + d;
	}
	return n;
}

static struct vs_drop_sample *add_drop(struct vs_sample *s, enum vs_class class, uint64_t address,
				       uint64_t count)
{
	struct vs_drop_sample *d = vs_sample_add_drop(s);

	d->vnic_uid = 10;
	d->kind.site = VS_SITE_TAP;
	d->kind.class = class;
	d->kind.direction = VS_DIR_RX;
	d->reason = "FULL_RING";
	d->location = "tun_net_xmit";
	d->raw_reason = 80;
	d->address = address;
	d->count = count;
	return d;
}

/* @n requests of 2 ms, half of it on the device. */
static struct vs_disk_sample *add_disk(struct vs_sample *s, uint64_t vm_uid, uint32_t op, uint32_t n)
{
	struct vs_disk_sample *d = vs_sample_add_disk(s);

	d->vm_uid = vm_uid;
	d->dev = 7 << 20;
	d->op = op;
	d->info = &loop0;
	d->row.bytes = 4096ull * n;
	d->row.total_ns = 2000000ull * n;
	d->row.device_ns = 1000000ull * n;
	d->row.n[vs_hist_index(1000000)][VS_PART_QUEUE] = n;
	d->row.n[vs_hist_index(1000000)][VS_PART_DEVICE] = n;
	d->row.n[vs_hist_index(2000000)][VS_PART_TOTAL] = n;
	return d;
}

static void two_empty_samples_make_a_whole_report(void **state)
{
	json_t *j;

	(void)state;
	older.wall_ns = 5 * VS_NS_PER_S;
	older.mono_ns = 10 * VS_NS_PER_S;
	newer.mono_ns = 12 * VS_NS_PER_S + 500000000;
	j = build();
	assert_string_equal(json_string_value(at(j, "schema")), "virtscope.report/1");
	assert_string_equal(json_string_value(at(j, "start")), "1970-01-01T00:00:05.000000000Z");
	assert_true(json_real_value(at(j, "duration_s")) == 2.5);
	assert_string_equal(json_string_value(at(j, "running_as")), "standalone");
	assert_int_equal(json_array_size(at(j, "vms")), 0);
	assert_int_equal(json_array_size(at(j, "unattributed.disks")), 0);
	assert_int_equal(json_array_size(at(j, "unattributed.drops")), 0);
	assert_int_equal(number(j, "self.lost.rq_aged"), 0);
	json_decref(j);
}

static void counters_are_differences(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&older, 1);
	add_vm(&newer, 1);
	add_vnic(&older, 10, 1000);
	add_vnic(&newer, 10, 1500);
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.packets"), 500);
	assert_int_equal(number(j, "vms.0.vnics.0.tx.packets"), 500);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.bytes"), 50000);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.kernel_dropped"), 50);
	json_decref(j);
}

static void new_vnic_counts_from_zero(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 9, 77);
	add_vnic(&newer, 10, 42);
	add_drop(&newer, VS_CLASS_LOSS, 1, 3);
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.packets"), 42);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops_total"), 3);
	json_decref(j);
}

static void vnic_that_is_gone_is_not_reported(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 42);
	j = build();
	assert_int_equal(json_array_size(at(j, "vms.0.vnics")), 0);
	json_decref(j);
}

static void link_that_was_not_read_is_null(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 42);
	add_vnic(&newer, 10, 0)->has_link = false;
	j = build();
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.packets")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.bytes")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.tx.kernel_dropped")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.tx.unexplained")));
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops_total"), 0);
	json_decref(j);
}

static void link_that_was_not_read_at_the_beginning_is_null(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 0)->has_link = false;
	add_vnic(&newer, 10, 1000000); /* since its slot was activated, not since then */
	j = build();
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.packets")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.kernel_dropped")));
	json_decref(j);
}

static void idle_link_is_zero_and_not_null(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 42);
	add_vnic(&newer, 10, 42);
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.packets"), 0);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops_total"), 0);
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.drops")), 0);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.residence_us.samples"), 0);
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.residence_us.p99")));
	json_decref(j);
}

static void drops_and_residence_without_their_probes_are_null(void **state)
{
	struct vs_vnic_sample *n;
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	n = add_vnic(&newer, 10, 42);
	n->has_drops = n->has_residence = false;
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.packets"), 42);
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.drops_total")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.drops")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.unexplained")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.residence_us")));
	json_decref(j);
}

static void drops_total_counts_losses_only(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 42);
	add_vnic(&newer, 10, 42);
	add_drop(&older, VS_CLASS_LOSS, 1, 100);
	add_drop(&newer, VS_CLASS_LOSS, 1, 105);
	add_drop(&newer, VS_CLASS_BENIGN, 1, 1000);
	add_drop(&newer, VS_CLASS_TEARDOWN, 1, 2000);
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops_total"), 5);
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.drops")), 3);
	assert_int_equal(number(j, "vms.0.vnics.0.tx.drops_total"), 0);
	json_decref(j);
}

static void drops_of_one_function_are_one_row(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&newer, 10, 42);
	for (uint64_t address = 1; address <= 5; address++) {
		add_drop(&older, VS_CLASS_LOSS, address, 1);
		add_drop(&newer, VS_CLASS_LOSS, address, 1 + address);
	}
	j = build();
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.drops")), 1);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops.0.count"), 1 + 2 + 3 + 4 + 5);
	assert_string_equal(json_string_value(at(j, "vms.0.vnics.0.rx.drops.0.reason")), "FULL_RING");
	assert_string_equal(json_string_value(at(j, "vms.0.vnics.0.rx.drops.0.site")), "tap");
	json_decref(j);
}

static void drops_of_other_reasons_or_places_stay_apart(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&newer, 10, 42);
	add_drop(&newer, VS_CLASS_LOSS, 1, 1);
	add_drop(&newer, VS_CLASS_LOSS, 2, 1)->location = "tun_other";
	add_drop(&newer, VS_CLASS_LOSS, 3, 1)->reason = "TAP_FILTER";
	j = build();
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.drops")), 3);
	json_decref(j);
}

static void rows_that_did_not_grow_are_left_out(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&newer, 10, 42);
	add_drop(&older, VS_CLASS_LOSS, 1, 9);
	add_drop(&newer, VS_CLASS_LOSS, 1, 9);
	j = build();
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.drops")), 0);
	json_decref(j);
}

static void unknown_reason_and_location_are_null(void **state)
{
	struct vs_drop_sample *d;
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&newer, 10, 42);
	d = add_drop(&newer, VS_CLASS_LOSS, 1, 9);
	d->reason = d->location = "";
	j = build();
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.drops.0.reason")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.rx.drops.0.location")));
	json_decref(j);
}

static void untold_drops_are_losses_of_unknown_reason(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vnic(&older, 10, 42)->drops_untold[VS_DIR_TX] = 1;
	add_vnic(&newer, 10, 42)->drops_untold[VS_DIR_TX] = 5;
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.tx.drops_total"), 4);
	assert_int_equal(number(j, "vms.0.vnics.0.tx.drops.0.count"), 4);
	assert_true(json_is_null(at(j, "vms.0.vnics.0.tx.drops.0.reason")));
	assert_int_equal(number(j, "vms.0.vnics.0.rx.drops_total"), 0);
	json_decref(j);
}

static void drops_of_nobody_are_unattributed(void **state)
{
	json_t *j;

	(void)state;
	add_drop(&older, VS_CLASS_LOSS, 1, 10)->vnic_uid = 0;
	add_drop(&newer, VS_CLASS_LOSS, 1, 12)->vnic_uid = 0;
	j = build();
	assert_int_equal(number(j, "unattributed.drops.0.count"), 2);
	json_decref(j);
}

static void residence_is_of_the_time_between_the_samples(void **state)
{
	struct vs_vnic_sample *n;
	double p50;
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	n = add_vnic(&older, 10, 1);
	n->samples = 100;
	n->residence.n[vs_hist_index(50000000)] = 100; /* slow, but before */
	n = add_vnic(&newer, 10, 1);
	n->samples = 110;
	n->residence.n[vs_hist_index(50000000)] = 100;
	n->residence.n[vs_hist_index(20000)] = 40; /* 10 samples, 1 in 4 */
	n->residence.sum_ns = 800000;
	j = build();
	assert_int_equal(number(j, "vms.0.vnics.0.rx.residence_us.samples"), 10);
	assert_int_equal(number(j, "vms.0.vnics.0.rx.residence_us.packets"), 40);
	p50 = json_number_value(at(j, "vms.0.vnics.0.rx.residence_us.p50"));
	assert_true(p50 > 17.5 && p50 < 22.5);
	assert_true(json_number_value(at(j, "vms.0.vnics.0.rx.residence_us.max")) < 23);
	assert_true(json_number_value(at(j, "vms.0.vnics.0.rx.residence_us.sum")) == 800);
	assert_int_equal(json_array_size(at(j, "vms.0.vnics.0.rx.residence_us.buckets")), 1);
	json_decref(j);
}

static void disk_rows_are_one_disk_with_its_operations(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_disk(&older, 1, VS_OP_READ, 10);
	add_disk(&newer, 1, VS_OP_READ, 14);
	add_disk(&newer, 1, VS_OP_WRITE, 3);
	j = build();
	assert_int_equal(json_array_size(at(j, "vms.0.disks")), 1);
	assert_string_equal(json_string_value(at(j, "vms.0.disks.0.device")), "loop0");
	assert_string_equal(json_string_value(at(j, "vms.0.disks.0.backing")), "/srv/a");
	assert_int_equal(number(j, "vms.0.disks.0.ops.read.count"), 4);
	assert_int_equal(number(j, "vms.0.disks.0.ops.read.bytes"), 4 * 4096);
	assert_int_equal(number(j, "vms.0.disks.0.ops.write.count"), 3);
	assert_int_equal(number(j, "vms.0.disks.0.ops.flush.count"), 0);
	assert_true(json_is_null(at(j, "vms.0.disks.0.ops.flush.total_us.p50")));
	json_decref(j);
}

static void disk_latency_has_a_queue_and_a_device_part(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_disk(&older, 1, VS_OP_READ, 10);
	add_disk(&newer, 1, VS_OP_READ, 20);
	j = build();
	assert_true(json_number_value(at(j, "vms.0.disks.0.ops.read.total_us.sum")) == 20000);
	assert_true(json_number_value(at(j, "vms.0.disks.0.ops.read.device_us.sum")) == 10000);
	assert_true(json_number_value(at(j, "vms.0.disks.0.ops.read.queue_us.sum")) == 10000);
	assert_int_equal(number(j, "vms.0.disks.0.ops.read.queue_us.count"), 10);
	json_decref(j);
}

static void quiet_disk_of_a_vm_is_shown_and_of_nobody_is_not(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_disk(&older, 0, VS_OP_READ, 10);
	add_disk(&newer, 0, VS_OP_READ, 10);
	add_disk(&older, 1, VS_OP_READ, 10);
	add_disk(&newer, 1, VS_OP_READ, 10);
	j = build();
	assert_int_equal(number(j, "vms.0.disks.0.ops.read.count"), 0);
	assert_int_equal(json_array_size(at(j, "unattributed.disks")), 0);
	json_decref(j);
}

static void what_is_not_known_of_a_vm_is_null(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	j = build();
	assert_true(json_is_null(at(j, "vms.0.uuid")));
	assert_true(json_is_null(at(j, "vms.0.cpu.vcpus")));
	assert_true(json_is_null(at(j, "vms.0.memory.used_bytes")));
	assert_int_equal(json_array_size(at(j, "vms.0.images")), 0);
	json_decref(j);
}

static void vnics_go_to_their_own_vm(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	add_vm(&newer, 2);
	add_vnic(&newer, 10, 5);
	add_vnic(&newer, 11, 6)->vm_uid = 2;
	j = build();
	assert_string_equal(json_string_value(at(j, "vms.0.vnics.0.name")), "tap10");
	assert_string_equal(json_string_value(at(j, "vms.1.vnics.0.name")), "tap11");
	assert_int_equal(json_array_size(at(j, "vms.1.vnics")), 1);
	json_decref(j);
}

static void libvirts_word_is_told_and_null_without(void **state)
{
	struct vs_vm_sample *v;
	struct vs_vnic_sample *n;
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	v = &newer.vms[0];
	v->memory_used = 5;
	v->memory_total = 6;
	n = add_vnic(&newer, 10, 0);
	j = build();
	assert_true(json_is_null(at(j, "vms.0.libvirt")));
	assert_int_equal(json_object_size(at(j, "vms.0.labels")), 0);
	assert_int_equal(number(j, "vms.0.memory.used_bytes"), 5);
	assert_int_equal(number(j, "vms.0.memory.total_bytes"), 6);
	assert_true(json_is_null(at(j, "vms.0.memory.balloon_bytes")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.mac")));
	assert_true(json_is_null(at(j, "vms.0.vnics.0.alias")));
	json_decref(j);
	v->libvirt.known = true;
	v->libvirt.id = 3;
	v->labels_n = 1;
	(void)strcpy(v->labels[0].name, "nova_project");
	(void)strcpy(v->labels[0].value, "shop");
	(void)strcpy(v->libvirt.state, "paused");
	(void)strcpy(v->libvirt.reason, "ioerror");
	(void)strcpy(n->mac, "52:54:00:00:00:01");
	(void)strcpy(n->alias, "net0");
	v->memory_balloon = 4;
	j = build();
	assert_int_equal(number(j, "vms.0.libvirt.id"), 3);
	assert_string_equal(json_string_value(at(j, "vms.0.labels.nova_project")), "shop");
	assert_string_equal(json_string_value(at(j, "vms.0.libvirt.state")), "paused");
	assert_string_equal(json_string_value(at(j, "vms.0.libvirt.reason")), "ioerror");
	assert_true(json_is_null(at(j, "vms.0.libvirt.title")));
	assert_true(json_is_null(at(j, "vms.0.libvirt.disagreement")));
	assert_int_equal(number(j, "vms.0.memory.balloon_bytes"), 4);
	assert_string_equal(json_string_value(at(j, "vms.0.vnics.0.mac")), "52:54:00:00:00:01");
	assert_string_equal(json_string_value(at(j, "vms.0.vnics.0.alias")), "net0");
	json_decref(j);
}

static void a_disagreement_is_told_of_a_vm_without_a_domain(void **state)
{
	json_t *j;

	(void)state;
	add_vm(&newer, 1);
	(void)strcpy(newer.vms[0].libvirt.disagreement, "twin");
	j = build();
	assert_true(json_is_null(at(j, "vms.0.libvirt.id")));
	assert_true(json_is_null(at(j, "vms.0.libvirt.state")));
	assert_string_equal(json_string_value(at(j, "vms.0.libvirt.disagreement")), "twin");
	json_decref(j);
}

static void own_losses_and_cost_are_differences(void **state)
{
	json_t *j;

	(void)state;
	newer.mono_ns = VS_NS_PER_S;
	older.self.lost[VS_LOST_RQ_AGED] = 5;
	newer.self.lost[VS_LOST_RQ_AGED] = 7;
	newer.self.cpu_ns = VS_NS_PER_S / 4;
	newer.self.rss_bytes = 12345;
	older.self.programs_n = newer.self.programs_n = 1;
	(void)strcpy(older.self.programs[0].name, "vs_tap_free");
	(void)strcpy(newer.self.programs[0].name, "vs_tap_free");
	older.self.programs[0].run_cnt = 10;
	newer.self.programs[0].run_cnt = 25;
	newer.self.programs[0].recursion_misses = 3;
	j = build();
	assert_int_equal(number(j, "self.lost.rq_aged"), 2);
	assert_int_equal(number(j, "self.lost.recursion_misses"), 3);
	assert_true(json_real_value(at(j, "self.cpu_ratio")) == 0.25);
	assert_int_equal(number(j, "self.rss_bytes"), 12345);
	assert_int_equal(number(j, "self.programs.vs_tap_free.run_cnt"), 15);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(two_empty_samples_make_a_whole_report, done),
		cmocka_unit_test_teardown(counters_are_differences, done),
		cmocka_unit_test_teardown(new_vnic_counts_from_zero, done),
		cmocka_unit_test_teardown(vnic_that_is_gone_is_not_reported, done),
		cmocka_unit_test_teardown(link_that_was_not_read_is_null, done),
		cmocka_unit_test_teardown(link_that_was_not_read_at_the_beginning_is_null, done),
		cmocka_unit_test_teardown(idle_link_is_zero_and_not_null, done),
		cmocka_unit_test_teardown(drops_and_residence_without_their_probes_are_null, done),
		cmocka_unit_test_teardown(drops_total_counts_losses_only, done),
		cmocka_unit_test_teardown(drops_of_one_function_are_one_row, done),
		cmocka_unit_test_teardown(drops_of_other_reasons_or_places_stay_apart, done),
		cmocka_unit_test_teardown(rows_that_did_not_grow_are_left_out, done),
		cmocka_unit_test_teardown(unknown_reason_and_location_are_null, done),
		cmocka_unit_test_teardown(untold_drops_are_losses_of_unknown_reason, done),
		cmocka_unit_test_teardown(drops_of_nobody_are_unattributed, done),
		cmocka_unit_test_teardown(residence_is_of_the_time_between_the_samples, done),
		cmocka_unit_test_teardown(disk_rows_are_one_disk_with_its_operations, done),
		cmocka_unit_test_teardown(disk_latency_has_a_queue_and_a_device_part, done),
		cmocka_unit_test_teardown(quiet_disk_of_a_vm_is_shown_and_of_nobody_is_not, done),
		cmocka_unit_test_teardown(what_is_not_known_of_a_vm_is_null, done),
		cmocka_unit_test_teardown(vnics_go_to_their_own_vm, done),
		cmocka_unit_test_teardown(libvirts_word_is_told_and_null_without, done),
		cmocka_unit_test_teardown(a_disagreement_is_told_of_a_vm_without_a_domain, done),
		cmocka_unit_test_teardown(own_losses_and_cost_are_differences, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
