/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "discover/cmdline.h"

#include "base/text.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

/*
 * One "key=value" of a QEMU option string: values end at a comma, a doubled
 * comma stands for one. Return: length written, or -1 if @key is not there.
 * With @key NULL: the leading value that has no key.
 */
static int option(const char *s, size_t len, const char *key, char *dst, size_t size)
{
	size_t key_len = key ? strlen(key) : 0, i = 0;
	bool first = true;

	while (i <= len) {
		size_t at = i, n = 0;
		bool match;

		if (key)
			match = len - i > key_len && memcmp(s + i, key, key_len) == 0 &&
				s[i + key_len] == '=';
		else
			match = first;
		if (match && key)
			at += key_len + 1;
		for (i = at; i < len; i++) {
			if (s[i] == ',') {
				if (i + 1 >= len || s[i + 1] != ',')
					break;
				i++;
			}
			if (!key && match && s[i] == '=')
				match = false; /* a key after all */
			if (match && n + 1 < size)
				dst[n++] = s[i];
		}
		if (match) {
			dst[n] = '\0';
			return (int)n;
		}
		first = false;
		i++;
	}
	return -1;
}

static void add_image(struct vs_cmdline *c, const char *path, size_t len, const char *target)
{
	struct vs_image *im;

	if (!len || c->images_n == VS_IMAGE__N)
		return;
	for (uint32_t i = 0; i < c->images_n; i++)
		if (strlen(c->images[i].path) == len && memcmp(c->images[i].path, path, len) == 0)
			return;
	im = &c->images[c->images_n++];
	(void)vs_text_utf8(im->path, sizeof(im->path), path, len);
	(void)vs_text_utf8(im->target, sizeof(im->target), target, strlen(target));
}

static void image_of_blockdev(struct vs_cmdline *c, const char *arg, size_t len)
{
	char path[1024], id[64] = "";

	if (len && arg[0] == '{') {
		json_t *j = json_loadb(arg, len, 0, NULL), *file = NULL, *node = j;

		/* A format driver names its file, or the node below it does. */
		for (int depth = 0; json_is_object(node) && !file && depth < 8; depth++) {
			file = json_object_get(node, "filename");
			node = json_object_get(node, "file");
		}
		if (json_is_string(file))
			add_image(c, json_string_value(file), json_string_length(file), "");
		json_decref(j);
		return;
	}
	if (option(arg, len, "filename", path, sizeof(path)) > 0 ||
	    option(arg, len, "file.filename", path, sizeof(path)) > 0) {
		add_image(c, path, strlen(path), id);
	}
}

/* 8-4-4-4-12 hexadecimal digits (RFC 9562, section 4). */
static bool is_uuid(const char *s, size_t len)
{
	if (len != VS_UUID__N - 1)
		return false;
	for (size_t i = 0; i < len; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? s[i] != '-' : !isxdigit((unsigned char)s[i]))
			return false;
	}
	return true;
}

/* QEMU's sizes: a number in MiB, or with a suffix (qemu_strtosz_MiB()). */
static uint64_t memory_size(const char *s)
{
	static const char suffixes[] = "bkmgtp";
	char *end;
	unsigned long long n = strtoull(s, &end, 10);
	const char *suffix = *end ? strchr(suffixes, tolower((unsigned char)*end)) : suffixes + 2;
	unsigned int shift = suffix ? (unsigned int)(suffix - suffixes) * 10 : 0;

	return end == s || !suffix || n > UINT64_MAX >> shift ? 0 : (uint64_t)n << shift;
}

static void take(struct vs_cmdline *c, const char *opt, const char *arg, size_t len)
{
	char text[1024], id[64];

	if (strcmp(opt, "name") == 0) {
		if (option(arg, len, "guest", text, sizeof(text)) < 0 &&
		    option(arg, len, NULL, text, sizeof(text)) < 0)
			return;
		(void)vs_text_utf8(c->name, sizeof(c->name), text, strlen(text));
	} else if (strcmp(opt, "uuid") == 0) {
		if (!is_uuid(arg, len))
			return;
		memcpy(c->uuid, arg, len);
		c->uuid[len] = '\0';
	} else if (strcmp(opt, "drive") == 0) {
		if (option(arg, len, "id", id, sizeof(id)) < 0)
			id[0] = '\0';
		if (option(arg, len, "file", text, sizeof(text)) > 0 && text[0] == '/')
			add_image(c, text, strlen(text), id);
	} else if (strcmp(opt, "blockdev") == 0) {
		image_of_blockdev(c, arg, len);
	} else if (strlen(opt) == 3 && opt[0] == 'h' && opt[1] == 'd') {
		add_image(c, arg, len, opt);
	} else if (strcmp(opt, "smp") == 0) {
		unsigned long n;

		if (option(arg, len, "cpus", text, sizeof(text)) < 0 &&
		    option(arg, len, NULL, text, sizeof(text)) < 0)
			return;
		n = strtoul(text, NULL, 10);
		if (n > 0 && n <= 65536)
			c->vcpus = (uint32_t)n;
	} else if (strcmp(opt, "m") == 0) {
		if (option(arg, len, "size", text, sizeof(text)) >= 0 ||
		    option(arg, len, NULL, text, sizeof(text)) >= 0)
			c->memory_bytes = memory_size(text);
	} else if (strcmp(opt, "machine") == 0 || strcmp(opt, "M") == 0) {
		c->asks_only = (option(arg, len, NULL, text, sizeof(text)) >= 0 ||
				option(arg, len, "type", text, sizeof(text)) >= 0) &&
			       strcmp(text, "none") == 0;
	} else if (strcmp(opt, "loadvm") == 0) {
		c->incoming = "restored";
	} else if (strcmp(opt, "incoming") == 0) {
		c->incoming = len && (vs_text_starts(arg, "fd:") || vs_text_starts(arg, "exec:") ||
				      vs_text_starts(arg, "file:")) ?
				      "restored" :
				      "migrated_in";
	}
}

void vs_cmdline_parse(const char *text, size_t len, struct vs_cmdline *ret)
{
	const char *opt = NULL, *end = text + len;

	memset(ret, 0, sizeof(*ret));
	for (const char *s = text; s < end;) {
		size_t n = strnlen(s, (size_t)(end - s));
		/* A last argument without its NUL was cut: a part of a name
		 * would be a wrong name. */
		bool whole = s + n < end;

		if (opt && whole)
			take(ret, opt, s, n);
		opt = NULL;
		if (whole && n > 1 && s[0] == '-')
			opt = s[1] == '-' ? s + 2 : s + 1;
		s += n + 1;
	}
}
