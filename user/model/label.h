/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * label.h - what an operator wants to know a VM by: its project, its name in
 * the cloud. Taken from the <metadata> of libvirt's domain, by a list of what is
 * allowed, because everything else there is the tenant's business.
 *
 * A rule is a name for the label and a path: local names of elements below
 * <metadata>, whatever their namespace, divided by '/', and perhaps "@name" of
 * an attribute at the end, as in "instance/flavor/@name".
 *
 * Layer:   model
 * State:   none; lists are values
 * Threads: any. Linked into virtscope-libvirt, too
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VS_LABEL__N	  8
#define VS_LABEL_NAME__N  33  /* bytes, with NUL */
#define VS_LABEL_PATH__N  129
#define VS_LABEL_VALUE__N 129

struct vs_label {
	char name[VS_LABEL_NAME__N];
	char value[VS_LABEL_VALUE__N]; /* UTF-8; never empty, which to Prometheus is no label */
};

struct vs_label_rule {
	char name[VS_LABEL_NAME__N];
	char path[VS_LABEL_PATH__N];
};

struct vs_label_rules {
	uint32_t n;
	struct vs_label_rule rule[VS_LABEL__N];
};

/* Without a configuration: what OpenStack Nova writes. */
extern const struct vs_label_rules vs_label_rules_default;

/* May a label be called so? Prometheus' syntax, short, and no label of our own
 * or of its scrape, so that figures can be joined with vm_info. */
bool vs_label_name_ok(const char *name);
bool vs_label_path_ok(const char *path);

/**
 * vs_label_rules_add() - append a rule.
 * @rules: all zero, or made by this
 *
 * Return: NULL, or why not, as a phrase without its subject ("is used twice");
 * then @rules is as it was. Logs: never.
 */
const char *vs_label_rules_add(struct vs_label_rules *rules, const char *name, const char *path);
