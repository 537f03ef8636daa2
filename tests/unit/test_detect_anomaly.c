/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Samples in, values of series and anomalies out. */
#include "unit.h"

#include "detect/anomaly.h"
#include "detect/series.h"

#include <math.h>

#define S 1000000000ull
#define VM 7
#define TAP 40
#define DEV 0x800010u
/* Of 200 us: which one does not matter, sums are what is read. */
#define BUCKET 60

/* A VM with a tap and a disk, and what they have counted so far. */
struct scene {
	struct vs_anomaly_detector *d;
	struct vs_series_set *set; /* of tests that look at values */
	struct vs_sample s;
	uint64_t now_s;
	struct vs_vm_sample vm;
	struct vs_vnic_sample vnic;
	struct vs_disk_sample disk;
	uint64_t lost[2], benign;
	int begun, ended, absent, values[VS_SERIES__N][2];
	double value[VS_SERIES__N][2];
	bool disk_throughput;
	int starts, stops;
	struct vs_anomaly last;
	char name[32];
};

static const struct vs_disk_info loop0 = {.name = "loop0", .kind = "loop", .logical = true};

static void on_begin(void *data, struct vs_series *s)
{
	struct scene *c = data;

	(void)s;
	c->begun++;
}

static void on_value(void *data, struct vs_series *s, const struct vs_series_of *of, double value)
{
	struct scene *c = data;

	assert_int_equal(of->vm_uid, VM);
	if (of->disk && s->kind == VS_SERIES_THROUGHPUT && !c->disk_throughput)
		return;
	c->values[s->kind][s->way]++;
	c->value[s->kind][s->way] = value;
}

static void on_absent(void *data, struct vs_series *s, const struct vs_series_of *of)
{
	struct scene *c = data;

	(void)s;
	assert_true(!of->vnic != !of->disk);
	c->absent++;
}

static void on_end(void *data, struct vs_series *s, const struct vs_series_of *of)
{
	struct scene *c = data;

	(void)s;
	(void)of;
	c->ended++;
}

static int make(void **state)
{
	struct scene *c = calloc(1, sizeof(*c));
	const struct vs_detect_options options = VS_DETECT_DEFAULTS;
	const struct vs_series_ops ops = {.state_size = 24,
					  .begin = on_begin,
					  .value = on_value,
					  .absent = on_absent,
					  .end = on_end,
					  .data = c};

	assert_non_null(c);
	c->now_s = 1000;
	c->vm = (struct vs_vm_sample){.uid = VM, .announced = true};
	c->vnic = (struct vs_vnic_sample){.uid = TAP,
					  .vm_uid = VM,
					  .name = "tap7",
					  .attached = true,
					  .has_link = true,
					  .has_drops = true,
					  .has_residence = true};
	c->disk = (struct vs_disk_sample){
		.vm_uid = VM, .dev = DEV, .op = VS_OP_WRITE, .info = &loop0};
	assert_int_equal(vs_anomaly_new(&options, &c->d), 0);
	assert_int_equal(vs_series_new(&ops, &c->set), 0);
	*state = c;
	return 0;
}

static int drop(void **state)
{
	struct scene *c = *state;

	vs_anomaly_free(&c->d);
	assert_null(c->d);
	vs_series_free(&c->set);
	vs_sample_done(&c->s);
	free(c);
	return 0;
}

static void on_anomaly(void *data, const struct vs_anomaly *a)
{
	struct scene *c = data;

	c->starts += a->start;
	c->stops += !a->start;
	c->last = *a;
	(void)snprintf(c->name, sizeof(c->name), "%s", a->vnic ? a->vnic : a->disk);
	c->last.vnic = a->vnic ? c->name : NULL;
	c->last.disk = a->disk ? c->name : NULL;
}

static void take(struct scene *c, bool vm, bool vnic, bool disk)
{
	vs_sample_clear(&c->s);
	c->s.mono_ns = c->now_s * S;
	c->s.wall_ns = 1700000000 * S + c->s.mono_ns;
	if (vm)
		*vs_sample_add_vm(&c->s) = c->vm;
	/* Another VM's, so that order matters. */
	*vs_sample_add_vnic(&c->s) = (struct vs_vnic_sample){.uid = TAP - 1, .vm_uid = 99};
	if (vnic)
		*vs_sample_add_vnic(&c->s) = c->vnic;
	for (uint64_t uid = TAP - 1; uid <= TAP + 1; uid++)
		for (uint8_t direction = 0; direction < 2; direction++)
			for (uint32_t class = 0; class < VS_CLASS__N; class ++)
				*vs_sample_add_drop(&c->s) = (struct vs_drop_sample){
					.vnic_uid = uid,
					.kind.direction = direction,
					.kind.class = class,
					.count = class != VS_CLASS_LOSS ? c->benign
						 : uid == TAP		? c->lost[direction]
									: c->benign,
				};
	if (disk)
		*vs_sample_add_disk(&c->s) = c->disk;
	vs_sample_sort(&c->s);
}

/* A second in which each of these was counted, then a sample. */
static void count(struct scene *c, uint32_t packets, double residence, uint32_t lost,
		  uint32_t requests, double latency)
{
	c->now_s++;
	c->benign += 1000;
	c->vnic.packets[VS_DIR_RX] += packets;
	c->vnic.bytes[VS_DIR_RX] += 100 * packets;
	c->vnic.samples += packets / 4;
	c->vnic.residence.n[BUCKET] += packets / 4 * 4;
	c->vnic.residence.sum_ns += (uint64_t)(residence * 1e9) * (packets / 4 * 4);
	c->lost[VS_DIR_RX] += lost;
	c->disk.row.n[BUCKET][VS_PART_TOTAL] += requests;
	c->disk.row.total_ns += (uint64_t)(latency * 1e9) * requests;
	c->disk.row.bytes += 4096 * requests;
	take(c, true, true, true);
}

static void tick(struct scene *c, uint32_t packets, double residence, uint32_t lost,
		 uint32_t requests, double latency)
{
	count(c, packets, residence, lost, requests, latency);
	vs_series_tick(c->set, &c->s);
}

static bool near(double a, double b)
{
	return fabs(a - b) <= 1e-6 * fabs(b);
}

static void first_look_is_no_value(void **state)
{
	struct scene *c = *state;

	tick(c, 100000, 1e-3, 100, 1000, 1e-3);
	for (int k = 0; k < VS_SERIES__N; k++)
		assert_int_equal(c->values[k][0] + c->values[k][1], 0);
	assert_int_equal(c->begun, 7);
}

static void values_are_means_ratios_and_rates(void **state)
{
	struct scene *c = *state;

	tick(c, 100000, 1.0, 100, 1000, 1.0);
	tick(c, 800, 250e-6, 200, 40, 3e-3);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 1);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 250e-6));
	assert_true(near(c->value[VS_SERIES_DROP_RATIO][VS_DIR_RX], 0.2));
	assert_int_equal(c->values[VS_SERIES_DROP_RATIO][VS_DIR_TX], 0);
	assert_true(near(c->value[VS_SERIES_DISK_LATENCY][VS_OP_WRITE], 3e-3));
	for (int i = 0; i < 4; i++) {
		assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_DIR_RX], 0);
		tick(c, 800, 250e-6, 0, 0, 0);
	}
	assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_DIR_RX], 1);
	assert_true(near(c->value[VS_SERIES_THROUGHPUT][VS_DIR_RX], 80000));
	/* Nothing sent is 0, not absent. */
	assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_DIR_TX], 1);
	assert_true(c->value[VS_SERIES_THROUGHPUT][VS_DIR_TX] == 0);
}

static void disk_throughput_is_bytes_by_the_second(void **state)
{
	struct scene *c = *state;

	c->disk_throughput = true;
	c->vnic.has_link = c->vnic.has_residence = false;
	for (int i = 0; i < 6; i++)
		tick(c, 0, 0, 0, 50, 1e-3);
	assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_OP_WRITE], 1);
	assert_true(near(c->value[VS_SERIES_THROUGHPUT][VS_OP_WRITE], 50 * 4096));
}

static void little_traffic_is_taken_together_and_too_little_is_absent(void **state)
{
	struct scene *c = *state;

	tick(c, 0, 0, 0, 0, 0);
	/* 6 samples a second: a value after 3 s. */
	for (int i = 0; i < 3; i++)
		tick(c, 24, 1e-3 * (i + 1), 0, 0, 0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 1);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 2e-3));
	/* One a second: never 16 within 10 s. */
	c->absent = 0;
	for (int i = 0; i < 10; i++)
		tick(c, 4, 1.0, 0, 0, 0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 1);
	assert_true(c->absent >= 1);
	/* And they are not in the next value. */
	tick(c, 400, 1e-3, 0, 0, 0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 2);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 1e-3));
}

static void after_a_gap_counting_starts_anew(void **state)
{
	struct scene *c = *state;

	tick(c, 0, 0, 0, 0, 0);
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	c->now_s += 30;
	tick(c, 400, 1.0, 100, 100, 1.0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 1);
	assert_int_equal(c->values[VS_SERIES_DROP_RATIO][VS_DIR_RX], 1);
	assert_int_equal(c->values[VS_SERIES_DISK_LATENCY][VS_OP_WRITE], 1);
	tick(c, 400, 2e-3, 0, 100, 1e-3);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 2e-3));
}

static void a_counter_that_goes_back_is_no_value(void **state)
{
	struct scene *c = *state;

	tick(c, 1000, 1e-3, 0, 100, 1e-3);
	c->vnic.bytes[VS_DIR_RX] = c->vnic.packets[VS_DIR_RX] = 0;
	c->vnic.residence = (struct vs_hist){0};
	tick(c, 400, 1e-3, 0, 0, 0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 0);
	tick(c, 400, 1e-3, 0, 0, 0);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 1e-3));
}

static void buckets_that_wrap_are_counted_on(void **state)
{
	struct scene *c = *state;

	c->vnic.residence.n[BUCKET] = UINT32_MAX - 100;
	c->disk.row.n[BUCKET][VS_PART_TOTAL] = UINT32_MAX - 10;
	tick(c, 0, 0, 0, 0, 0);
	tick(c, 400, 1e-3, 0, 100, 2e-3);
	assert_true(near(c->value[VS_SERIES_RESIDENCE][VS_DIR_RX], 1e-3));
	assert_true(near(c->value[VS_SERIES_DISK_LATENCY][VS_OP_WRITE], 2e-3));
}

static void what_cannot_be_measured_has_no_values(void **state)
{
	struct scene *c = *state;

	c->vnic.has_link = c->vnic.has_drops = c->vnic.has_residence = false;
	for (int i = 0; i < 20; i++)
		tick(c, 400, 1e-3, 10, 0, 0);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 0);
	assert_int_equal(c->values[VS_SERIES_DROP_RATIO][VS_DIR_RX], 0);
	assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_DIR_RX], 0);
}

static void a_vm_not_announced_or_ended_has_no_series(void **state)
{
	struct scene *c = *state;

	c->vm.announced = false;
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	assert_int_equal(vs_series_count(c->set, NULL), 0);
	c->vm.announced = true;
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	assert_int_equal(vs_series_count(c->set, NULL), 7);
	c->vm.ended = true;
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	assert_int_equal(vs_series_count(c->set, NULL), 0);
	assert_int_equal(c->ended, 7);
}

static void what_goes_takes_its_series_along(void **state)
{
	struct scene *c = *state;
	size_t bytes = 1;

	tick(c, 400, 1e-3, 0, 100, 1e-3);
	c->vnic.attached = false; /* closed; the row stays for a while */
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	assert_int_equal(c->ended, 5);
	c->now_s++;
	take(c, true, false, false);
	vs_series_tick(c->set, &c->s);
	assert_int_equal(c->ended, 7);
	assert_int_equal(vs_series_count(c->set, &bytes), 0);
	assert_int_equal(bytes, 0);
}

static void a_paused_vm_has_no_values_and_its_past_stays(void **state)
{
	struct scene *c = *state;

	tick(c, 400, 1e-3, 0, 100, 1e-3);
	(void)snprintf(c->vm.libvirt.state, sizeof(c->vm.libvirt.state), "paused");
	c->vm.libvirt.known = true;
	for (int i = 0; i < 20; i++)
		tick(c, 0, 0, 0, 0, 0);
	assert_int_equal(c->values[VS_SERIES_THROUGHPUT][VS_DIR_RX], 0);
	assert_int_equal(vs_series_count(c->set, NULL), 7);
	(void)snprintf(c->vm.libvirt.state, sizeof(c->vm.libvirt.state), "running");
	tick(c, 400, 1e-3, 0, 100, 1e-3);
	assert_int_equal(c->values[VS_SERIES_RESIDENCE][VS_DIR_RX], 1);
	assert_int_equal(c->begun, 7);
}

/* The whole of it. */

static void run_for(struct scene *c, int seconds, double residence, uint32_t lost, double latency)
{
	for (int i = 0; i < seconds; i++) {
		count(c, 1000, residence, lost, 100, latency);
		vs_anomaly_tick(c->d, &c->s, on_anomaly, c);
	}
}

/* What the event of the last anomaly holds; a borrowed reference in @ret. */
static const char *text(json_t *data, const char *key)
{
	return json_string_value(json_object_get(data, key));
}

static void a_slow_reader_is_told_with_all_that_an_event_needs(void **state)
{
	struct scene *c = *state;
	json_t *data;

	run_for(c, 400, 100e-6, 0, 1e-3);
	assert_int_equal(c->starts, 0);
	run_for(c, 10, 20e-3, 0, 1e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->last.kind, VS_SERIES_RESIDENCE);
	assert_string_equal(c->last.vnic, "tap7");
	assert_true(near(c->last.value, 20e-3));
	assert_true(fabs(c->last.expected - 100e-6) < 10e-6);
	assert_true(c->last.deviation > 6);
	data = vs_anomaly_data(&c->last);
	assert_string_equal(text(data, "series"), "residence");
	assert_string_equal(text(data, "vnic"), "tap7");
	assert_string_equal(text(data, "direction"), "rx");
	assert_true(json_is_null(json_object_get(data, "disk")));
	assert_true(json_is_null(json_object_get(data, "op")));
	assert_true(json_is_null(json_object_get(data, "cause")));
	assert_string_equal(text(data, "state"), "start");
	assert_string_equal(text(data, "unit"), "s");
	/* first abnormal sample: 1000 + 400 + 1 */
	assert_string_equal(text(data, "since"), "2023-11-14T22:36:41.000000000Z");
	assert_true(near(json_number_value(json_object_get(data, "duration_s")), 4));
	json_decref(data);
	assert_string_equal(vs_anomaly_severity(&c->last), "warning");

	run_for(c, 30, 100e-6, 0, 1e-3);
	assert_int_equal(c->stops, 1);
	data = vs_anomaly_data(&c->last);
	assert_string_equal(text(data, "state"), "stop");
	assert_string_equal(text(data, "cause"), "calm");
	assert_true(near(json_number_value(json_object_get(data, "peak")), 20e-3));
	assert_true(near(json_number_value(json_object_get(data, "duration_s")), 19));
	json_decref(data);
	assert_string_equal(vs_anomaly_severity(&c->last), "info");
}

static void a_slow_disk_is_told_by_device_and_operation(void **state)
{
	struct scene *c = *state;

	run_for(c, 400, 100e-6, 0, 1e-3);
	run_for(c, 10, 100e-6, 0, 50e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->last.kind, VS_SERIES_DISK_LATENCY);
	assert_string_equal(c->last.disk, "loop0");
	assert_string_equal(c->last.op, "write");
	assert_null(c->last.vnic);
	assert_null(c->last.direction);
}

static void benign_frees_are_no_loss(void **state)
{
	struct scene *c = *state;

	/* count() frees 1,000 packets a second that nobody misses. */
	run_for(c, 400, 100e-6, 0, 1e-3);
	assert_int_equal(c->starts, 0);
	run_for(c, 10, 100e-6, 50, 1e-3);
	assert_int_equal(c->starts, 1);
	assert_int_equal(c->last.kind, VS_SERIES_DROP_RATIO);
	assert_true(near(c->last.value, 50.0 / 1050));
}

static void traffic_that_stops_ends_a_stretch_of_residence(void **state)
{
	struct scene *c = *state;
	json_t *data;

	run_for(c, 400, 100e-6, 0, 1e-3);
	run_for(c, 10, 20e-3, 0, 1e-3);
	c->starts = 0;
	for (int i = 0; i < 75; i++) {
		count(c, 0, 0, 0, 100, 1e-3);
		vs_anomaly_tick(c->d, &c->s, on_anomaly, c);
	}
	assert_int_equal(c->starts, 0);
	assert_int_equal(c->stops, 1);
	assert_int_equal(c->last.cause, VS_STRETCH_ABSENT);
	data = vs_anomaly_data(&c->last);
	assert_true(json_is_null(json_object_get(data, "value")));
	assert_true(json_is_null(json_object_get(data, "deviation")));
	assert_true(json_is_real(json_object_get(data, "peak")));
	json_decref(data);
}

static void a_vnic_that_goes_ends_its_stretch(void **state)
{
	struct scene *c = *state;

	run_for(c, 400, 100e-6, 0, 1e-3);
	run_for(c, 10, 20e-3, 0, 1e-3);
	c->vnic.attached = false;
	run_for(c, 1, 20e-3, 0, 1e-3);
	assert_int_equal(c->stops, 1);
	assert_int_equal(c->last.cause, VS_STRETCH_ENDED);
	assert_string_equal(c->last.vnic, "tap7");
}

static void switched_off_it_says_nothing_and_on_again_it_learns_anew(void **state)
{
	struct scene *c = *state;
	struct vs_detect_options o = VS_DETECT_DEFAULTS;
	struct vs_anomaly_stats stats;

	run_for(c, 400, 100e-6, 0, 1e-3);
	o.enabled = false;
	vs_anomaly_configure(c->d, &o);
	run_for(c, 60, 20e-3, 0, 1e-3);
	assert_int_equal(c->starts, 0);
	vs_anomaly_stats(c->d, &stats);
	assert_int_equal(stats.series, 0);
	o.enabled = true;
	vs_anomaly_configure(c->d, &o);
	run_for(c, 60, 100e-6, 0, 1e-3);
	run_for(c, 60, 20e-3, 0, 1e-3);
	assert_int_equal(c->starts, 0);
}

static void a_series_takes_512_bytes_at_most(void **state)
{
	struct scene *c = *state;
	struct vs_anomaly_stats stats;

	run_for(c, 2, 100e-6, 0, 1e-3);
	vs_anomaly_stats(c->d, &stats);
	assert_int_equal(stats.series, 7);
	assert_true(stats.bytes / stats.series <= 512);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make, drop)
	const struct CMUnitTest tests[] = {
		TEST(first_look_is_no_value),
		TEST(values_are_means_ratios_and_rates),
		TEST(disk_throughput_is_bytes_by_the_second),
		TEST(little_traffic_is_taken_together_and_too_little_is_absent),
		TEST(after_a_gap_counting_starts_anew),
		TEST(a_counter_that_goes_back_is_no_value),
		TEST(buckets_that_wrap_are_counted_on),
		TEST(what_cannot_be_measured_has_no_values),
		TEST(a_vm_not_announced_or_ended_has_no_series),
		TEST(what_goes_takes_its_series_along),
		TEST(a_paused_vm_has_no_values_and_its_past_stays),
		TEST(a_slow_reader_is_told_with_all_that_an_event_needs),
		TEST(a_slow_disk_is_told_by_device_and_operation),
		TEST(benign_frees_are_no_loss),
		TEST(traffic_that_stops_ends_a_stretch_of_residence),
		TEST(a_vnic_that_goes_ends_its_stretch),
		TEST(switched_off_it_says_nothing_and_on_again_it_learns_anew),
		TEST(a_series_takes_512_bytes_at_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
