/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "model/report.h"
#include "term/report.h"

static const struct vs_report_context context = { "host1", "6.18.0", "standalone" };
static const struct vs_disk_info disk = { .name = "loop0", .kind = "loop",
					  .backing = "/srv/\033[2Jimage" };
static struct vs_sample older, newer;

static int done(void **state)
{
	(void)state;
	vs_sample_done(&older);
	vs_sample_done(&newer);
	return 0;
}

/* The text of the report over the two samples. To be freed. */
static char *render_json(json_t *j, bool colour, bool histogram)
{
	struct vs_term_options options = { colour, histogram };
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	vs_term_report(f, j, &options);
	(void)fclose(f);
	return text;
}

static char *render(bool colour, bool histogram)
{
	json_t *j;
	char *text;

	newer.mono_ns = older.mono_ns + 2000000000;
	vs_sample_sort(&older);
	vs_sample_sort(&newer);
	j = vs_report_build(&older, &newer, &context);
	assert_non_null(j);
	text = render_json(j, colour, histogram);
	json_decref(j);
	return text;
}

static struct vs_vm_sample *add_vm(const char *name)
{
	struct vs_vm_sample *v = vs_sample_add_vm(&newer);

	v->uid = 1;
	v->pid = 4711;
	v->source = "proc";
	(void)snprintf(v->name, sizeof(v->name), "%s", name);
	return v;
}

static struct vs_vnic_sample *add_vnic(const char *name)
{
	struct vs_vnic_sample *n = vs_sample_add_vnic(&newer);

	n->uid = 10;
	n->vm_uid = 1;
	n->attached = true;
	(void)snprintf(n->name, sizeof(n->name), "%s", name);
	return n;
}

static void add_disk(void)
{
	struct vs_disk_sample *d = vs_sample_add_disk(&newer);

	d->vm_uid = 1;
	d->dev = 7 << 20;
	d->op = VS_OP_WRITE;
	d->info = &disk;
	d->row.bytes = 4096 * 1234;
	d->row.total_ns = 1234ull * 2000000;
	for (int part = 0; part < VS_PART__N; part++)
		d->row.n[vs_hist_index(2000000)][part] = 1234;
}

/* The line of @text in which @word stands, in a buffer of its own. */
static const char *line_with(const char *text, const char *word)
{
	static char line[512];
	const char *at = strstr(text, word), *begin, *end;

	if (!at)
		print_error("no '%s' in:\n%s", word, text);
	assert_non_null(at);
	for (begin = at; begin > text && begin[-1] != '\n'; begin--)
		;
	end = strchrnul(at, '\n');
	(void)snprintf(line, sizeof(line), "%.*s", (int)(end - begin), begin);
	return line;
}

/* Nothing that steers a terminal but the line feeds that we put there. */
static void check_harmless(const char *text)
{
	for (const unsigned char *s = (const unsigned char *)text; *s; s++) {
		bool steers = (*s < 0x20 && *s != '\n') || *s == 0x7f ||
			      (s[0] == 0xc2 && s[1] >= 0x80 && s[1] < 0xa0) ||
			      (s[0] == 0xe2 && s[1] == 0x80 && s[2] >= 0xaa && s[2] <= 0xae);

		if (steers)
			print_error("byte %02x at %zu of:\n%s", *s,
				    (size_t)(s - (const unsigned char *)text), text);
		assert_false(steers);
	}
}

static void report_without_vms_says_so(void **state)
{
	char *text = render(false, false);

	(void)state;
	assert_non_null(strstr(text, "No VM is running here"));
	assert_non_null(strstr(text, "host1"));
	assert_non_null(strstr(text, "6.18.0"));
	free(text);
}

static void what_is_null_is_a_dash(void **state)
{
	char *text;

	(void)state;
	(void)add_vm("web");
	(void)add_vnic("tap0"); /* no link, no drops, no residence */
	text = render(false, false);
	assert_non_null(strstr(text, "uuid -"));
	assert_null(strpbrk(line_with(text, "tap0") + strlen("  tap0"), "123456789"));
	assert_non_null(strstr(line_with(text, "waits for"), "p50 -  p90 -  p99 -  max -"));
	assert_non_null(strstr(line_with(text, "waits for"), "(- samples)"));
	assert_null(strstr(text, "null"));
	free(text);
}

static void measured_zero_is_a_zero_and_no_dash(void **state)
{
	struct vs_vnic_sample *n;
	char *text;

	(void)state;
	(void)add_vm("web");
	n = add_vnic("tap0");
	n->has_link = n->has_drops = n->has_residence = true;
	text = render(false, false);
	assert_null(strchr(line_with(text, "tap0"), '-'));
	assert_non_null(strstr(line_with(text, "waits for"), "(0 samples)"));
	free(text);
}

static void numbers_are_grouped_and_rates_are_per_second(void **state)
{
	struct vs_vnic_sample *n;
	char *text;

	(void)state;
	(void)add_vm("web");
	n = add_vnic("tap0");
	n->has_link = true;
	n->packets[VS_DIR_RX] = 1234567;
	n->bytes[VS_DIR_RX] = 250000000;
	text = render(false, false);
	assert_non_null(strstr(line_with(text, "tap0"), "1,234,567"));
	assert_non_null(strstr(line_with(text, "tap0"), "617 k/s"));
	assert_non_null(strstr(line_with(text, "tap0"), "1.0 Gbit/s"));
	free(text);
}

static void drops_are_shown_with_reason_and_place(void **state)
{
	struct vs_drop_sample *d;
	char *text;

	(void)state;
	(void)add_vm("web");
	add_vnic("tap0")->has_drops = true;
	d = vs_sample_add_drop(&newer);
	d->vnic_uid = 10;
	d->kind.site = VS_SITE_TAP;
	d->kind.class = VS_CLASS_LOSS;
	d->reason = "FULL_RING";
	d->location = "tun_net_xmit";
	d->count = 1500;
	text = render(false, false);
	assert_non_null(strstr(line_with(text, "FULL_RING"), "loss"));
	assert_non_null(strstr(line_with(text, "FULL_RING"), "tap"));
	assert_non_null(strstr(line_with(text, "FULL_RING"), "tun_net_xmit"));
	assert_non_null(strstr(line_with(text, "FULL_RING"), "1,500"));
	free(text);
}

static void disks_are_shown_with_their_latency(void **state)
{
	char *text;

	(void)state;
	(void)add_vm("web");
	add_disk();
	text = render(false, false);
	assert_non_null(strstr(line_with(text, "loop0"), "write"));
	assert_non_null(strstr(line_with(text, "loop0"), "1,234"));
	assert_non_null(strstr(line_with(text, "loop0"), " ms"));
	free(text);
}

static void histogram_is_shown_on_request_only(void **state)
{
	char *without, *with;

	(void)state;
	(void)add_vm("web");
	add_disk();
	without = render(false, false);
	with = render(false, true);
	assert_null(strstr(without, "****"));
	assert_non_null(strstr(with, "|****************************************"));
	free(without);
	free(with);
}

static void colours_come_on_request_only(void **state)
{
	char *plain, *colourful;

	(void)state;
	(void)add_vm("web");
	plain = render(false, false);
	colourful = render(true, false);
	assert_null(strchr(plain, '\033'));
	assert_non_null(strstr(colourful, "\033[1m"));
	free(plain);
	free(colourful);
}

static void name_of_a_vm_cannot_steer_the_terminal(void **state)
{
	struct vs_vm_sample *v;
	char *text;

	(void)state;
	v = add_vm("a\033[31mred\r\n\xc2\x9b" "2J\xe2\x80\xae");
	v->images_n = 1;
	(void)snprintf(v->images[0].path, sizeof(v->images[0].path), "/srv/\033]0;title\a");
	add_disk(); /* its backing file has an escape in its name */
	text = render(false, false);
	check_harmless(text);
	assert_non_null(strstr(text, "a\\x1b[31mred\\x0d\\x0a"));
	free(text);
}

static void name_of_a_vnic_cannot_steer_the_terminal(void **state)
{
	char *text;

	(void)state;
	(void)add_vm("web");
	(void)add_vnic("t\033[2J\a"); /* the kernel forbids only '/', ':' and spaces */
	text = render(false, false);
	check_harmless(text);
	free(text);
}

static void no_text_of_a_report_can_steer_the_terminal(void **state)
{
	static const char *const keys[] = { "host", "kernel", "running_as", "start" };
	struct vs_drop_sample *d;
	json_t *j;
	char *text;

	(void)state;
	(void)add_vm("web");
	add_vnic("tap0")->has_drops = true;
	d = vs_sample_add_drop(&newer);
	d->vnic_uid = 10;
	d->reason = "A\033[1m";
	d->location = "b\033[1m";
	d->count = 1;
	vs_sample_sort(&newer);
	j = vs_report_build(&older, &newer, &context);
	for (size_t i = 0; i < COUNT(keys); i++)
		(void)json_object_set_new(j, keys[i], json_string("x\033[2Jy"));
	text = render_json(j, false, false);
	check_harmless(text);
	free(text);
	json_decref(j);
}

static void report_that_lacks_everything_is_rendered(void **state)
{
	static const char *const texts[] = {
		"{}",
		"{\"vms\":[{}],\"unattributed\":{\"disks\":[{}],\"drops\":[{}]},\"probes\":{\"a\":{}}}",
		"{\"vms\":[{\"vnics\":[{\"rx\":null,\"tx\":7}],\"disks\":[{\"ops\":{\"read\":{\"count\":1}}}]}]}",
		"{\"vms\":{},\"self\":[],\"duration_s\":0}",
	};

	(void)state;
	for (size_t i = 0; i < COUNT(texts); i++) {
		json_t *j = json_loads(texts[i], 0, NULL);
		char *text;

		assert_non_null(j);
		text = render_json(j, true, true);
		assert_true(*text);
		free(text);
		json_decref(j);
	}
}

static void empty_buckets_do_not_divide_by_zero(void **state)
{
	json_t *j = json_loads("{\"vms\":[{\"vnics\":[{\"rx\":{\"residence_us\":"
			       "{\"buckets\":[[1.0,0]]}}}]}]}",
			       0, NULL);
	char *text;

	(void)state;
	assert_non_null(j);
	text = render_json(j, false, true);
	free(text);
	json_decref(j);
}

static void colour_needs_a_terminal(void **state)
{
	FILE *f = tmpfile();

	(void)state;
	assert_non_null(f);
	assert_false(vs_term_wants_colour(f));
	(void)fclose(f);
}

static void an_unusual_state_and_a_disagreement_are_said(void **state)
{
	struct vs_vm_sample *v = add_vm("web");
	char *text;

	(void)state;
	v->libvirt.known = true;
	(void)strcpy(v->libvirt.state, "running");
	(void)strcpy(v->libvirt.reason, "booted");
	text = render(false, false);
	assert_null(strstr(text, "booted"));
	assert_null(strstr(text, "disagrees"));
	free(text);
	(void)strcpy(v->libvirt.state, "paused");
	(void)strcpy(v->libvirt.reason, "ioerror");
	(void)strcpy(v->libvirt.disagreement, "its cgroup is another's");
	text = render(false, false);
	assert_non_null(strstr(line_with(text, "VM web"), "paused (ioerror)"));
	assert_non_null(strstr(text, "libvirt disagrees: its cgroup is another's"));
	free(text);
}

/* older and newer stay: they are big, and static. */
static int forget_self(void **state)
{
	memset(&older.self, 0, sizeof(older.self));
	memset(&newer.self, 0, sizeof(newer.self));
	return done(state);
}

static void own_cost_and_losses_are_said_at_the_end(void **state)
{
	struct vs_self_sample *self = &newer.self;
	const char *end;
	char *text;

	(void)state;
	text = render(false, false);
	assert_non_null(strstr(text, "lost: nothing"));
	assert_null(strstr(text, "ticks")); /* of one that has none */
	assert_null(strstr(text, "programs"));
	free(text);
	self->programs_n = 1;
	(void)strcpy(self->programs[0].name, "vs_tap_free");
	self->programs[0].run_time_ns = 20000000; /* in two seconds */
	self->maps_n = 3;
	self->maps[0] = (struct vs_map_sample){ "vs_drop", 100, 16384, 1000000 };
	self->maps[1] = (struct vs_map_sample){ "vs_vnic", 1024, 4096, 2000000 };
	self->maps[2] = (struct vs_map_sample){ "vs_rq", VS_MAP_UNCOUNTED, 1, 0 };
	self->pace.ticks = 12;
	self->pace.missed = 3;
	self->pace.late.n[vs_hist_index(50000)] = 12;
	self->pace.took.n[vs_hist_index(4000000)] = 12;
	self->sinks_n = 1;
	self->sinks[0] = (struct vs_sink_sample){ "file", 42, 7 };
	self->lost[VS_LOST_RQ_AGED] = 5;
	text = render(false, false);
	end = line_with(text, "self  CPU");
	assert_non_null(strstr(end, "programs 1.00 %"));
	assert_non_null(strstr(end, "maps 3.0 MB (fullest vs_vnic, 25 %)"));
	assert_non_null(strstr(end, "lost: rq_aged 5"));
	end = line_with(text, "ticks");
	assert_non_null(strstr(end, "ticks 12  missed 3"));
	assert_non_null(strstr(end, "late p99 53 us"));
	assert_non_null(strstr(end, "took p99 4."));
	assert_non_null(strstr(end, "events to file 42, lost 7"));
	free(text);
}

static void what_is_synthetic_is_said_before_anything_else(void **state)
{
	char *text = render(false, false), *at;

	(void)state;
	assert_null(strstr(text, "SYNTHETIC"));
	free(text);
	newer.synthetic = true;
	text = render(false, false);
	newer.synthetic = false;
	at = strstr(text, "SYNTHETIC: these VMs do not exist");
	assert_non_null(at);
	assert_true(at == strchr(text, '\n') + 1);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(an_unusual_state_and_a_disagreement_are_said, done),
		cmocka_unit_test_teardown(own_cost_and_losses_are_said_at_the_end, forget_self),
		cmocka_unit_test_teardown(what_is_synthetic_is_said_before_anything_else, done),
		cmocka_unit_test_teardown(report_without_vms_says_so, done),
		cmocka_unit_test_teardown(what_is_null_is_a_dash, done),
		cmocka_unit_test_teardown(measured_zero_is_a_zero_and_no_dash, done),
		cmocka_unit_test_teardown(numbers_are_grouped_and_rates_are_per_second, done),
		cmocka_unit_test_teardown(drops_are_shown_with_reason_and_place, done),
		cmocka_unit_test_teardown(disks_are_shown_with_their_latency, done),
		cmocka_unit_test_teardown(histogram_is_shown_on_request_only, done),
		cmocka_unit_test_teardown(colours_come_on_request_only, done),
		cmocka_unit_test_teardown(name_of_a_vm_cannot_steer_the_terminal, done),
		cmocka_unit_test_teardown(name_of_a_vnic_cannot_steer_the_terminal, done),
		cmocka_unit_test_teardown(no_text_of_a_report_can_steer_the_terminal, done),
		cmocka_unit_test_teardown(report_that_lacks_everything_is_rendered, done),
		cmocka_unit_test_teardown(empty_buckets_do_not_divide_by_zero, done),
		cmocka_unit_test_teardown(colour_needs_a_terminal, done),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
