/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "unit.h"

#include "base/text.h"

#include <jansson.h>

#define BAD "\xef\xbf\xbd" /* U+FFFD */

static void check_utf8(const char *src, size_t len, const char *expected)
{
	char dst[256];
	size_t n = vs_text_utf8(dst, sizeof(dst), src, len);

	assert_string_equal(dst, expected);
	assert_int_equal(n, strlen(expected));
}
#define UTF8(src, expected) check_utf8(src, sizeof(src) - 1, expected)

static void check_printable(const char *src, const char *expected)
{
	char dst[256];
	size_t n = vs_text_printable(dst, sizeof(dst), src);

	assert_string_equal(dst, expected);
	assert_int_equal(n, strlen(expected));
}

static void valid_utf8_passes_unchanged(void **state)
{
	(void)state;
	UTF8("plain", "plain");
	UTF8("\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7", "\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7");
	UTF8("", "");
}

static void first_and_last_code_points_of_each_length_are_valid(void **state)
{
	(void)state;
	UTF8("\x01", "\x01");
	UTF8("\x7f", "\x7f");
	UTF8("\xc2\x80", "\xc2\x80");
	UTF8("\xdf\xbf", "\xdf\xbf");
	UTF8("\xe0\xa0\x80", "\xe0\xa0\x80");
	UTF8("\xed\x9f\xbf", "\xed\x9f\xbf");
	UTF8("\xee\x80\x80", "\xee\x80\x80");
	UTF8("\xef\xbf\xbf", "\xef\xbf\xbf");
	UTF8("\xf0\x90\x80\x80", "\xf0\x90\x80\x80");
	UTF8("\xf4\x8f\xbf\xbf", "\xf4\x8f\xbf\xbf");
}

static void text_is_cut_at_a_characters_end(void **state)
{
	char dst[6];

	(void)state;
	assert_int_equal(vs_text_utf8(dst, 6, "abc\xe2\x82\xac", 6), 3);
	assert_string_equal(dst, "abc");
	assert_int_equal(vs_text_utf8(dst, 6, "ab\xe2\x82\xac", 5), 5);
	assert_string_equal(dst, "ab\xe2\x82\xac");
}

static void a_replacement_is_never_cut_either(void **state)
{
	char dst[5];

	(void)state;
	assert_int_equal(vs_text_utf8(dst, sizeof(dst), "ab\xff", 3), 2);
	assert_string_equal(dst, "ab");
}

static void sequence_that_the_input_cuts_is_replaced(void **state)
{
	(void)state;
	UTF8("a\xe2\x82", "a" BAD BAD);
	UTF8("\xf0\x9f\x90", BAD BAD BAD);
	UTF8("\xc3", BAD);
}

static void stray_and_impossible_bytes_are_replaced_one_by_one(void **state)
{
	(void)state;
	UTF8("a\x80z", "a" BAD "z");
	UTF8("\xff\xfe", BAD BAD);
	UTF8("\xc3(", BAD "(");
	UTF8("\xe2\x82(", BAD BAD "(");
}

static void overlong_forms_are_replaced(void **state)
{
	(void)state;
	UTF8("\xc0\xaf", BAD BAD);
	UTF8("\xc1\xbf", BAD BAD);
	UTF8("\xe0\x9f\xbf", BAD BAD BAD);
	UTF8("\xf0\x8f\xbf\xbf", BAD BAD BAD BAD);
}

static void surrogates_are_replaced(void **state)
{
	(void)state;
	UTF8("\xed\xa0\x80", BAD BAD BAD);
	UTF8("\xed\xbf\xbf", BAD BAD BAD);
}

static void code_points_beyond_unicode_are_replaced(void **state)
{
	(void)state;
	UTF8("\xf4\x90\x80\x80", BAD BAD BAD BAD);
	UTF8("\xf5\x80\x80\x80", BAD BAD BAD BAD);
}

static void any_bytes_become_text_that_json_takes(void **state)
{
	uint64_t seed = 11;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char src[40], dst[64];
		size_t len = unit_random(&seed) % sizeof(src), size = 4 + unit_random(&seed) % 60, n;
		json_t *j;

		for (size_t k = 0; k < len; k++)
			src[k] = (char)(1 + unit_random(&seed) % 255);
		n = vs_text_utf8(dst, size, src, len);
		assert_true(n < size && strlen(dst) == n);
		j = json_string(dst);
		assert_non_null(j);
		json_decref(j);
	}
}

static void control_characters_are_shown_as_hex(void **state)
{
	(void)state;
	check_printable("\033[31mred\r\n\t\a", "\\x1b[31mred\\x0d\\x0a\\x09\\x07");
	check_printable("a\x7f" "b", "a\\x7f" "b");
}

static void c1_controls_are_shown_as_hex(void **state)
{
	(void)state;
	check_printable("\xc2\x9b" "31m", "\\xc2\\x9b" "31m");
	check_printable("\xc2\x80", "\\xc2\\x80");
	check_printable("\xc2\xa0", "\xc2\xa0"); /* the first that is none */
}

static void bidirectional_controls_are_shown_as_hex(void **state)
{
	(void)state;
	check_printable("\xe2\x80\xae" "txt", "\\xe2\\x80\\xae" "txt"); /* U+202E */
	check_printable("\xe2\x80\xaa", "\\xe2\\x80\\xaa");
	check_printable("\xe2\x81\xa6", "\\xe2\\x81\\xa6"); /* U+2066 */
	check_printable("\xe2\x81\xa9", "\\xe2\\x81\\xa9");
	check_printable("\xe2\x80\x8e\xe2\x80\x8f", "\\xe2\\x80\\x8e\\xe2\\x80\\x8f"); /* marks */
	check_printable("\xd8\x9c", "\\xd8\\x9c"); /* U+061C */
	check_printable("\xe2\x80\xa8\xe2\x80\xa9", "\\xe2\\x80\\xa8\\xe2\\x80\\xa9"); /* U+2028 */
	check_printable("\xd8\x9b\xd8\xa7", "\xd8\x9b\xd8\xa7"); /* Arabic text is text */
	check_printable("\xe2\x80\x8d", "\xe2\x80\x8d"); /* joins emoji */
	check_printable("\xe2\x80\x93", "\xe2\x80\x93"); /* a dash is none */
}

static void ordinary_text_is_printed_as_it_is(void **state)
{
	(void)state;
	check_printable("web-1 \xc3\xa4\xf0\x9f\x90\xa7", "web-1 \xc3\xa4\xf0\x9f\x90\xa7");
}

static void an_escape_is_whole_or_not_there(void **state)
{
	char dst[16];

	(void)state;
	for (size_t size = 1; size < sizeof(dst); size++) {
		size_t n = vs_text_printable(dst, size, "\x01\x02\x03");

		assert_int_equal(n % 4, 0);
		assert_true(n < size);
		assert_int_equal(strlen(dst), n);
	}
}

static void no_bytes_at_all_can_steer_a_terminal(void **state)
{
	uint64_t seed = 5;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		char src[40], text[64], dst[256];
		size_t len = unit_random(&seed) % sizeof(src);

		for (size_t k = 0; k < len; k++)
			src[k] = (char)(1 + unit_random(&seed) % 255);
		(void)vs_text_utf8(text, sizeof(text), src, len);
		(void)vs_text_printable(dst, sizeof(dst), text);
		for (const unsigned char *s = (unsigned char *)dst; *s; s++)
			assert_true(*s >= 0x20 && *s != 0x7f && !(s[0] == 0xc2 && s[1] < 0xa0));
	}
}

static void width_counts_characters(void **state)
{
	(void)state;
	assert_int_equal(vs_text_width(""), 0);
	assert_int_equal(vs_text_width("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x90\xa7"), 4);
}

static void starts_compares_the_whole_prefix(void **state)
{
	(void)state;
	assert_true(vs_text_starts("tun_net_xmit", "tun_"));
	assert_true(vs_text_starts("x", ""));
	assert_false(vs_text_starts("tun", "tun_"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(valid_utf8_passes_unchanged),
		cmocka_unit_test(first_and_last_code_points_of_each_length_are_valid),
		cmocka_unit_test(text_is_cut_at_a_characters_end),
		cmocka_unit_test(a_replacement_is_never_cut_either),
		cmocka_unit_test(sequence_that_the_input_cuts_is_replaced),
		cmocka_unit_test(stray_and_impossible_bytes_are_replaced_one_by_one),
		cmocka_unit_test(overlong_forms_are_replaced),
		cmocka_unit_test(surrogates_are_replaced),
		cmocka_unit_test(code_points_beyond_unicode_are_replaced),
		cmocka_unit_test(any_bytes_become_text_that_json_takes),
		cmocka_unit_test(control_characters_are_shown_as_hex),
		cmocka_unit_test(c1_controls_are_shown_as_hex),
		cmocka_unit_test(bidirectional_controls_are_shown_as_hex),
		cmocka_unit_test(ordinary_text_is_printed_as_it_is),
		cmocka_unit_test(an_escape_is_whole_or_not_there),
		cmocka_unit_test(no_bytes_at_all_can_steer_a_terminal),
		cmocka_unit_test(width_counts_characters),
		cmocka_unit_test(starts_compares_the_whole_prefix),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
