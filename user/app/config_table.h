/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config_table.h - the table of keys, for the files that make up config.h.
 *
 * Layer:   app, private to config*.c
 * State:   none
 * Threads: any
 */
#pragma once
#include "app/config.h"

#include <cyaml/cyaml.h>
#include <stddef.h>

enum vs_config_type {
	VS_CONFIG_SECTION, /* a mapping of keys */
	VS_CONFIG_BOOL,
	VS_CONFIG_COUNT,   /* uint32_t or uint64_t */
	VS_CONFIG_NUMBER,  /* double */
	VS_CONFIG_TEXT,	   /* char [] */
	VS_CONFIG_NUMBERS, /* lists, which have a uint32_t count */
	VS_CONFIG_TEXTS,
	VS_CONFIG_RECORDS, /* list of mappings, whose fields are the rows that follow */
	VS_CONFIG_FIELD,   /* text in such a mapping; its path has [] */
};

struct vs_config_key {
	const char *path;
	enum vs_config_type type;
	uint32_t offset;       /* in struct vs_config; of a FIELD: in its record */
	uint32_t size;	       /* of the value; of one entry in a list */
	uint32_t count_offset; /* of lists */
	uint32_t entries;      /* of lists: at most */
	double min, max;       /* numbers: bounds. text: min bytes; its size bounds it above */
	bool (*ok)(const char *text); /* of a text, or of each in a list; may be NULL */
	bool now;		      /* SIGHUP applies it */
	const char *fallback;	      /* as in YAML */
	const char *allowed;
	const char *help;
};

#define VS_CONFIG_KEY__N 40 /* at most; checked when the table is compiled */
extern const struct vs_config_key vs_config_keys[];
extern const int vs_config_keys_n;

/* A row by its path, -1 if there is none. @len: of @path */
int vs_config_key_find(const char *path, size_t len);
/* The last component of a row's path. */
const char *vs_config_key_name(const struct vs_config_key *k);
/* Is row @i directly inside @section (a row, or -1 for the top)? */
bool vs_config_key_inside(int i, int section);
/* Writes "a, b, c": what stands directly inside @section. */
void vs_config_key_list(int section, char *dst, size_t size);

/* Is @text (@len bytes, @plain: without quotes) a value of @k or of an entry in it?
 * Return: NULL, or why not ("is not possible", …). */
const char *vs_config_value_wrong(const struct vs_config_key *k, const char *text, size_t len,
				  bool plain);

/* @key, @what and @allowed are copied, and made printable. */
void vs_config_problem_add(struct vs_config_problems *problems, int line, const char *key,
			   const char *allowed, const char *what, ...)
	__attribute__((format(printf, 5, 6)));

/**
 * vs_config_outline() - what is wrong with a file, and where its keys stand.
 * @ret_lines: VS_CONFIG_KEY__N lines by row, 0 where the file is silent
 *
 * Return: 0, or -EINVAL with problems added, or -ENOMEM.
 */
int vs_config_outline(const char *bytes, size_t n, int *ret_lines,
		      struct vs_config_problems *problems);

/* Values of the keys with a line in @lines from @bytes, which vs_config_outline()
 * found fine, into @c. Return: 0, -ENOMEM, or -EINVAL if libcyaml objects. */
int vs_config_fill(const char *bytes, size_t n, const int *lines, struct vs_config *c);
