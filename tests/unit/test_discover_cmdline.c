/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "discover/cmdline.h"

#include <jansson.h>

#define UUID "0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c11"

static struct vs_cmdline c;

/* @text is a literal whose last argument has its NUL: sizeof counts it. */
#define PARSE(text) vs_cmdline_parse(text, sizeof(text), &c)

static void check_name(const char *arg, const char *expected)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "qemu%c-name%c%s", 0, 0, arg);

	vs_cmdline_parse(line, (size_t)n + 1, &c);
	assert_string_equal(c.name, expected);
}

static void name_is_what_guest_says(void **state)
{
	(void)state;
	check_name("guest=web,debug-threads=on", "web");
	check_name("debug-threads=on,guest=web", "web");
	check_name("process=qemu,guest=db1", "db1");
}

static void name_may_be_given_without_a_key(void **state)
{
	(void)state;
	check_name("web", "web");
	check_name("web,debug-threads=on", "web");
}

static void doubled_comma_is_a_comma(void **state)
{
	(void)state;
	check_name("guest=a,,b,debug-threads=on", "a,b");
	check_name("a,,b", "a,b");
	check_name("guest=,,", ",");
	check_name("guest=a,,guest=b", "a,guest=b");
}

static void equals_sign_inside_a_guest_name_stays(void **state)
{
	(void)state;
	check_name("guest=a=b", "a=b");
}

static void other_keys_are_no_name(void **state)
{
	(void)state;
	check_name("process=x", "");
	check_name("debug-threads=on", "");
	check_name("xguest=no", "");
	check_name("guests=no", "");
	check_name("", "");
}

static void option_may_have_two_dashes(void **state)
{
	(void)state;
	PARSE("qemu\0--name\0web\0--uuid\0" UUID);
	assert_string_equal(c.name, "web");
	assert_string_equal(c.uuid, UUID);
}

static void long_name_is_cut_at_a_characters_end(void **state)
{
	char name[402], expected[256];

	(void)state;
	for (size_t i = 0; i < 400; i += 2)
		memcpy(name + i, "\xc3\xa4", 2);
	name[400] = '\0';
	memcpy(expected, name, 254); /* 255 bytes of room hold 127 of two */
	expected[254] = '\0';
	check_name(name, expected);
}

static void check_text(const char *s)
{
	json_t *j = json_string(s); /* NULL if it is not valid UTF-8 */

	assert_non_null(j);
	json_decref(j);
}

static void hostile_bytes_become_replacement_characters(void **state)
{
	(void)state;
	check_name("guest=\xff\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	check_name("guest=a\xed\xa0\x80z", "a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdz");
	PARSE("qemu\0-hda\0/x\xfe");
	assert_string_equal(c.images[0].path, "/x\xef\xbf\xbd");
}

static void uuid_is_taken(void **state)
{
	(void)state;
	PARSE("qemu\0-uuid\0" UUID);
	assert_string_equal(c.uuid, UUID);
	PARSE("qemu\0-uuid\0" "0B3A1F5E-7C52-4D2B-9A44-2F0F6F9D1C11");
	assert_string_equal(c.uuid, "0B3A1F5E-7C52-4D2B-9A44-2F0F6F9D1C11");
}

static void check_no_uuid(const char *arg)
{
	char line[600];
	int n = snprintf(line, sizeof(line), "qemu%c-uuid%c%s", 0, 0, arg);

	vs_cmdline_parse(line, (size_t)n + 1, &c);
	assert_string_equal(c.uuid, "");
}

static void uuid_of_another_length_or_alphabet_is_ignored(void **state)
{
	(void)state;
	check_no_uuid("");
	check_no_uuid("0b3a1f5e");
	check_no_uuid(UUID "0");
	check_no_uuid("0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c1g");
	check_no_uuid("0b3a1f5e-7c52-4d2b-9a44-2f0f6f9d1c1\xe9");
}

static void uuid_with_dashes_elsewhere_is_ignored(void **state)
{
	(void)state;
	check_no_uuid("------------------------------------");
	check_no_uuid("0b3a1f5e7c524d2b9a442f0f6f9d1c11----");
	check_no_uuid("0b3a1f5e07c52-4d2b-9a44-2f0f6f9d1c1-");
}

static void drive_is_an_image_with_its_id(void **state)
{
	(void)state;
	PARSE("qemu\0-drive\0file=/srv/a,,b.qcow2,id=d0,if=none\0-hdb\0/srv/c.raw");
	assert_int_equal(c.images_n, 2);
	assert_string_equal(c.images[0].path, "/srv/a,b.qcow2");
	assert_string_equal(c.images[0].target, "d0");
	assert_string_equal(c.images[1].path, "/srv/c.raw");
	assert_string_equal(c.images[1].target, "hdb");
}

static void drive_on_the_network_is_no_image(void **state)
{
	(void)state;
	PARSE("qemu\0-drive\0file=rbd:pool/x,id=d0\0-drive\0if=none,id=d1");
	assert_int_equal(c.images_n, 0);
}

static void blockdev_in_json_is_an_image(void **state)
{
	(void)state;
	PARSE("qemu\0-blockdev\0{\"driver\":\"file\",\"filename\":\"/srv/a, b=\\u00e4\",\"node-name\":\"n\"}");
	assert_int_equal(c.images_n, 1);
	assert_string_equal(c.images[0].path, "/srv/a, b=\xc3\xa4");
}

static void blockdev_in_json_may_be_nested(void **state)
{
	(void)state;
	PARSE("qemu\0-blockdev\0{\"driver\":\"qcow2\",\"file\":{\"driver\":\"file\",\"filename\":\"/srv/a\"}}");
	assert_int_equal(c.images_n, 1);
	assert_string_equal(c.images[0].path, "/srv/a");
}

static void blockdev_in_keys_is_an_image(void **state)
{
	(void)state;
	PARSE("qemu\0-blockdev\0driver=file,filename=/srv/a\0-blockdev\0driver=qcow2,file.filename=/srv/b");
	assert_int_equal(c.images_n, 2);
	assert_string_equal(c.images[0].path, "/srv/a");
	assert_string_equal(c.images[1].path, "/srv/b");
}

static void blockdev_that_is_not_json_is_ignored(void **state)
{
	(void)state;
	PARSE("qemu\0-blockdev\0{\"driver\":\0-blockdev\0{}\0-blockdev\0{\"filename\":7}\0-blockdev\0{\"filename\":\"a\\u0000b\"}\0-name\0web");
	assert_int_equal(c.images_n, 0);
	assert_string_equal(c.name, "web");
}

static void one_file_named_twice_is_one_image(void **state)
{
	(void)state;
	PARSE("qemu\0-hda\0/srv/a\0-blockdev\0driver=file,filename=/srv/a");
	assert_int_equal(c.images_n, 1);
}

static void more_images_than_fit_are_dropped(void **state)
{
	char line[4096];
	size_t n = 0;

	(void)state;
	for (int i = 0; i < 3 * VS_IMAGE__N; i++)
		n += (size_t)snprintf(line + n, sizeof(line) - n, "-hda%c/srv/%d", 0, i) + 1;
	vs_cmdline_parse(line, n, &c);
	assert_int_equal(c.images_n, VS_IMAGE__N);
	assert_string_equal(c.images[VS_IMAGE__N - 1].path, "/srv/7");
}

static void vcpus_come_from_smp(void **state)
{
	(void)state;
	PARSE("qemu\0-smp\0" "4");
	assert_int_equal(c.vcpus, 4);
	PARSE("qemu\0-smp\0sockets=1,cpus=8");
	assert_int_equal(c.vcpus, 8);
	PARSE("qemu\0-smp\0" "2,maxcpus=16");
	assert_int_equal(c.vcpus, 2);
}

static void absurd_vcpus_are_unknown(void **state)
{
	(void)state;
	PARSE("qemu\0-smp\0many");
	assert_int_equal(c.vcpus, 0);
	PARSE("qemu\0-smp\0" "99999999999999999999");
	assert_int_equal(c.vcpus, 0);
	PARSE("qemu\0-smp\0-1");
	assert_int_equal(c.vcpus, 0);
}

static void incoming_tells_migration_from_restore(void **state)
{
	(void)state;
	PARSE("qemu\0-incoming\0defer");
	assert_string_equal(c.incoming, "migrated_in");
	PARSE("qemu\0-incoming\0tcp:0:4444");
	assert_string_equal(c.incoming, "migrated_in");
	PARSE("qemu\0-incoming\0fd:23");
	assert_string_equal(c.incoming, "restored");
	PARSE("qemu\0-name\0x");
	assert_null(c.incoming);
}

static void loading_a_snapshot_is_a_restore(void **state)
{
	(void)state;
	PARSE("qemu\0-loadvm\0before");
	assert_string_equal(c.incoming, "restored");
}

static void memory_is_read_as_qemu_reads_it(void **state)
{
	static const struct {
		const char *arg;
		uint64_t bytes;
	} sizes[] = {
		{ "512", 512ull << 20 },
		{ "2G", 2ull << 30 },
		{ "size=1048576k,slots=16,maxmem=8G", 1ull << 30 },
		{ "size=128", 128ull << 20 },
		{ "65536B", 65536 },
		{ "1t", 1ull << 40 },
		{ "x", 0 },
		{ "1x", 0 },
		{ "99999999999999P", 0 },
		{ "maxmem=8G", 0 },
	};

	(void)state;
	for (size_t i = 0; i < COUNT(sizes); i++) {
		char line[128];
		int n = snprintf(line, sizeof(line), "qemu%c-m%c%s", 0, 0, sizes[i].arg);

		vs_cmdline_parse(line, (size_t)n + 1, &c);
		assert_int_equal(c.memory_bytes, sizes[i].bytes);
	}
}

static void a_qemu_without_a_machine_only_asks(void **state)
{
	(void)state;
	PARSE("qemu\0-S\0-machine\0none,accel=kvm:tcg");
	assert_true(c.asks_only);
	PARSE("qemu\0-M\0none");
	assert_true(c.asks_only);
	PARSE("qemu\0-machine\0q35,accel=kvm");
	assert_false(c.asks_only);
	PARSE("qemu\0-machine\0type=pc,usb=off");
	assert_false(c.asks_only);
}

static void argument_that_was_cut_is_ignored(void **state)
{
	static const char line[] = "qemu\0-uuid\0" UUID "\0-name\0guest=production";

	(void)state;
	vs_cmdline_parse(line, sizeof(line) - 1, &c); /* without the last NUL */
	assert_string_equal(c.uuid, UUID);
	assert_string_equal(c.name, "");
}

static void no_cut_anywhere_gives_half_a_value(void **state)
{
	static const char line[] = "qemu\0-name\0guest=web\0-uuid\0" UUID "\0-hda\0/srv/a";

	(void)state;
	for (size_t len = 0; len <= sizeof(line); len++) {
		char *exact = malloc(len ? len : 1); /* so that ASan sees one byte too many */

		memcpy(exact, line, len);
		vs_cmdline_parse(exact, len, &c);
		free(exact);
		assert_true(!*c.name || strcmp(c.name, "web") == 0);
		assert_true(!*c.uuid || strcmp(c.uuid, UUID) == 0);
		assert_true(!c.images_n || strcmp(c.images[0].path, "/srv/a") == 0);
	}
	assert_int_equal(c.images_n, 1);
}

static void no_text_gives_nothing(void **state)
{
	(void)state;
	memset(&c, 0xa5, sizeof(c));
	vs_cmdline_parse("", 0, &c);
	assert_string_equal(c.name, "");
	assert_string_equal(c.uuid, "");
	assert_int_equal(c.images_n, 0);
	assert_int_equal(c.vcpus, 0);
}

static void option_without_its_value_is_ignored(void **state)
{
	(void)state;
	PARSE("qemu\0-name");
	assert_string_equal(c.name, "");
	PARSE("qemu\0-\0--\0-name\0web");
	assert_string_equal(c.name, "web");
}

static void garbage_without_nul_is_read_within_its_bounds(void **state)
{
	uint64_t seed = 99;

	(void)state;
	for (int i = 0; i < 5000; i++) {
		size_t len = unit_random(&seed) % 200;
		char *text = malloc(len ? len : 1);

		for (size_t k = 0; k < len; k++)
			text[k] = (char)(1 + unit_random(&seed) % 255);
		vs_cmdline_parse(text, len, &c);
		free(text);
		assert_string_equal(c.name, "");
	}
}

static void options_made_of_garbage_stay_valid_text(void **state)
{
	static const char *const opts[] = { "-name", "-uuid", "-drive", "-blockdev", "-hda", "-smp",
					    "-incoming" };
	static const char alphabet[] = "=,,guest{}\"file\\/\xff\xc3\xa4\xed\x80:0-";
	uint64_t seed = 17;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char *line = malloc(400);
		size_t n = 0;

		for (int a = 0; a < 6; a++) {
			const char *o = opts[unit_random(&seed) % COUNT(opts)];
			size_t len = unit_random(&seed) % 40;

			n += (size_t)snprintf(line + n, 400 - n, "%s", o) + 1;
			for (size_t k = 0; k < len; k++)
				line[n++] = alphabet[unit_random(&seed) % (sizeof(alphabet) - 1)];
			line[n++] = '\0';
		}
		line = realloc(line, n);
		vs_cmdline_parse(line, n, &c);
		free(line);
		check_text(c.name);
		check_text(c.uuid);
		for (uint32_t k = 0; k < c.images_n; k++) {
			check_text(c.images[k].path);
			check_text(c.images[k].target);
		}
	}
}

static void huge_arguments_are_cut_and_not_overrun(void **state)
{
	size_t len = 2 << 20, n;
	char *line = malloc(len);

	(void)state;
	assert_non_null(line);
	for (int form = 0; form < 3; form++) {
		static const char *const head[] = { "-name%cguest=", "-drive%cfile=/", "-hda%c/" };

		memset(line, 'a', len);
		n = (size_t)snprintf(line, 64, head[form], 0);
		line[n] = 'a';
		line[len - 1] = '\0';
		vs_cmdline_parse(line, len, &c);
		assert_true(strlen(c.name) < VS_NAME__N);
		for (uint32_t i = 0; i < c.images_n; i++)
			assert_true(strlen(c.images[i].path) < VS_PATH__N);
	}
	memset(line, '{', len); /* 2 Mi of nesting */
	(void)memcpy(line, "-blockdev", 10);
	line[len - 1] = '\0';
	vs_cmdline_parse(line, len, &c);
	assert_int_equal(c.images_n, 0);
	free(line);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(name_is_what_guest_says),
		cmocka_unit_test(name_may_be_given_without_a_key),
		cmocka_unit_test(doubled_comma_is_a_comma),
		cmocka_unit_test(equals_sign_inside_a_guest_name_stays),
		cmocka_unit_test(other_keys_are_no_name),
		cmocka_unit_test(option_may_have_two_dashes),
		cmocka_unit_test(long_name_is_cut_at_a_characters_end),
		cmocka_unit_test(hostile_bytes_become_replacement_characters),
		cmocka_unit_test(uuid_is_taken),
		cmocka_unit_test(uuid_of_another_length_or_alphabet_is_ignored),
		cmocka_unit_test(uuid_with_dashes_elsewhere_is_ignored),
		cmocka_unit_test(drive_is_an_image_with_its_id),
		cmocka_unit_test(drive_on_the_network_is_no_image),
		cmocka_unit_test(blockdev_in_json_is_an_image),
		cmocka_unit_test(blockdev_in_json_may_be_nested),
		cmocka_unit_test(blockdev_in_keys_is_an_image),
		cmocka_unit_test(blockdev_that_is_not_json_is_ignored),
		cmocka_unit_test(one_file_named_twice_is_one_image),
		cmocka_unit_test(more_images_than_fit_are_dropped),
		cmocka_unit_test(vcpus_come_from_smp),
		cmocka_unit_test(absurd_vcpus_are_unknown),
		cmocka_unit_test(incoming_tells_migration_from_restore),
		cmocka_unit_test(loading_a_snapshot_is_a_restore),
		cmocka_unit_test(memory_is_read_as_qemu_reads_it),
		cmocka_unit_test(a_qemu_without_a_machine_only_asks),
		cmocka_unit_test(argument_that_was_cut_is_ignored),
		cmocka_unit_test(no_cut_anywhere_gives_half_a_value),
		cmocka_unit_test(no_text_gives_nothing),
		cmocka_unit_test(option_without_its_value_is_ignored),
		cmocka_unit_test(garbage_without_nul_is_read_within_its_bounds),
		cmocka_unit_test(options_made_of_garbage_stay_valid_text),
		cmocka_unit_test(huge_arguments_are_cut_and_not_overrun),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
