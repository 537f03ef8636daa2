/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/text.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

/* Length of the valid UTF-8 sequence at @s (of @len > 0 bytes), 0 if none:
 * the table of RFC 3629, section 4. */
static size_t sequence(const unsigned char *s, size_t len)
{
	static const struct {
		unsigned char lo, hi, second_lo, second_hi, n;
	} forms[] = {
		{ 0x00, 0x7f, 0, 0, 1 },       { 0xc2, 0xdf, 0x80, 0xbf, 2 },
		{ 0xe0, 0xe0, 0xa0, 0xbf, 3 }, { 0xe1, 0xec, 0x80, 0xbf, 3 },
		{ 0xed, 0xed, 0x80, 0x9f, 3 }, { 0xee, 0xef, 0x80, 0xbf, 3 },
		{ 0xf0, 0xf0, 0x90, 0xbf, 4 }, { 0xf1, 0xf3, 0x80, 0xbf, 4 },
		{ 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	for (size_t f = 0; f < sizeof(forms) / sizeof(forms[0]); f++) {
		size_t i;

		if (s[0] < forms[f].lo || s[0] > forms[f].hi)
			continue;
		if (forms[f].n > len)
			return 0;
		if (forms[f].n > 1 && (s[1] < forms[f].second_lo || s[1] > forms[f].second_hi))
			return 0;
		for (i = 2; i < forms[f].n; i++)
			if ((s[i] & 0xc0) != 0x80)
				return 0;
		return forms[f].n;
	}
	return 0;
}

size_t vs_text_utf8(char *dst, size_t size, const char *src, size_t len)
{
	static const char bad[] = "\xef\xbf\xbd";
	size_t out = 0, in = 0;

	while (in < len) {
		size_t n = sequence((const unsigned char *)src + in, len - in);
		const char *piece = n ? src + in : bad;
		size_t piece_len = n ? n : 3;

		if (out + piece_len + 1 > size)
			break;
		memcpy(dst + out, piece, piece_len);
		out += piece_len;
		in += n ? n : 1;
	}
	dst[out] = '\0';
	return out;
}

/* Whether a character (of @n bytes) moves a terminal's cursor, changes its state, or
 * the order in which its neighbours are shown: C0, DEL and C1 (U+0080 to U+009F);
 * the bidirectional marks and controls U+061C, U+200E, U+200F, U+202A to U+202E and
 * U+2066 to U+2069; the separators of lines and paragraphs U+2028 and U+2029. */
static bool is_steering(const unsigned char *s, size_t n)
{
	if (n == 1)
		return s[0] < 0x20 || s[0] == 0x7f;
	if (n == 2)
		return (s[0] == 0xc2 && s[1] < 0xa0) || (s[0] == 0xd8 && s[1] == 0x9c);
	if (n != 3 || s[0] != 0xe2)
		return false;
	if (s[1] == 0x80)
		return s[2] == 0x8e || s[2] == 0x8f || (s[2] >= 0xa8 && s[2] <= 0xae);
	return s[1] == 0x81 && s[2] >= 0xa6 && s[2] <= 0xa9;
}

size_t vs_text_printable(char *dst, size_t size, const char *src)
{
	size_t out = 0, in = 0, len = strlen(src);

	while (in < len) {
		const unsigned char *s = (const unsigned char *)src + in;
		size_t n = sequence(s, len - in);
		bool steers = !n || is_steering(s, n);

		if (!n)
			n = 1;
		if (out + (steers ? 4 * n : n) + 1 > size)
			break;
		if (steers)
			for (size_t i = 0; i < n; i++)
				out += (size_t)snprintf(dst + out, 5, "\\x%02x", s[i]);
		else {
			memcpy(dst + out, s, n);
			out += n;
		}
		in += n;
	}
	dst[out] = '\0';
	return out;
}

size_t vs_text_width(const char *s)
{
	size_t n = 0;

	for (; *s; s++)
		n += ((unsigned char)*s & 0xc0) != 0x80;
	return n;
}

bool vs_text_starts(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}
