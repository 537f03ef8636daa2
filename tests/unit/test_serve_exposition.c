/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/histogram.h"
#include "serve/exposition.h"

#include <math.h>

static struct vs_disk_info vda = { .name = "vda" };

struct bench {
	struct vs_sample s;
	struct vs_exports *series;
	struct vs_own own;
	char *text;
	size_t len;
};

static struct bench *begin(const struct vs_exports_options *o)
{
	static const struct vs_exports_options none;
	struct bench *b = calloc(1, sizeof(*b));

	assert_non_null(b);
	assert_int_equal(vs_exports_new(o ? o : &none, &b->series), 0);
	return b;
}

static void end(struct bench *b)
{
	vs_sample_done(&b->s);
	vs_exports_free(&b->series);
	free(b->text);
	free(b);
}

static struct vs_vm_sample *add_vm(struct bench *b, uint64_t uid, const char *name)
{
	struct vs_vm_sample *vm = vs_sample_add_vm(&b->s);

	vm->uid = uid;
	vm->pid = (uint32_t)(1000 + uid);
	vm->source = "proc";
	(void)snprintf(vm->name, sizeof(vm->name), "%s", name);
	return vm;
}

static struct vs_vnic_sample *add_vnic(struct bench *b, uint64_t uid, uint64_t vm, const char *name)
{
	struct vs_vnic_sample *n = vs_sample_add_vnic(&b->s);

	n->uid = uid;
	n->vm_uid = vm;
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	n->has_link = n->has_drops = n->has_residence = true;
	return n;
}

static void add_drop(struct bench *b, uint64_t vnic, const char *reason, uint32_t raw, uint64_t count)
{
	struct vs_drop_sample *d = vs_sample_add_drop(&b->s);

	d->vnic_uid = vnic;
	d->reason = reason;
	d->raw_reason = raw;
	d->location = "tun_net_xmit";
	d->count = count;
}

static struct vs_disk_sample *add_disk(struct bench *b, uint64_t vm, uint32_t dev, uint32_t op,
				       const struct vs_disk_info *info)
{
	struct vs_disk_sample *d = vs_sample_add_disk(&b->s);

	d->vm_uid = vm;
	d->dev = dev;
	d->op = op;
	d->info = info;
	return d;
}

static void add_threads(struct bench *b, uint64_t vm)
{
	b->s.threads_ns = 1;
	for (uint16_t role = 0; role < VS_ROLE__N; role++) {
		struct vs_thread_sample *t = vs_sample_add_thread(&b->s);

		t->vm_uid = vm;
		t->tid = (uint32_t)(10 * vm + role);
		t->role = role;
		t->run_ns = 1500000000;
	}
}

static void add_virtqs(struct bench *b, uint64_t vm, uint64_t vnic)
{
	for (uint8_t dir = 0; dir < 2; dir++) {
		struct vs_virtq_sample *q = vs_sample_add_virtq(&b->s);

		q->vm_uid = vm;
		q->vnic_uid = vnic;
		q->key.vq = 100 * vnic + dir;
		q->row.direction = dir;
		q->row.kick.n[50] = 3;
	}
}

static const char *page_in_steps(struct bench *b, uint32_t rows)
{
	struct vs_exposition *e = NULL;
	int r;

	free(b->text);
	assert_int_equal(vs_exposition_new(b->series, &e), 0);
	assert_true(b->series->frozen);
	while ((r = vs_exposition_step(e, rows)) == 1)
		;
	assert_int_equal(r, 0);
	assert_false(b->series->frozen);
	b->text = vs_exposition_take(e, &b->len);
	b->text = realloc(b->text, b->len + 1);
	b->text[b->len] = '\0';
	vs_exposition_free(&e);
	return b->text;
}

/* Takes the sample in, and empties it for the next one. */
static const char *page(struct bench *b)
{
	vs_sample_sort(&b->s);
	assert_int_equal(vs_exports_update(b->series, &b->s, &b->own), 0);
	vs_sample_clear(&b->s);
	b->s.threads_ns = 0;
	return page_in_steps(b, 0);
}

/* The value of a series, as text; NULL when there is none. Twice is a failure. */
static const char *value(const char *text, const char *series)
{
	static char found[64];
	size_t len = strlen(series);
	bool any = false;

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += !!line)
		if (strncmp(line, series, len) == 0 && line[len] == ' ') {
			assert_false(any);
			any = true;
			(void)snprintf(found, sizeof(found), "%.*s",
				       (int)strcspn(line + len + 1, "\n"), line + len + 1);
		}
	return any ? found : NULL;
}

static void is(const char *text, const char *series, const char *expected)
{
	const char *v = value(text, series);

	if (!v)
		print_error("no %s\n", series);
	assert_non_null(v);
	assert_string_equal(v, expected);
}

static uint32_t count(const char *text, const char *needle)
{
	uint32_t n = 0;

	for (; (text = strstr(text, needle)); text++)
		n++;
	return n;
}

/* Sum of a metric over all its series. */
static uint64_t total(const char *text, const char *prefix)
{
	uint64_t sum = 0;

	for (const char *line = text; line && *line; line = strchr(line, '\n'), line += !!line)
		if (strncmp(line, prefix, strlen(prefix)) == 0 && line[strlen(prefix)] == '{')
			sum += strtoull(strchr(line, '}') + 2, NULL, 10);
	return sum;
}

static void labels_of_hostile_names_are_escaped_and_valid(void **state)
{
	struct bench *b = begin(NULL);
	const char *text;

	(void)state;
	add_vm(b, 1, "a\"b\\c\nd\x1b[31m\xff")->memory_used = 7;
	text = page(b);
	is(text,
	   "virtscope_vm_memory_used_bytes{vm=\"a\\\"b\\\\c\\nd\\\\x1b[31m\xef\xbf\xbd\"}", "7");
	assert_null(strchr(text, '\x1b'));
	assert_null(strchr(text, '\xff'));
	end(b);
}

static void vms_of_one_name_are_told_apart_all_of_them(void **state)
{
	struct bench *b = begin(NULL);
	const char *text;

	(void)state;
	for (int i = 1; i <= 3; i++)
		add_vm(b, (uint64_t)i, "twin")->memory_used = (uint64_t)i;
	/* could be taken for one of them, and for the rest */
	add_vm(b, 4, "twin~1001")->memory_used = 4;
	add_vm(b, 5, "other")->memory_used = 5;
	/* an escape, and what reads like one */
	add_vm(b, 6, "e\x01")->memory_used = 6;
	add_vm(b, 7, "e\\x01")->memory_used = 7;
	text = page(b);
	is(text, "virtscope_vm_memory_used_bytes{vm=\"twin~1001\"}", "1");
	is(text, "virtscope_vm_memory_used_bytes{vm=\"twin~1003\"}", "3");
	is(text, "virtscope_vm_memory_used_bytes{vm=\"twin~1001~1004\"}", "4");
	is(text, "virtscope_vm_memory_used_bytes{vm=\"other~1005\"}", "5");
	assert_null(value(text, "virtscope_vm_memory_used_bytes{vm=\"other\"}"));
	is(text, "virtscope_vm_memory_used_bytes{vm=\"e\\\\x01~1006\"}", "6");
	is(text, "virtscope_vm_memory_used_bytes{vm=\"e\\\\x01~1007\"}", "7");
	/* alone again, it has its name back */
	add_vm(b, 2, "twin")->memory_used = 2;
	is(page(b), "virtscope_vm_memory_used_bytes{vm=\"twin\"}", "2");
	end(b);
}

static void what_is_not_known_has_no_series(void **state)
{
	struct bench *b = begin(NULL);
	const char *text;

	(void)state;
	add_vm(b, 1, "a");
	add_vnic(b, 1, 1, "tap0")->has_link = false;
	text = page(b);
	assert_null(strstr(text, "virtscope_vm_memory"));
	assert_null(strstr(text, "virtscope_vnic_packets_total"));
	is(text, "virtscope_vnic_lost_packets_total{vm=\"a\",vnic=\"tap0\",direction=\"rx\"}", "0");
	end(b);
}

static void series_of_a_vm_end_with_it_and_begin_anew(void **state)
{
	const char *series = "virtscope_vnic_packets_total{vm=\"a\",vnic=\"tap0\",direction=\"rx\"}";
	struct bench *b = begin(NULL);

	(void)state;
	add_vm(b, 1, "a");
	add_vnic(b, 1, 1, "tap0")->packets[0] = 100;
	add_drop(b, 1, "FULL_RING", 5, 8);
	add_threads(b, 1);
	is(page(b), series, "100");
	add_vm(b, 1, "a")->ended = true;
	add_vnic(b, 1, 1, "tap0")->packets[0] = 110;
	assert_null(strstr(page(b), "vm=\"a\""));
	assert_int_equal(HASH_COUNT(b->series->objects[VS_COLLECT_ROLE]), 0);
	add_vm(b, 2, "a");
	add_vnic(b, 2, 2, "tap0")->packets[0] = 3;
	is(page(b), series, "3");
	end(b);
}

static void a_vnic_of_the_same_name_goes_on_counting(void **state)
{
	const char *series = "virtscope_vnic_packets_total{vm=\"a\",vnic=\"tap0\",direction=\"tx\"}";
	struct bench *b = begin(NULL);

	(void)state;
	add_vm(b, 1, "a");
	add_vnic(b, 1, 1, "tap0")->packets[1] = 100;
	(void)page(b);
	/* the old one is still told of */
	add_vm(b, 1, "a");
	add_vnic(b, 1, 1, "tap0")->packets[1] = 100;
	add_vnic(b, 2, 1, "tap0")->packets[1] = 7;
	is(page(b), series, "107");
	end(b);
}

static void counts_of_32_bits_do_not_wrap_here(void **state)
{
	const char *labels = "{vm=\"a\",disk=\"vda\",layer=\"physical\",op=\"read\",part=\"total\"}";
	struct bench *b = begin(NULL);
	struct vs_disk_sample *d;
	const char *text;
	char series[256];

	(void)state;
	for (int i = 0; i < 3; i++) {
		add_vm(b, 1, "a");
		d = add_disk(b, 1, 1, VS_OP_READ, &vda);
		d->row.n[40][VS_PART_TOTAL] = 0x7fffffffu * (uint32_t)(i + 1);
		d->row.n[41][VS_PART_TOTAL] = 5;
		d->row.total_ns = 1000000007;
		text = page(b);
	}
	(void)snprintf(series, sizeof(series), "virtscope_disk_latency_seconds_count%s", labels);
	is(text, series, "6442450946"); /* 3 * (2^31 - 1) + 5 */
	(void)snprintf(series, sizeof(series), "virtscope_disk_latency_seconds_sum%s", labels);
	is(text, series, "1.000000007");
	(void)snprintf(series, sizeof(series), "virtscope_disk_requests_total{vm=\"a\",disk=\"vda\","
						"layer=\"physical\",op=\"read\"}");
	is(text, series, "6442450946");
	/* began anew */
	add_vm(b, 1, "a");
	add_disk(b, 1, 1, VS_OP_READ, &vda)->row.n[40][VS_PART_TOTAL] = 7;
	is(page(b), series, "6442450953");
	end(b);
}

static void buckets_are_cumulative_and_lie_on_our_edges(void **state)
{
	const struct vs_exports_options o = { .buckets = { 20e-6, 1e-3, 1.0 }, .buckets_n = 3 };
	struct bench *b = begin(&o);
	struct vs_vnic_sample *n;
	const char *text;

	(void)state;
	for (uint32_t i = 0; i < 3; i++)
		assert_true(fabs((double)vs_hist_upper_ns(b->series->bound[i]) / 1e9 - o.buckets[i]) <
			    0.0625 * o.buckets[i]);
	add_vm(b, 1, "a");
	n = add_vnic(b, 1, 1, "tap0");
	n->residence.n[vs_hist_index(20479)] += 3;   /* below the edge of 20.48 us */
	n->residence.n[vs_hist_index(20481)] += 4;   /* and above it */
	n->residence.n[vs_hist_index(500000000)] += 5;
	n->residence.n[vs_hist_index(60000000000)] += 6;
	text = page(b);
	is(text, "virtscope_vnic_residence_seconds_bucket{vm=\"a\",vnic=\"tap0\",le=\"0.00002048\"}", "3");
	is(text, "virtscope_vnic_residence_seconds_bucket{vm=\"a\",vnic=\"tap0\",le=\"0.00098304\"}", "7");
	is(text, "virtscope_vnic_residence_seconds_bucket{vm=\"a\",vnic=\"tap0\",le=\"1.00663296\"}", "12");
	is(text, "virtscope_vnic_residence_seconds_bucket{vm=\"a\",vnic=\"tap0\",le=\"+Inf\"}", "18");
	is(text, "virtscope_vnic_residence_seconds_count{vm=\"a\",vnic=\"tap0\"}", "18");
	end(b);
}

static void impossible_buckets_are_refused(void **state)
{
	const struct vs_exports_options bad[] = {
		{ .buckets = { 1e-3, 1e-3 }, .buckets_n = 2 },
		{ .buckets = { 1e-3, 1e-4 }, .buckets_n = 2 },
		{ .buckets = { 0 }, .buckets_n = 1 },
		{ .buckets = { 61 }, .buckets_n = 1 },
		{ .buckets = { NAN }, .buckets_n = 1 },
	};
	struct vs_exports *series = NULL;
	int saved = unit_hush();

	(void)state;
	for (size_t i = 0; i < COUNT(bad); i++)
		assert_int_equal(vs_exports_new(&bad[i], &series), -EINVAL);
	unit_unhush(saved);
	assert_null(series);
}

/* @n VMs with vNICs, queues, disks and roles, everything that is exported by default. */
static void fill(struct bench *b, uint32_t vms, uint32_t vnics, uint32_t disks, uint64_t each)
{
	static const struct vs_kvm_names names = { .n = 1, .name = { "halt_poll_success_ns" },
						   .polling = true };
	static struct vs_disk_info infos[64];

	b->s.kvm_names = &names;
	for (uint64_t v = 1; v <= vms; v++) {
		struct vs_vm_sample *vm;
		char name[32];

		(void)snprintf(name, sizeof(name), "vm%u", (unsigned int)v);
		vm = add_vm(b, v, name);
		vm->vcpus = 2;
		vm->memory_used = vm->memory_total = 1 << 20;
		vm->libvirt.known = true;
		(void)snprintf(vm->libvirt.state, sizeof(vm->libvirt.state), "running");
		add_threads(b, v);
		vs_sample_add_kvm(&b->s)->vm_uid = v;
		for (uint32_t i = 0; i < vnics; i++) {
			uint64_t uid = 1000 * v + i;

			(void)snprintf(name, sizeof(name), "tap%u", i);
			add_vnic(b, uid, v, name)->packets[0] = each;
			add_drop(b, uid, "FULL_RING", 1, each);
			add_virtqs(b, v, uid);
		}
		for (uint32_t i = 0; i < disks; i++) {
			(void)snprintf(infos[i].name, sizeof(infos[i].name), "sd%u", i);
			for (uint32_t op = 0; op < VS_OP__N; op++)
				add_disk(b, v, i + 1, op, &infos[i])->row.n[60][VS_PART_TOTAL] =
					(uint32_t)each;
		}
	}
}

static void a_vm_has_at_most_150_series_by_default(void **state)
{
	static char reasons[200][8];
	struct bench *b = begin(NULL);
	const char *text;
	uint32_t n;

	(void)state;
	fill(b, 1, 1, 1, 1);
	text = page(b);
	n = count(text, "{vm=\"vm1\"");
	assert_int_equal(n, 79); /* as METRICS.md says; one of them is a reason of drops */
	assert_null(strstr(text, "\"other\""));
	end(b);
	b = begin(NULL);
	fill(b, 1, 2, 2, 1);
	text = page(b);
	n = count(text, "{vm=\"vm1\"");
	assert_int_equal(n, 144); /* two are reasons */
	assert_null(strstr(text, "vnic=\"other\""));
	assert_null(strstr(text, "disk=\"other\""));
	end(b);
	b = begin(NULL);
	fill(b, 1, 20, 20, 1);
	for (uint32_t i = 0; i < COUNT(reasons); i++) {
		(void)snprintf(reasons[i], sizeof(reasons[i]), "R%u", i);
		add_drop(b, 1000, reasons[i], 2 + i, 1);
	}
	text = page(b);
	n = count(text, "{vm=\"vm1\"");
	assert_true(n > 100 && n <= 150);
	assert_true(b->series->folded[VS_FOLDED_REASON] > 100);
	assert_int_equal(total(text, "virtscope_vnic_drops_total"), 220);
	end(b);
}

static void vcpus_are_counted_or_told_by_the_command_line(void **state)
{
	struct bench *b = begin(NULL);
	const char *text;

	(void)state;
	add_vm(b, 1, "a")->vcpus = 4;
	add_vm(b, 2, "b")->vcpus = 4;
	add_vm(b, 3, "c");
	add_threads(b, 2);
	text = page(b);
	is(text, "virtscope_vm_vcpus{vm=\"a\"}", "4");
	is(text, "virtscope_vm_vcpus{vm=\"b\"}", "1");
	assert_null(value(text, "virtscope_vm_vcpus{vm=\"c\"}"));
	end(b);
}

static void labels_of_the_metadata_are_on_the_info_only(void **state)
{
	struct bench *b = begin(NULL);
	struct vs_vm_sample *vm;

	(void)state;
	vm = add_vm(b, 1, "a");
	vm->memory_used = 1;
	(void)snprintf(vm->uuid, sizeof(vm->uuid), "u-1");
	vm->labels_n = 1;
	(void)snprintf(vm->labels[0].name, sizeof(vm->labels[0].name), "project");
	(void)snprintf(vm->labels[0].value, sizeof(vm->labels[0].value), "p\"1");
	is(page(b), "virtscope_vm_info{vm=\"a\",uuid=\"u-1\",pid=\"1001\",source=\"proc\",project=\"p\\\"1\"}", "1");
	assert_int_equal(count(b->text, "project"), 1);
	end(b);
}

static void what_is_folded_is_still_in_the_sum(void **state)
{
	const struct vs_exports_options o = { .vms = 3 };
	struct bench *b = begin(&o);
	const char *text;

	(void)state;
	for (uint64_t round = 1; round <= 3; round++) {
		fill(b, 5, 10, 10, round);
		text = page(b);
		assert_int_equal(total(text, "virtscope_vnic_packets_total"), 50 * round);
		assert_int_equal(total(text, "virtscope_vnic_drops_total"), 50 * round);
		assert_int_equal(total(text, "virtscope_vnic_lost_packets_total"), 50 * round);
		assert_int_equal(total(text, "virtscope_disk_latency_seconds_count"), 100 * round);
		assert_int_equal(total(text, "virtscope_disk_requests_total"), 200 * round);
		assert_int_equal(total(text, "virtscope_vm_vcpus"), 5); /* by threads */
	}
	is(text, "virtscope_self_series_folded{kind=\"vm\"}", "2");
	assert_null(strstr(text, "vm=\"vm4\""));
	assert_non_null(strstr(text, "vm=\"other\",vnic=\"other\""));
	assert_non_null(strstr(text, "vm=\"vm1\",vnic=\"other\""));
	end(b);
}

static void other_never_goes_back_and_who_is_in_it_stays(void **state)
{
	const char *series = "virtscope_vnic_packets_total{vm=\"other\",vnic=\"other\",direction=\"rx\"}";
	const struct vs_exports_options o = { .vms = 1 };
	struct bench *b = begin(&o);
	const char *text;

	(void)state;
	fill(b, 3, 1, 0, 10);
	is(page(b), series, "20");
	/* the named one and one of the others end; what is left stays where it is */
	add_vm(b, 2, "vm2");
	add_vnic(b, 2000, 2, "tap0")->packets[0] = 15;
	text = page(b);
	is(text, series, "25");
	assert_null(strstr(text, "vm=\"vm2\""));
	is(text, "virtscope_self_series_folded{kind=\"vm\"}", "1");
	/* a new one takes the free name */
	add_vm(b, 2, "vm2");
	add_vnic(b, 2000, 2, "tap0")->packets[0] = 16;
	add_vm(b, 9, "vm9");
	add_vnic(b, 9000, 9, "tap0")->packets[0] = 1;
	text = page(b);
	is(text, series, "26");
	is(text, "virtscope_vnic_packets_total{vm=\"vm9\",vnic=\"tap0\",direction=\"rx\"}", "1");
	/* nobody is left, the sum stays */
	is(page(b), series, "26");
	end(b);
}

static void a_vnic_that_does_not_fit_takes_the_last_one_along(void **state)
{
	const char *series = "virtscope_vnic_packets_total{vm=\"vm1\",vnic=\"other\",direction=\"rx\"}";
	struct bench *b = begin(NULL);
	const char *text;

	(void)state;
	fill(b, 1, 3, 0, 10);
	text = page(b);
	assert_null(value(text, series));
	fill(b, 1, 6, 0, 10);
	text = page(b);
	is(text, series, "40"); /* of tap2 to tap5 */
	is(text, "virtscope_self_series_folded{kind=\"vnic\"}", "4");
	fill(b, 1, 6, 0, 11);
	is(page(b), series, "44");
	/* one is gone, its past is not; the others do not move */
	fill(b, 1, 5, 0, 11);
	text = page(b);
	is(text, series, "44");
	is(text, "virtscope_self_series_folded{kind=\"vnic\"}", "3");
	end(b);
}

static void detail_is_for_those_who_are_named(void **state)
{
	const char *const names[] = { "vm2" };
	const struct vs_exports_options o = { .detail = names, .detail_n = 1 };
	struct bench *b = begin(&o);
	const char *text;

	(void)state;
	fill(b, 2, 1, 1, 1);
	text = page(b);
	assert_null(value(text, "virtscope_vhost_runs_total{vm=\"vm1\",vnic=\"tap0\",direction=\"rx\"}"));
	is(text, "virtscope_vhost_runs_total{vm=\"vm2\",vnic=\"tap0\",direction=\"rx\"}", "0");
	assert_int_equal(count(text, "virtscope_disk_latency_seconds_count{vm=\"vm1\""), 2);
	assert_int_equal(count(text, "virtscope_disk_latency_seconds_count{vm=\"vm2\""), 12);
	end(b);
}

static void a_page_in_steps_is_the_page_at_once(void **state)
{
	struct bench *b = begin(NULL);
	char *whole;

	(void)state;
	fill(b, 7, 2, 2, 3);
	whole = strdup(page(b));
	assert_string_equal(page_in_steps(b, 1), whole);
	assert_string_equal(page_in_steps(b, 13), whole);
	free(whole);
	end(b);
}

static void a_family_stands_together_under_one_head(void **state)
{
	struct bench *b = begin(NULL);
	char *seen[256] = { NULL };
	const char *text;
	size_t n = 0;

	(void)state;
	fill(b, 3, 2, 1, 3);
	text = page(b);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
		char name[128];

		if (*line != '#') {
			assert_true(n > 0 && strncmp(line, seen[n - 1], strlen(seen[n - 1])) == 0);
			continue;
		}
		assert_int_equal(sscanf(line, "# %*4s %127s", name), 1);
		if (strncmp(line, "# TYPE", 6) == 0) {
			assert_string_equal(name, seen[n - 1]);
			continue;
		}
		for (size_t i = 0; i < n; i++)
			assert_string_not_equal(seen[i], name);
		seen[n++] = strdup(name);
	}
	while (n)
		free(seen[--n]);
	end(b);
}

static void help_texts_need_no_escape_and_names_fit_their_type(void **state)
{
	(void)state;
	for (int m = 0; m < VS_METRIC__N; m++) {
		const char *name = vs_metrics[m].name, *tail = strrchr(name, '_');
		bool counter = vs_metrics[m].type == VS_METRIC_COUNTER ||
			       vs_metrics[m].type == VS_METRIC_COUNTER32;

		assert_null(strpbrk(vs_metrics[m].help, "\\\n"));
		assert_int_equal(counter, strcmp(tail, "_total") == 0);
		if (strcmp(vs_metrics[m].unit, "SECONDS") == 0)
			assert_non_null(strstr(name, "_seconds"));
		if (strcmp(vs_metrics[m].unit, "BYTES") == 0)
			assert_non_null(strstr(name, "_bytes"));
	}
}

static void a_count_that_hesitates_is_not_counted_twice(void **state)
{
	const char *series = "virtscope_vnic_packets_total{vm=\"a\",vnic=\"tap0\",direction=\"rx\"}";
	const uint64_t read[] = { 1000, 990, 1010, 5 };
	const char *const shown[] = { "1000", "1000", "1010", "1015" };
	struct bench *b = begin(NULL);

	(void)state;
	for (size_t i = 0; i < COUNT(read); i++) {
		add_vm(b, 1, "a");
		add_vnic(b, 1, 1, "tap0")->packets[0] = read[i];
		is(page(b), series, shown[i]);
	}
	end(b);
}

static void unexplained_drops_may_be_negative(void **state)
{
	struct bench *b = begin(NULL);

	(void)state;
	add_vm(b, 1, "a");
	add_vnic(b, 1, 1, "tap0")->unexplained[0] = -12;
	is(page(b), "virtscope_vnic_unexplained_drops{vm=\"a\",vnic=\"tap0\",direction=\"rx\"}", "-12");
	end(b);
}

static void cpu_time_of_threads_that_ended_stays(void **state)
{
	const char *series = "virtscope_vm_cpu_seconds_total{vm=\"a\",role=\"vcpu\"}";
	struct bench *b = begin(NULL);
	struct vs_thread_sample *t;

	(void)state;
	for (int round = 0; round < 2; round++) {
		add_vm(b, 1, "a");
		b->s.threads_ns = 1;
		t = vs_sample_add_thread(&b->s);
		*t = (struct vs_thread_sample){ .vm_uid = 1, .tid = 7, .run_ns = 2000000000 };
		if (round)
			continue;
		t = vs_sample_add_thread(&b->s);
		*t = (struct vs_thread_sample){ .vm_uid = 1, .tid = 8, .run_ns = 500000000 };
		is(page(b), series, "2.5");
	}
	is(page(b), series, "2.5");
	/* a sample without threads changes nothing */
	add_vm(b, 1, "a");
	is(page(b), series, "2.5");
	end(b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(labels_of_hostile_names_are_escaped_and_valid),
		cmocka_unit_test(vms_of_one_name_are_told_apart_all_of_them),
		cmocka_unit_test(what_is_not_known_has_no_series),
		cmocka_unit_test(series_of_a_vm_end_with_it_and_begin_anew),
		cmocka_unit_test(a_vnic_of_the_same_name_goes_on_counting),
		cmocka_unit_test(counts_of_32_bits_do_not_wrap_here),
		cmocka_unit_test(buckets_are_cumulative_and_lie_on_our_edges),
		cmocka_unit_test(impossible_buckets_are_refused),
		cmocka_unit_test(a_vm_has_at_most_150_series_by_default),
		cmocka_unit_test(vcpus_are_counted_or_told_by_the_command_line),
		cmocka_unit_test(labels_of_the_metadata_are_on_the_info_only),
		cmocka_unit_test(what_is_folded_is_still_in_the_sum),
		cmocka_unit_test(other_never_goes_back_and_who_is_in_it_stays),
		cmocka_unit_test(a_vnic_that_does_not_fit_takes_the_last_one_along),
		cmocka_unit_test(detail_is_for_those_who_are_named),
		cmocka_unit_test(a_page_in_steps_is_the_page_at_once),
		cmocka_unit_test(a_family_stands_together_under_one_head),
		cmocka_unit_test(help_texts_need_no_escape_and_names_fit_their_type),
		cmocka_unit_test(a_count_that_hesitates_is_not_counted_twice),
		cmocka_unit_test(unexplained_drops_may_be_negative),
		cmocka_unit_test(cpu_time_of_threads_that_ended_stays),
	};

	return cmocka_run_group_tests_name("serve/exposition", tests, NULL, NULL);
}
