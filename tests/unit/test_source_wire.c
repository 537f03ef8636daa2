/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "source/wire.h"
#include "source/wire_format.h"

static const struct vs_disk_info disks[] = {
	{ .name = "vda", .kind = "disk" },
	{ .name = "loop0", .kind = "loop", .logical = true, .backing = "/var/lib/a b.img" },
};
static struct vs_kvm_names kvm_names = { .n = 2,
					 .name = { "exits", "halt_poll_ns" },
					 .exits = { true },
					 .polling = true };

struct state {
	struct vs_sample in, out;
	struct vs_deep_sample deep, deep_out;
	struct vs_wire_names *names;
	char *bytes; /* exactly @len, so that a read behind them is seen */
	size_t len;
};

static void fill_vm(struct vs_sample *s, uint64_t uid)
{
	struct vs_vm_sample *vm = vs_sample_add_vm(s);
	struct vs_vnic_sample *n = vs_sample_add_vnic(s);
	struct vs_drop_sample *d;

	*vm = (struct vs_vm_sample){ .uid = uid, .pid = 100 + (uint32_t)uid, .vcpus = 2,
				     .announced = true, .source = uid % 2 ? "proc" : "libvirt",
				     .memory_used = 1ull << 40, .images_n = VS_IMAGE__N };
	(void)snprintf(vm->name, sizeof(vm->name), "vm \"%d\"\n", (int)uid);
	memcpy(vm->images[7].path, "/last", 6);
	vm->labels_n = VS_LABEL__N;
	memcpy(vm->labels[VS_LABEL__N - 1].value, "x", 2);
	*n = (struct vs_vnic_sample){ .uid = uid * 10, .vm_uid = uid, .name = "tap-is-15-chars",
				      .has_link = true, .packets = { UINT64_MAX, 7 },
				      .unexplained = { -3, INT64_MIN } };
	n->residence.n[VS_HIST__N - 1] = 5;
	for (int i = 0; i < 3; i++) {
		d = vs_sample_add_drop(s);
		*d = (struct vs_drop_sample){ .vnic_uid = n->uid, .reason = i ? "FULL_RING" : "",
					      .location = i > 1 ? "noop_enqueue" : "tun_net_xmit",
					      .kind = { VS_SITE_PEER, VS_CLASS_BENIGN, VS_DIR_TX, true, true },
					      .count = 11, .address = ~0ull };
	}
	for (size_t i = 0; i < COUNT(disks); i++) {
		struct vs_disk_sample *k = vs_sample_add_disk(s);

		*k = (struct vs_disk_sample){ .vm_uid = uid, .dev = 8, .op = VS_OP_FLUSH,
					      .info = &disks[i] };
		k->row.n[VS_HIST__N - 1][3] = 99;
	}
	vs_sample_add_virtq(s)->row.direction = VS_DIR_BOTH;
	*vs_sample_add_thread(s) = (struct vs_thread_sample){ .vm_uid = uid, .role = VS_ROLE_WORKER,
							      .index = -1, .name = "vhost-1" };
	vs_sample_add_kvm(s)->value[31] = 1;
}

static int set_up(void **ret)
{
	static struct state st;
	struct vs_self_sample *self = &st.in.self;

	memset(&st, 0, sizeof(st));
	*ret = &st;
	assert_int_equal(vs_wire_names_new(&st.names), 0);
	for (uint64_t uid = 1; uid <= 3; uid++)
		fill_vm(&st.in, uid);
	st.in.mono_ns = 1;
	st.in.wall_ns = 2;
	st.in.threads_ns = 3;
	st.in.flush_blind = st.in.synthetic = true;
	st.in.kvm_names = &kvm_names;
	self->cpu_ns = 4;
	self->programs_n = VS_PROGRAM__N;
	memcpy(self->programs[47].hook, "fentry/x", 9);
	self->probes_n = VS_PROBE__N;
	for (uint32_t i = 0; i < VS_PROBE__N; i++)
		self->probes[i].state = i % 2 ? "active" : "failed";
	assert_int_equal(vs_wire_encode(&st.in, NULL, 0, &st.len), -ENOSPC);
	st.bytes = malloc(st.len);
	assert_int_equal(vs_wire_encode(&st.in, st.bytes, st.len, &st.len), 0);
	return 0;
}

static int done(void **state)
{
	struct state *st = *state;

	vs_sample_done(&st->in);
	vs_sample_done(&st->out);
	vs_deep_sample_done(&st->deep);
	vs_deep_sample_done(&st->deep_out);
	vs_wire_names_free(&st->names);
	free(st->bytes);
	return 0;
}

/* Whatever the bytes say: each pointer can be followed, each index is in range. */
static void walk(const struct vs_sample *s)
{
	size_t sum = 0;

	for (size_t i = 0; i < s->vms_n; i++) {
		sum += strlen(s->vms[i].name) + strlen(s->vms[i].source) + s->vms[i].ended;
		for (uint32_t k = 0; k < s->vms[i].images_n; k++)
			sum += strlen(s->vms[i].images[k].path);
		for (uint32_t k = 0; k < s->vms[i].labels_n; k++)
			sum += strlen(s->vms[i].labels[k].value);
	}
	for (size_t i = 0; i < s->vnics_n; i++)
		sum += strlen(s->vnics[i].name) + s->vnics[i].has_link + s->vnics[i].attached;
	for (size_t i = 0; i < s->drops_n; i++)
		sum += strlen(s->drops[i].reason) + strlen(s->drops[i].location) +
		       strlen(vs_site_name(s->drops[i].kind.site)) +
		       strlen(vs_class_name(s->drops[i].kind.class)) + s->drops[i].kind.by_noop;
	for (size_t i = 0; i < s->disks_n; i++)
		sum += strlen(s->disks[i].info->backing) + s->disks[i].info->logical;
	for (size_t i = 0; i < s->threads_n; i++)
		sum += strlen(s->threads[i].name);
	for (uint32_t i = 0; i < s->self.programs_n; i++)
		sum += strlen(s->self.programs[i].hook);
	for (uint32_t i = 0; i < s->self.probes_n; i++)
		sum += strlen(s->self.probes[i].state) + strlen(s->self.probes[i].reason);
	for (uint32_t i = 0; s->kvm_names && i < s->kvm_names->n; i++)
		sum += strlen(s->kvm_names->name[i]) + s->kvm_names->exits[i];
	assert_true(sum < SIZE_MAX);
}

static void a_sample_arrives_as_it_was_sent(void **state)
{
	struct state *st = *state;
	const struct vs_sample *a = &st->in, *b = &st->out;

	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	walk(b);
	assert_int_equal(b->vms_n, a->vms_n);
	assert_int_equal(b->mono_ns + b->wall_ns + b->threads_ns, 1 + 2 + 3);
	assert_true(b->flush_blind && b->synthetic);
	for (size_t i = 0; i < a->vms_n; i++) {
		struct vs_vm_sample vm = b->vms[i];

		assert_string_equal(vm.source, a->vms[i].source);
		vm.source = a->vms[i].source;
		assert_memory_equal(&vm, &a->vms[i], sizeof(vm));
	}
	for (size_t i = 0; i < a->drops_n; i++) {
		struct vs_drop_sample d = b->drops[i];

		assert_string_equal(d.reason, a->drops[i].reason);
		assert_string_equal(d.location, a->drops[i].location);
		d.reason = a->drops[i].reason;
		d.location = a->drops[i].location;
		assert_memory_equal(&d, &a->drops[i], sizeof(d));
	}
	for (size_t i = 0; i < a->disks_n; i++) {
		assert_memory_equal(b->disks[i].info, a->disks[i].info, sizeof(disks[0]));
		assert_memory_equal(&b->disks[i].row, &a->disks[i].row, sizeof(a->disks[i].row));
	}
	assert_memory_equal(b->vnics, a->vnics, a->vnics_n * sizeof(*a->vnics));
	assert_memory_equal(b->virtqs, a->virtqs, a->virtqs_n * sizeof(*a->virtqs));
	assert_memory_equal(b->threads, a->threads, a->threads_n * sizeof(*a->threads));
	assert_memory_equal(b->kvm, a->kvm, a->kvm_n * sizeof(*a->kvm));
	assert_memory_equal(b->kvm_names, a->kvm_names, sizeof(kvm_names));
	assert_int_equal(b->self.cpu_ns, 4);
	assert_string_equal(b->self.programs[47].hook, "fentry/x");
	for (uint32_t i = 0; i < VS_PROBE__N; i++)
		assert_string_equal(b->self.probes[i].state, a->self.probes[i].state);
}

static void an_empty_sample_arrives_empty(void **state)
{
	static const struct vs_sample empty;
	struct state *st = *state;
	size_t len;

	assert_int_equal(vs_wire_encode(&empty, st->bytes, st->len, &len), 0);
	assert_true(len < st->len);
	assert_int_equal(vs_wire_decode(st->bytes, len, st->names, &st->out), 0);
	assert_int_equal(st->out.vms_n + st->out.drops_n + st->out.disks_n, 0);
	assert_null(st->out.kvm_names);
}

static void texts_outlive_the_sample_that_brought_them(void **state)
{
	struct state *st = *state;
	const char *reason, *again;

	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	reason = st->out.drops[1].reason;
	memset(st->bytes, 0xff, st->len);
	assert_string_equal(reason, "FULL_RING");
	assert_int_equal(vs_wire_encode(&st->in, st->bytes, st->len, &st->len), 0);
	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	again = st->out.drops[1].reason;
	assert_ptr_equal(again, reason);
}

static void a_second_look_keeps_the_memory_of_the_first(void **state)
{
	struct state *st = *state;
	const void *vms, *disk_rows;

	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	vms = st->out.vms;
	disk_rows = st->out.disks;
	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	assert_ptr_equal(st->out.vms, vms);
	assert_ptr_equal(st->out.disks, disk_rows);
}

static void what_is_cut_off_anywhere_is_refused(void **state)
{
	struct state *st = *state;

	for (size_t len = 0; len < st->len; len++) {
		char *part = malloc(len ? len : 1);
		struct vs_wire_header h;
		int r;

		memcpy(part, st->bytes, len);
		assert_int_equal(vs_wire_decode(part, len, st->names, &st->out), -EBADMSG);
		assert_int_equal(st->out.vms_n + st->out.drops_n + st->out.self.probes_n, 0);
		if (len >= sizeof(h)) { /* and when the header admits to it */
			memcpy(&h, part, sizeof(h));
			h.len = len;
			memcpy(part, &h, sizeof(h));
			r = vs_wire_decode(part, len, st->names, &st->out);
			assert_int_equal(r, -EBADMSG);
		}
		free(part);
		if (len > 2 * sizeof(struct vs_wire_header) && len + 9000 < st->len)
			len += 12; /* records all alike: not each byte of them */
	}
}

static void flipped_bits_do_no_harm(void **state)
{
	struct state *st = *state;
	uint64_t seed = 42;
	uint32_t refused = 0;

	for (int i = 0; i < 60000; i++) {
		/* Half of them where numbers stand that matter. */
		size_t at = unit_random(&seed) % (i % 2 ? sizeof(struct vs_wire_header) : st->len);
		char was = st->bytes[at];

		if (i % 3 == 0)
			at = st->len - 1 - at % 2000;
		was = st->bytes[at];
		st->bytes[at] = (char)(was ^ (1 << unit_random(&seed) % 8));
		if (vs_wire_decode(st->bytes, st->len, st->names, &st->out))
			refused++;
		else
			walk(&st->out);
		st->bytes[at] = was;
	}
	assert_true(refused > 10000);
}

/* Each of these alone must be enough. */
static void each_number_out_of_range_is_refused(void **state)
{
	struct state *st = *state;
	struct vs_wire_header h;
	size_t vms = (sizeof(h) + 7) & ~7ul;
	size_t vnics = vms + ((3 * sizeof(struct vs_vm_sample) + 7) & ~7ul);
	size_t drops = vnics + ((3 * sizeof(struct vs_vnic_sample) + 7) & ~7ul);
	size_t disk = drops + ((9 * sizeof(struct vs_drop_sample) + 7) & ~7ul);
	size_t self = disk + ((6 * sizeof(struct vs_disk_sample) + 7) & ~7ul) +
		      ((3 * sizeof(struct vs_virtq_sample) + 7) & ~7ul) +
		      ((3 * sizeof(struct vs_thread_sample) + 7) & ~7ul) +
		      ((3 * sizeof(struct vs_kvm_sample) + 7) & ~7ul);
	const struct {
		size_t at;
		uint8_t value;
	} bad[] = {
		{ offsetof(struct vs_wire_header, infos_n), 1 },
		{ offsetof(struct vs_wire_header, texts_n), 200 },
		{ offsetof(struct vs_wire_header, texts_len), 8 },
		{ offsetof(struct vs_wire_header, n), 4 },
		{ offsetof(struct vs_wire_header, n) + 7, 0x80 },
		{ offsetof(struct vs_wire_header, has_kvm_names), 2 },
		{ vms + offsetof(struct vs_vm_sample, images_n), VS_IMAGE__N + 1 },
		{ vms + offsetof(struct vs_vm_sample, labels_n), VS_LABEL__N + 1 },
		{ vms + offsetof(struct vs_vm_sample, ended), 2 },
		{ vms + offsetof(struct vs_vm_sample, source), 0 },
		{ vms + offsetof(struct vs_vm_sample, source), 200 },
		{ vnics + offsetof(struct vs_vnic_sample, has_link), 255 },
		{ drops + offsetof(struct vs_drop_sample, reason), 0 },
		{ drops + offsetof(struct vs_drop_sample, location) + 7, 1 },
		{ drops + offsetof(struct vs_drop_sample, kind.site), VS_SITE__N },
		{ drops + offsetof(struct vs_drop_sample, kind.class), VS_CLASS__N },
		{ drops + offsetof(struct vs_drop_sample, kind.direction), 2 },
		{ disk + offsetof(struct vs_disk_sample, info), 0 },
		{ disk + offsetof(struct vs_disk_sample, info), 3 },
		{ disk + offsetof(struct vs_disk_sample, op), VS_OP__N },
		{ self + offsetof(struct vs_self_sample, programs_n), VS_PROGRAM__N + 1 },
		{ self + offsetof(struct vs_self_sample, maps_n), VS_MAP__N + 1 },
		{ self + offsetof(struct vs_self_sample, sinks_n), VS_SINK__N + 1 },
		{ self + offsetof(struct vs_self_sample, probes_n), VS_PROBE__N + 1 },
		{ self + offsetof(struct vs_self_sample, maps_n), VS_MAP__N + 1 },
		{ self + offsetof(struct vs_self_sample, sinks_n), VS_SINK__N + 1 },
		{ self + offsetof(struct vs_self_sample, probes[3].state), 250 },
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		char was = st->bytes[bad[i].at];
		int r;

		st->bytes[bad[i].at] = (char)bad[i].value;
		r = vs_wire_decode(st->bytes, st->len, st->names, &st->out);
		if (r != -EBADMSG)
			fail_msg("number %zu: %d", i, r);
		st->bytes[bad[i].at] = was;
	}
	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
}

static void texts_without_an_end_are_cut(void **state)
{
	struct state *st = *state;
	size_t name = ((sizeof(struct vs_wire_header) + 7) & ~7ul) +
		      offsetof(struct vs_vm_sample, name);

	memset(st->bytes + name, 'x', VS_NAME__N);
	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), 0);
	assert_int_equal(strlen(st->out.vms[0].name), VS_NAME__N - 1);
}

static void another_versions_records_are_told_apart(void **state)
{
	struct state *st = *state;

	st->bytes[offsetof(struct vs_wire_header, each[VS_WIRE_DISKS])] ^= 8;
	assert_int_equal(vs_wire_decode(st->bytes, st->len, st->names, &st->out), -EPROTONOSUPPORT);
}

static void a_buffer_too_small_is_not_overrun(void **state)
{
	struct state *st = *state;

	for (size_t size = 0; size < st->len; size += size < 400 ? 1 : 997) {
		char *small = malloc(size ? size : 1);
		size_t len;

		assert_int_equal(vs_wire_encode(&st->in, small, size, &len), -ENOSPC);
		assert_int_equal(len, st->len);
		free(small);
	}
}

static void a_disk_without_description_is_not_sent(void **state)
{
	struct state *st = *state;

	st->in.disks[2].info = NULL;
	assert_int_equal(vs_wire_encode(&st->in, st->bytes, st->len, &st->len), -EINVAL);
}

static void fill_deep(struct vs_deep_sample *d)
{
	d->mono_ns = 9;
	d->threads_n = 2;
	d->threads = calloc(2, sizeof(*d->threads));
	d->threads[1] = (struct vs_deep_thread_sample){ .vm_uid = 7, .role = VS_ROLE_EMULATOR,
							.waiting = true, .delay.n[3] = 1 };
	d->ran_n = 3;
	d->ran = calloc(3, sizeof(*d->ran));
	d->ran[2].ns = 77;
	d->programs_n = 4;
	memcpy(d->programs[3].name, "vs_switch", 10);
}

static void a_deep_look_arrives_as_it_was_sent(void **state)
{
	struct state *st = *state;
	const struct vs_deep_sample *d = &st->deep_out;
	char bytes[8192];
	size_t len;

	fill_deep(&st->deep);
	assert_int_equal(vs_wire_encode_deep(&st->deep, bytes, sizeof(bytes), &len), 0);
	assert_int_equal(vs_wire_decode_deep(bytes, len, &st->deep_out), 0);
	assert_int_equal(d->mono_ns, 9);
	assert_int_equal(d->threads_n, 2);
	assert_memory_equal(d->threads, st->deep.threads, 2 * sizeof(*d->threads));
	assert_int_equal(d->ran[2].ns, 77);
	assert_string_equal(d->programs[3].name, "vs_switch");
	vs_deep_sample_done(&st->deep_out);
	for (size_t cut = 0; cut < len; cut++) {
		char *part = malloc(cut ? cut : 1);

		memcpy(part, bytes, cut);
		assert_int_equal(vs_wire_decode_deep(part, cut, &st->deep_out), -EBADMSG);
		free(part);
	}
	((struct vs_wire_deep *)bytes)->threads_n = UINT64_MAX / sizeof(*d->threads) + 2;
	assert_int_equal(vs_wire_decode_deep(bytes, len, &st->deep_out), -EBADMSG);
	((struct vs_wire_deep *)bytes)->threads_n = 2;
	bytes[sizeof(struct vs_wire_deep) + sizeof(d->programs) +
	      offsetof(struct vs_deep_thread_sample, role)] = VS_ROLE__N;
	assert_int_equal(vs_wire_decode_deep(bytes, len, &st->deep_out), -EBADMSG);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, set_up, done)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_sample_arrives_as_it_was_sent),
		TEST(an_empty_sample_arrives_empty),
		TEST(texts_outlive_the_sample_that_brought_them),
		TEST(a_second_look_keeps_the_memory_of_the_first),
		TEST(what_is_cut_off_anywhere_is_refused),
		TEST(flipped_bits_do_no_harm),
		TEST(each_number_out_of_range_is_refused),
		TEST(texts_without_an_end_are_cut),
		TEST(another_versions_records_are_told_apart),
		TEST(a_buffer_too_small_is_not_overrun),
		TEST(a_disk_without_description_is_not_sent),
		TEST(a_deep_look_arrives_as_it_was_sent),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
