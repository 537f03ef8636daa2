/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * config.h - /etc/virtscope/virtscope.yaml: every setting of the daemon.
 *
 * One table (config_keys.c) has a row per key: its type, default, what is
 * allowed, whether SIGHUP applies it, and its help. From it come the schema that
 * libcyaml fills struct vs_config by, the checks, the errors, docs/virtscope.yaml,
 * virtscope.yaml(5), and the names in "changed, takes effect after a restart".
 *
 * A file goes through two passes. The first (config_outline.c) walks libyaml's
 * events: they carry lines, so each problem is told with its place, and all of
 * them at once; aliases, tags, doubled keys and depth are refused before anything
 * is expanded. The second is libcyaml, which then has nothing to object to. Alone
 * it would not do: it stops at the first problem, its lines exist only inside the
 * text of its log, it takes any word for true and 010 for eight.
 *
 * Layer:   app
 * State:   none; a vs_config is a value without pointers and may be copied
 * Threads: any
 *
 * To add a key: a member of struct vs_config, a row in config_keys.c, and
 * `make generate` for what is generated from it.
 */
#pragma once
#include "model/label.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define VS_CONFIG_PATH	     "/etc/virtscope/virtscope.yaml"
#define VS_CONFIG_MAX_BYTES  (1u << 20)
#define VS_CONFIG_PROBLEM__N 50 /* more are counted, not kept */

typedef char vs_config_text[256];

/* Unused bytes are zero, so that values can be compared as memory. */
struct vs_config {
	char control[100]; /* its lock and its sequence have longer names; sun_path has 108 */
	char user[33];
	struct {
		vs_config_text uri;
		struct vs_label_rules labels;
	} libvirt;
	struct {
		char sample[16];
		uint32_t vms_n;
		char vms[64][272]; /* NAME=PID */
		uint32_t deny_n;
		char deny[16][16];
	} probe;
	struct {
		struct {
			vs_config_text path;
			uint64_t max_bytes;
			uint32_t keep;
		} file;
		bool journal;
		char stdout_[8];
		uint32_t memory;
	} events;
	struct {
		char listen[64];
		vs_config_text tls_certificate, tls_key, token_file;
		uint32_t buckets_n;
		double buckets[32];
		uint32_t series_per_vm, vms;
		uint32_t detail_n;
		vs_config_text detail[64];
	} metrics;
	struct {
		bool enabled;
		uint32_t warmup_s;
		double threshold;
		uint32_t hold_off_s, accept_s;
	} detect;
};

struct vs_config_problem {
	int line;	    /* 0: of the file as a whole */
	char *key;	    /* printable; NULL: none, as in a syntax error */
	char *what, *allowed; /* allowed: NULL if nothing can be named */
};

struct vs_config_problems {
	uint32_t n, more;
	struct vs_config_problem problem[VS_CONFIG_PROBLEM__N];
};

void vs_config_problems_done(struct vs_config_problems *problems);
/* Writes "FILE:LINE: KEY: what is wrong; allowed: …" of problem @i, without a
 * newline, to @dst; what does not fit is cut. */
void vs_config_problem_text(const char *file, const struct vs_config_problem *problem, char *dst,
			    size_t size);
/* Each as a line on stderr. @file: as it was given; @prefix: before each */
void vs_config_problems_tell(const char *file, const char *prefix,
			     const struct vs_config_problems *problems);

/* What holds where the file says nothing. */
void vs_config_defaults(struct vs_config *ret);

/**
 * vs_config_parse() - text to settings, defaults where it is silent.
 * @bytes: @n bytes of anything
 * @problems: all zero; filled on -EINVAL, vs_config_problems_done() frees
 *
 * Return: 0, or -EINVAL or -ENOMEM with @ret untouched. Logs: never.
 */
int vs_config_parse(const char *bytes, size_t n, struct vs_config *ret,
		    struct vs_config_problems *problems);

/**
 * vs_config_read() - the same from a file, which must be a regular one of at most
 * VS_CONFIG_MAX_BYTES.
 *
 * Return: as above, or -errno of the file, which then stands in @problems, too.
 * Logs: never.
 */
int vs_config_read(const char *file, struct vs_config *ret, struct vs_config_problems *problems);

/**
 * vs_config_set() - one key from text, as from a flag.
 * @append: to a list, instead of replacing it
 *
 * Return: 0, -EINVAL if the value is not allowed, -ENOENT if there is no such key,
 * -ENOSPC if the list is full. Logs: never.
 */
int vs_config_set(struct vs_config *c, const char *key, const char *value, bool append);

/* The value of @key alone from @from. @key: one of the table */
void vs_config_copy(struct vs_config *to, const struct vs_config *from, const char *key);

/* What single values cannot show: keys that need each other. Adds to @problems;
 * @lines is by key as in config_table.h, or NULL. Return: 0 or -EINVAL. */
int vs_config_check_whole(const struct vs_config *c, const int *lines,
			  struct vs_config_problems *problems);

/* The keys in which @a and @b differ: calls @fn for each. @now: SIGHUP is enough */
void vs_config_diff(const struct vs_config *a, const struct vs_config *b,
		    void (*fn)(void *data, const char *key, bool now), void *data);

/* All keys with their values as YAML that reads back to the same. */
void vs_config_write(FILE *to, const struct vs_config *c);
/* The example file: each key with its help and its default, commented out. */
void vs_config_write_example(FILE *to);
/* All keys and values, nested as in the file. New reference or NULL. */
json_t *vs_config_json(const struct vs_config *c);
/* The table, for the generators of documents. New reference or NULL. */
json_t *vs_config_keys_json(void);
